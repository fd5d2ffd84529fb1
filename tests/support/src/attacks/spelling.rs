//! Each segment has only one valid spelling in base64url.

use gatepass::Refusal::Malformed;

use super::{Table, Victim, quoted};
use crate::forge::base64url;

pub(super) const ALPHABET: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    trailing_bits(table, victim);
    let [header, payload, signature] = rich(victim);
    type Misspell = (&'static str, fn(&str) -> String);
    let edits: [Misspell; 29] = [
        ("padding", |s| format!("{s}=")),
        ("more padding", |s| format!("{s}==")),
        ("the padding that is due", |s| {
            format!("{s}{}", "=".repeat(4 - s.len() % 4))
        }),
        ("padding before", |s| format!("={s}")),
        ("padding inside", |s| format!("{}={}", &s[..4], &s[4..])),
        ("a space before", |s| format!(" {s}")),
        ("a space behind", |s| format!("{s} ")),
        ("a space inside", |s| format!("{} {}", &s[..4], &s[4..])),
        ("a line feed behind", |s| format!("{s}\n")),
        ("a line feed before", |s| format!("\n{s}")),
        ("CRLF inside", |s| format!("{}\r\n{}", &s[..4], &s[4..])),
        ("lines as in PEM", |s| {
            format!("{}\n{}", &s[..s.len() / 2], &s[s.len() / 2..])
        }),
        ("a tab inside", |s| format!("{}\t{}", &s[..4], &s[4..])),
        ("NUL behind", |s| format!("{s}\0")),
        ("a plus for the minus", |s| s.replace('-', "+")),
        ("a slash for the underscore", |s| s.replace('_', "/")),
        ("the standard alphabet", |s| {
            s.replace('-', "+").replace('_', "/")
        }),
        ("pluses behind", |s| format!("{s}++++")),
        ("slashes behind", |s| format!("{s}////")),
        ("percent-encoded", |s| s.replacen('_', "%5F", 1)),
        ("percent-encoded altogether", |s| {
            s.bytes().map(|byte| format!("%{byte:02X}")).collect()
        }),
        ("beyond ASCII behind", |s| format!("{s}ä")),
        ("a wide letter", |s| swap(s, 0xFEE0)),
        ("a letter of mathematics", |s| {
            s.replacen(|c: char| c.is_ascii_lowercase(), "\u{1d41a}", 1)
        }),
        ("a hyphen for the minus", |s| s.replacen('-', "\u{2010}", 1)),
        ("a wide underscore", |s| s.replacen('_', "\u{ff3f}", 1)),
        ("a joiner inside", |s| {
            format!("{}\u{200d}{}", &s[..4], &s[4..])
        }),
        ("a character too many", |s| {
            format!("{s}{}", "A".repeat((5 - s.len() % 4) % 4))
        }),
        ("a dot-like bullet", |s| format!("{s}\u{b7}")),
    ];
    for (name, edit) in edits {
        for text in [&header, &payload, &signature] {
            assert_ne!(edit(text), *text, "{name} of {text}");
        }
        let message = format!("{header}.{payload}");
        let cases = [
            ("header", victim.forge.sign(&edit(&header), &payload)),
            ("payload", victim.forge.sign(&header, &edit(&payload))),
            ("signature", format!("{message}.{}", edit(&signature))),
        ];
        for (segment, token) in cases {
            table.refused(Malformed, format!("{name} in the {segment}"), token);
        }
    }
    let token = format!("{header}.{payload}.{signature}");
    table.accepted("every character of the alphabet", &token);
    for (name, text) in [
        ("a space before all", format!(" {token}")),
        ("a line behind all", format!("{token}\n")),
        ("padding behind all", format!("{token}=")),
        ("all in capitals", token.to_uppercase()),
        (
            "all percent-encoded",
            token.replace('.', "%2e").replace('_', "%5f"),
        ),
        ("all in base64url again", base64url(&token)),
    ] {
        table.refused(Malformed, name, text);
    }
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let token = victim
        .forge
        .sign(&hex(victim.header().to_string().as_bytes()), &payload);
    table.refused(Malformed, "a header in hexadecimal", token);
}

/// A good token with a minus and an underscore in each segment.
fn rich(victim: &Victim) -> [String; 3] {
    let header = base64url(victim.header().and("x", quoted(">>>???")).to_string());
    (0..)
        .find_map(|n| {
            let claims = victim.claims().and("x", quoted(">>>???")).and("n", n);
            let token = victim.forge.sign(&header, &base64url(claims.to_string()));
            let segments = super::segments(&token);
            let rich = |text: &&str| text.contains('-') && text.contains('_');
            let usable = segments.iter().all(rich) && segments[2].len() % 4 != 1;
            usable.then(|| segments.map(str::to_owned))
        })
        .unwrap()
}

fn swap(text: &str, by: u32) -> String {
    let wide = char::from_u32(u32::from(text.chars().next().unwrap()) + by).unwrap();
    format!("{wide}{}", &text[1..])
}

/// The unused bits of a last character are zero.
fn trailing_bits(table: &mut Table, victim: &Victim) {
    // Adds white space until a segment has unused bits: two, four, or none.
    let texts = |json: String| {
        let texts = [0, 1, 2].map(|n| base64url(format!("{json}{}", " ".repeat(n))));
        let spare = texts.iter().filter(|text| non_canonical(text).is_some());
        assert_eq!(spare.count(), 2);
        texts
    };
    for (h, header) in texts(victim.header().to_string()).iter().enumerate() {
        for (p, payload) in texts(victim.claims().to_string()).iter().enumerate() {
            let token = victim.forge.sign(header, payload);
            let case = format!("with {h} and {p} spaces behind");
            table.accepted(&case, &token);
            let (message, signature) = token.rsplit_once('.').unwrap();
            if let Some(bad) = non_canonical(header) {
                let token = victim.forge.sign(&bad, payload);
                table.refused(Malformed, format!("bits in the header, {case}"), token);
            }
            if let Some(bad) = non_canonical(payload) {
                let token = victim.forge.sign(header, &bad);
                table.refused(Malformed, format!("bits in the payload, {case}"), token);
            }
            if let Some(bad) = non_canonical(signature) {
                let token = format!("{message}.{bad}");
                table.refused(Malformed, format!("bits in the signature, {case}"), token);
            }
        }
    }
}

/// Another base64url text of the same bytes, if there is one.
pub(super) fn non_canonical(text: &str) -> Option<String> {
    let (rest, last) = text.split_at(text.len() - 1);
    let spare = match text.len() % 4 {
        2 => 0b1111,
        3 => 0b11,
        _ => return None,
    };
    let last = ALPHABET
        .iter()
        .position(|c| last.as_bytes() == [*c])
        .unwrap();
    assert_eq!(last & spare, 0, "canonical");
    Some(format!("{rest}{}", char::from(ALPHABET[last | 1])))
}
