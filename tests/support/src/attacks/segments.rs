//! A token has three segments. Each of the first two is one JSON object in UTF-8.

use gatepass::Refusal::{BadSignature, Malformed};

use super::{Table, Victim, quoted};
use crate::forge::base64url;

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    count(table, victim);
    other_serializations(table, victim);
    nested(table, victim);
    json(table, victim);
}

fn count(table: &mut Table, victim: &Victim) {
    let good = victim.good();
    let [header, payload, signature] = victim.segments();
    let cases = [
        (Malformed, "nothing", String::new()),
        (Malformed, "a dot", ".".into()),
        (Malformed, "two dots", "..".into()),
        (Malformed, "three dots", "...".into()),
        (Malformed, "four dots", "....".into()),
        (Malformed, "one segment", header.into()),
        (Malformed, "no signature", format!("{header}.{payload}")),
        (Malformed, "no payload", format!("{header}.{signature}")),
        (Malformed, "no header", format!("{payload}.{signature}")),
        (Malformed, "an empty segment behind", format!("{good}.")),
        (Malformed, "an empty segment before", format!(".{good}")),
        (Malformed, "four segments", format!("{good}.{signature}")),
        (
            Malformed,
            "a fourth inside",
            format!("{header}.{payload}.{payload}.{signature}"),
        ),
        (
            Malformed,
            "an empty fourth inside",
            format!("{header}.{payload}..{signature}"),
        ),
        (
            Malformed,
            "an empty second of four",
            format!("{header}..{payload}.{signature}"),
        ),
        (
            Malformed,
            "five segments",
            format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        ),
        (Malformed, "three empty ones behind", format!("{good}...")),
        (
            Malformed,
            "an empty header",
            format!(".{payload}.{signature}"),
        ),
        (
            BadSignature,
            "an empty payload",
            format!("{header}..{signature}"),
        ),
        (
            BadSignature,
            "an empty signature",
            format!("{header}.{payload}."),
        ),
        (
            BadSignature,
            "an empty payload and signature",
            format!("{header}.."),
        ),
        (
            Malformed,
            "an empty header and payload",
            format!("..{signature}"),
        ),
        (
            Malformed,
            "swapped",
            format!("{payload}.{header}.{signature}"),
        ),
        (
            Malformed,
            "turned round",
            format!("{signature}.{payload}.{header}"),
        ),
        (
            BadSignature,
            "the header for a payload",
            format!("{header}.{header}.{signature}"),
        ),
        (
            BadSignature,
            "the payload for a signature",
            format!("{header}.{payload}.{payload}"),
        ),
        (Malformed, "a comma for a dot", good.replacen('.', ",", 1)),
        (Malformed, "commas for dots", good.replace('.', ",")),
        (Malformed, "an encoded dot", good.replacen('.', "%2E", 1)),
        (Malformed, "a wide dot", good.replacen('.', "\u{ff0e}", 1)),
        (Malformed, "two tokens", format!("{good}{good}")),
        (
            Malformed,
            "two tokens and a comma",
            format!("{good},{good}"),
        ),
        (
            Malformed,
            "two tokens and a space",
            format!("{good} {good}"),
        ),
        (Malformed, "Bearer", format!("Bearer {good}")),
        (Malformed, "quoted", quoted(good)),
        (Malformed, "in brackets", format!("<{good}>")),
        (Malformed, "in a fragment", format!("#access_token={good}")),
        (
            Malformed,
            "disclosures of SD-JWT behind",
            format!("{good}~WyJzIiwiYSIsMV0~"),
        ),
    ];
    for (reason, name, token) in cases {
        table.refused(reason, name, token);
    }
    for (name, header, payload) in [
        ("header", "", payload),
        ("payload", header, ""),
        ("both", "", ""),
    ] {
        let token = victim.forge.sign(header, payload);
        table.refused(Malformed, format!("empty and signed: {name}"), token);
    }
    for (name, message) in [
        ("the payload alone", payload.to_owned()),
        ("the header alone", header.to_owned()),
        ("both without a dot", format!("{header}{payload}")),
        ("both and a dot", format!("{header}.{payload}.")),
        ("both turned round", format!("{payload}.{header}")),
        ("the claims", victim.claims().to_string()),
        ("nothing", String::new()),
    ] {
        let signature = base64url(victim.forge.signature(message));
        let token = format!("{header}.{payload}.{signature}");
        table.refused(BadSignature, format!("signed is {name}"), token);
    }
}

fn other_serializations(table: &mut Table, victim: &Victim) {
    let [header, payload, signature] = victim.segments();
    let kid = &victim.forge.kid;
    let flattened =
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#);
    let general = format!(
        r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
    );
    let unprotected = format!(
        r#"{{"header":{},"payload":"{payload}","signature":"{signature}"}}"#,
        victim.header()
    );
    for (name, json) in [
        ("flattened JSON", flattened),
        ("general JSON", general),
        ("JSON with an unprotected header", unprotected),
    ] {
        table.refused(Malformed, format!("{name} in base64url"), base64url(&json));
        table.refused(Malformed, name, json);
    }
    for (name, alg) in [
        ("dir", "dir"),
        ("RSA-OAEP", "RSA-OAEP-256"),
        ("ECDH-ES", "ECDH-ES"),
        ("ours", victim.algorithm().name()),
    ] {
        let header = format!(r#"{{"alg":"{alg}","enc":"A256GCM","kid":"{kid}","typ":"at+jwt"}}"#);
        let header = base64url(header);
        let five = format!("{header}..{}.{payload}.{}", "A".repeat(16), "A".repeat(22));
        table.refused(Malformed, format!("JWE with the algorithm {name}"), five);
    }
}

/// Tokens inside tokens.
fn nested(table: &mut Table, victim: &Victim) {
    let good = victim.good();
    let header = victim.header();
    let cty = header.and("cty", quoted("JWT"));
    for (name, header, payload) in [
        ("a token in a token", &header, good.to_owned()),
        ("a token in a token that says so", &cty, good.to_owned()),
        ("a token as a JSON string", &header, quoted(good)),
        (
            "a token in a claim alone",
            &cty,
            format!(r#"{{"jwt":"{good}"}}"#),
        ),
        (
            "claims in a claim",
            &header,
            format!(r#"{{"claims":{}}}"#, victim.claims()),
        ),
        (
            "claims in an array",
            &header,
            format!("[{}]", victim.claims()),
        ),
    ] {
        let token = victim.forge.token(header.to_string(), payload);
        table.refused(Malformed, name, token);
    }
    let by_stranger = victim.stranger.token(cty.to_string(), good);
    table.refused(BadSignature, "a good token in a stranger's", by_stranger);
}

/// Headers and payloads that aren't one JSON object in UTF-8.
fn json(table: &mut Table, victim: &Victim) {
    type Spoil = (&'static str, fn(&[u8]) -> Vec<u8>);
    let spoils: [Spoil; 28] = [
        ("a trailing brace", |json| [json, b"}"].concat()),
        ("a second object", |json| [json, b"{}"].concat()),
        ("a second copy", |json| [json, json].concat()),
        ("a second line", |json| [json, b"\n", json].concat()),
        ("trailing text", |json| [json, b"x"].concat()),
        ("NUL behind", |json| [json, b"\0"].concat()),
        ("NUL before", |json| [b"\0", json].concat()),
        ("a byte order mark", |json| [b"\xef\xbb\xbf", json].concat()),
        ("UTF-16", |json| json.iter().flat_map(|b| [*b, 0]).collect()),
        ("no end", |json| json[..json.len() - 1].to_vec()),
        ("a trailing comma", |json| {
            [&json[..json.len() - 1], b",}"].concat()
        }),
        ("a comment", |json| [b"/**/", json].concat()),
        ("a comment inside", |json| [b"{/**/", &json[1..]].concat()),
        ("in an array", |json| [b"[", json, b"]"].concat()),
        ("in a string", |json| {
            serde_json::to_vec(str::from_utf8(json).unwrap()).unwrap()
        }),
        ("single quotes", |json| {
            String::from_utf8_lossy(json).replace('"', "'").into_bytes()
        }),
        ("no quotes", |json| {
            String::from_utf8_lossy(json).replace('"', "").into_bytes()
        }),
        ("a no-break space before", |json| {
            [b"\xc2\xa0", json].concat()
        }),
        ("empty", |_| Vec::new()),
        ("an empty object", |_| b"{}".to_vec()),
        ("null", |_| b"null".to_vec()),
        ("a number", |_| b"5".to_vec()),
        ("a bool", |_| b"true".to_vec()),
        ("an array", |_| b"[]".to_vec()),
        ("a string", |_| b"\"x\"".to_vec()),
        ("invalid UTF-8 in a value", |json| {
            [&json[..json.len() - 1], b",\"x\":\"\xff\"}"].concat()
        }),
        ("invalid UTF-8 in a name", |json| {
            [&json[..json.len() - 1], b",\"\xc0\xaf\":1}"].concat()
        }),
        ("a control character in a value", |json| {
            [&json[..json.len() - 1], b",\"x\":\"\x01\"}"].concat()
        }),
    ];
    let (header, claims) = (victim.header().to_string(), victim.claims().to_string());
    for (name, spoil) in spoils {
        let token = victim.forge.token(spoil(header.as_bytes()), &claims);
        table.refused(Malformed, format!("{name} for a header"), token);
        let token = victim.forge.token(&header, spoil(claims.as_bytes()));
        table.refused(Malformed, format!("{name} for claims"), token);
    }
    let spaced = victim
        .forge
        .token(format!(" \t\r\n{header} \n"), format!("\n{claims}\r\n"));
    table.accepted("white space around JSON is JSON", spaced);
}
