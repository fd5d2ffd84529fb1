//! The contents of issued tokens: ids, lifetimes, identities, claims.

use super::*;

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
async fn an_identity_may_set_its_own_lifetime_within_bounds() {
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
            Err(Error::Identity(IdentityError::AccessTtl)) => assert!(!good, "{case}"),
            Err(error) => panic!("{case}: {error}"),
        }
    }
}

#[tokio::test]
async fn the_largest_identity_fits_into_a_token_and_a_larger_one_is_refused() {
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
        let identity = |count: usize| {
            let subject = Subject::new("s".repeat(255)).unwrap();
            let claims = serde_json::json!({ "x": fill.repeat(count) });
            Identity::of(subject).claims(&claims).unwrap()
        };
        let fits = |count: usize| serde_json::to_vec(&identity(count)).unwrap().len() <= 4096;
        let most = (0..5000).take_while(|count| fits(*count)).last().unwrap();
        let issued = authority
            .issue(identity(most), Device::default())
            .await
            .unwrap();
        let token = issued.access_token.as_str();
        assert!(token.len() <= 8192, "{fill:?}: {} bytes", token.len());
        assert_eq!(refusal(authority.verifier(), token).await, None, "{fill:?}");
        let refused = authority.issue(identity(most + 1), Device::default()).await;
        assert!(
            matches!(refused, Err(Error::Identity(IdentityError::TooLarge))),
            "{fill:?}"
        );
    }
    let scopes = Scopes::new((0..2000).map(|n| format!("scope-{n}"))).unwrap();
    let refused = authority
        .issue(alice().scopes(scopes), Device::default())
        .await;
    assert!(matches!(
        refused,
        Err(Error::Identity(IdentityError::TooLarge))
    ));
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
            "sn",
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
            assert_eq!(refused, Err(IdentityError::ReservedClaim(name.into())));
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
    let identity = alice().claims(&custom).unwrap();
    let issued = authority.issue(identity, Device::default()).await.unwrap();
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
    if let PullResult::Entries { entries, .. } = store.pull(None).await.unwrap() {
        until = entries
            .iter()
            .find(|entry| entry.target == RevocationTarget::Session(issued.session_id))
            .map(|entry| entry.until);
    }
    assert!(until.unwrap() >= issued.expires_at, "{until:?}");

    // The last minute in which the older token would be good.
    clock.advance(9 * HOUR - MINUTE);
    while store.purge(clock.now(), 100).await.unwrap().more {}
    let restarted = with(MINUTE).await.unwrap();
    assert_eq!(
        refusal(restarted.verifier(), issued.access_token.as_str()).await,
        Some(Refusal::Revoked)
    );
}
