//! A token has at most 8 KiB, and deep nesting exhausts no stack.

use gatepass::Refusal::{Malformed, UnknownKey};

use super::{LIMIT, Table, Victim, quoted};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let of_length = |length: usize| {
        let found = (0..4).find_map(|spaces| {
            let header = format!("{}{}", victim.header(), " ".repeat(spaces));
            let filled = |n: usize| {
                let claims = victim.claims().and("x", quoted("x".repeat(n)));
                victim.forge.token(&header, claims.to_string())
            };
            let least = (length - filled(0).len()) * 3 / 4;
            (least.saturating_sub(3)..least + 3)
                .map(filled)
                .find(|token| token.len() == length)
        });
        found.unwrap_or_else(|| panic!("no token of {length} bytes was found"))
    };
    table.accepted("8192 bytes", of_length(LIMIT));
    for length in [LIMIT + 1, LIMIT + 2, LIMIT + 3, 2 * LIMIT] {
        table.refused(Malformed, format!("{length} bytes"), of_length(length));
    }
    let cases = [
        ("a MiB of text", "a".repeat(1 << 20)),
        ("a MiB of dots", ".".repeat(1 << 20)),
        (
            "a good token and dots",
            format!("{}{}", victim.good(), ".".repeat(LIMIT)),
        ),
        ("a long refresh token", format!("gpr_{}", "A".repeat(LIMIT))),
        (
            "a long signature",
            format!("{}{}", victim.good(), "A".repeat(LIMIT)),
        ),
    ];
    for (name, token) in cases {
        table.refused(Malformed, name, token);
    }
    let header = victim.header();
    let name = "k".repeat(5000);
    let token = victim.with_header(&header.with("kid", quoted(&name)));
    table.refused(UnknownKey, "a key id of 5000 bytes", token);
    let name = "k".repeat(1 << 20);
    let token = victim.with_header(&header.with("kid", quoted(&name)));
    table.refused(Malformed, "a key id of a MiB", token);

    for levels in [200, 1000, 2000, 10_000] {
        let arrays = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let objects = format!(r#"{}1{}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let unclosed = "[".repeat(levels);
        for (shape, raw) in [
            ("arrays", arrays),
            ("objects", objects),
            ("unclosed arrays", unclosed),
        ] {
            let name = format!("{levels} {shape}");
            let token = victim.with_claims(&victim.claims().and("x", &raw));
            table.refused(Malformed, format!("{name} in the claims"), token);
            let token = victim.with_claims(&victim.claims().with("sub", &raw));
            table.refused(Malformed, format!("{name} for sub"), token);
            // The reader skips unknown header members, without using the stack.
            let token = victim.with_header(&header.and("x", &raw));
            if token.len() <= LIMIT && !shape.starts_with("unclosed") {
                table.accepted(format!("{name} in the header"), token);
            } else {
                table.refused(Malformed, format!("{name} in the header"), token);
            }
        }
    }
}
