//! Text for people, and for the terminals that show it.

use std::{fmt::Write, time::Duration};

use gatepass::Timestamp;

/// Escapes characters that move a terminal's cursor or turn the direction of text. Without this,
/// the writer of a token could forge the text around it.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_plain(character) {
            shown.push(character);
        } else {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        }
    }
    shown
}

fn is_plain(character: char) -> bool {
    let invisible = matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !character.is_control() && !invisible
}

/// An instant, and how far it is from now.
pub(crate) fn instant(at: Timestamp, now: Timestamp) -> String {
    let whole = |duration: Duration| Duration::from_secs(duration.as_secs());
    let (ahead, ago) = (whole(at.since(now)), whole(now.since(at)));
    if !ahead.is_zero() {
        format!("{at}, in {}", roughly(ahead))
    } else if !ago.is_zero() {
        format!("{at}, {} ago", roughly(ago))
    } else {
        format!("{at}, now")
    }
}

/// The two largest units of a duration.
pub(crate) fn roughly(duration: Duration) -> String {
    let exact = humantime::format_duration(duration).to_string();
    let units: Vec<&str> = exact.split(' ').take(2).collect();
    units.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded() {
        for (text, shown) in [
            ("jürgen 🦀", "jürgen 🦀"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("a\u{9b}2Jb", "a\\u{9b}2Jb"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\nb\rc\u{7f}", "a\\u{a}b\\u{d}c\\u{7f}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn an_instant_says_how_far_it_is() {
        let now = Timestamp::from_unix_secs(1_795_000_000);
        for (secs, shown) in [
            (1_795_000_000, "2026-11-18T11:06:40Z, now"),
            (1_795_000_843, "2026-11-18T11:20:43Z, in 14m 3s"),
            (1_794_734_399, "2026-11-15T09:19:59Z, 3days 1h ago"),
            (0, "1970-01-01T00:00:00Z, 56years 10months ago"),
        ] {
            assert_eq!(instant(Timestamp::from_unix_secs(secs), now), shown);
        }
    }
}
