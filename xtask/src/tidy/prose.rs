//! Sentences of docs and comments that a stranger stumbles over, counted.
//!
//! The texts of this project began with many of them. `prose.txt` has the number that each part may
//! still have, and no part may get more. If you mend some, write the lower number there.

use std::collections::BTreeMap;

use super::{File, Finding};

/// The file with the numbers. A part that it doesn't name may have none.
const DEBT: &str = "xtask/src/tidy/prose.txt";

/// Longest line of a comment or of Markdown, in columns.
const COLUMNS: usize = 100;

/// First words of sentences that begin with a clause in place of their subject.
const OPENERS: &[&str] = &[
    "What", "Who", "Whoever", "Whom", "Whose", "Whatever", "Where", "Of",
];

/// Words that hide who acts.
const ACTORS: &[&str] = &[
    "whoever",
    "whatever",
    "whichever",
    "somebody",
    "anybody",
    "nobody",
    "everybody",
];

const PLAIN: &str = "Sentences of docs and comments begin with their subject, name who acts, and fit into 100 columns.";

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let debt = files.iter().find(|file| file.path == DEBT);
    let allowed = debt.map(|file| numbers(&file.text)).unwrap_or_default();
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        if let Some(part) = part(&file.path) {
            *counted.entry(part).or_default() += count(file);
        }
    }
    let parts = counted.keys().chain(allowed.keys());
    let parts: std::collections::BTreeSet<&String> = parts.collect();
    let differs = parts.into_iter().filter_map(|part| {
        let is = counted.get(part).copied().unwrap_or_default();
        let allowed = allowed.get(part).copied().unwrap_or_default();
        let what = match is.cmp(&allowed) {
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Greater => {
                format!("{is} sentences and lines to mend, {allowed} before: mend the new ones")
            }
            std::cmp::Ordering::Less => {
                format!("{is} sentences and lines to mend, {allowed} before: write `{part} {is}`")
            }
        };
        Some(Finding {
            place: format!("{DEBT}: {part}"),
            what,
            invariant: PLAIN,
        })
    });
    differs.collect()
}

fn numbers(text: &str) -> BTreeMap<String, usize> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs
        .filter_map(|(part, number)| Some((part.to_owned(), number.parse().ok()?)))
        .collect()
}

/// The part of the project that a file belongs to: its package, or `guides` for the pages of the
/// root.
fn part(path: &str) -> Option<String> {
    let is_text = path.ends_with(".rs") || path.ends_with(".md");
    if !is_text || path == "CHANGELOG.md" {
        return None;
    }
    let mut folders = path.split('/');
    match (folders.next()?, folders.next()) {
        (_, None) => Some("guides".to_owned()),
        (group @ ("crates" | "examples"), Some(name)) => Some(format!("{group}/{name}")),
        (group, Some(_)) => Some(group.to_owned()),
    }
}

fn count(file: &File) -> usize {
    let prose = prose(file);
    let long = prose.iter().filter(|line| line.is_long).count();
    let text: String = prose.iter().map(|line| line.text.as_str()).collect();
    long + text
        .split("\n\n")
        .flat_map(sentences)
        .filter(|sentence| is_bad(sentence))
        .count()
}

/// A line of a comment, or of Markdown.
struct Line {
    /// Its text without what marks a comment, and with its end; empty for code and tables.
    text: String,
    is_long: bool,
}

fn prose(file: &File) -> Vec<Line> {
    let mut in_code = false;
    let mut lines = Vec::new();
    for line in file.text.lines() {
        let comment = if file.is_rust() {
            let text = line.trim_start();
            let marks = ["///", "//!", "//"];
            marks.iter().find_map(|mark| text.strip_prefix(mark))
        } else {
            Some(line)
        };
        let Some(text) = comment else {
            in_code = false;
            lines.push(Line {
                text: "\n\n".to_owned(),
                is_long: false,
            });
            continue;
        };
        let trimmed = text.trim_start();
        let fence = trimmed.starts_with("```");
        let is_prose = !in_code && !fence && !trimmed.starts_with(['|', '#', '[', '<']);
        // A table and a link can't be wrapped.
        let is_long = is_prose && line.chars().count() > COLUMNS && !line.contains("://");
        in_code ^= fence;
        let marks = ["* ", "- "];
        let item = marks.iter().find_map(|mark| trimmed.strip_prefix(mark));
        let text = match is_prose {
            _ if trimmed.is_empty() => "\n\n".to_owned(),
            true if let Some(item) = item => format!("\n\n{item}\n"),
            true => format!("{trimmed}\n"),
            false => "\n\n".to_owned(),
        };
        lines.push(Line { text, is_long });
    }
    lines
}

fn sentences(paragraph: &str) -> Vec<String> {
    let mut sentences = vec![String::new()];
    for word in paragraph.split_whitespace() {
        if let Some(last) = sentences.last_mut() {
            last.push_str(word);
            last.push(' ');
        }
        if word.ends_with(['.', '!', '?', ':']) {
            sentences.push(String::new());
        }
    }
    sentences
}

fn is_bad(sentence: &str) -> bool {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let first = words.first().copied().unwrap_or_default();
    let asks = sentence.trim_end().ends_with('?');
    let opens = OPENERS.contains(&first) && !asks;
    let word = |word: &&str| {
        let word = word.trim_matches(|letter: char| !letter.is_alphabetic());
        ACTORS.contains(&word.to_ascii_lowercase().as_str())
    };
    let stands = words
        .windows(2)
        .any(|pair| matches!(pair, ["stands", "in" | "at"]));
    words.len() > 1 && (opens || words.iter().any(word) || stands)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::file, *};

    fn counted(path: &str, text: &str) -> usize {
        count(&file(path, text))
    }

    #[test]
    fn sentences_that_hide_their_subject_are_counted() {
        let plain =
            "//! A gate refuses it. What is it? See `whoever`.\nlet what = \"Who knows. \";";
        // The word in the code span counts too: it is read.
        assert_eq!(counted("a.rs", plain), 1);
        let bad = "/// What is wrong\n/// is told. It stands in the log.\n// Nobody knows.\nfn f() {}\n/// - Of those one.\n";
        assert_eq!(counted("a.rs", bad), 4);
        assert_eq!(
            counted(
                "a.md",
                "Who asks, is told.\n\n```\nWho knows. \n```\n| What is |\n"
            ),
            1
        );
    }

    #[test]
    fn long_lines_of_prose_are_counted_and_those_of_tables_and_code_are_not() {
        let long = "word ".repeat(21);
        assert_eq!(counted("a.md", &format!("{long}\n")), 1);
        assert_eq!(
            counted("a.rs", &format!("// {long}\nlet a = \"{long}\";\n")),
            1
        );
        assert_eq!(
            counted("a.md", &format!("| {long} |\n```\n{long}\n```\n")),
            0
        );
    }

    #[test]
    fn a_part_may_have_as_many_as_before_and_no_more() {
        let text = |allowed: &str| {
            vec![
                file(DEBT, allowed),
                file("crates/a/src/a.rs", "// Nobody knows.\n"),
                file("README.md", "It is.\n"),
            ]
        };
        assert_eq!(check(&text("crates/a 1\n")), []);
        for wrong in ["crates/a 0\n", "crates/a 2\n", "", "crates/a 1\ntests 1\n"] {
            assert_eq!(check(&text(wrong)).len(), 1, "{wrong:?}");
        }
    }
}
