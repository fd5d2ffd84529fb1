//! Checks the sentences of docs and comments.

use super::{File, Finding};

/// Longest line of a comment or of Markdown, in columns.
const COLUMNS: usize = 100;

/// First words of sentences that begin with a clause instead of their subject.
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

/// Finds the bad sentences and the long lines of one file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let is_text = file.is_rust() || file.path.ends_with(".md");
    if !is_text {
        return Vec::new();
    }
    let finding = |line, what| Finding {
        place: format!("{}:{line}", file.path),
        what,
        invariant: PLAIN,
    };
    let lines = prose(file);
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(&lines) {
        if line.is_long {
            findings.push(finding(number, format!("more than {COLUMNS} columns")));
        }
    }
    for sentence in sentences(&lines) {
        if let Some(fault) = fault(&sentence.words) {
            let text = sentence.words.join(" ");
            findings.push(finding(sentence.line, format!("{fault}: {text}")));
        }
    }
    findings
}

/// A line of a file.
struct Line<'a> {
    /// The text of a comment or of Markdown. Empty for code and tables.
    text: &'a str,
    /// Whether it can't continue a sentence of the line before.
    is_apart: bool,
    is_long: bool,
}

fn prose(file: &File) -> Vec<Line<'_>> {
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
        // A comment that doesn't close its code block ends the block.
        in_code &= comment.is_some();
        let text = comment.unwrap_or_default().trim_start();
        let fence = text.starts_with("```");
        let is_definition = text.starts_with('[') && text.contains("]: ");
        let is_prose = !in_code && !fence && !is_definition && !text.starts_with(['|', '#', '<']);
        in_code ^= fence;
        let marks = ["* ", "- "];
        let item = marks.iter().find_map(|mark| text.strip_prefix(mark));
        lines.push(Line {
            text: if is_prose { item.unwrap_or(text) } else { "" },
            is_apart: !is_prose || text.is_empty() || item.is_some(),
            // A table and a link can't be wrapped.
            is_long: is_prose
                && comment.is_some()
                && line.chars().count() > COLUMNS
                && !line.contains("://"),
        });
    }
    lines
}

struct Sentence<'a> {
    /// The number of the line where it begins.
    line: usize,
    words: Vec<&'a str>,
}

fn sentences<'a>(lines: &[Line<'a>]) -> Vec<Sentence<'a>> {
    let mut sentences: Vec<Sentence<'a>> = Vec::new();
    let mut has_ended = true;
    for (number, line) in (1..).zip(lines) {
        has_ended |= line.is_apart;
        for word in line.text.split_whitespace() {
            match sentences.last_mut() {
                Some(last) if !has_ended => last.words.push(word),
                _ => sentences.push(Sentence {
                    line: number,
                    words: vec![word],
                }),
            }
            has_ended = word.ends_with(['.', '!', '?', ':']);
        }
    }
    sentences
}

fn fault(sentence: &[&str]) -> Option<String> {
    let (first, rest) = sentence.split_first()?;
    let last = rest.last()?;
    let first = first.trim_start_matches('*');
    if OPENERS.contains(&first) && !last.ends_with('?') {
        return Some(format!("a sentence that begins with {first:?}"));
    }
    let actors = sentence.iter().find_map(|word| {
        let word = word.trim_matches(|letter: char| !letter.is_alphabetic());
        let word = word.to_ascii_lowercase();
        ACTORS.contains(&word.as_str()).then_some(word)
    });
    if let Some(word) = actors {
        return Some(format!("the word {word:?}"));
    }
    let stands = |pair: &[&str]| matches!(pair, ["stand" | "stands", "in" | "at"]);
    let pair = sentence.windows(2).find(|pair| stands(pair))?;
    Some(format!("the words {:?}", pair.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

    #[track_caller]
    fn assert_places(path: &str, good: &str, bad: &str, places: &[&str]) {
        let (good, bad) = (testing::file(path, good), testing::file(path, bad));
        testing::check(check, &good, &bad, places);
    }

    #[test]
    fn sentences_that_hide_their_subject_are_refused() {
        assert_places(
            "a.rs",
            "//! A gate refuses it. What is it?\nlet what = \"Who knows. \";\n",
            "/// What is wrong\n/// is told. It stands in the log.\n// Nobody knows.\nfn f() {}\n/// - Of those one.\n",
            &["a.rs:1", "a.rs:2", "a.rs:3", "a.rs:5"],
        );
        assert_places(
            "a.md",
            "A gate asks.\n\n```\nWho knows. \n```\n| What is |\n",
            // The word in the code span also counts, because a reader reads it.
            "It is.\n\nWho asks, is told. See\n`whoever`.\n",
            &["a.md:3", "a.md:3"],
        );
    }

    #[test]
    fn long_lines_of_prose_are_refused_and_those_of_tables_and_code_are_not() {
        let long = "word ".repeat(21);
        assert_places(
            "a.md",
            &format!("| {long} |\n```\n{long}\n```\n"),
            &format!("It is.\n{long}\n"),
            &["a.md:2"],
        );
        assert_places(
            "a.rs",
            &format!("let a = \"{long}\";\n"),
            &format!("fn f() {{}}\n// {long}\n"),
            &["a.rs:2"],
        );
    }

    #[test]
    fn a_finding_says_what_is_wrong_with_which_sentence() {
        for (text, what) in [
            (
                "// What is\n// it.\n",
                "a sentence that begins with \"What\": What is it.",
            ),
            (
                "// See:\n// Nobody, it is.\n",
                "the word \"nobody\": Nobody, it is.",
            ),
            (
                "// It stands at a.\n",
                "the words \"stands at\": It stands at a.",
            ),
        ] {
            let found = check(&testing::file("a.rs", text));
            let found: Vec<&str> = found.iter().map(|found| found.what.as_str()).collect();
            assert_eq!(found, [what]);
        }
    }

    #[test]
    fn only_docs_and_comments_are_judged() {
        assert_eq!(check(&testing::file("a.txt", "Nobody knows.\n")), []);
    }
}
