//! Keys come and go without refusing anybody wrongly, and without trusting anybody too long.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod forge;

use std::{collections::HashSet, sync::Arc, time::Duration};

use forge::{
    AUDIENCE, ED25519, ED25519_PUBLIC, ISSUER, Members, OTHER_ED25519, OTHER_ED25519_PUBLIC,
    SECRET, base64url, master, unbase64url,
};
use gatepass::{
    Authority, AuthorityBuilder, Clock, Demand, Device, Error, Grant, GrantError, InternalError,
    Issued, KeyError, KeySet, MasterSecret, MemoryStore, Pass, Pull, Random, Refusal, ReusePolicy,
    RevocationLog, Revoked, Scopes, SessionStore, SigningKey, Subject, Verifier, VerifyingKey,
};
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::ManualClock;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn builder(store: &MemoryStore, clock: &ManualClock) -> AuthorityBuilder {
    Authority::builder(ISSUER, AUDIENCE, master(1), store.clone()).clock(clock.clone())
}

async fn authority(keys: KeySet) -> (Authority, ManualClock) {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let authority = builder(&store, &clock).keys(keys).build().await.unwrap();
    (authority, clock)
}

fn alice() -> Grant {
    Grant::new(Subject::new("alice").unwrap())
}

async fn login(authority: &Authority) -> Issued {
    authority.issue(alice(), Device::default()).await.unwrap()
}

async fn verify(verifier: &Verifier, token: &str) -> Result<Pass, Error> {
    verifier.verify(token, &Demand::new()).await
}

/// Why `token` is refused, if it is.
async fn refusal(verifier: &Verifier, token: &str) -> Option<Refusal> {
    match verify(verifier, token).await {
        Ok(_) => None,
        Err(Error::Refused(refusal)) => Some(refusal),
        Err(error) => panic!("{error}"),
    }
}

fn old() -> SigningKey {
    SigningKey::hs256(SECRET).unwrap()
}

fn new() -> SigningKey {
    SigningKey::ed25519_pem(ED25519).unwrap()
}

fn kid_of(token: &str) -> String {
    let header = Members::parse(&unbase64url(token.split('.').next().unwrap()));
    header.raw("kid").trim_matches('"').to_owned()
}

#[tokio::test]
async fn an_announced_key_verifies_and_does_not_sign() {
    let (authority, _) =
        authority(KeySet::signing(old()).announce(new().verifying_key().clone())).await;
    let (other_node, _) = {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        let keys = KeySet::signing(new());
        (
            builder(&store, &clock).keys(keys).build().await.unwrap(),
            clock,
        )
    };
    let here = login(&authority).await;
    assert_eq!(
        kid_of(here.access_token.as_str()),
        old().verifying_key().id()
    );
    let there = login(&other_node).await;
    // This store does not know the other's session; that the question comes up shows the key to be good.
    assert_eq!(
        refusal(authority.verifier(), there.access_token.as_str()).await,
        Some(Refusal::UnknownSession)
    );
    assert_eq!(
        refusal(other_node.verifier(), here.access_token.as_str()).await,
        Some(Refusal::UnknownKey)
    );
}

#[tokio::test]
async fn a_retired_key_verifies_until_its_date_exactly() {
    let (authority, clock) = authority(KeySet::signing(old())).await;
    let issued = login(&authority).await;
    let until = clock.now() + 5 * MINUTE;
    let keys = KeySet::signing(new()).retire(old().verifying_key().clone(), until);
    authority.replace_keys(keys).unwrap();
    let token = issued.access_token.as_str();
    clock.advance(5 * MINUTE - Duration::from_millis(1));
    assert_eq!(refusal(authority.verifier(), token).await, None);
    clock.advance(Duration::from_millis(1));
    assert_eq!(
        refusal(authority.verifier(), token).await,
        Some(Refusal::UnknownKey)
    );
    let next = authority
        .refresh(issued.refresh_token.as_str())
        .await
        .unwrap();
    assert_eq!(
        kid_of(next.access_token.as_str()),
        new().verifying_key().id()
    );
}

#[tokio::test]
async fn a_removed_key_is_refused_at_once_by_all_clones() {
    let (authority, _) = authority(KeySet::signing(old())).await;
    let clones = [
        authority.verifier().clone(),
        authority.clone().verifier().clone(),
    ];
    let issued = login(&authority).await;
    authority.replace_keys(KeySet::signing(new())).unwrap();
    for verifier in &clones {
        assert_eq!(
            refusal(verifier, issued.access_token.as_str()).await,
            Some(Refusal::UnknownKey)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_swapped_under_way_without_refusing_anybody() {
    let (authority, _) = authority(KeySet::signing(old())).await;
    let issued = login(&authority).await;
    let far = ManualClock::START + DAY;
    let (one, two) = (
        KeySet::signing(old()).announce(new().verifying_key().clone()),
        KeySet::signing(new()).retire(old().verifying_key().clone(), far),
    );
    authority.replace_keys(one.clone()).unwrap();
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (authority, issued) = (authority.clone(), issued.clone());
        requests.spawn(async move {
            let verifier = authority.verifier().clone();
            for _ in 0..200 {
                let token = issued.access_token.as_str();
                assert_eq!(refusal(&verifier, token).await, None, "an old token");
                let fresh = login(&authority).await;
                let token = fresh.access_token.as_str();
                assert_eq!(refusal(&verifier, token).await, None, "a fresh token");
                tokio::task::yield_now().await;
            }
        });
    }
    let mut swaps = 0;
    while !requests.is_empty() {
        authority.replace_keys(two.clone()).unwrap();
        authority.replace_keys(one.clone()).unwrap();
        swaps += 1;
        tokio::task::yield_now().await;
        while let Some(done) = requests.try_join_next() {
            done.unwrap();
        }
    }
    assert!(swaps > 0);
}

#[tokio::test]
async fn a_bad_key_set_is_refused_and_the_old_one_stays() {
    let (authority, _) = authority(KeySet::signing(old())).await;
    let issued = login(&authority).await;
    let same = new().with_id(old().verifying_key().id()).unwrap();
    let twice = KeySet::signing(old()).announce(same.verifying_key().clone());
    let id = old().verifying_key().id().to_owned();
    assert_eq!(
        authority.replace_keys(twice.clone()),
        Err(KeyError::DuplicateKeyId(id.clone()))
    );
    assert_eq!(
        authority.verifier().replace_keys(twice),
        Err(KeyError::DuplicateKeyId(id))
    );
    let verifying = KeySet::verifying([new().verifying_key().clone()]);
    assert_eq!(
        authority.replace_keys(verifying),
        Err(KeyError::NoSigningKey)
    );
    assert_eq!(
        authority.replace_keys(KeySet::verifying([])),
        Err(KeyError::NoSigningKey)
    );
    assert_eq!(
        refusal(authority.verifier(), issued.access_token.as_str()).await,
        None
    );
    let next = login(&authority).await;
    assert_eq!(
        kid_of(next.access_token.as_str()),
        old().verifying_key().id()
    );
}

#[tokio::test]
async fn tokens_of_a_previous_master_secret_go_on() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let with = |byte| {
        Authority::builder(ISSUER, AUDIENCE, master(byte), store.clone()).clock(clock.clone())
    };
    let before = with(1).build().await.unwrap();
    let issued = login(&before).await;
    let changed = with(2).previous_secret(master(1)).build().await.unwrap();
    let (access, refresh) = (issued.access_token.as_str(), issued.refresh_token.as_str());
    assert_eq!(refusal(changed.verifier(), access).await, None);
    let next = changed.refresh(refresh).await.unwrap();

    // What comes out of it is of the new secret: it needs the old one no longer.
    let after = with(2).build().await.unwrap();
    assert_eq!(
        refusal(after.verifier(), next.access_token.as_str()).await,
        None
    );
    after.refresh(next.refresh_token.as_str()).await.unwrap();
    assert_eq!(
        refusal(after.verifier(), access).await,
        Some(Refusal::UnknownKey)
    );
    for refused in [
        after.refresh(refresh).await.map(drop),
        before.refresh(next.refresh_token.as_str()).await.map(drop),
    ] {
        assert!(
            matches!(refused, Err(Error::Refused(Refusal::UnknownKey))),
            "{refused:?}"
        );
    }
    let twice = with(1).previous_secret(master(1)).build().await;
    assert!(twice.is_err(), "the same secret as its own predecessor");
}

#[tokio::test]
async fn a_resource_server_verifies_with_the_public_key_and_follows_revocations() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let authority = builder(&store, &clock)
        .keys(KeySet::signing(new()))
        .build()
        .await
        .unwrap();
    let public = VerifyingKey::ed25519_pem(ED25519_PUBLIC).unwrap();
    let resource = Verifier::builder(ISSUER, AUDIENCE, KeySet::verifying([public]), store.clone())
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let issued = login(&authority).await;
    let token = issued.access_token.as_str();
    assert_eq!(refusal(&resource, token).await, None);
    authority.logout(token).await.unwrap();
    assert_eq!(refusal(&resource, token).await, Some(Refusal::Revoked));
    // It can announce the same key to an authority, which has nothing to sign with.
    let public = VerifyingKey::ed25519_pem(ED25519_PUBLIC).unwrap();
    let built = builder(&store, &clock)
        .keys(KeySet::verifying([public]))
        .build()
        .await;
    assert!(built.is_err(), "an authority without a signing key");
    let public = VerifyingKey::ed25519_pem(OTHER_ED25519_PUBLIC).unwrap();
    resource.replace_keys(KeySet::verifying([public])).unwrap();
    assert_eq!(refusal(&resource, token).await, Some(Refusal::UnknownKey));
}

#[test]
fn what_is_no_ed25519_key_is_refused() {
    let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
    let (private, public) = (text(ED25519), text(ED25519_PUBLIC));
    let no_private: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("garbage", b"hunter2".to_vec()),
        ("binary", vec![0xff; 48]),
        ("a public key", ED25519_PUBLIC.to_vec()),
        ("RSA", include_bytes!("forge/keys/rsa.pem").to_vec()),
        ("P-256", include_bytes!("forge/keys/ec.pem").to_vec()),
        ("X25519", include_bytes!("forge/keys/x.pem").to_vec()),
        ("Ed448", include_bytes!("forge/keys/ed448.pem").to_vec()),
        (
            "encrypted",
            include_bytes!("forge/keys/encrypted.pem").to_vec(),
        ),
        (
            "a public key that says it is private",
            public.replace("PUBLIC", "PRIVATE").into_bytes(),
        ),
        ("cut off", private.as_bytes()[..60].to_vec()),
        (
            "no armour",
            private.lines().nth(1).unwrap().as_bytes().to_vec(),
        ),
        (
            "nothing inside",
            b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n".to_vec(),
        ),
    ];
    for (case, pem) in no_private {
        let refused = SigningKey::ed25519_pem(&pem).map(drop);
        assert_eq!(
            refused,
            Err(KeyError::Pem("an Ed25519 private key (PKCS #8)")),
            "{case}"
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            "not an Ed25519 private key (PKCS #8) in PEM",
            "{case}"
        );
    }
    let no_public: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("garbage", b"hunter2".to_vec()),
        ("a private key", ED25519.to_vec()),
        ("RSA", include_bytes!("forge/keys/rsa.pub.pem").to_vec()),
        ("P-256", include_bytes!("forge/keys/ec.pub.pem").to_vec()),
        ("X25519", include_bytes!("forge/keys/x.pub.pem").to_vec()),
        ("Ed448", include_bytes!("forge/keys/ed448.pub.pem").to_vec()),
        (
            "a private key that says it is public",
            private.replace("PRIVATE", "PUBLIC").into_bytes(),
        ),
        (
            "nothing inside",
            b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n".to_vec(),
        ),
    ];
    for (case, pem) in no_public {
        let refused = VerifyingKey::ed25519_pem(&pem).map(drop);
        assert_eq!(
            refused,
            Err(KeyError::Pem("an Ed25519 public key")),
            "{case}"
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            "not an Ed25519 public key in PEM",
            "{case}"
        );
    }
    assert!(SigningKey::ed25519_pem(OTHER_ED25519).is_ok());
}

#[test]
fn a_secret_has_32_bytes_that_are_not_white_space() {
    for (bytes, good) in [
        (0, false),
        (1, false),
        (31, false),
        (32, true),
        (33, true),
        (1000, true),
    ] {
        let secret = vec![b'x'; bytes];
        let padded = [b" \n", &secret[..], b"\r\n"].concat();
        for secret in [&secret, &padded] {
            let short = KeyError::ShortSecret { bytes, least: 32 };
            let expected = if good { Ok(()) } else { Err(short) };
            assert_eq!(
                SigningKey::hs256(secret).map(drop),
                expected,
                "{bytes} bytes"
            );
            assert_eq!(
                MasterSecret::from_bytes(secret).map(drop),
                expected,
                "{bytes} bytes"
            );
        }
    }
    let said = SigningKey::hs256(b"hunter2")
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("7 bytes") && said.contains("openssl rand"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn ten_thousand_tokens_of_one_instant_have_as_many_ids() {
    let (authority, _) = authority(KeySet::signing(old())).await;
    let issued = login(&authority).await;
    let mut ids = HashSet::new();
    let mut refresh = issued.refresh_token;
    for _ in 0..10_000 {
        let next = authority.refresh(refresh.as_str()).await.unwrap();
        let claims = next
            .access_token
            .as_str()
            .split('.')
            .nth(1)
            .unwrap()
            .to_owned();
        ids.insert(Members::parse(&unbase64url(&claims)).raw("jti").to_owned());
        refresh = next.refresh_token;
    }
    assert_eq!(ids.len(), 10_000);
}

#[tokio::test]
async fn a_replayed_answer_counts_from_now() {
    let (authority, clock) = authority(KeySet::signing(old())).await;
    let issued = login(&authority).await;
    let first = authority
        .refresh(issued.refresh_token.as_str())
        .await
        .unwrap();
    clock.advance(Duration::from_secs(20));
    let replayed = authority
        .refresh(issued.refresh_token.as_str())
        .await
        .unwrap();
    assert_eq!(
        replayed.refresh_token.as_str(),
        first.refresh_token.as_str()
    );
    assert_eq!(replayed.server_time, clock.now());
    let left = replayed.expires_at.since(replayed.server_time);
    let pass = verify(authority.verifier(), replayed.access_token.as_str())
        .await
        .unwrap();
    assert_eq!(pass.expires_at(), replayed.expires_at);
    assert_eq!(pass.issued_at(), clock.now());
    // Bounded by what the row allows: the replay writes nothing, so no token outlives the first.
    assert_eq!(left, 15 * MINUTE - Duration::from_secs(20));
    assert!(replayed.refresh_at > clock.now() && replayed.refresh_at < replayed.expires_at);
}

#[tokio::test]
async fn a_grant_may_set_its_own_lifetime_within_bounds() {
    let (authority, clock) = authority(KeySet::signing(old())).await;
    let cases = [
        ("zero", Duration::ZERO, false),
        ("below the overlap", Duration::from_millis(29_999), false),
        ("the overlap", Duration::from_secs(30), true),
        ("an hour", HOUR, true),
        ("the absolute lifetime", 90 * DAY, true),
        ("above it", 90 * DAY + Duration::from_millis(1), false),
        ("for ever", Duration::MAX, false),
    ];
    for (case, ttl, good) in cases {
        let issued = authority
            .issue(alice().access_ttl(ttl), Device::default())
            .await;
        match issued {
            Ok(issued) => {
                assert!(good, "{case}");
                assert_eq!(issued.expires_at, clock.now() + ttl, "{case}");
                let pass = verify(authority.verifier(), issued.access_token.as_str())
                    .await
                    .unwrap();
                assert_eq!(pass.expires_at(), issued.expires_at, "{case}");
            }
            Err(Error::Grant(GrantError::AccessTtl)) => assert!(!good, "{case}"),
            Err(error) => panic!("{case}: {error}"),
        }
    }
}

#[tokio::test]
async fn the_largest_grant_fits_into_a_token_and_a_larger_one_is_refused() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let name = "n".repeat(255);
    let authority = Authority::builder(name.clone(), name.clone(), master(1), store)
        .realm("shop")
        .clock(clock)
        .client_id(name)
        .keys(KeySet::signing(new()))
        .build()
        .await
        .unwrap();
    for fill in ["x", "ä", "\u{1}", "\""] {
        let grant = |count: usize| {
            let subject = Subject::new("s".repeat(255)).unwrap();
            let claims = serde_json::json!({ "x": fill.repeat(count) });
            Grant::new(subject).claims(&claims).unwrap()
        };
        let fits = |count: usize| serde_json::to_vec(&grant(count)).unwrap().len() <= 4096;
        let most = (0..5000).take_while(|count| fits(*count)).last().unwrap();
        let issued = authority
            .issue(grant(most), Device::default())
            .await
            .unwrap();
        let token = issued.access_token.as_str();
        assert!(token.len() <= 8192, "{fill:?}: {} bytes", token.len());
        assert_eq!(refusal(authority.verifier(), token).await, None, "{fill:?}");
        let refused = authority.issue(grant(most + 1), Device::default()).await;
        assert!(
            matches!(refused, Err(Error::Grant(GrantError::TooLarge))),
            "{fill:?}"
        );
    }
    let scopes = Scopes::new((0..2000).map(|n| format!("scope-{n}"))).unwrap();
    let refused = authority
        .issue(alice().scopes(scopes), Device::default())
        .await;
    assert!(matches!(refused, Err(Error::Grant(GrantError::TooLarge))));
}

#[test]
fn the_names_of_our_own_claims_are_reserved() {
    let (authority_sets, payload) = (
        [
            "iss",
            "sub",
            "aud",
            "exp",
            "nbf",
            "iat",
            "jti",
            "sid",
            "auth_time",
            "client_id",
            "scope",
        ],
        [
            serde_json::json!(1),
            serde_json::json!(null),
            serde_json::json!("x"),
        ],
    );
    for name in authority_sets {
        for value in &payload {
            let refused = alice().claims(&serde_json::json!({ name: value, "x": 1 }));
            assert_eq!(refused, Err(GrantError::ReservedClaim(name.into())));
        }
    }
    assert!(
        alice()
            .claims(&serde_json::json!({ "Exp": 1, "exp ": 2 }))
            .is_ok()
    );
}

#[tokio::test]
async fn custom_claims_come_back_as_they_went_in() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Custom {
        tenant: u64,
        balance: i64,
        ratio: f64,
        roles: Vec<String>,
        #[serde(rename = "größe 尺寸 \" \\ \n")]
        size: Option<bool>,
        nested: std::collections::BTreeMap<String, Vec<Option<i8>>>,
        unit: Option<()>,
    }
    let custom = Custom {
        tenant: u64::MAX,
        balance: i64::MIN,
        ratio: 0.1,
        roles: vec![
            "Jürgen".into(),
            "\u{0}\u{7f}\u{2028}".into(),
            "🦀 e\u{301}".into(),
            String::new(),
        ],
        size: Some(true),
        nested: [
            ("ключ".into(), vec![None, Some(-1)]),
            (String::new(), Vec::new()),
        ]
        .into(),
        unit: None,
    };
    let (authority, _) = authority(KeySet::signing(new())).await;
    let grant = alice().claims(&custom).unwrap();
    let issued = authority.issue(grant, Device::default()).await.unwrap();
    let next = authority
        .refresh(issued.refresh_token.as_str())
        .await
        .unwrap();
    for issued in [issued, next] {
        let pass = verify(authority.verifier(), issued.access_token.as_str())
            .await
            .unwrap();
        assert_eq!(pass.claims::<Custom>().unwrap(), custom);
        assert!(pass.claims::<Vec<u8>>().is_err());
    }
}

/// Every byte the same, but for a counter, so that ids differ.
struct Loaded(u8, std::sync::atomic::AtomicU64);

impl Random for Loaded {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), InternalError> {
        buffer.fill(self.0);
        let count = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if let Some(tail) = buffer.last_chunk_mut::<8>() {
            *tail = count.to_be_bytes();
        }
        Ok(())
    }
}

#[tokio::test]
async fn clients_are_told_to_refresh_between_75_and_90_percent_of_the_life() {
    for (byte, share) in [(0, 0.75), (255, 0.9)] {
        for ttl in [MINUTE, 15 * MINUTE, 10 * DAY] {
            let clock = ManualClock::new();
            let store = MemoryStore::with_clock(clock.clone());
            let authority = builder(&store, &clock)
                .random(Loaded(byte, 0.into()))
                .build()
                .await
                .unwrap();
            let issued = authority
                .issue(alice().access_ttl(ttl), Device::default())
                .await
                .unwrap();
            let after = issued.refresh_at.since(issued.server_time).as_secs_f64();
            let expected = ttl.as_secs_f64() * share;
            assert!(
                (after - expected).abs() < 0.002,
                "{byte}, {ttl:?}: {after} for {expected}"
            );
        }
    }
}

#[tokio::test]
async fn sessions_of_the_greatest_length_work_to_their_end() {
    let most = 10 * 365 * DAY;
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let authority = builder(&store, &clock)
        .absolute_ttl(most)
        .idle_ttl(most)
        .access_ttl(most)
        .reuse(ReusePolicy {
            overlap: most,
            recovery: most,
            ..ReusePolicy::default()
        })
        .build()
        .await
        .unwrap();
    let issued = login(&authority).await;
    clock.advance(most - Duration::from_secs(2));
    let next = authority
        .refresh(issued.refresh_token.as_str())
        .await
        .unwrap();
    for issued in [&issued, &next] {
        let token = issued.access_token.as_str();
        assert_eq!(refusal(authority.verifier(), token).await, None);
        assert_eq!(issued.expires_at, ManualClock::START + most);
    }
    clock.advance(Duration::from_secs(2));
    let refused = authority.refresh(next.refresh_token.as_str()).await;
    assert!(
        matches!(refused, Err(Error::Refused(Refusal::SessionEnded))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_lowered_lifetime_does_not_let_a_revocation_be_forgotten_early() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let store = SqliteStore::builder(dir.path().join("sessions.db"))
        .clock(clock.clone())
        .open()
        .unwrap();
    let store = Arc::new(store);
    let with = |ttl| {
        Authority::builder(ISSUER, AUDIENCE, master(1), Arc::clone(&store))
            .clock(clock.clone())
            .access_ttl(ttl)
            .build()
    };
    let generous = with(10 * HOUR).await.unwrap();
    let issued = login(&generous).await;
    drop(generous);

    let strict = with(MINUTE).await.unwrap();
    clock.advance(HOUR);
    let next = strict.refresh(issued.refresh_token.as_str()).await.unwrap();
    assert_eq!(next.expires_at, clock.now() + MINUTE);
    strict.logout(next.refresh_token.as_str()).await.unwrap();
    let mut until = None;
    if let Pull::Entries { entries, .. } = store.pull(None).await.unwrap() {
        until = entries
            .iter()
            .find(|entry| entry.target == Revoked::Session(issued.session_id))
            .map(|entry| entry.until);
    }
    assert!(until.unwrap() >= issued.expires_at, "{until:?}");

    // The last minute in which the older token would be good.
    clock.advance(9 * HOUR - MINUTE);
    while store.purge(clock.now(), 100).await.unwrap() > 0 {}
    let restarted = with(MINUTE).await.unwrap();
    assert_eq!(
        refusal(restarted.verifier(), issued.access_token.as_str()).await,
        Some(Refusal::Revoked)
    );
}

#[test]
fn a_key_id_fits_into_a_header() {
    let long = "k".repeat(65);
    for bad in [
        "",
        "a b",
        "a\"b",
        r"a\b",
        "a\nb",
        "schlüssel",
        "\0",
        long.as_str(),
    ] {
        assert_eq!(
            old().with_id(bad).map(drop),
            Err(KeyError::KeyId),
            "{bad:?}"
        );
        let public = VerifyingKey::ed25519_pem(ED25519_PUBLIC).unwrap();
        assert_eq!(
            public.with_id(bad).map(drop),
            Err(KeyError::KeyId),
            "{bad:?}"
        );
    }
    let longest = "k".repeat(64);
    for good in ["1", "2026-11", "a/b?c=d&e", longest.as_str()] {
        assert_eq!(old().with_id(good).unwrap().verifying_key().id(), good);
    }
}

#[test]
fn no_debug_shows_a_key() {
    let set = KeySet::signing(new()).announce(old().verifying_key().clone());
    let secret = str::from_utf8(SECRET).unwrap();
    let inner = str::from_utf8(ED25519)
        .unwrap()
        .lines()
        .nth(1)
        .unwrap()
        .to_owned();
    let shown = format!("{set:?} {:?} {:?} {:?}", new(), old(), master(1));
    let listed = format!("{:?}", &SECRET[..8]);
    for hidden in [
        secret,
        &inner,
        &base64url(SECRET),
        listed.trim_matches(['[', ']']),
    ] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
