//! Gates that refresh a browser's cookies, and the responses that may set them.

use gatepass::{Change, ReusePolicy, Staleness, keys::Algorithm, wire::Outgoing};
use test_support::{
    attacks::{Attack, Table},
    log::Log,
    rig::Rig,
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

impl Fields {
    fn jar(&self) -> Option<Jar> {
        let value = |name: &str| {
            let cookies = self.all("set-cookie").into_iter();
            let own = cookies.filter_map(|line| line.strip_prefix(name)).next()?;
            Some(own.split(';').next()?.to_owned())
        };
        Some(Jar {
            access: value("__Host-gatepass=")?,
            refresh: value("__Host-gatepass-refresh=")?,
        })
    }
}

impl Shop {
    fn gate(&self) -> Gate {
        Gate::new(&self.authority).auto_refresh(&self.authority)
    }

    async fn judge(
        &self,
        gate: &Gate,
        method: &str,
        cookies: &str,
    ) -> Result<AuthState, AuthRejection> {
        let headers = [("cookie", cookies)];
        let head = head(method, "/orders", &headers);
        match gate.try_judge(&head) {
            Some(judged) => judged,
            None => gate.judge(&head).await,
        }
    }

    /// A request of a browser to a gate that refreshes, which lets it through.
    async fn visit(&self, jar: &Jar) -> AuthState {
        let judged = self.judge(&self.gate(), "GET", &jar.header()).await;
        judged.unwrap()
    }

    async fn generation(&self) -> u32 {
        let alice = Subject::new("alice").unwrap();
        let sessions = self.authority.sessions(&alice, None).await.unwrap();
        sessions.sessions[0].generation.get()
    }

    /// The response of a handler that sets no header, whose head leaves now.
    async fn respond(&self, state: &AuthState) -> Fields {
        self.answer(state.outgoing(), Fields::default()).await
    }

    /// The handler's response, whose head leaves now.
    async fn answer(&self, mut outgoing: Outgoing, mut fields: Fields) -> Fields {
        if outgoing.waits() {
            outgoing.settle().await;
        }
        outgoing.apply(&mut fields);
        fields
    }
}

impl Jar {
    fn without_access(&self) -> String {
        format!("__Host-gatepass-refresh={}", self.refresh)
    }
}

fn reason(judged: Result<AuthState, AuthRejection>) -> &'static str {
    judged.unwrap_err().error().reason()
}

#[tokio::test]
async fn a_request_with_an_old_access_cookie_is_served_and_its_response_sets_both_cookies() {
    let cases = [
        ("expired", 20 * MINUTE),
        ("missing", MINUTE),
        ("stale", MINUTE),
    ];
    for (case, later) in cases {
        let shop = Shop::open(Transport::Cookie).await;
        let old = shop.log_in().await;
        shop.clock.advance(later);
        if case == "stale" {
            let alice = Subject::new("alice").unwrap();
            let change = Change::enforced(|identity| identity.claims(&json!({ "new": true })));
            assert_eq!(shop.authority.change(&alice, &change).await.unwrap(), 1);
        }
        let cookies = match case {
            "missing" => old.without_access(),
            _ => old.header(),
        };
        for method in ["GET", "HEAD", "OPTIONS", "POST"] {
            let state = shop.judge(&shop.gate(), method, &cookies).await.unwrap();
            assert_eq!(
                state.optional_pass().unwrap().subject().as_str(),
                "alice",
                "{case}"
            );
            let fields = shop.respond(&state).await;
            let new = fields.jar().unwrap();
            assert_ne!(new.refresh, old.refresh, "{case}");
            assert_eq!(fields.all("cache-control"), ["no-store"], "{case}");
            for line in fields.all("set-cookie") {
                assert!(line.contains(ATTRIBUTES), "{line}");
            }
            let state = shop.judge(&shop.gate(), method, &new.header()).await;
            let outgoing = state.unwrap().outgoing();
            assert!(!outgoing.waits(), "{case}: the new access token is good");
        }
        assert_eq!(shop.generation().await, 1, "{case}");
    }
}

#[tokio::test]
async fn a_good_access_cookie_is_not_refreshed() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    let state = shop.visit(&jar).await;
    let fields = shop.respond(&state).await;
    assert_eq!(fields.all("set-cookie"), [""; 0]);
    assert_eq!(fields.all("cache-control"), ["private"]);
    assert_eq!(shop.generation().await, 0);
}

#[tokio::test]
async fn a_gate_that_was_not_told_to_refresh_does_not() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    let plain = Gate::new(&shop.authority);
    assert_eq!(
        reason(shop.judge(&plain, "GET", &jar.header()).await),
        "expired"
    );
    assert_eq!(shop.generation().await, 0);
}

#[tokio::test]
async fn bearers_are_not_refreshed_and_outrank_cookies() {
    for transport in [Transport::Bearer, Transport::Both] {
        let shop = Shop::open(transport).await;
        let reply = shop.send("POST", "/auth/login", &[JSON], LOGIN).await;
        let token = |name: &str| body(&reply)[name].as_str().unwrap().to_owned();
        let bearer = format!("Bearer {}", token("access_token"));
        let cookies = format!("__Host-gatepass-refresh={}", token("refresh_token"));
        shop.clock.advance(20 * MINUTE);
        let headers = [("authorization", bearer.as_str()), ("cookie", &cookies)];
        let judged = shop.gate().judge(&head("GET", "/orders", &headers)).await;
        assert_eq!(reason(judged), "expired", "{transport:?}");
        assert_eq!(shop.generation().await, 0, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_requests_at_once_all_succeed_and_end_one_generation_later() {
    let shop = std::sync::Arc::new(Shop::open(Transport::Cookie).await);
    let old = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (shop, cookies) = (std::sync::Arc::clone(&shop), old.header());
        requests.spawn(async move {
            let state = shop.judge(&shop.gate(), "GET", &cookies).await.unwrap();
            let fields = shop.respond(&state).await;
            fields.jar().unwrap().refresh
        });
    }
    let tokens: BTreeSet<_> = requests.join_all().await.into_iter().collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(shop.generation().await, 1);
}

#[tokio::test]
async fn a_response_that_leaves_after_a_logout_sets_no_cookies() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    let state = shop.visit(&jar).await;
    assert_eq!(shop.post("/auth/logout", &jar).await.status(), 204);
    let fields = shop.respond(&state).await;
    assert_eq!(fields.all("set-cookie"), [""; 0]);
    assert_eq!(fields.all("cache-control"), ["private"]);
}

#[tokio::test]
async fn a_slow_response_sets_cookies_unless_others_have_newer_ones() {
    for (others, sets) in [(false, true), (true, false)] {
        let shop = Shop::open(Transport::Cookie).await;
        let old = shop.log_in().await;
        shop.clock.advance(20 * MINUTE);
        let slow = shop.visit(&old).await;
        shop.clock.advance(20 * SECOND);
        let quick = shop.visit(&old).await;
        let fields = shop.respond(&quick).await;
        shop.clock.advance(MINUTE);
        if others {
            let newer = shop.post("/auth/refresh", &fields.jar().unwrap()).await;
            assert_eq!(newer.status(), 200);
        }
        let fields = shop.respond(&slow).await;
        assert_eq!(fields.jar().is_some(), sets, "{others}");
    }
}

#[tokio::test]
async fn a_browser_whose_pages_are_slow_stays_logged_in() {
    // One page after the other takes longer than the overlap, and then the user has lunch.
    let shop = Shop::open(Transport::Cookie).await;
    let mut jar = shop.log_in().await;
    for pause in [20 * MINUTE, 20 * MINUTE, 61 * MINUTE, DAY] {
        shop.clock.advance(pause);
        let slow = shop.visit(&jar).await;
        shop.clock.advance(35 * SECOND);
        let fields = shop.respond(&slow).await;
        jar = fields.jar().unwrap();
    }
}

#[tokio::test]
async fn a_session_that_may_rotate_at_any_time_stays_logged_in() {
    let none = ReusePolicy {
        overlap: Duration::ZERO,
        recovery: Duration::ZERO,
        ..ReusePolicy::default()
    };
    let shop = Shop::build(Transport::Cookie, 0, |builder| builder.reuse(none)).await;
    let mut jar = shop.log_in().await;
    for generation in 1..5 {
        shop.clock.advance(20 * MINUTE);
        let state = shop.visit(&jar).await;
        let fields = shop.respond(&state).await;
        jar = fields.jar().unwrap();
        assert_eq!(shop.generation().await, generation);
    }
}

#[tokio::test]
async fn a_late_response_never_puts_an_older_token_over_a_newer_one() {
    let shop = Shop::open(Transport::Cookie).await;
    let first = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    // The answer to this rotation is lost, and the browser comes again after the overlap.
    shop.visit(&first).await;
    shop.clock.advance(MINUTE);
    let slow = shop.visit(&first).await;
    let quick = shop.visit(&first).await;
    let fields = shop.respond(&quick).await;
    let second = fields.jar().unwrap();
    let third = jar(&shop.post("/auth/refresh", &second).await);
    assert_ne!(second.refresh, third.refresh);
    let fields = shop.respond(&slow).await;
    assert_eq!(
        fields.all("set-cookie"),
        [""; 0],
        "the browser has newer ones"
    );
    shop.clock.advance(MINUTE);
    assert_eq!(shop.post("/auth/refresh", &third).await.status(), 200);
}

#[tokio::test]
async fn a_response_sets_no_cookies_while_the_store_does_not_answer() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    let state = shop.visit(&jar).await;
    shop.faults
        .inject(Op::Load, StoreFault::Fail(StoreErrorKind::Unavailable));
    let fields = shop.respond(&state).await;
    assert_eq!(fields.all("set-cookie"), [""; 0]);
    // The next request is answered as one whose answer was lost.
    shop.faults.lift(Op::Load);
    shop.clock.advance(MINUTE);
    let state = shop.visit(&jar).await;
    let fields = shop.respond(&state).await;
    assert!(fields.jar().is_some());
}

#[tokio::test]
async fn a_logout_on_another_node_wins_before_this_node_knows_of_it() {
    let shop = Shop::open(Transport::Cookie).await;
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let other = Authority::builder(REALM, "shop-api", secret, shop.faults.clone())
        .clock(shop.clock.clone())
        .transport(Transport::Cookie);
    let other = other.build().await.unwrap();
    let jar = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    let state = shop.visit(&jar).await;
    other.logout(&jar.refresh).await.unwrap();
    let fields = shop.respond(&state).await;
    assert_eq!(fields.all("set-cookie"), [""; 0]);
}

#[tokio::test]
async fn cookies_of_the_handler_stay_and_those_of_the_session_are_its_own_affair() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    let state = shop.visit(&jar).await;
    let theme = || ("set-cookie", "theme=dark".to_owned());
    let public = ("cache-control", "public, max-age=60".to_owned());
    let fields = shop
        .answer(state.outgoing(), Fields(vec![theme(), public.clone()]))
        .await;
    assert_eq!(fields.all("set-cookie")[0], "theme=dark");
    assert_eq!(fields.all("set-cookie").len(), 3);
    assert_eq!(
        fields.all("cache-control"),
        ["no-store"],
        "whatever it said"
    );

    // A cache at the edge obeys these.
    for name in ["cdn-cache-control", "surrogate-control"] {
        let fields = Fields(vec![(name, "max-age=60".to_owned())]);
        let fields = shop.answer(state.outgoing(), fields).await;
        assert_eq!(fields.all(name), ["no-store"]);
        assert_eq!(fields.all("set-cookie").len(), 2);
    }
    // A cookie that only looks like one of the session's.
    let other = Fields(vec![("set-cookie", "gatepass=x".to_owned())]);
    let fields = shop.answer(state.outgoing(), other).await;
    assert_eq!(fields.all("set-cookie").len(), 3);

    for own in [
        "__Host-gatepass=; Max-Age=0",
        "__Host-gatepass-refresh=; Max-Age=0",
        "__Host-gatepass=x; Path=/",
    ] {
        let own = ("set-cookie", own.to_owned());
        let fields = Fields(vec![theme(), own.clone(), public.clone()]);
        let fields = shop.answer(state.outgoing(), fields).await;
        assert_eq!(fields.all("set-cookie"), ["theme=dark", own.1.as_str()]);
        assert_eq!(fields.all("cache-control"), [public.1.as_str()]);
    }
}

#[tokio::test]
async fn a_request_from_another_site_is_judged_before_it_can_refresh() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    for optional in [false, true] {
        let mut gate = shop.gate();
        if optional {
            gate = gate.require(Requirements::new().optional());
        }
        for cookies in [jar.header(), jar.without_access()] {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let headers = [("cookie", cookies.as_str()), CROSS_SITE];
                let judged = gate.judge(&head(method, "/orders", &headers)).await;
                let rejection = judged.unwrap_err();
                assert_eq!(rejection.refusal(), Some(&Refusal::CrossSite), "{method}");
                assert_eq!(set_cookies(rejection.reply()), [""; 0], "{method}");
            }
        }
    }
    assert_eq!(shop.generation().await, 0);
}

#[tokio::test]
async fn a_failing_store_is_a_503_that_sets_and_clears_nothing() {
    let unavailable = StoreFault::Fail(StoreErrorKind::Unavailable);
    for optional in [false, true] {
        let shop = Shop::open(Transport::Cookie).await;
        let jar = shop.log_in().await;
        shop.clock.advance(20 * MINUTE);
        let mut gate = shop.gate();
        if optional {
            gate = gate.require(Requirements::new().optional());
        }
        shop.faults.inject(Op::Load, unavailable);
        let rejection = shop.judge(&gate, "GET", &jar.header()).await.unwrap_err();
        assert_eq!(rejection.reply().status(), 503);
        assert_eq!(set_cookies(rejection.reply()), [""; 0]);
        shop.faults.lift(Op::Load);
        shop.judge(&gate, "GET", &jar.header()).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_refresh_is_told_by_its_reason_and_is_no_pass_for_an_optional_gate() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    assert_eq!(shop.post("/auth/logout-all", &jar).await.status(), 204);
    let other = shop.log_in().await;
    let idle = shop.log_in().await;
    shop.clock.advance(15 * DAY);
    let twice = format!("{}; {}", other.without_access(), other.without_access());
    for (cookies, told) in [
        (jar.without_access(), "session_ended"),
        (idle.without_access(), "refresh_expired"),
        ("__Host-gatepass-refresh=x".to_owned(), "malformed"),
        (
            format!("__Host-gatepass-refresh={}", jar.access),
            "wrong_type",
        ),
        (twice, "ambiguous"),
    ] {
        assert_eq!(
            reason(shop.judge(&shop.gate(), "GET", &cookies).await),
            told
        );
        let optional = shop.gate().require(Requirements::new().optional());
        let state = shop.judge(&optional, "GET", &cookies).await.unwrap();
        assert!(state.optional_pass().is_none(), "{told}");
        let fields = shop.respond(&state).await;
        assert_eq!(fields.all("set-cookie"), [""; 0], "{told}");
    }
}

#[tokio::test]
async fn a_thief_is_found_by_a_gate_as_by_the_endpoint() {
    let shop = Shop::open(Transport::Cookie).await;
    let stolen = shop.log_in().await;
    let mut jar_now = stolen.clone();
    for _ in 0..2 {
        shop.clock.advance(20 * MINUTE);
        let state = shop.judge(&shop.gate(), "GET", &jar_now.header()).await;
        let fields = shop
            .answer(state.unwrap().outgoing(), Fields::default())
            .await;
        jar_now = fields.jar().unwrap();
    }
    shop.clock.advance(MINUTE);
    let thief = shop.judge(&shop.gate(), "GET", &stolen.header()).await;
    let rejection = thief.unwrap_err();
    assert_eq!(rejection.refusal(), Some(&Refusal::Reused));
    assert_eq!(set_cookies(rejection.reply()), [""; 0]);
    assert_eq!(
        reason(shop.judge(&shop.gate(), "GET", &jar_now.header()).await),
        "revoked"
    );
}

#[tokio::test]
async fn a_request_that_lacks_something_else_keeps_its_new_cookies() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar_then = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    let admins = Requirements::new().scopes(Scopes::parse("admin").unwrap());
    let recent = Requirements::new().max_age(5 * MINUTE);
    let mut cookies = jar_then.header();
    for (requirements, status, told) in [
        (admins, 403, "insufficient_scope"),
        (recent, 401, "authentication_too_old"),
    ] {
        let gate = shop.gate().require(requirements);
        let rejection = shop.judge(&gate, "GET", &cookies).await.unwrap_err();
        assert_eq!(
            (rejection.reply().status(), rejection.error().reason()),
            (status, told)
        );
        cookies = jar(rejection.reply()).header();
        shop.clock.advance(20 * MINUTE);
    }
    assert_eq!(shop.generation().await, 2);
}

#[tokio::test]
async fn a_strict_gate_asks_the_store_about_the_session_that_it_refreshes() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    let strict = Requirements::new().staleness(Staleness::Strict);
    let gate = shop.gate().require(strict);
    shop.clock.advance(20 * MINUTE);
    let state = shop.judge(&gate, "GET", &jar.header()).await.unwrap();
    assert_eq!(state.optional_pass().unwrap().subject().as_str(), "alice");
    assert_eq!(shop.faults.calls_of(Op::Status), 1);
    shop.faults
        .inject(Op::Status, StoreFault::Fail(StoreErrorKind::Unavailable));
    shop.clock.advance(20 * MINUTE);
    let rejection = shop.judge(&gate, "GET", &jar.header()).await.unwrap_err();
    assert_eq!(rejection.reply().status(), 503);
    // Without them, a long outage would make the browser's refresh token look stolen.
    assert_eq!(set_cookies(rejection.reply()).len(), 2);
}

#[tokio::test]
async fn a_claim_too_long_for_a_cookie_is_a_500_before_the_handler_runs() {
    let shop = Shop::build(Transport::Both, 3500, |builder| builder).await;
    let reply = shop.send("POST", "/auth/login", &[JSON], LOGIN).await;
    let refresh = body(&reply)["refresh_token"].as_str().unwrap().to_owned();
    let cookies = format!("__Host-gatepass-refresh={refresh}");
    let rejection = shop.judge(&shop.gate(), "GET", &cookies).await.unwrap_err();
    assert_eq!(rejection.reply().status(), 500);
    assert_eq!(set_cookies(rejection.reply()), [""; 0]);
}

#[tokio::test]
async fn what_carries_new_cookies_shows_none_in_its_debug() {
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    let state = shop.visit(&jar).await;
    let shown = format!("{state:?} {:?}", state.outgoing());
    let fields = shop.respond(&state).await;
    let new = fields.jar().unwrap();
    for secret in [&new.access, &new.refresh] {
        for part in secret.split('.') {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}

/// A stale cookie is refreshed. Any other bad one is refused as it is without automatic refresh.
#[tokio::test]
async fn an_attack_token_beside_a_good_refresh_cookie_gains_nothing() {
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
        let rig = Rig::with(algorithm, |builder| builder.transport(Transport::Cookie)).await;
        let authority = &rig.authority;
        let gate = Gate::new(authority).auto_refresh(authority);
        let plain = Gate::new(authority);
        let refresh = rig.issued.refresh_token.as_str();
        let mut refreshed = 0;
        let attacks = Table::of(&rig).attacks.into_iter();
        // A header trims and splits the others, so that another token arrives.
        let whole = |token: &str| !token.contains(|c: char| c.is_ascii_whitespace() || c == ';');
        for Attack { name, token, .. } in attacks.filter(|attack| whole(&attack.token)) {
            let cookies = format!("__Host-gatepass={token}; __Host-gatepass-refresh={refresh}");
            let headers = [("cookie", cookies.as_str())];
            let head = head("GET", "/orders", &headers);
            let refused = plain.judge(&head).await.unwrap_err();
            rig.counts.reset_calls();
            match gate.judge(&head).await {
                Ok(state) => {
                    let stale = ["missing", "expired", "unknown_key"];
                    assert!(stale.contains(&refused.error().reason()), "{name}");
                    let pass = state.optional_pass().unwrap();
                    assert_eq!(pass.subject().as_str(), "alice", "{name}");
                    assert_eq!(pass.session_id(), Some(rig.issued.session_id), "{name}");
                    refreshed += 1;
                }
                Err(rejection) => {
                    assert_eq!(
                        rejection.error().reason(),
                        refused.error().reason(),
                        "{name}"
                    );
                    assert_eq!(rig.counts.calls(), 0, "{name}: the store was asked");
                }
            }
        }
        assert!(refreshed > 2, "{algorithm}: {refreshed} were stale");
    }
}

#[tokio::test]
async fn an_expired_cookie_that_is_refreshed_is_no_refusal_in_the_log() {
    let (log, _listening) = Log::listen();
    let shop = Shop::open(Transport::Cookie).await;
    let jar = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    shop.visit(&jar).await;
    assert_eq!(log.count("token.refused"), 0);
    assert_eq!(log.count("session.refreshed"), 1);
    // Without a refresh cookie it is one, and is counted once.
    let access = format!("__Host-gatepass={}", jar.access);
    assert_eq!(
        reason(shop.judge(&shop.gate(), "GET", &access).await),
        "expired"
    );
    assert_eq!(log.count("token.refused"), 1);
    // A refresh that is refused is a refused refresh.
    let cookies = "__Host-gatepass-refresh=x";
    assert_eq!(
        reason(shop.judge(&shop.gate(), "GET", cookies).await),
        "malformed"
    );
    assert_eq!(log.count("refresh.refused"), 1);
    assert_eq!(log.count("token.refused"), 1);
}

#[tokio::test]
async fn a_gate_of_another_audience_is_a_500_before_it_rotates_the_session() {
    let shop = Shop::open(Transport::Cookie).await;
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let store = MemoryStore::with_clock(shop.clock.clone());
    let other = Authority::builder(REALM, "other-api", secret, store)
        .clock(shop.clock.clone())
        .transport(Transport::Cookie);
    let other = other.build().await.unwrap();
    let jar = shop.log_in().await;
    shop.clock.advance(20 * MINUTE);
    let gate = Gate::new(&other).auto_refresh(&shop.authority);
    let judged = shop.judge(&gate, "GET", &jar.without_access()).await;
    assert_eq!(judged.unwrap_err().reply().status(), 500);
    assert_eq!(shop.generation().await, 0);
}
