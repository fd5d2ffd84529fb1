//! Every algorithm signs and verifies with the backend that is built in, and none is accepted in
//! place of another. These tests run with each backend: `--no-default-features --features
//! rust_crypto`.

use super::material::{self, authority, base64url, key, pair, token, unbase64url};
use gatepass::{
    Error, KeySet, Refusal, Requirements, Timestamp,
    inspect::verify_jws,
    keys::{Algorithm, KeyError, SigningKey, VerifyingKey},
};

#[tokio::test]
async fn every_algorithm_signs_what_its_public_key_verifies() {
    for algorithm in Algorithm::ALL {
        let authority = authority(KeySet::signing(key(algorithm))).await;
        let token = token(&authority).await;
        let verified = authority
            .verifier()
            .verify(&token, &Requirements::new())
            .await;
        assert!(verified.is_ok(), "{algorithm}: {verified:?}");
        let public = match pair(algorithm) {
            Some((_, public)) => VerifyingKey::from_pem(algorithm, public).unwrap(),
            None => key(algorithm).verifying_key().clone(),
        };
        assert_eq!(public.id(), key(algorithm).verifying_key().id());
        let header = unbase64url(token.split('.').next().unwrap());
        let header = String::from_utf8(header).unwrap();
        assert!(
            header.contains(&format!(r#""alg":"{algorithm}""#)),
            "{header}"
        );
        assert!(verify_jws(&public, &token).is_ok(), "{algorithm}");
    }
}

#[test]
fn what_openssl_signs_is_verified() {
    let lines = include_str!("../../keys/openssl.jws").lines();
    let mut seen = 0;
    for line in lines {
        let (name, jws) = line.split_once(' ').unwrap();
        let algorithm: Algorithm = name.parse().unwrap();
        let public = VerifyingKey::from_pem(algorithm, pair(algorithm).unwrap().1).unwrap();
        assert_eq!(
            verify_jws(&public, jws),
            Ok(b"signed by OpenSSL".to_vec()),
            "{name}"
        );
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[tokio::test]
async fn no_token_of_one_algorithm_passes_under_a_key_of_another() {
    let mut keys = Vec::new();
    for algorithm in Algorithm::ALL {
        let own = key(algorithm)
            .verifying_key()
            .clone()
            .with_id("same")
            .unwrap();
        keys.push((algorithm.to_string(), own));
        // The public key in the place of a secret, as bytes; as text it is refused.
        if let Some((_, pem)) = pair(algorithm) {
            let der = der_of(pem);
            for hmac in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
                let text = SigningKey::from_secret(hmac, pem).map(drop);
                assert_eq!(text, Err(KeyError::NotASecret), "{algorithm} for {hmac}");
                let Ok(key) = SigningKey::from_secret(hmac, &der) else {
                    assert!(der.len() < 64, "{algorithm} for {hmac}");
                    continue;
                };
                let key = key.with_id("same").unwrap();
                let name = format!("{hmac} of {algorithm} in DER");
                keys.push((name, key.verifying_key().clone()));
            }
        }
    }
    let (mut refused, mut accepted) = (0, 0);
    for algorithm in Algorithm::ALL {
        let signer = key(algorithm).with_id("same").unwrap();
        let good = token(&authority(KeySet::signing(signer)).await).await;
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (_, payload) = message.split_once('.').unwrap();
        for (name, key) in &keys {
            let told = verify_jws(key, &good);
            // And the same with a header that says what the key wants to hear.
            let header = format!(
                r#"{{"typ":"at+jwt","alg":"{}","kid":"same"}}"#,
                key.algorithm()
            );
            let relabelled = format!("{}.{payload}.{signature}", base64url(header));
            let relabelled = verify_jws(key, &relabelled);
            if *name == algorithm.to_string() {
                assert!(told.is_ok() && relabelled.is_ok(), "{name}");
                accepted += 1;
                continue;
            }
            let expected = if key.algorithm() == algorithm {
                Refusal::BadSignature
            } else {
                Refusal::UnknownKey
            };
            assert_eq!(told, Err(expected), "{algorithm} under {name}");
            assert_eq!(
                relabelled,
                Err(Refusal::BadSignature),
                "{algorithm} under {name}"
            );
            refused += 1;
        }
    }
    assert_eq!(accepted, 12);
    assert!(refused > 300, "{refused}");
}

fn der_of(pem: &[u8]) -> Vec<u8> {
    pem::parse(pem).unwrap().into_contents()
}

const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

#[test]
fn the_vectors_of_the_standards_verify() {
    let a1 = SigningKey::from_jwk(
        Algorithm::Hs256,
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
    );
    let a2 = VerifyingKey::from_jwk(
        Algorithm::Rs256,
        r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
    );
    let a3 = SigningKey::from_jwk(
        Algorithm::Es256,
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
    );
    let a4 = SigningKey::from_jwk(
        Algorithm::EdDsa,
        r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    );
    let vectors = [
        (
            "RFC 7515 A.1",
            a1.unwrap().verifying_key().clone(),
            format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        ),
        (
            "RFC 7515 A.2",
            a2.unwrap(),
            format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"),
        ),
        (
            "RFC 7515 A.3",
            a3.unwrap().verifying_key().clone(),
            format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
        ),
        (
            "RFC 8037 A.4",
            a4.unwrap().verifying_key().clone(),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg".to_owned(),
        ),
    ];
    for (vector, key, jws) in vectors {
        let payload = unbase64url(jws.split('.').nth(1).unwrap());
        assert_eq!(verify_jws(&key, &jws), Ok(payload), "{vector}");
        for (wrong, expected) in [
            (jws.replacen('.', "..", 1), Refusal::Malformed),
            (format!("{jws}="), Refusal::Malformed),
            (format!("{jws}.x"), Refusal::Malformed),
            (
                jws.replacen("IiwNCi", "IiwNCj", 1) + " ",
                Refusal::Malformed,
            ),
            (
                jws.replacen(".eyJ", ".eyK", 1).replacen(".RXh", ".RXi", 1),
                Refusal::BadSignature,
            ),
        ] {
            assert_eq!(verify_jws(&key, &wrong), Err(expected), "{vector}: {wrong}");
        }
    }
}

#[test]
fn a_jws_with_an_extension_or_too_long_is_refused() {
    let key = key(Algorithm::EdDsa);
    let jws = |header: &str, length| format!("{}.{}.AAAA", base64url(header), "A".repeat(length));
    for (header, length, expected) in [
        (r#"{"alg":"EdDSA"}"#, 4, Refusal::BadSignature),
        (r#"{"alg":"EdDSA"}"#, 8192, Refusal::Malformed),
        (r#"{"alg":"EdDSA","crit":[]}"#, 4, Refusal::Malformed),
        (r#"{"alg":"EdDSA","b64":false}"#, 4, Refusal::Malformed),
        (r#"{"alg":"EdDSA","alg":"EdDSA"}"#, 4, Refusal::Malformed),
        (r#"{"alg":"none"}"#, 4, Refusal::UnknownKey),
        (r#"{"alg":"eddsa"}"#, 4, Refusal::UnknownKey),
        (r#"{}"#, 4, Refusal::Malformed),
    ] {
        let refused = verify_jws(key.verifying_key(), &jws(header, length));
        assert_eq!(refused, Err(expected), "{header}");
    }
}

/// `n - s`, with the order `n` of P-256: the other signature that the same message has.
fn malleated(token: &str) -> String {
    const N: [u8; 32] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC,
        0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ];
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = unbase64url(signature);
    let mut borrow = 0;
    for (s, n) in signature.iter_mut().skip(32).zip(N).rev() {
        let difference = i16::from(n) - i16::from(*s) - borrow;
        borrow = i16::from(difference < 0);
        *s = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{message}.{}", base64url(signature))
}

#[tokio::test]
async fn a_revoked_token_stays_revoked_under_its_other_signature() {
    let authority = authority(KeySet::signing(key(Algorithm::Es256))).await;
    let identity = gatepass::Identity::new("alice").unwrap();
    let issued = authority
        .issue(identity, gatepass::Device::default())
        .await
        .unwrap();
    let token = issued.access_token.as_str();
    let other = malleated(token);
    assert_ne!(other, token);
    let verifier = authority.verifier();
    let pass = verifier.verify(token, &Requirements::new()).await.unwrap();
    // The mathematics allows it, and so do both backends: the text is no identity.
    let twin = verifier.verify(&other, &Requirements::new()).await.unwrap();
    assert_eq!(twin.token_id(), pass.token_id());
    authority
        .logout(issued.refresh_token.as_str())
        .await
        .unwrap();
    for text in [token, &other] {
        let refused = verifier.verify(text, &Requirements::new()).await;
        assert!(
            matches!(refused, Err(Error::Refused(Refusal::Revoked))),
            "{refused:?}"
        );
    }
}

#[test]
fn a_key_reads_the_same_from_pem_der_and_jwk() {
    for algorithm in Algorithm::ALL {
        let Some((private, public)) = pair(algorithm) else {
            continue;
        };
        let expected = key(algorithm).verifying_key().id().to_owned();
        let from_der = SigningKey::from_der(algorithm, &der_of(private)).unwrap();
        assert_eq!(from_der.verifying_key().id(), expected);
        let public = VerifyingKey::from_der(algorithm, &der_of(public)).unwrap();
        assert_eq!(public.id(), expected);
        let jwk = public.clone().with_id("mine").unwrap().to_jwk().unwrap();
        let read = VerifyingKey::from_jwk(algorithm, &jwk).unwrap();
        assert_eq!((read.id(), read.algorithm()), ("mine", algorithm));
        let unnamed = jwk.replace(r#","kid":"mine""#, "");
        assert_eq!(
            VerifyingKey::from_jwk(algorithm, &unnamed).unwrap().id(),
            expected
        );
    }
    let pkcs1 = include_bytes!("../../keys/rsa.pkcs1.pem");
    let read = SigningKey::from_pem(Algorithm::Ps384, pkcs1).unwrap();
    assert_eq!(
        read.verifying_key().id(),
        key(Algorithm::Rs256).verifying_key().id()
    );
    let pkcs1 = include_bytes!("../../keys/rsa.pkcs1.pub.pem");
    let read = VerifyingKey::from_pem(Algorithm::Ps384, pkcs1).unwrap();
    assert_eq!(read.id(), key(Algorithm::Rs256).verifying_key().id());
}

#[test]
fn an_algorithm_goes_with_its_kind_of_key_only() {
    for algorithm in Algorithm::ALL {
        for other in Algorithm::ALL {
            let Some((private, public)) = pair(other) else {
                continue;
            };
            let fits = pair(algorithm).is_some_and(|own| own.0 == private);
            let wrong = |error| matches!(error, KeyError::WrongKind { algorithm: is, .. } if is == algorithm);
            match SigningKey::from_pem(algorithm, private) {
                Ok(_) => assert!(fits, "{algorithm} with {other}"),
                Err(error) => assert!(!fits && wrong(error), "{algorithm} with {other}"),
            }
            match VerifyingKey::from_pem(algorithm, public) {
                Ok(_) => assert!(fits, "{algorithm} with {other}"),
                Err(error) => assert!(!fits && wrong(error), "{algorithm} with {other}"),
            }
        }
        let secret = SigningKey::from_secret(algorithm, material::SECRET);
        assert_eq!(secret.is_ok(), algorithm.is_symmetric(), "{algorithm}");
    }
}

#[test]
fn a_key_of_any_kind_is_used_as_is_usual_for_it() {
    for algorithm in Algorithm::ALL {
        let Some((private, public)) = pair(algorithm) else {
            continue;
        };
        let usual = match algorithm.name() {
            "ES256" | "ES384" | "EdDSA" => algorithm,
            _ => Algorithm::Rs256,
        };
        let signing = SigningKey::from_any_pem(private).unwrap();
        let verifying = VerifyingKey::from_any_pem(public).unwrap();
        for key in [signing.verifying_key(), &verifying] {
            assert_eq!(key.algorithm(), usual);
            assert_eq!(key.id(), material::key(usual).verifying_key().id());
        }
        // A set of keys that do not say theirs agrees.
        let says = format!(r#","alg":"{usual}""#);
        let jwk = verifying.to_jwk().unwrap().replace(&says, "");
        let (set, _) = KeySet::from_jwks(&format!(r#"{{"keys":[{jwk}]}}"#)).unwrap();
        assert!(!jwk.contains("alg"), "{jwk}");
        let read = set.jwks(Timestamp::EPOCH);
        assert!(read.contains(&says), "{read}");

        let refused = SigningKey::from_any_pem(public).map(drop);
        assert_eq!(refused, Err(KeyError::PublicKey));
        let refused = VerifyingKey::from_any_pem(private).map(drop);
        assert_eq!(refused, Err(KeyError::PrivateKey));
    }
}

#[test]
fn the_pem_of_a_key_is_no_secret() {
    for pem in [
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
        "\n-----BEGIN RSA PRIVATE KEY-----\nMIIEogIBAAKCAQEA and so on, long enough to be a secret by its length\n",
    ] {
        let refused = SigningKey::from_secret(Algorithm::Hs256, pem.as_bytes()).map(drop);
        assert_eq!(refused, Err(KeyError::NotASecret), "{pem}");
    }
}

#[test]
fn a_secret_is_at_least_as_long_as_the_hash() {
    for (algorithm, least) in [
        (Algorithm::Hs256, 32),
        (Algorithm::Hs384, 48),
        (Algorithm::Hs512, 64),
    ] {
        assert!(SigningKey::from_secret(algorithm, &vec![7; least]).is_ok());
        let bytes = least - 1;
        let expected = Err(KeyError::ShortSecret { bytes, least });
        assert_eq!(
            SigningKey::from_secret(algorithm, &vec![7; bytes]).map(drop),
            expected
        );
        let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, base64url(vec![7; bytes]));
        assert_eq!(SigningKey::from_jwk(algorithm, &jwk).map(drop), expected);
    }
}

#[test]
fn what_is_no_single_key_in_pem_is_refused() {
    let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
    let private = text(material::RSA);
    let what = KeyError::Pem("a private key (PKCS #8, or PKCS #1 for RSA)");
    let hidden = private.replace("PRIVATE", "PUBLIC");
    let twice = format!("{private}{private}");
    let with_sec1 = text(include_bytes!("../../keys/p256.sec1.pem"));
    let mislabelled = text(material::RSA_PUBLIC).replace("PUBLIC", "PRIVATE");
    for (case, pem, expected) in [
        ("empty", "", what.clone()),
        ("two keys", &twice, what.clone()),
        ("SEC 1", &with_sec1, what.clone()),
        ("a false label", &mislabelled, what.clone()),
        (
            "a private key under the label of a public one",
            &hidden,
            what,
        ),
        (
            "a public key",
            &text(material::RSA_PUBLIC),
            KeyError::PublicKey,
        ),
    ] {
        let refused = SigningKey::from_pem(Algorithm::Rs256, pem.as_bytes());
        assert_eq!(refused.map(drop), Err(expected), "{case}");
    }
    let refused = VerifyingKey::from_pem(Algorithm::Rs256, material::RSA);
    assert_eq!(refused.map(drop), Err(KeyError::PrivateKey));
    let der = der_of(material::RSA);
    let refused = VerifyingKey::from_der(Algorithm::Rs256, &der);
    assert_eq!(refused.map(drop), Err(KeyError::PrivateKey));
    for length in 0..der.len() {
        let cut = &der[..length];
        assert!(
            SigningKey::from_der(Algorithm::Rs256, cut).is_err(),
            "{length}"
        );
    }
    let refused = SigningKey::from_der(Algorithm::Rs256, &[der.as_slice(), &[0]].concat());
    assert_eq!(refused.map(drop), Err(KeyError::Der), "something follows");
    let p521 = include_bytes!("../../keys/p521.pem");
    let refused = SigningKey::from_pem(Algorithm::Es256, p521).map(drop);
    assert!(
        matches!(refused, Err(KeyError::Unsupported(_))),
        "{refused:?}"
    );
}

#[test]
fn a_weak_rsa_key_is_refused() {
    let short = KeyError::RsaModulus {
        bits: 1024,
        least: 2048,
        most: 8192,
    };
    let is_short = |error| {
        matches!(
            error,
            Err(KeyError::RsaModulus {
                bits: 1024,
                least: 2048,
                ..
            })
        )
    };
    let private = SigningKey::from_pem(Algorithm::Rs256, include_bytes!("../../keys/rsa1024.pem"));
    assert!(is_short(private.map(drop)));
    let public = include_bytes!("../../keys/rsa1024.pub.pem");
    assert!(is_short(
        VerifyingKey::from_pem(Algorithm::Ps512, public).map(drop)
    ));
    assert!(short.to_string().contains("1024"));
    let roca = include_bytes!("../../keys/roca.pub.pem");
    let refused = VerifyingKey::from_pem(Algorithm::Rs256, roca).map(drop);
    assert_eq!(refused, Err(KeyError::Roca));
    let n = |bits: usize| {
        let mut n = vec![0xFF; bits.div_ceil(8)];
        n[0] >>= (8 - bits % 8) % 8;
        n
    };
    let read = |n: &[u8], e: &[u8]| {
        let (n, e) = (base64url(n), base64url(e));
        let jwk = format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#);
        VerifyingKey::from_jwk(Algorithm::Rs256, &jwk).map(drop)
    };
    let good = [1, 0, 1];
    for (case, n, e, expected) in [
        ("2047 bits", n(2047), &good[..], "RsaModulus"),
        ("16384 bits", n(16384), &good, "RsaModulus"),
        (
            "even modulus",
            [n(2040), vec![2]].concat(),
            &good,
            "Inconsistent",
        ),
        ("e = 1", n(2048), &[1], "RsaExponent"),
        ("e = 2", n(2048), &[2], "RsaExponent"),
        ("even e", n(2048), &[1, 0, 0], "RsaExponent"),
        ("e of 34 bits", n(2048), &[2, 0, 0, 0, 1], "RsaExponent"),
        ("e = 0", n(2048), &[0], "Jwk(\"e\")"),
        (
            "leading zero",
            [vec![0], n(2048)].concat(),
            &good,
            "Jwk(\"n\")",
        ),
    ] {
        let refused = format!("{:?}", read(&n, e).unwrap_err());
        assert!(refused.starts_with(expected), "{case}: {refused}");
    }
}
