//! Finds links, code and headings in Markdown, including the Markdown of Rust comments.

use super::File;

/// A piece of a text that a reader may follow, with its line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) line: usize,
    pub(super) kind: Kind,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The target of a link or of a picture.
    Link,
    /// Code within a sentence.
    Span,
    /// A line of a block of code.
    Code,
    Heading,
}

/// All pieces of `file`.
pub(super) fn pieces(file: &File) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut paragraph = Vec::new();
    let mut in_code = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        let Some(text) = text(file, line) else {
            // A line of Rust code ends the paragraph, and also a code block that the comment has
            // not closed.
            inline(&mut paragraph, &mut pieces);
            in_code = false;
            continue;
        };
        let trimmed = text.trim();
        let fence = trimmed.starts_with("```");
        let whole = match (heading(trimmed), definition(trimmed)) {
            _ if in_code || fence => Some((Kind::Code, trimmed)),
            (Some(heading), _) => Some((Kind::Heading, heading)),
            (None, Some(target)) => Some((Kind::Link, target)),
            (None, None) => None,
        };
        // A paragraph ends before each of these. A row of a table is a paragraph by itself.
        if whole.is_some() || trimmed.is_empty() || trimmed.starts_with('|') {
            inline(&mut paragraph, &mut pieces);
        }
        if let Some((kind, text)) = whole.filter(|_| !fence) {
            pieces.push(Piece {
                line: number,
                kind,
                text: text.to_owned(),
            });
        }
        in_code ^= fence;
        if !in_code && !fence && definition(trimmed).is_none() {
            paragraph.push((number, trimmed));
        }
    }
    inline(&mut paragraph, &mut pieces);
    pieces
}

/// The Markdown of a line: the whole line, or only its comment.
fn text<'a>(file: &File, line: &'a str) -> Option<&'a str> {
    if !file.is_rust() {
        return Some(line);
    }
    let marks = ["///", "//!", "//"];
    let line = line.trim_start();
    marks.iter().find_map(|mark| line.strip_prefix(mark))
}

fn heading(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    let rest = rest.strip_prefix(' ')?;
    (1..=6).contains(&level).then(|| rest.trim())
}

/// The target of a line such as `[label]: target`.
fn definition(line: &str) -> Option<&str> {
    let (_, target) = line.strip_prefix('[')?.split_once("]: ")?;
    target.split_whitespace().next()
}

/// Takes the links and the code out of a paragraph, and clears the paragraph.
fn inline(paragraph: &mut Vec<(usize, &str)>, pieces: &mut Vec<Piece>) {
    let mut text = String::new();
    let mut starts = Vec::new();
    for (number, line) in paragraph.drain(..) {
        starts.push((text.len(), number));
        text.push_str(line);
        text.push(' ');
    }
    let line_at = |at: usize| {
        let before = starts.iter().rev().find(|(start, _)| *start <= at);
        before.map_or(1, |(_, number)| *number)
    };
    let mut push = |at, kind, text: &str| {
        pieces.push(Piece {
            line: line_at(at),
            kind,
            text: text.to_owned(),
        });
    };
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with('`') {
            let ticks = rest.len() - rest.trim_start_matches('`').len();
            let (fence, inner) = rest.split_at(ticks);
            match inner.find(fence) {
                Some(end) => {
                    push(at, Kind::Span, inner.get(..end).unwrap_or_default().trim());
                    at += ticks + end + ticks;
                }
                None => at += ticks,
            }
            continue;
        }
        let target = ["](", "href=\"", "src=\""]
            .iter()
            .find_map(|mark| Some((mark.len(), target(rest.strip_prefix(mark)?)?)));
        match target {
            Some((mark, target)) => {
                push(at, Kind::Link, target);
                at += mark + target.len();
            }
            None => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
}

/// The target at the beginning of `rest`, up to the parenthesis, the title or the quotation mark
/// after it.
fn target(rest: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let end = rest.find(|character: char| {
        match character {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ')' | '"' | ' ' => return true,
            _ => {}
        }
        false
    })?;
    rest.get(..end)
}

/// The anchor that GitHub and rustdoc give a heading.
pub(super) fn anchor(heading: &str) -> String {
    // The target of a link in a heading is not part of the heading's text.
    let mut text = String::new();
    let mut rest = heading;
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text.to_lowercase()
        .chars()
        .filter_map(|character| match character {
            ' ' => Some('-'),
            '-' | '_' => Some(character),
            _ => character.is_alphanumeric().then_some(character),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::file, *};

    fn found(path: &str, text: &str) -> Vec<(usize, Kind, String)> {
        let pieces = pieces(&file(path, text)).into_iter();
        pieces
            .map(|piece| (piece.line, piece.kind, piece.text))
            .collect()
    }

    fn piece(line: usize, kind: Kind, text: &str) -> (usize, Kind, String) {
        (line, kind, text.to_owned())
    }

    #[test]
    fn links_spans_code_and_headings_are_found() {
        let text = "# A *title*\nSee [`a`](b.md#c) and ![d\ne](f.png \"g\"), `cargo\nrun`.\n\n\
            ```sh\n# no heading\ncargo x\n```\n[h]: i.md\n<a href=\"j.md\">k</a> ``l`m`` [n](o_(p))\n";
        assert_eq!(
            found("a.md", text),
            [
                piece(1, Kind::Heading, "A *title*"),
                piece(2, Kind::Span, "a"),
                piece(2, Kind::Link, "b.md#c"),
                piece(3, Kind::Link, "f.png"),
                piece(3, Kind::Span, "cargo run"),
                piece(7, Kind::Code, "# no heading"),
                piece(8, Kind::Code, "cargo x"),
                piece(10, Kind::Link, "i.md"),
                piece(11, Kind::Link, "j.md"),
                piece(11, Kind::Span, "l`m"),
                piece(11, Kind::Link, "o_(p)"),
            ]
        );
    }

    #[test]
    fn only_the_comments_of_rust_are_read() {
        let text =
            "//! See `a\n//! b`.\nlet c = \"`d` [e](f)\"; // `g`\n// ```\nfn h() {}\n// `i`\n";
        assert_eq!(
            found("a.rs", text),
            [piece(1, Kind::Span, "a b"), piece(6, Kind::Span, "i")]
        );
    }

    #[test]
    fn an_anchor_is_the_headings_text_without_punctuation() {
        for (heading, expected) in [
            ("Your API, as it is", "your-api-as-it-is"),
            ("`Auth` & [more](https://a.example)", "auth--more"),
            ("The 2nd: a_b-c", "the-2nd-a_b-c"),
        ] {
            assert_eq!(anchor(heading), expected);
        }
    }
}
