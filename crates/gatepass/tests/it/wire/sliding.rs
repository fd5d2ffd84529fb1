//! Gates that renew access tokens while their clients use them.

use std::sync::Arc;

use gatepass::{
    AuthorityBuilder, BuildError, Clock, Issued, Transport, UserUpdate, async_trait,
    wire::{AuthState, Outgoing},
};
use gatepass_testkit::Op;
use tokio::task::JoinSet;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const RENEWED: &str = "x-renewed-token";

struct Shop {
    authority: Authority,
    store: TestStore,
    clock: ManualClock,
}

impl Fields {
    fn renewed(&self) -> Option<&str> {
        self.all(RENEWED).first().copied()
    }
}

fn alice() -> Identity {
    Identity::new("alice").unwrap()
}

fn head<'h>(headers: &'h [(&'static str, &'h str)]) -> RequestHead<'h> {
    RequestHead::new("GET", "/orders", move |name| {
        let values = headers.iter().filter(move |(own, _)| *own == name);
        values.map(|(_, value)| value.as_bytes())
    })
}

impl Shop {
    async fn open(configure: impl FnOnce(AuthorityBuilder) -> AuthorityBuilder) -> Self {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
        let authority = Self::node(&store, &clock, configure).await;
        Self {
            authority,
            store,
            clock,
        }
    }

    async fn node(
        store: &TestStore,
        clock: &ManualClock,
        configure: impl FnOnce(AuthorityBuilder) -> AuthorityBuilder,
    ) -> Authority {
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let builder = Authority::builder(REALM, "shop-api", secret, store.clone());
        let builder = builder.clock(clock.clone()).transport(Transport::Both);
        configure(builder.renewed_token_header("X-Renewed-Token"))
            .build()
            .await
            .unwrap()
    }

    async fn issue(&self, identity: Identity) -> Issued {
        let issued = self.authority.issue(identity, Device::default()).await;
        issued.unwrap()
    }

    fn gate(&self) -> Gate {
        Gate::new(&self.authority).auto_renew(&self.authority)
    }

    async fn visit(&self, headers: &[(&'static str, &str)]) -> AuthState {
        judge(&self.gate(), headers).await.unwrap()
    }

    async fn visit_with(&self, token: &str) -> AuthState {
        self.visit(&[("authorization", &format!("Bearer {token}"))])
            .await
    }

    async fn verify(&self, token: &str) -> gatepass::Pass {
        let none = Requirements::new();
        self.authority
            .verifier()
            .verify(token, &none)
            .await
            .unwrap()
    }
}

async fn judge(
    gate: &Gate,
    headers: &[(&'static str, &str)],
) -> Result<AuthState, gatepass::wire::AuthRejection> {
    let head = head(headers);
    match gate.try_judge(&head) {
        Some(judged) => judged,
        None => gate.judge(&head).await,
    }
}

/// The response of a handler that sets these headers, which leaves now.
async fn leave(mut outgoing: Outgoing, mut fields: Fields) -> Fields {
    if outgoing.waits() {
        outgoing.settle().await;
    }
    outgoing.apply(&mut fields);
    fields
}

async fn respond(state: &AuthState) -> Fields {
    leave(state.outgoing(), Fields::default()).await
}

#[tokio::test]
async fn a_token_with_half_of_its_life_behind_it_is_renewed_in_the_named_header() {
    let shop = Shop::open(|builder| builder).await;
    let scopes = Scopes::parse("read").unwrap();
    let issued = shop.issue(alice().scopes(scopes).access_only()).await;
    let mut token = issued.access_token.as_str().to_owned();
    for _ in 0..5 {
        shop.clock.advance(449 * SECOND);
        let state = shop.visit_with(&token).await;
        assert!(!state.outgoing().waits());
        assert_eq!(
            respond(&state).await.0,
            [("cache-control", "private".to_owned())]
        );
        shop.clock.advance(SECOND);
        let fields = respond(&shop.visit_with(&token).await).await;
        assert_eq!(fields.all("cache-control"), ["no-store"]);
        assert_eq!(fields.all("set-cookie"), [""; 0]);
        let (old, renewed) = (shop.verify(&token).await, fields.renewed().unwrap());
        let new = shop.verify(renewed).await;
        assert_eq!(new.session_id(), Some(issued.session_id));
        assert_eq!(new.scopes(), old.scopes());
        assert_eq!(new.authenticated_at(), old.authenticated_at());
        assert_eq!(new.expires_at().since(shop.clock.now()), 15 * MINUTE);
        // The old one lives as long as it says.
        assert_ne!(new.token_id(), old.token_id());
        token = renewed.to_owned();
    }
}

#[tokio::test]
async fn a_token_in_the_access_cookie_is_renewed_there() {
    let shop = Shop::open(|builder| builder.token_cookie("session")).await;
    let issued = shop.issue(alice().access_only()).await;
    let full = shop.issue(alice()).await;
    shop.clock.advance(8 * MINUTE);
    let token = issued.access_token.as_str();
    let own = format!("__Host-gatepass={token}");
    let fields = respond(&shop.visit(&[("cookie", &own)]).await).await;
    assert_eq!(fields.renewed(), None);
    assert_eq!(fields.all("cache-control"), ["no-store"]);
    let [cookie] = fields.all("set-cookie")[..] else {
        panic!("{fields:?}")
    };
    let (renewed, attributes) = cookie.split_once("; ").unwrap();
    let renewed = renewed.strip_prefix("__Host-gatepass=").unwrap();
    assert!(attributes.starts_with("HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age="));
    assert_eq!(
        shop.verify(renewed).await.session_id(),
        Some(issued.session_id)
    );

    // A client with a refresh cookie refreshes, and the application's own cookie is its own affair.
    let access = full.access_token.as_str();
    let both = format!(
        "__Host-gatepass={access}; __Host-gatepass-refresh={}",
        full.refresh_token.as_str()
    );
    let theirs = format!("session={access}");
    for cookies in [both, theirs] {
        let state = shop.visit(&[("cookie", &cookies)]).await;
        assert!(!state.outgoing().waits(), "{cookies}");
    }
}

#[tokio::test]
async fn nothing_is_renewed_where_it_was_not_asked_for() {
    let shop = Shop::open(|builder| builder.authenticator(AtLarge(UserUpdate::Unchanged))).await;
    let issued = shop.issue(alice()).await;
    let desktop = "desktop".try_into().unwrap();
    let foreign = shop
        .authority
        .issue_as(&desktop, alice(), Device::default());
    let foreign = foreign.await.unwrap();
    shop.clock.advance(10 * MINUTE);
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let headers = [("authorization", &*bearer)];
    let plain = judge(&Gate::new(&shop.authority), &headers).await.unwrap();
    assert!(!plain.outgoing().waits());
    let of_another_client = shop.visit_with(foreign.access_token.as_str()).await;
    assert!(!of_another_client.outgoing().waits());
    let optional = shop.gate().require(Requirements::new().optional());
    let stranger = judge(&optional, &[]).await.unwrap();
    assert!(!stranger.outgoing().waits());
    // A service that names no header.
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let unnamed = Authority::builder(REALM, "shop-api", secret, shop.store.clone());
    let unnamed = unnamed.clock(shop.clock.clone()).build().await.unwrap();
    let gate = Gate::new(&unnamed).auto_renew(&unnamed);
    let state = judge(&gate, &headers).await.unwrap();
    assert!(!state.outgoing().waits());
}

#[tokio::test]
async fn of_many_requests_one_renews_and_the_session_is_written_once_in_half_a_lifetime() {
    let shop = Arc::new(Shop::open(|builder| builder).await);
    let issued = shop.issue(alice().access_only()).await;
    let token = Arc::new(issued.access_token.as_str().to_owned());
    let other = Shop::node(&shop.store, &shop.clock, |builder| builder).await;
    shop.clock.advance(8 * MINUTE);
    let mut renewed = Vec::new();
    let writes = shop.store.calls_of(Op::Renew);
    for second in 0..7 {
        let mut racing = JoinSet::new();
        for _ in 0..50 {
            let (shop, token) = (Arc::clone(&shop), Arc::clone(&token));
            racing.spawn(async move {
                let fields = respond(&shop.visit_with(&token).await).await;
                fields.renewed().map(str::to_owned)
            });
        }
        let tokens = racing.join_all().await.into_iter().flatten();
        let tokens = Vec::from_iter(tokens);
        // Once in half a minute, for a client that has lost the answer.
        assert_eq!(tokens.len(), usize::from(second % 3 == 0), "{second}");
        renewed.extend(tokens);
        shop.clock.advance(10 * SECOND);
    }
    assert_eq!(renewed.len(), 3);
    // Another node gives a token as well, and needs not write for it.
    let gate = Gate::new(&other).auto_renew(&other);
    let bearer = format!("Bearer {token}");
    let state = judge(&gate, &[("authorization", &bearer)]).await.unwrap();
    renewed.push(respond(&state).await.renewed().unwrap().to_owned());
    assert_eq!(shop.store.calls_of(Op::Renew) - writes, 1);
    // None of them lives longer than the store knows, and each is good for more than half.
    let (session, now) = gatepass::store::SessionStore::load(&shop.store, issued.session_id)
        .await
        .unwrap();
    let access_until = session.unwrap().access_until;
    for token in renewed {
        let pass = shop.verify(&token).await;
        assert!(pass.expires_at() <= access_until);
        assert!(pass.expires_at().since(now) > 7 * MINUTE);
    }
}

#[tokio::test]
async fn a_response_that_leaves_after_the_session_has_ended_brings_no_token() {
    let shop = Shop::open(|builder| builder).await;
    let other = Shop::node(&shop.store, &shop.clock, |builder| builder).await;
    for how in 0..4 {
        let issued = shop.issue(alice().access_only()).await;
        let token = issued.access_token.as_str();
        let pass = shop.verify(token).await;
        shop.clock.advance(8 * MINUTE);
        let state = shop.visit_with(token).await;
        assert!(state.outgoing().waits());
        match how {
            0 => drop(other.logout(token).await.unwrap()),
            1 => drop(other.logout_all(pass.subject()).await.unwrap()),
            2 => drop(other.revoke_token(&pass).await.unwrap()),
            _ => drop(
                shop.authority
                    .end_session(pass.session_id().unwrap())
                    .await
                    .unwrap(),
            ),
        }
        let fields = respond(&state).await;
        assert_eq!(fields.0, [("cache-control", "private".to_owned())], "{how}");
    }
}

#[tokio::test]
async fn a_failing_store_costs_the_renewal_alone() {
    let shop = Shop::open(|builder| builder).await;
    for op in [Op::Status, Op::Load, Op::Renew] {
        let issued = shop.issue(alice().access_only()).await;
        shop.clock.advance(8 * MINUTE);
        let token = issued.access_token.as_str();
        let state = shop.visit_with(token).await;
        shop.store
            .inject(op, StoreFault::Fail(StoreErrorKind::Unavailable));
        assert_eq!(respond(&state).await.renewed(), None, "{op:?}");
        shop.store.lift(op);
        shop.clock.advance(30 * SECOND);
        let fields = respond(&shop.visit_with(token).await).await;
        assert!(fields.renewed().is_some(), "{op:?}");
    }
}

#[tokio::test]
async fn renewed_tokens_end_at_the_absolute_end_of_the_session() {
    let shop = Shop::open(|builder| builder).await;
    let issued = shop
        .issue(alice().access_only().absolute_ttl(30 * MINUTE))
        .await;
    let end = issued.server_time + 30 * MINUTE;
    let mut token = issued.access_token.as_str().to_owned();
    let mut renewals = 0;
    while shop.clock.now() + MINUTE < end {
        shop.clock.advance(MINUTE);
        let fields = respond(&shop.visit_with(&token).await).await;
        if let Some(renewed) = fields.renewed() {
            assert!(shop.verify(renewed).await.expires_at() <= end);
            token = renewed.to_owned();
            renewals += 1;
        }
    }
    // A token that ends with its session isn't renewed: the next one would end then as well.
    assert_eq!(renewals, 2);
    shop.clock.advance(MINUTE + 30 * SECOND);
    let bearer = format!("Bearer {token}");
    let refused = judge(&shop.gate(), &[("authorization", &bearer)]).await;
    assert_eq!(refused.unwrap_err().refusal(), Some(&Refusal::Expired));
}

#[tokio::test]
async fn a_header_or_a_cookie_that_the_handler_sets_is_left_alone() {
    let shop = Shop::open(|builder| builder).await;
    let issued = shop.issue(alice().access_only()).await;
    shop.clock.advance(8 * MINUTE);
    let token = issued.access_token.as_str();
    let own = (RENEWED, "mine".to_owned());
    let state = shop.visit_with(token).await;
    let fields = leave(state.outgoing(), Fields(vec![own.clone()])).await;
    assert_eq!(fields.0, [own, ("cache-control", "private".to_owned())]);

    shop.clock.advance(30 * SECOND);
    let cookie = format!("__Host-gatepass={token}");
    let state = shop.visit(&[("cookie", &cookie)]).await;
    let cleared = ("set-cookie", "__Host-gatepass=; Max-Age=0".to_owned());
    let fields = leave(state.outgoing(), Fields(vec![cleared.clone()])).await;
    assert_eq!(fields.all("set-cookie"), [cleared.1.as_str()]);

    shop.clock.advance(30 * SECOND);
    let theme = ("set-cookie", "theme=dark".to_owned());
    let public = ("cache-control", "public, max-age=60".to_owned());
    let edge = ("cdn-cache-control", "max-age=60".to_owned());
    let state = shop.visit(&[("cookie", &cookie)]).await;
    let fields = leave(state.outgoing(), Fields(vec![theme, public, edge])).await;
    assert_eq!(fields.all("set-cookie").len(), 2);
    assert_eq!(fields.all("cache-control"), ["no-store"]);
    assert_eq!(fields.all("cdn-cache-control"), ["no-store"]);
}

/// Users of whom a reload says this.
struct AtLarge(UserUpdate);

#[async_trait]
impl Authenticator for AtLarge {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        Err(AuthenticationError::BadCredentials)
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn the_user_is_read_again() {
    let fewer = alice().scopes(Scopes::parse("read").unwrap());
    for (update, scopes) in [
        (UserUpdate::Unchanged, Some("read write")),
        (UserUpdate::Changed(fewer), Some("read")),
        (UserUpdate::Deleted, None),
    ] {
        let shop = Shop::open(|builder| builder.authenticator(AtLarge(update))).await;
        let all = Scopes::parse("read write").unwrap();
        let issued = shop.issue(alice().scopes(all).access_only()).await;
        shop.clock.advance(8 * MINUTE);
        let fields = respond(&shop.visit_with(issued.access_token.as_str()).await).await;
        match (fields.renewed(), scopes) {
            (Some(token), Some(scopes)) => {
                assert_eq!(shop.verify(token).await.scopes().as_str(), scopes);
            }
            (renewed, scopes) => assert_eq!(renewed, scopes),
        }
    }
}

#[tokio::test]
async fn an_authority_of_another_audience_is_a_500() {
    let shop = Shop::open(|builder| builder).await;
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let other = Authority::builder(REALM, "another-api", secret, shop.store.clone())
        .clock(shop.clock.clone())
        .share_store()
        .build()
        .await
        .unwrap();
    let issued = shop.issue(alice().access_only()).await;
    shop.clock.advance(8 * MINUTE);
    let gate = Gate::new(&shop.authority).auto_renew(&other);
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let rejection = judge(&gate, &[("authorization", &bearer)])
        .await
        .unwrap_err();
    assert_eq!(rejection.reply().status(), 500);
}

#[tokio::test]
async fn what_carries_a_renewed_token_shows_none_in_its_debug() {
    let shop = Shop::open(|builder| builder).await;
    let issued = shop.issue(alice().access_only()).await;
    shop.clock.advance(8 * MINUTE);
    let state = shop.visit_with(issued.access_token.as_str()).await;
    let mut outgoing = state.outgoing();
    outgoing.settle().await;
    let shown = format!("{state:?} {outgoing:?}");
    let mut fields = Fields::default();
    outgoing.apply(&mut fields);
    let renewed = fields.renewed().unwrap();
    for token in [renewed, issued.access_token.as_str()] {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!shown.contains(signature));
    }
}

#[tokio::test]
async fn a_header_that_means_something_else_is_no_place_for_a_renewed_token() {
    for name in [
        "",
        "a b",
        "Set-Cookie",
        "Cache-Control",
        "Content-Type",
        "Location",
    ] {
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let builder = Authority::builder(REALM, "shop-api", secret, MemoryStore::new());
        let built = builder.renewed_token_header(name).build().await;
        assert!(
            matches!(built, Err(BuildError::TokenPlace { .. })),
            "{name}"
        );
    }
}
