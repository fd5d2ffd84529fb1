//! Key sets go out and come in as JWKS: public keys only, and no bad key spoils the others.

use super::material::{authority, base64url, key, token};
use gatepass::{
    KeySet, MemoryStore, Requirements, SystemClock, Timestamp, Verifier,
    keys::{Algorithm, KeyError, SigningKey, VerifyingKey},
};

fn now() -> Timestamp {
    gatepass::Clock::now(&SystemClock)
}

const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
const EC: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

#[tokio::test]
async fn a_verifier_needs_nothing_but_the_published_document() {
    for algorithm in Algorithm::ALL.into_iter().filter(|one| !one.is_symmetric()) {
        let issuer = authority(KeySet::signing(key(algorithm))).await;
        let token = token(&issuer).await;
        let jwks = KeySet::signing(key(algorithm)).jwks(now());
        let (keys, skipped) = KeySet::from_jwks(&jwks).unwrap();
        assert_eq!(skipped, []);
        let log = MemoryStore::new();
        let verifier = Verifier::builder("https://shop.example", "shop-api", keys, log);
        let verifier = verifier.build().await.unwrap();
        let refused = verifier
            .verify(&token, &Requirements::new())
            .await
            .unwrap_err();
        // The other store does not know the session; that the question comes up shows the key is
        // good.
        assert_eq!(
            format!("{refused:?}"),
            "Refused(UnknownSession)",
            "{algorithm}"
        );
    }
}

#[test]
fn what_is_published_is_what_verifies_and_never_a_secret() {
    let until = Timestamp::from_unix_secs(2_000_000_000);
    let public = |algorithm| key(algorithm).verifying_key().clone();
    let secret = key(Algorithm::Hs512);
    let set = KeySet::signing(key(Algorithm::Rs256))
        .announce(public(Algorithm::Es384))
        .announce(secret.verifying_key().clone())
        .retire(public(Algorithm::EdDsa), until);
    let ids = |at| {
        let (keys, skipped) = KeySet::from_jwks(&set.jwks(at)).unwrap();
        assert_eq!(skipped, []);
        keys.ids().map(str::to_owned).collect::<Vec<_>>()
    };
    let [rsa, ec, ed] = [Algorithm::Rs256, Algorithm::Es384, Algorithm::EdDsa]
        .map(|algorithm| public(algorithm).id().to_owned());
    let before = Timestamp::from_unix_secs(1_999_999_999);
    assert_eq!(ids(before), [rsa.clone(), ec.clone(), ed]);
    assert_eq!(ids(until), [rsa, ec]);
    assert_eq!(secret.verifying_key().to_jwk(), None);
    assert_eq!(KeySet::signing(secret).jwks(before), r#"{"keys":[]}"#);
    for private in [r#""d":"#, r#""p":"#, r#""k":"#, "oct"] {
        assert!(!set.jwks(before).contains(private));
    }
}

#[test]
fn one_bad_key_never_discards_the_set() {
    let long = base64url([7; 64]);
    let rsa = key(Algorithm::Rs256).verifying_key().to_jwk().unwrap();
    let cases = [
        ("null".to_owned(), KeyError::Jwk("{…}")),
        ("{}".to_owned(), KeyError::Jwk("kty")),
        (r#"{"kty":5}"#.to_owned(), KeyError::Jwk("kty")),
        (format!(r#"{{{ED},"kty":"OKP"}}"#), KeyError::Jwk("{…}")),
        (format!(r#"{{"kty":"oct","k":"{long}"}}"#), KeyError::Secret),
        (
            r#"{"kty":"AKP","alg":"ML-DSA-44"}"#.to_owned(),
            KeyError::Unsupported("AKP".into()),
        ),
        (
            r#"{"kty":"EC","crv":"secp256k1"}"#.to_owned(),
            KeyError::Unsupported("secp256k1".into()),
        ),
        (
            format!(r#"{{{ED},"alg":"ES256K"}}"#),
            KeyError::Unsupported("ES256K".into()),
        ),
        (
            format!(r#"{{{ED},"use":"enc"}}"#),
            KeyError::WrongUse("use"),
        ),
        (
            format!(r#"{{{ED},"key_ops":["sign"]}}"#),
            KeyError::WrongUse("key_ops"),
        ),
        (
            format!(r#"{{{ED},"key_ops":"verify"}}"#),
            KeyError::Jwk("key_ops"),
        ),
        (format!(r#"{{{ED},"d":"AAAA"}}"#), KeyError::PrivateKey),
        (format!(r#"{{{ED},"kid":""}}"#), KeyError::KeyId),
        (format!(r#"{{{ED},"kid":7}}"#), KeyError::Jwk("kid")),
        (
            format!("{{{}}}", ED.replace("x\":\"", "x\":\"=")),
            KeyError::Jwk("x"),
        ),
        (
            format!("{{{}}}", ED.replace("URo", "UR")),
            KeyError::Jwk("x"),
        ),
        (
            format!("{{{}}}", EC.replace("x\":\"f83", "x\":\"e83")),
            KeyError::Inconsistent,
        ),
        (
            format!("{{{}}}", EC.replace("P-256", "P-384")),
            KeyError::Jwk("x"),
        ),
        (
            format!("{{{}}}", EC.replace("\"EC\"", "\"RSA\"")),
            KeyError::Jwk("n"),
        ),
        (
            format!(r#"{{{EC},"alg":"ES521"}}"#),
            KeyError::Unsupported("ES521".into()),
        ),
        (
            format!(r#"{{{EC},"key_ops":["deriveKey"]}}"#),
            KeyError::WrongUse("key_ops"),
        ),
        (
            rsa.replace("RS256", "RSA1_5"),
            KeyError::Unsupported("RSA1_5".into()),
        ),
        (rsa.replace("\"sig\"", "\"enc\""), KeyError::WrongUse("use")),
    ];
    let wrong_kind = format!(r#"{{{EC},"alg":"EdDSA"}}"#);
    let mut all: Vec<&str> = cases.iter().map(|(jwk, _)| jwk.as_str()).collect();
    let (first, last) = (
        format!("{{{ED}}}"),
        format!(r#"{{{EC},"use":"sig","kid":"last"}}"#),
    );
    all.insert(0, &first);
    all.extend([wrong_kind.as_str(), &last]);
    let jwks = format!(r#"{{"keys":[{}],"more":1}}"#, all.join(","));
    let (keys, skipped) = KeySet::from_jwks(&jwks).unwrap();
    let ids: Vec<&str> = keys.ids().collect();
    assert_eq!(ids, ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "last"]);
    assert_eq!(skipped.len(), cases.len() + 1);
    for (number, ((jwk, expected), skipped)) in cases.iter().zip(&skipped).enumerate() {
        assert_eq!(
            (skipped.position, &skipped.error),
            (number + 1, expected),
            "{jwk}"
        );
    }
    let last = &skipped.last().unwrap().error;
    assert!(
        matches!(
            last,
            KeyError::WrongKind {
                algorithm: Algorithm::EdDsa,
                ..
            }
        ),
        "{last}"
    );
}

#[test]
fn a_document_without_use_or_with_two_keys_of_one_id_is_an_error() {
    let twice = format!(r#"{{"keys":[{{{ED}}},{{{ED}}}]}}"#);
    let named = format!(r#"{{"keys":[{{{ED},"kid":"a"}},{{{EC},"kid":"a"}}]}}"#);
    let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned();
    for (jwks, expected) in [
        ("", KeyError::Jwks),
        ("[]", KeyError::Jwks),
        ("{}", KeyError::Jwks),
        (r#"{"keys":{}}"#, KeyError::Jwks),
        (r#"{"keys":[],"keys":[]}"#, KeyError::Jwks),
        (r#"{"keys":[]}"#, KeyError::NoKey),
        (r#"{"keys":[{"kty":"oct"}]}"#, KeyError::NoKey),
        (&twice, KeyError::DuplicateKeyId(thumbprint)),
        (&named, KeyError::DuplicateKeyId("a".to_owned())),
    ] {
        assert_eq!(KeySet::from_jwks(jwks).map(drop), Err(expected), "{jwks}");
    }
}

#[test]
fn a_jwk_is_taken_only_for_what_it_says() {
    let ed = format!("{{{ED}}}");
    let says = |more: &str| {
        VerifyingKey::from_jwk(Algorithm::EdDsa, &format!("{{{ED},{more}}}")).map(drop)
    };
    assert_eq!(
        says(r#""alg":"EdDSA","use":"sig","key_ops":["verify"]"#),
        Ok(())
    );
    let contradicts = KeyError::WrongAlgorithm {
        algorithm: Algorithm::EdDsa,
        says: "RS256".to_owned(),
    };
    assert_eq!(says(r#""alg":"RS256""#), Err(contradicts));
    let signing = |jwk: &str| SigningKey::from_jwk(Algorithm::EdDsa, jwk).map(drop);
    assert_eq!(signing(&ed), Err(KeyError::PublicKey));
    let seed = r#""d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#;
    assert_eq!(signing(&format!("{{{ED},{seed}}}")), Ok(()));
    let verify_only = format!(r#"{{{ED},{seed},"key_ops":["verify"]}}"#);
    assert_eq!(signing(&verify_only), Err(KeyError::WrongUse("key_ops")));
    let other_half = format!("{{{ED},{}}}", seed.replace("nWG", "nWH"));
    assert_eq!(signing(&other_half), Err(KeyError::Inconsistent));
}

#[test]
fn a_secret_is_taken_only_for_what_it_says() {
    let read = |more: &str| {
        let k = base64url([7; 64]);
        let jwk = format!(r#"{{"kty":"oct","k":"{k}"{more}}}"#);
        SigningKey::from_jwk(Algorithm::Hs256, &jwk).map(drop)
    };
    assert_eq!(read(r#","alg":"HS256","use":"sig""#), Ok(()));
    for says in ["A256GCM", "A256KW", "dir", "HS384", "none"] {
        let expected = KeyError::WrongAlgorithm {
            algorithm: Algorithm::Hs256,
            says: says.to_owned(),
        };
        assert_eq!(read(&format!(r#","alg":"{says}""#)), Err(expected));
    }
    let expected = Err(KeyError::WrongUse("use"));
    assert_eq!(read(r#","use":"enc""#), expected);
    let expected = Err(KeyError::WrongUse("key_ops"));
    assert_eq!(read(r#","key_ops":["encrypt","decrypt"]"#), expected);
    let empty = SigningKey::from_jwk(Algorithm::Hs256, r#"{"kty":"oct","k":""}"#);
    let expected = KeyError::ShortSecret {
        bytes: 0,
        least: 32,
    };
    assert_eq!(empty.map(drop), Err(expected));
}

#[test]
fn a_file_that_is_no_key_set_is_named_and_told_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let name = path.display().to_string();
    let secret = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"EC"}]}"#;
    let twice = format!(r#"{{"keys":[{{{ED}}},{{{ED}}}]}}"#);
    for (content, says) in [
        ("", "no"),
        ("-----BEGIN PUBLIC KEY-----", "not a JSON Web Key Set"),
        ("<html>404</html>", "its jwks_uri"),
        (r#"{"keys":[]}"#, "no usable key"),
        (secret, "none of the 2 keys"),
        (secret, "the first: this is a secret"),
        (&twice, "two keys have the id"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = KeySet::from_jwks_file(&path).unwrap_err().to_string();
        assert!(error.contains(&name) && error.contains(says), "{error}");
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
    for (content, says) in [(None, "No such file"), (Some([0xff, 0xfe]), "UTF-8")] {
        std::fs::remove_file(&path).unwrap();
        if let Some(bytes) = content {
            std::fs::write(&path, bytes).unwrap();
        }
        let error = KeySet::from_jwks_file(&path).unwrap_err().to_string();
        assert!(error.contains(&name) && error.contains(says), "{error}");
        std::fs::write(&path, "").unwrap();
    }
    for begin in ["", "\u{feff}", "\n "] {
        std::fs::write(
            &path,
            format!(r#"{begin}{{"keys":[{{{ED}}},{{"kty":"oct"}}]}}"#),
        )
        .unwrap();
        let (keys, skipped) = KeySet::from_jwks_file(&path).unwrap();
        assert_eq!((keys.ids().count(), skipped.len()), (1, 1));
    }
}
