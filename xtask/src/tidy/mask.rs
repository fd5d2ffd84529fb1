//! Rust source with its comments or literals blanked, so that a search meets code alone.
//!
//! A lexer of a few lines: it knows where comments, strings and characters begin and end, and no more.

use std::ops::Range;

/// The same source twice, each with the same bytes at the same places.
pub(super) struct Masked {
    /// Neither comments nor the insides of literals.
    pub(super) code: String,
    /// Comments, but not the insides of literals.
    pub(super) with_comments: String,
}

enum Kind {
    Comment,
    Literal,
}

/// Blanks comments and literals.
pub(super) fn mask(source: &str) -> Masked {
    let mut code = source.as_bytes().to_vec();
    let mut with_comments = code.clone();
    for (kind, range) in spans(source) {
        blank(&mut code, range.clone());
        if matches!(kind, Kind::Literal) {
            blank(&mut with_comments, range);
        }
    }
    Masked {
        code: String::from_utf8_lossy(&code).into_owned(),
        with_comments: String::from_utf8_lossy(&with_comments).into_owned(),
    }
}

fn blank(bytes: &mut [u8], range: Range<usize>) {
    for byte in bytes.get_mut(range).into_iter().flatten() {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn spans(source: &str) -> Vec<(Kind, Range<usize>)> {
    let mut spans = Vec::new();
    let mut at = 0;
    let mut in_word = false;
    while let Some(rest) = source.get(at..) {
        let Some(first) = rest.chars().next() else {
            break;
        };
        let found = if rest.starts_with("//") {
            Some((Kind::Comment, rest.find('\n').unwrap_or(rest.len())))
        } else if rest.starts_with("/*") {
            Some((Kind::Comment, block_comment(rest)))
        } else if in_word {
            None
        } else {
            literal(rest).map(|length| (Kind::Literal, length))
        };
        if let Some((kind, length)) = found {
            spans.push((kind, at..at + length));
            at += length;
            in_word = false;
        } else {
            in_word = (first.is_alphanumeric() || first == '_')
                // `b"…"` and `r"…"` begin with a letter, which then is no word.
                && literal(rest.get(first.len_utf8()..).unwrap_or_default()).is_none();
            at += first.len_utf8();
        }
    }
    spans
}

/// The length of a comment that may hold others.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = rest.get(at..)
        && !rest.is_empty()
    {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of the string or character that begins here, if one does.
fn literal(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(['"', '#', '\'']))
    })?;
    let body = rest.strip_prefix(prefix)?;
    let length = if prefix.ends_with('r') {
        let hashes = body.bytes().take_while(|byte| *byte == b'#').count();
        let inside = body.get(hashes..)?.strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        hashes + 1 + inside
    } else if body.starts_with('"') {
        escaped(body, '"')
    } else if body.starts_with('\'') {
        // A lifetime has no closing quote after its first character.
        let mut characters = body.chars().skip(1);
        let first = characters.next()?;
        (first == '\\' || characters.next() == Some('\'')).then(|| escaped(body, '\''))?
    } else {
        return None;
    };
    Some(prefix.len() + length)
}

/// The length up to the closing quote that no backslash stands before.
fn escaped(body: &str, quote: char) -> usize {
    let mut characters = body.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, code: &str) {
        let masked = mask(source);
        assert_eq!(masked.code, code);
        assert_eq!(masked.code.len(), source.len());
    }

    #[test]
    fn comments_go_and_lines_stay() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */\n d */ e", "a             \n      e");
        check("/// x.unwrap()\nf();", "              \nf();");
    }

    #[test]
    fn literals_go_however_they_are_written() {
        check(r#"f("a\"b", 1)"#, "f(      , 1)");
        check(r##"f(r#"a"b"#, 1)"##, "f(        , 1)");
        check(r#"f(b"a", br"\", c"a")"#, "f(    ,      ,     )");
        check(r"f('a', '\'', b'\\')", "f(   ,     ,      )");
        check("f('é')", "f(    )");
    }

    #[test]
    fn what_only_looks_like_a_literal_stays() {
        for source in [
            "&'a str",
            "r#type",
            "bar::<'_>()",
            "'outer: loop {}",
            "a / b",
        ] {
            check(source, source);
        }
    }

    #[test]
    fn a_comment_in_a_string_is_none() {
        check("f(\"// a\"); g()", "f(      ); g()");
    }

    #[test]
    fn comments_can_be_kept() {
        assert_eq!(mask("f(\"a\") // b").with_comments, "f(   ) // b");
    }
}
