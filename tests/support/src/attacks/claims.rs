//! The required claims are present, have the right types, and have the right values.

use gatepass::Refusal::{self, Malformed, WrongAudience, WrongIssuer};

use super::{Table, Victim, non_canonical, quoted};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    texts(table, victim);
    issuer_and_audience(table, victim);
    ids(table, victim);
    session_number(table, victim);
    version(table, victim);
    actor(table, victim);
    scopes(table, victim);
}

const NO_TEXT: [&str; 9] = [
    "null",
    "1",
    "-1",
    "1.5",
    "true",
    "{}",
    r#"{"a":"b"}"#,
    "[1]",
    "[null]",
];

fn texts(table: &mut Table, victim: &Victim) {
    let claims = victim.claims();
    for (name, of_empty) in [
        ("iss", WrongIssuer),
        ("sub", Malformed),
        ("aud", WrongAudience),
        ("jti", Malformed),
        ("sid", Malformed),
        ("client_id", Malformed),
    ] {
        let missing = victim.with_claims(&claims.without(name));
        table.refused(Malformed, format!("no {name}"), missing);
        let misnamed = claims
            .without(name)
            .and(&name.to_uppercase(), claims.raw(name));
        table.refused(
            Malformed,
            format!("{name} in capitals"),
            victim.with_claims(&misnamed),
        );
        let empty = victim.with_claims(&claims.with(name, r#""""#));
        table.refused(of_empty, format!("empty {name}"), empty);
        for raw in NO_TEXT {
            let token = victim.with_claims(&claims.with(name, raw));
            table.refused(Malformed, format!("{name}: {raw}"), token);
        }
        if name != "aud" {
            let listed = claims.with(name, format!("[{}]", claims.raw(name)));
            table.refused(
                Malformed,
                format!("{name} in an array"),
                victim.with_claims(&listed),
            );
        }
    }
    let (long, huge) = (quoted("x".repeat(256)), quoted("x".repeat(5000)));
    for name in ["sub", "client_id"] {
        for (how, raw) in [
            ("NUL", r#""a\u0000""#),
            ("NUL alone", r#""\u0000""#),
            ("a line feed", r#""a\nb""#),
            ("an escape", r#""a\u001b[2J""#),
            ("256 bytes", &long),
            ("5000 bytes", &huge),
            ("half of a surrogate", r#""\ud800""#),
        ] {
            let token = victim.with_claims(&claims.with(name, raw));
            table.refused(Malformed, format!("{name} of {how}"), token);
        }
    }
    let token = victim.forge.token(victim.header().to_string(), "{}");
    table.refused(Malformed, "none at all", token);
    for name in claims.names().filter(|name| *name != "exp") {
        if let Some(rest) = claims.raw(name).strip_suffix('"') {
            let token = victim.with_claims(&claims.with(name, rest));
            table.refused(Malformed, format!("{name} that does not end"), token);
        }
    }
}

fn issuer_and_audience(table: &mut Table, victim: &Victim) {
    let with = |name, raw: &str| victim.with_claims(&victim.claims().with(name, raw));
    for iss in [
        "https://shop.example/",
        "https://SHOP.example",
        "HTTPS://shop.example",
        "http://shop.example",
        "shop.example",
        "//shop.example",
        "https://shop.example:443",
        "https://shop.example.",
        "https://shop.example.evil.example",
        "https://shop.example@evil.example",
        "https://shop.example#",
        "https://shop.example?",
        "https://shop.exampl",
        " https://shop.example",
        "https://shop.example ",
        r"https://shop.example\u0000",
        r"https://shop.ex\u0430mple",
        "https://evil.example",
    ] {
        table.refused(WrongIssuer, format!("iss {iss}"), with("iss", &quoted(iss)));
    }
    let audiences = [
        (r#""shop-api""#, None),
        (r#"["shop-api"]"#, None),
        (r#"["other","shop-api","third"]"#, None),
        (r#"["shop-api","shop-api"]"#, None),
        (r#""shop\u002dapi""#, None),
        (r#""other""#, Some(WrongAudience)),
        (r#""SHOP-API""#, Some(WrongAudience)),
        (r#""shop-api ""#, Some(WrongAudience)),
        (r#"" shop-api""#, Some(WrongAudience)),
        (r#""shop-api\u0000""#, Some(WrongAudience)),
        (r#""shop-api/""#, Some(WrongAudience)),
        (r#""shop-ap""#, Some(WrongAudience)),
        (r#""shop-api2""#, Some(WrongAudience)),
        (r#""shop-api,other""#, Some(WrongAudience)),
        (r#""shop-api other""#, Some(WrongAudience)),
        (r#""[\"shop-api\"]""#, Some(WrongAudience)),
        (r#""*""#, Some(WrongAudience)),
        ("[]", Some(WrongAudience)),
        (r#"[""]"#, Some(WrongAudience)),
        (r#"["*"]"#, Some(WrongAudience)),
        (r#"["other","third"]"#, Some(WrongAudience)),
        ("5", Some(Malformed)),
        (r#"[["shop-api"]]"#, Some(Malformed)),
        (r#"["shop-api",["shop-api"]]"#, Some(Malformed)),
        (r#"["shop-api",5]"#, Some(Malformed)),
        (r#"["shop-api",null]"#, Some(Malformed)),
        (r#"["shop-api",{}]"#, Some(Malformed)),
        (r#"["shop-api",]"#, Some(Malformed)),
        (r#"{"shop-api":true}"#, Some(Malformed)),
        (r#"{"0":"shop-api"}"#, Some(Malformed)),
    ];
    for (aud, reason) in audiences {
        let (name, token) = (format!("aud {aud}"), with("aud", aud));
        match reason {
            None => table.accepted(name, token),
            Some(reason) => table.refused(reason, name, token),
        }
    }
}

fn ids(table: &mut Table, victim: &Victim) {
    for name in ["sid", "jti"] {
        let id = victim.claims().raw(name).trim_matches('"').to_owned();
        let mut texts = vec![
            ("one short", id[1..].to_owned()),
            ("one more", format!("{id}A")),
            ("padded", format!("{id}=")),
            ("padded twice", format!("{id}==")),
            ("a space before", format!(" {id}")),
            ("a line behind", format!(r"{id}\n")),
            ("NUL behind", format!(r"{id}\u0000")),
            ("another alphabet", format!("+{}", &id[1..])),
            ("a dot inside", format!("{}.{}", &id[..4], &id[5..])),
            ("a path", format!("../{id}")),
            ("SQL", "' OR '1'='1".to_owned()),
            ("a wildcard", "%".to_owned()),
            ("twice", format!("{id}{id}")),
            ("a number", "1".to_owned()),
            ("a uuid", "6f9619ff-8b86-d011-b42d-00cf4fc964ff".to_owned()),
            ("huge", "A".repeat(4000)),
        ];
        texts.extend(non_canonical(&id).map(|text| ("with trailing bits", text)));
        for (how, text) in texts {
            let token = victim.with_claims(&victim.claims().with(name, quoted(text)));
            table.refused(Malformed, format!("{name} {how}"), token);
        }
    }
}

/// A session number that all JSON parsers read exactly. Otherwise the token could name another
/// session to each of them.
fn session_number(table: &mut Table, victim: &Victim) {
    let claims = victim.claims();
    table.refused(
        Malformed,
        "no sn",
        victim.with_claims(&claims.without("sn")),
    );
    let capitals = claims.without("sn").and("SN", claims.raw("sn"));
    table.refused(Malformed, "sn in capitals", victim.with_claims(&capitals));
    for raw in [
        "null",
        "-1",
        "-0",
        "1.5",
        "1.0",
        "1e3",
        "true",
        "{}",
        "[1]",
        r#""1""#,
        r#""""#,
        "",
        "9007199254740992",
        "18446744073709551615",
        "18446744073709551616",
        "01",
        "+1",
        "0x1",
    ] {
        let token = victim.with_claims(&claims.with("sn", raw));
        table.refused(Malformed, format!("sn: {raw}"), token);
    }
    for raw in ["0", "1", "9007199254740991"] {
        let token = victim.with_claims(&claims.with("sn", raw));
        table.accepted(format!("sn: {raw}"), token);
    }
}

/// The version of the session's rights. A token of the first version has no such claim.
fn version(table: &mut Table, victim: &Victim) {
    let claims = victim.claims();
    for raw in [
        "null",
        "-1",
        "-0",
        "1.5",
        "1.0",
        "1e0",
        "true",
        "{}",
        "[1]",
        r#""1""#,
        r#""""#,
        "",
        "4294967296",
        "18446744073709551616",
        "01",
        "+1",
    ] {
        let token = victim.with_claims(&claims.with("gv", raw));
        table.refused(Malformed, format!("gv: {raw}"), token);
    }
    let twice = claims.with("gv", "1").and("gv", "1");
    table.refused(Malformed, "gv twice", victim.with_claims(&twice));
    for raw in ["0", "1", "4294967295"] {
        let token = victim.with_claims(&claims.with("gv", raw));
        table.accepted(format!("gv: {raw}"), token);
    }
}

/// The user who acts as the subject. The claim's other members are for the application.
fn actor(table: &mut Table, victim: &Victim) {
    let claims = victim.claims();
    for raw in NO_TEXT.into_iter().chain([
        r#""support""#,
        "[]",
        r#"{"sub":null}"#,
        r#"{"sub":1}"#,
        r#"{"sub":""}"#,
        r#"{"sub":{"sub":"support"}}"#,
        r#"{"sub":["support"]}"#,
        r#"{"SUB":"support"}"#,
        r#"{"iss":"https://shop.example"}"#,
        r#"{"sub":"support","sub":"support"}"#,
        r#"{"sub":"support","a":1,"a":1}"#,
        r#"{"act":{"sub":"support"}}"#,
        r#"[{"sub":"support"}]"#,
    ]) {
        let token = victim.with_claims(&claims.with("act", raw));
        table.refused(Malformed, format!("act: {raw}"), token);
    }
    let twice = claims
        .with("act", r#"{"sub":"a"}"#)
        .and("act", r#"{"sub":"a"}"#);
    table.refused(Malformed, "act twice", victim.with_claims(&twice));
    for raw in [
        r#"{"sub":"support"}"#,
        r#"{"sub":"support","act":{"sub":"another"}}"#,
        r#"{"iss":"https://shop.example","sub":"support"}"#,
    ] {
        let token = victim.with_claims(&claims.with("act", raw));
        table.accepted(format!("act: {raw}"), token);
    }
}

fn scopes(table: &mut Table, victim: &Victim) {
    let claims = victim.claims();
    let mut add = |reason: Option<Refusal>, raw: &str| {
        let token = victim.with_claims(&claims.with("scope", raw));
        match reason {
            Some(reason) => table.refused(reason, format!("scope {raw}"), token),
            None => table.accepted(format!("scope {raw}"), token),
        }
    };
    for raw in NO_TEXT.into_iter().chain([r#"["profile"]"#]) {
        add(Some(Malformed), raw);
    }
    for text in [r#"a\"b"#, r"a\\b", r"a\tb", "ä", r"a\u0000", r"a\nb"] {
        add(Some(Malformed), &quoted(text));
    }
    add(None, r#""""#);
    add(None, r#""profile""#);
    table.accepted("no scope", victim.with_claims(&claims.without("scope")));
}
