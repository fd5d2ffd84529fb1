//! The key decides the algorithm, and the token never does. A public key is no secret.

use gatepass::{Refusal, keys::Algorithm};

use super::{Table, Victim, quoted};
use crate::forge::{Forge, SECRET, base64url, der_of};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    names(table, victim);
    other_algorithms(table, victim);
    for (secret_is, secret) in no_secrets(victim) {
        macs(table, victim, secret_is, &secret);
    }
    crossed(table, victim);
}

fn names(table: &mut Table, victim: &Victim) {
    let own = victim.algorithm().name();
    let texts = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        "",
        "null",
        "hs256",
        "Hs256",
        "HS-256",
        "HMAC-SHA256",
        "RS1",
        "rs256",
        "es256",
        "ES256K",
        "ES512",
        "EDDSA",
        "eddsa",
        "Ed25519",
        "Ed448",
        "A256GCM",
        "RSA-OAEP",
        "dir",
        "HS256,none",
        "*",
    ];
    let mut values: Vec<(String, Refusal)> = texts
        .iter()
        .map(|text| (quoted(text), Refusal::UnknownKey))
        .collect();
    for text in [
        own.to_lowercase() + "x",
        format!("{own}x"),
        format!("{own} "),
        format!(" {own}"),
        format!(r"{own}\u0000"),
        format!(r"{own}\n"),
        own[..own.len() - 1].to_owned(),
        own.replace('S', r"\u017f").replace("Ed", r"\u0395d"),
    ] {
        values.push((quoted(text), Refusal::UnknownKey));
    }
    for raw in [
        "null",
        "256",
        "0",
        "true",
        "false",
        "[]",
        "{}",
        &format!(r#"["{own}"]"#),
        &format!(r#"["{own}","none"]"#),
        &format!(r#"{{"alg":"{own}"}}"#),
    ] {
        values.push((raw.to_owned(), Refusal::Malformed));
    }
    for (raw, reason) in values {
        let token = victim.with_header(&victim.header().with("alg", &raw));
        let (message, _) = token.rsplit_once('.').unwrap();
        let unsigned = format!("{message}.");
        table.refused(reason.clone(), format!("alg {raw}"), &token);
        table.refused(reason, format!("alg {raw} without a signature"), unsigned);
    }
    let header = victim.header();
    let token = victim.with_header(&header.without("alg"));
    table.refused(Refusal::Malformed, "no alg", token);
    let escaped = quoted(format!(r"\u{:04x}{}", own.as_bytes()[0], &own[1..]));
    let token = victim.with_header(&header.with("alg", escaped));
    table.accepted("alg, escaped", token);
}

/// Each other algorithm under the same key id: with the same key if possible, else with another
/// key.
fn other_algorithms(table: &mut Table, victim: &Victim) {
    let (own, claims) = (&victim.forge, victim.claims().to_string());
    for algorithm in Algorithm::ALL {
        if algorithm == own.algorithm {
            continue;
        }
        let kind = |algorithm| Forge::trusted(algorithm).material;
        let other = if kind(algorithm) == own.material {
            Forge::new(algorithm, &own.material)
        } else {
            Forge::trusted(algorithm)
        };
        let header = victim.header().with("alg", quoted(algorithm));
        let forged = other.token(header.to_string(), &claims);
        table.refused(
            Refusal::UnknownKey,
            format!("{algorithm} under this key id"),
            forged,
        );
        let forged = other.token(victim.header().to_string(), &claims);
        table.refused(
            Refusal::BadSignature,
            format!("signed by {algorithm} and not saying so"),
            forged,
        );
        let header = victim
            .header()
            .with("alg", quoted(algorithm))
            .without("kid");
        let forged = other.token(header.to_string(), &claims);
        table.refused(
            Refusal::UnknownKey,
            format!("{algorithm} under no key id"),
            forged,
        );
    }
}

/// The public half of the key, in the forms that a confused library could use as a secret.
fn no_secrets(victim: &Victim) -> Vec<(&'static str, Vec<u8>)> {
    let forge = &victim.forge;
    let mut known = vec![
        ("nothing", Vec::new()),
        ("a zero byte", vec![0]),
        ("32 zero bytes", vec![0; 32]),
        ("the key id", forge.kid.clone().into_bytes()),
        ("the issuer", crate::forge::ISSUER.as_bytes().to_vec()),
        ("a usual secret", b"secret".to_vec()),
    ];
    let Some(pem) = forge.public_pem() else {
        let secret = &forge.material;
        known.extend([
            ("the secret in base64url", base64url(secret).into_bytes()),
            (
                "the secret but for its end",
                secret[..secret.len() - 1].to_vec(),
            ),
            ("the secret and a line feed", [secret, &b"\n"[..]].concat()),
        ]);
        return known;
    };
    let text = str::from_utf8(pem).unwrap();
    let der = der_of(pem);
    let jwk: serde_json::Value = serde_json::from_str(&forge.jwk()).unwrap();
    let member = |name: &str| crate::forge::unbase64url(jwk[name].as_str().unwrap());
    known.extend([
        ("the PEM text", pem.to_vec()),
        ("the PEM text, trimmed", text.trim().as_bytes().to_vec()),
        (
            "the PEM text with CRLF",
            text.replace('\n', "\r\n").into_bytes(),
        ),
        (
            "the PEM text without its lines",
            text.replace('\n', "").into_bytes(),
        ),
        (
            "the base64 in the PEM text",
            text.lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>()
                .into_bytes(),
        ),
        ("the DER", der.clone()),
        ("the DER in base64url", base64url(&der).into_bytes()),
        ("the JWK text", forge.jwk().into_bytes()),
        (
            "the JWK text, in another order",
            jwk.to_string().into_bytes(),
        ),
    ]);
    match jwk["kty"].as_str().unwrap() {
        "RSA" => known.extend([
            ("the modulus", member("n")),
            (
                "the modulus behind a zero byte",
                [vec![0], member("n")].concat(),
            ),
            (
                "the modulus in base64url",
                jwk["n"].as_str().unwrap().as_bytes().to_vec(),
            ),
            ("the PKCS #1 DER", der[24..].to_vec()),
            ("the exponent", member("e")),
        ]),
        "EC" => known.extend([
            ("x", member("x")),
            ("x in base64url", base64url(member("x")).into_bytes()),
            ("x and y", [member("x"), member("y")].concat()),
            ("the point", [vec![4], member("x"), member("y")].concat()),
            (
                "the compressed point",
                [vec![2 + member("y").last().unwrap() % 2], member("x")].concat(),
            ),
        ]),
        _ => known.extend([
            ("the raw key", member("x")),
            (
                "the raw key in base64url",
                base64url(member("x")).into_bytes(),
            ),
        ]),
    }
    known
}

fn macs(table: &mut Table, victim: &Victim, secret_is: &str, secret: &[u8]) {
    let claims = victim.claims().to_string();
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let forger = Forge::new(algorithm, secret);
        let mut add = |reason, how: &str, header: String| {
            let name = format!("{algorithm} with {secret_is} for a secret, {how}");
            table.refused(reason, name, forger.token(header, &claims));
        };
        let named = victim.header().with("alg", quoted(algorithm));
        let reason = if algorithm == victim.algorithm() {
            Refusal::BadSignature
        } else {
            Refusal::UnknownKey
        };
        add(reason, "saying so", named.to_string());
        add(
            Refusal::UnknownKey,
            "under no key id",
            named.without("kid").to_string(),
        );
        if algorithm != victim.algorithm() {
            add(
                Refusal::BadSignature,
                "not saying so",
                victim.header().to_string(),
            );
        }
        if algorithm == victim.neighbour.algorithm {
            add(
                Refusal::BadSignature,
                "under the id of a secret",
                victim.neighbour.header().to_string(),
            );
        }
    }
}

/// The two trusted keys, each instead of the other.
fn crossed(table: &mut Table, victim: &Victim) {
    let (own, other) = (&victim.forge, &victim.neighbour);
    let claims = victim.claims().to_string();
    let says = |forge: &Forge, algorithm: &Forge| {
        let header = forge.header().with("alg", quoted(algorithm.algorithm));
        header.to_string()
    };
    let cases = [
        (
            "ours under the neighbour's id and algorithm",
            own,
            other.header().to_string(),
            Refusal::BadSignature,
        ),
        (
            "ours under the neighbour's id",
            own,
            says(other, own),
            Refusal::UnknownKey,
        ),
        (
            "the neighbour's under our id and algorithm",
            other,
            own.header().to_string(),
            Refusal::BadSignature,
        ),
        (
            "the neighbour's under our id",
            other,
            says(own, other),
            Refusal::UnknownKey,
        ),
    ];
    for (name, signer, header, reason) in cases {
        table.refused(reason, name, signer.token(header, &claims));
    }
    let token = other.token(other.header().to_string(), &claims);
    table.accepted("the neighbour's own", token);
    if own.algorithm.is_symmetric() {
        let longer = Forge::new(own.algorithm, &[SECRET, SECRET].concat());
        let token = longer.token(own.header().to_string(), &claims);
        table.refused(Refusal::BadSignature, "the secret twice", token);
    }
}
