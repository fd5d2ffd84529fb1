//! No object may have a member twice, in any spelling. Otherwise, readers would differ in the value
//! that counts.

use gatepass::Refusal::Malformed;

use super::{Table, Victim, quoted};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let (header, claims) = (victim.header(), victim.claims());
    for name in ["alg", "typ", "kid"] {
        let raw = header.raw(name).to_owned();
        for again in [raw.as_str(), r#""x""#, r#""none""#, "null"] {
            for (how, name) in [("", name.to_owned()), (", escaped", escaped(name))] {
                let behind = victim.with_header(&header.and(&name, again));
                table.refused(Malformed, format!("{name} and {again} behind{how}"), behind);
                let before = victim.with_header(&header.after(&name, again));
                table.refused(Malformed, format!("{name} and {again} before{how}"), before);
            }
        }
    }
    for (name, header) in [
        ("x", header.and("x", "1").and("x", "1")),
        ("x, differing", header.and("x", "1").and("x", "2")),
        ("x, escaped", header.and("x", "1").and(r"\u0078", "1")),
        ("jwk", header.and("jwk", "{}").and("jwk", "{}")),
        ("jku", header.and("jku", r#""a""#).and("jku", r#""b""#)),
        ("an empty name", header.and("", "1").and("", "1")),
    ] {
        let token = victim.with_header(&header);
        table.refused(Malformed, format!("header member {name}"), token);
    }

    for name in claims.names() {
        let raw = claims.raw(name).to_owned();
        for (how, again) in [("", name.to_owned()), (", escaped", escaped(name))] {
            let same = victim.with_claims(&claims.and(&again, &raw));
            table.refused(Malformed, format!("claim {name} and the same{how}"), same);
            for other in [r#""x""#, "4000000000", "null"] {
                let behind = victim.with_claims(&claims.and(&again, other));
                table.refused(
                    Malformed,
                    format!("claim {name} and {other} behind{how}"),
                    behind,
                );
            }
            let before = victim.with_claims(&claims.after(&again, quoted("x")));
            table.refused(
                Malformed,
                format!("claim {name}, another before{how}"),
                before,
            );
        }
    }
    let cases = [
        ("nbf, which is optional", "nbf", "1", "nbf", "1"),
        ("custom", "x", "1", "x", "2"),
        ("custom, escaped", "x", "1", r"\u0078", "2"),
        ("empty name", "", "1", "", "1"),
        ("nested", "x", r#"{"a":1,"a":2}"#, "y", "1"),
        ("nested, the same", "x", r#"{"a":1,"a":1}"#, "y", "1"),
        ("nested, escaped", "x", r#"{"a":1,"\u0061":2}"#, "y", "1"),
        ("in an array", "x", r#"[[{"a":{"b":1,"b":1}}]]"#, "y", "1"),
    ];
    for (name, first, raw, second, second_raw) in cases {
        let token = victim.with_claims(&claims.and(first, raw).and(second, second_raw));
        table.refused(Malformed, format!("claims: {name}"), token);
    }
    let apart = claims.and("x", r#"{"a":{"a":1},"b":[{"a":1},{"a":1}],"exp":1}"#);
    table.accepted("one name in several objects", victim.with_claims(&apart));
    let similar = claims.and("Exp", "1").and("exp ", "1").and("EXP", "1");
    table.accepted("names that differ", victim.with_claims(&similar));
}

/// The same name, with its first letter escaped.
fn escaped(name: &str) -> String {
    format!(r"\u{:04x}{}", name.as_bytes()[0], &name[1..])
}
