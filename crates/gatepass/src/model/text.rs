//! Text that people read in lists and logs, and the characters that it must not contain.

/// Longest `User-Agent` in bytes that a session keeps.
const MAX_USER_AGENT: usize = 256;

/// Whether a character makes text look like other text.
///
/// Control characters and the two Unicode separators start a new line in a log. Directional marks,
/// overrides and isolates change the order in which the characters around them are shown: for
/// example, `ad\u{202e}nim` is shown like `admin` in most lists of users.
pub(crate) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// Whether a character of `text` makes it look like other text.
pub(crate) fn has_deceptive(text: &str) -> bool {
    // The fast path: most names are printable ASCII.
    !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.chars().any(is_deceptive)
}

/// A `User-Agent` as a session keeps it: printable ASCII, cut to 256 bytes.
pub(crate) fn user_agent(sent: &[u8]) -> String {
    let printable = sent.iter().filter(|byte| matches!(byte, b' '..=b'~'));
    let kept = printable.take(MAX_USER_AGENT);
    kept.map(|byte| char::from(*byte)).collect()
}

/// The end of the last character of `text` that ends at or before the byte `most`.
///
/// The method of `str` is newer than the oldest Rust that compiles gatepass.
pub(crate) fn floor_char_boundary(text: &str, most: usize) -> usize {
    let mut ends = (0..=most.min(text.len())).rev();
    ends.find(|end| text.is_char_boundary(*end))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        for text in ["", "abc", "aé€😀", "😀€éa"] {
            for most in 0..=text.len() + 2 {
                let end = floor_char_boundary(text, most);
                assert_eq!(end, text.floor_char_boundary(most), "{text:?} at {most}");
            }
        }
    }
}
