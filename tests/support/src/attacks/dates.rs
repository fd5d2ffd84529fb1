//! A date is whole seconds up to the year 9999, and the token is valid now.

use gatepass::Refusal::{Expired, Malformed, NotYetValid};

use super::{Table, Victim};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let bad = [
        r#""1893456900""#,
        r#""""#,
        r#""never""#,
        r#""2030-01-01T00:00:00Z""#,
        "null",
        "true",
        "false",
        "[1893456900]",
        "[]",
        "{}",
        "1893456900.0",
        "1893456900.5",
        "1e10",
        "1E9",
        "1.9e9",
        "1e400",
        "1e-400",
        "-1",
        "-0",
        "-0.0",
        "-1893456900",
        "-9223372036854775809",
        "01893456900",
        "+1893456900",
        "0x70DBD884",
        "1_893_456_900",
        "1893456900n",
        "NaN",
        "Infinity",
        "-Infinity",
        "253402300800",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "100000000000000000000000000000000000000",
        "340282366920938463463374607431768211456",
    ];
    let with = |name, raw: &str| victim.with_claims(&victim.claims().with(name, raw));
    for name in ["exp", "nbf", "iat", "auth_time"] {
        for raw in bad {
            table.refused(Malformed, format!("{name}: {raw}"), with(name, raw));
        }
        let digits = "9".repeat(4000);
        table.refused(
            Malformed,
            format!("{name} of 4000 digits"),
            with(name, &digits),
        );
        let digits = "9".repeat(1_000_000);
        table.refused(
            Malformed,
            format!("{name} of a million digits"),
            with(name, &digits),
        );
        if name != "nbf" {
            let without = victim.with_claims(&victim.claims().without(name));
            table.refused(Malformed, format!("no {name}"), without);
        }
    }
    let begun: i64 = victim.claims().raw("iat").parse().unwrap();
    let at = |name, secs: i64| with(name, &secs.to_string());
    table.refused(Expired, "exp in 1970", at("exp", 0));
    table.refused(Expired, "exp a second later", at("exp", 1));
    table.refused(Expired, "exp an hour ago", at("exp", begun - 3600));
    table.refused(
        Expired,
        "exp at the end of the leeway",
        at("exp", begun - 60),
    );
    for name in ["iat", "nbf"] {
        table.refused(
            NotYetValid,
            format!("{name} in an hour"),
            at(name, begun + 3600),
        );
        table.refused(
            NotYetValid,
            format!("{name} in the year 9999"),
            at(name, 253_402_300_799),
        );
        table.accepted(format!("{name} in 1970"), at(name, 0));
    }
    table.accepted("exp in the last second", at("exp", 253_402_300_799));
}
