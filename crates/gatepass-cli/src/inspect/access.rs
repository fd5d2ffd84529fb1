//! The contents of a JWT, and the reasons why it is no access token.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass::{
    ClientId, Scopes, SessionId, Subject, Timestamp,
    keys::Algorithm,
    store::{SessionNumber, TokenId},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{Report, signature, text};
use crate::key_file::TokenKeys;

/// The claims of every access token, each as text, as an instant, as a number (`sn`), or as one or
/// several texts (`aud`).
const REQUIRED: [&str; 10] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "jti",
    "sid",
    "sn",
    "auth_time",
    "client_id",
];

/// Shows `token`, and says what is wrong with it.
pub(super) fn look(report: &mut Report, token: &str, keys: Option<&TokenKeys>, now: Timestamp) {
    let segments: Vec<&str> = token.split('.').collect();
    let [header, claims, signed] = *segments.as_slice() else {
        report.malformed(match segments.len() {
            5 => "five segments: an encrypted token (JWE), which gatepass does not read".to_owned(),
            1 => "not a token: neither three segments with dots between them (an access token), nor gpr_ at the beginning (a refresh token)".to_owned(),
            several => format!("not a token: {several} segments with dots between them, and an access token has three"),
        });
        return;
    };
    let header = read(report, "header", header, now);
    let claims = read(report, "claims", claims, now);
    let signature = URL_SAFE_NO_PAD.decode(signed);
    if let Some(header) = &header {
        check_header(report, header);
    }
    if let Some(claims) = &claims {
        check_claims(report, claims);
        check_times(report, claims, now);
    }
    let text = |name| header.as_ref()?.get(name)?.as_str();
    match signature {
        Err(_) => report.malformed("the signature is not base64url without padding"),
        Ok(signature) => check_length(report, signature.len(), text("alg")),
    }
    match keys {
        Some(keys) => signature::check(report, token, text("alg"), text("kid"), keys),
        None => report.show("signature: not checked; give the file of the key with --key"),
    }
}

/// A JSON object as it is written: in its order, and with what is in it twice.
struct Object(Vec<(String, Value)>);

impl Object {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(is, _)| is == name)
            .map(|(_, value)| value)
    }
}

fn read(report: &mut Report, what: &str, segment: &str, now: Timestamp) -> Option<Object> {
    report.show(what);
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(segment) else {
        report.show(format!("  {segment}"));
        report.malformed(format!("the {what} is not base64url without padding"));
        return None;
    };
    let object = str::from_utf8(&bytes)
        .ok()
        .and_then(|json| serde_json::from_str::<Object>(json).ok());
    let Some(object) = object else {
        report.show(format!("  {}", String::from_utf8_lossy(&bytes)));
        report.malformed(format!("the {what} is not a JSON object in UTF-8"));
        return None;
    };
    let width = object.0.iter().map(|(name, _)| name.chars().count());
    // A name of absurd length must not push all others away.
    let width = width.max().unwrap_or_default().min(16);
    for (at, (name, value)) in object.0.iter().enumerate() {
        let date = date(value).filter(|_| is_date(name));
        let date = date.map(|at| format!("   {}", text::instant(at, now)));
        let date = date.unwrap_or_default();
        report.show(format!("  {name:width$}  {value}{date}"));
        if object.0.iter().take(at).any(|(before, _)| before == name) {
            report.malformed(format!("the {what} has {name:?} twice"));
        }
    }
    Some(object)
}

fn check_header(report: &mut Report, header: &Object) {
    match header.get("alg") {
        Some(Value::String(name)) if name.eq_ignore_ascii_case("none") => {
            report.malformed("alg is none: it is not signed at all");
        }
        Some(Value::String(name)) if name.parse::<Algorithm>().is_err() => {
            let known = Algorithm::ALL.map(Algorithm::name).join(", ");
            report.malformed(format!(
                "alg is {name:?}, which gatepass does not have; it has: {known}"
            ));
        }
        Some(Value::String(_)) => {}
        Some(_) => report.malformed("alg is not a string"),
        None => report.malformed("alg is missing from the header"),
    }
    match header.get("typ") {
        Some(Value::String(typ)) if is_access_token(typ) => {}
        Some(Value::String(typ)) => report.malformed(format!(
            "typ is {typ:?}, and that of an access token is \"at+jwt\" (RFC 9068): it is a JWT of another kind"
        )),
        Some(_) => report.malformed("typ is not a string"),
        None => report.malformed("typ is missing from the header: an access token has \"at+jwt\""),
    }
    match header.get("kid") {
        Some(Value::String(_)) => {}
        Some(_) => report.malformed("kid is not a string"),
        None => report.malformed("kid is missing from the header: gates find their key by it"),
    }
    for extension in ["crit", "b64"] {
        if header.get(extension).is_some() {
            report.malformed(format!(
                "{extension} is in the header: gatepass knows no extensions"
            ));
        }
    }
    for key in ["jwk", "jku", "x5u", "x5c"] {
        if header.get(key).is_some() {
            report.show(format!(
                "  {key} is ignored: a token does not say which key to trust"
            ));
        }
    }
}

fn is_access_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
}

fn check_claims(report: &mut Report, claims: &Object) {
    for name in REQUIRED {
        if claims.get(name).is_none() {
            report.malformed(format!("{name} is missing from the claims"));
        }
    }
    for (name, value) in &claims.0 {
        let wrong = match (name.as_str(), value) {
            ("aud", Value::Array(all)) if all.iter().all(Value::is_string) => None,
            ("aud", Value::String(_)) => None,
            ("aud", _) => Some("neither a string nor an array of strings".to_owned()),
            (name, value) if is_date(name) => date(value).map_or_else(
                || Some("not a whole number of seconds from 1970 to 9999".to_owned()),
                |_| None,
            ),
            ("iss", Value::String(_)) => None,
            ("sub", Value::String(text)) => Subject::new(text).err().map(|e| e.to_string()),
            ("client_id", Value::String(text)) => ClientId::new(text).err().map(|e| e.to_string()),
            ("scope", Value::String(text)) => Scopes::parse(text).err().map(|e| e.to_string()),
            ("jti", Value::String(text)) => text.parse::<TokenId>().err().map(|e| e.to_string()),
            ("sid", Value::String(text)) => text.parse::<SessionId>().err().map(|e| e.to_string()),
            ("sn", number) => match number.as_u64() {
                Some(number) if number <= SessionNumber::MAX.get().unsigned_abs() => None,
                _ => Some("not a whole number from 0 to 2^53 - 1".to_owned()),
            },
            ("iss" | "sub" | "client_id" | "scope" | "jti" | "sid", _) => {
                Some("not a string".to_owned())
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            report.malformed(format!("{name}: {wrong}"));
        }
    }
}

fn check_times(report: &mut Report, claims: &Object, now: Timestamp) {
    let at = |name| claims.get(name).and_then(date);
    if let Some(exp) = at("exp").filter(|exp| *exp <= now) {
        let ago = text::roughly(now.truncated_to_secs().since(exp));
        report.wrong(format!("it expired {ago} ago (exp)"));
    }
    for (name, what) in [
        ("nbf", "it is not valid yet"),
        ("iat", "it was issued in the future"),
    ] {
        if at(name).is_some_and(|at| now < at) {
            report.wrong(format!("{what} ({name}): is a clock wrong?"));
        }
    }
}

/// Checks the length of a signature. With RSA it depends on the key, and is not checked.
fn check_length(report: &mut Report, bytes: usize, algorithm: Option<&str>) {
    let expected = match algorithm {
        Some("HS256") => 32,
        Some("HS384") => 48,
        Some("HS512" | "ES256" | "EdDSA") => 64,
        Some("ES384") => 96,
        _ if bytes == 0 => {
            report.wrong("it has no signature");
            return;
        }
        _ => return,
    };
    if bytes != expected {
        let algorithm = algorithm.unwrap_or_default();
        report.wrong(format!(
            "the signature has {bytes} bytes, and one of {algorithm} has {expected}"
        ));
    }
}

fn is_date(name: &str) -> bool {
    ["exp", "nbf", "iat", "auth_time"].contains(&name)
}

fn date(value: &Value) -> Option<Timestamp> {
    let secs = i64::try_from(value.as_u64()?).ok()?;
    (secs <= Timestamp::MAX.unix_secs()).then(|| Timestamp::from_unix_secs(secs))
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}
