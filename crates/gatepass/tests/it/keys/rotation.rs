//! Keys come and go. No good token is refused for that, and no token is trusted for too long.
mod issuing;

use std::{collections::HashSet, sync::Arc, time::Duration};

use gatepass::{
    Authority, AuthorityBuilder, Clock, Device, Error, Identity, IdentityError, InternalError,
    Issued, KeySet, MasterSecret, MemoryStore, Pass, Refusal, Requirements, ReusePolicy, Scopes,
    Subject, Verifier,
    keys::{Algorithm, KeyError, SecretSet, SigningKey, VerifyingKey},
    store::{PullResult, Random, RevocationLog, RevocationTarget, SessionStore},
};
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::ManualClock;
use test_support::forge::{
    AUDIENCE, ED25519, ED25519_PUBLIC, ISSUER, Members, OTHER_ED25519, OTHER_ED25519_PUBLIC,
    SECRET, base64url, master, unbase64url,
};

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

fn alice() -> Identity {
    Identity::new("alice").unwrap()
}

async fn login(authority: &Authority) -> Issued {
    authority.issue(alice(), Device::default()).await.unwrap()
}

async fn verify(verifier: &Verifier, token: &str) -> Result<Pass, Error> {
    verifier.verify(token, &Requirements::new()).await
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
    SigningKey::from_any_pem(ED25519).unwrap()
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
    // This store does not know the other's session; that the question comes up shows the key to be
    // good.
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
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let authority = builder(&store, &clock).keys(KeySet::signing(old()));
    // More logins than one user may keep.
    let authority = authority.max_sessions(None).build().await.unwrap();
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
    let with_all = |secrets: SecretSet| {
        Authority::builder(ISSUER, AUDIENCE, secrets, store.clone()).clock(clock.clone())
    };
    let with = |byte| with_all(master(byte).into());
    let before = with(1).build().await.unwrap();
    let issued = login(&before).await;
    let changed = with_all(SecretSet::new(master(2)).announce(master(1)))
        .build()
        .await
        .unwrap();
    let (access, refresh) = (issued.access_token.as_str(), issued.refresh_token.as_str());
    assert_eq!(refusal(changed.verifier(), access).await, None);
    let next = changed.refresh(refresh).await.unwrap();

    // The successor has tokens of the new secret: it needs the old one no longer.
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
    let twice = with_all(SecretSet::new(master(1)).announce(master(1)));
    assert!(
        twice.build().await.is_err(),
        "the same secret as its own predecessor"
    );
}

/// Announced on every node, then active with the old one retired, then alone: as signing keys do.
#[tokio::test]
async fn master_secrets_are_exchanged_while_running_and_nobody_notices() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let with = |secrets: SecretSet| {
        Authority::builder(ISSUER, AUDIENCE, secrets, store.clone())
            .clock(clock.clone())
            .build()
    };
    let ahead = with(master(1).into()).await.unwrap();
    let behind = with(master(1).into()).await.unwrap();
    let old = login(&ahead).await;
    let announced = SecretSet::new(master(1)).announce(master(2));
    ahead.replace_secrets(&announced).unwrap();
    behind.replace_secrets(&announced).unwrap();

    let until = clock.now() + 14 * DAY;
    let retiring = SecretSet::new(master(2)).retire(master(1), until);
    ahead.replace_secrets(&retiring).unwrap();
    let new = login(&ahead).await;
    // The node that has not changed yet knows both already, and so does the one that has.
    for (node, issued) in [(&behind, &new), (&ahead, &old)] {
        let verified = refusal(node.verifier(), issued.access_token.as_str()).await;
        assert_eq!(verified, None);
        node.refresh(issued.refresh_token.as_str()).await.unwrap();
    }

    clock.advance(14 * DAY);
    let late = ahead.refresh(old.refresh_token.as_str()).await;
    assert!(
        matches!(late, Err(Error::Refused(Refusal::UnknownKey))),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_master_secret_that_became_known_is_removed_at_once() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let node = Authority::builder(ISSUER, AUDIENCE, master(1), store)
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let issued = login(&node).await;
    node.replace_secrets(&master(2).into()).unwrap();
    let verified = refusal(node.verifier(), issued.access_token.as_str()).await;
    assert_eq!(verified, Some(Refusal::UnknownKey));
    let refreshed = node.refresh(issued.refresh_token.as_str()).await;
    assert!(
        matches!(refreshed, Err(Error::Refused(Refusal::UnknownKey))),
        "{refreshed:?}"
    );

    let twice = SecretSet::new(master(3)).announce(master(3));
    assert_eq!(node.replace_secrets(&twice), Err(KeyError::DuplicateSecret));
    login(&node).await;
}

#[tokio::test]
async fn secrets_are_exchanged_without_touching_keys_that_were_configured() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let node = builder(&store, &clock)
        .keys(KeySet::signing(new()))
        .build()
        .await
        .unwrap();
    let issued = login(&node).await;
    node.replace_secrets(&master(4).into()).unwrap();
    let verified = refusal(node.verifier(), issued.access_token.as_str()).await;
    assert_eq!(verified, None);
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
    let public = VerifyingKey::from_any_pem(ED25519_PUBLIC).unwrap();
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
    let public = VerifyingKey::from_any_pem(ED25519_PUBLIC).unwrap();
    let built = builder(&store, &clock)
        .keys(KeySet::verifying([public]))
        .build()
        .await;
    assert!(built.is_err(), "an authority without a signing key");
    let public = VerifyingKey::from_any_pem(OTHER_ED25519_PUBLIC).unwrap();
    resource.replace_keys(KeySet::verifying([public])).unwrap();
    assert_eq!(refusal(&resource, token).await, Some(Refusal::UnknownKey));
}

#[test]
fn what_is_no_ed25519_key_is_refused() {
    let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
    let (private, public) = (text(ED25519), text(ED25519_PUBLIC));
    let renamed = public.replace("PUBLIC", "PRIVATE");
    let nothing = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n";
    for (case, pem, expected) in [
        ("empty", &b""[..], "not a private key"),
        ("garbage", b"hunter2", "not a private key"),
        ("binary", &[0xff; 48], "not a private key"),
        ("a public key", ED25519_PUBLIC, "this is a public key"),
        (
            "RSA",
            include_bytes!("../../../../../tests/support/keys/rsa.pem"),
            "this is an RSA key",
        ),
        (
            "P-256",
            include_bytes!("../../../../../tests/support/keys/ec.pem"),
            "on the curve P-256",
        ),
        (
            "X25519",
            include_bytes!("../../../../../tests/support/keys/x.pem"),
            "not supported",
        ),
        (
            "Ed448",
            include_bytes!("../../../../../tests/support/keys/ed448.pem"),
            "not supported",
        ),
        (
            "encrypted",
            include_bytes!("../../../../../tests/support/keys/encrypted.pem"),
            "not a private key",
        ),
        (
            "a public key that says it is private",
            renamed.as_bytes(),
            "not a private key",
        ),
        ("cut off", &private.as_bytes()[..60], "not a private key"),
        (
            "no armour",
            private.lines().nth(1).unwrap().as_bytes(),
            "not a private key",
        ),
        ("nothing inside", nothing.as_bytes(), "not a private key"),
    ] {
        let refused = SigningKey::from_pem(Algorithm::EdDsa, pem).unwrap_err();
        assert!(refused.to_string().contains(expected), "{case}: {refused}");
    }
    let renamed = private.replace("PRIVATE", "PUBLIC");
    let nothing = nothing.replace("PRIVATE", "PUBLIC");
    for (case, pem, expected) in [
        ("empty", &b""[..], "not a public key"),
        ("garbage", b"hunter2", "not a public key"),
        ("a private key", ED25519, "this is a private key"),
        (
            "RSA",
            include_bytes!("../../../../../tests/support/keys/rsa.pub.pem"),
            "this is an RSA key",
        ),
        (
            "P-256",
            include_bytes!("../../../../../tests/support/keys/ec.pub.pem"),
            "on the curve P-256",
        ),
        (
            "X25519",
            include_bytes!("../../../../../tests/support/keys/x.pub.pem"),
            "not supported",
        ),
        (
            "Ed448",
            include_bytes!("../../../../../tests/support/keys/ed448.pub.pem"),
            "not supported",
        ),
        (
            "a private key that says it is public",
            renamed.as_bytes(),
            "not a public key",
        ),
        ("nothing inside", nothing.as_bytes(), "not a public key"),
    ] {
        let refused = VerifyingKey::from_pem(Algorithm::EdDsa, pem).unwrap_err();
        assert!(refused.to_string().contains(expected), "{case}: {refused}");
    }
    assert!(SigningKey::from_pem(Algorithm::EdDsa, OTHER_ED25519).is_ok());
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
        let public = VerifyingKey::from_any_pem(ED25519_PUBLIC).unwrap();
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
