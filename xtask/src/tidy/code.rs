//! Checks of Rust source.

use std::ops::Range;

use super::{File, Finding, mask::mask};
use crate::metadata::Metadata;

/// Longer files hold more than one concept.
const MAX_LINES: usize = 700;

/// Public modules of published crates, all others being private.
const PUBLIC_MODULES: &[(&str, &[&str])] = &[("gatepass", &["wire", "docs"])];

/// Published for tests alone: it asserts, and its modules are its table of contents.
const TEST_KIT: &str = "gatepass-testkit";

const UNFINISHED: &str =
    "Unfinished work is an issue, not a mark in the source: main is always whole.";
const TOO_LONG: &str = "A source file is one concept, and at most 700 lines.";
const NO_REASON: &str =
    "Every `allow` and `expect` says why, for the reader who wonders whether it still holds.";
const MAY_PANIC: &str = "No panic that input can reach: outside tests an error is returned, and an invariant is a type.";
const ONE_OBSERVER: &str = "The core tells operators of events in `observe.rs` alone, so that each is counted and documented.";
const ONE_PATH: &str = "Every item has one public path: `lib.rs` has private modules and one explicit list of `pub use`.";

pub(super) fn check(metadata: &Metadata, files: &[File]) -> Vec<Finding> {
    let rust = || files.iter().filter(|file| file.is_rust());
    let test_files = test_files(files);
    let test_kit = format!("crates/{TEST_KIT}/");
    let mut findings = Vec::new();
    for file in rust() {
        findings.extend(unfinished(file));
        findings.extend(reasons(file));
    }
    for file in rust().filter(|file| file.is_crate_source()) {
        findings.extend(length(file));
        if !file.path.starts_with(&test_kit)
            && !test_files.iter().any(|test| test.covers(&file.path))
        {
            findings.extend(panics(file));
        }
    }
    for file in rust().filter(|file| is_core_but_observe(&file.path)) {
        findings.extend(traces(file));
    }
    for package in metadata.published() {
        let path = format!("{}/src/lib.rs", metadata.directory(package));
        for file in rust().filter(|file| file.path == path) {
            findings.extend(public_paths(file, &package.name));
        }
    }
    findings
}

/// Neither placeholders nor marks for later.
fn unfinished(file: &File) -> Vec<Finding> {
    let masked = mask(&file.text);
    let macros = ["todo", "unimplemented", "dbg"]
        .into_iter()
        .flat_map(|name| {
            words(&masked.code, name)
                .filter(|at| {
                    masked
                        .code
                        .get(at + name.len()..)
                        .is_some_and(|rest| rest.starts_with('!'))
                })
                .map(move |at| (at, format!("`{name}!`")))
        });
    let ignored = attributes(&masked.code)
        .filter(|range| {
            masked
                .code
                .get(range.clone())
                .is_some_and(|attribute| words(attribute, "ignore").next().is_some())
        })
        .map(|range| (range.start, "an ignored test".to_owned()));
    let marks = ["TODO", "FIXME", "XXX", "HACK"]
        .into_iter()
        .flat_map(|mark| {
            words(&masked.with_comments, mark).map(move |at| (at, format!("`{mark}`")))
        });
    macros
        .chain(ignored)
        .chain(marks)
        .map(|(at, what)| file.finding(at, what, UNFINISHED))
        .collect()
}

fn length(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if lines <= MAX_LINES {
        return Vec::new();
    }
    vec![file.finding(0, format!("{lines} lines"), TOO_LONG)]
}

/// The compiler checks this only where the lint is on, and not in what it does not compile.
fn reasons(file: &File) -> Vec<Finding> {
    let code = mask(&file.text).code;
    let mut findings = Vec::new();
    for attribute in attributes(&code) {
        let text = code.get(attribute.clone()).unwrap_or_default();
        for level in ["allow", "expect"] {
            for at in words(text, level) {
                let rest = text.get(at + level.len()..).unwrap_or_default();
                let Some(list) = rest.trim_start().strip_prefix('(') else {
                    continue;
                };
                let list = list.get(..closing(list, '(', ')')).unwrap_or(list);
                if words(list, "reason").next().is_none() {
                    let what = format!("`{level}` without a reason");
                    findings.push(file.finding(attribute.start + at, what, NO_REASON));
                }
            }
        }
    }
    findings
}

fn is_core_but_observe(path: &str) -> bool {
    path.starts_with("crates/gatepass/src/") && path != "crates/gatepass/src/observe.rs"
}

/// Macros of `tracing` and `metrics`. That a task goes on in the span of its caller is no event.
fn traces(file: &File) -> Vec<Finding> {
    let masked = mask(&file.text);
    let code = masked.code.as_str();
    let paths = ["tracing", "metrics"].into_iter().flat_map(|name| {
        words(code, name).filter_map(move |at| Some((at, name, code.get(at + name.len()..)?)))
    });
    paths
        .filter(|(_, _, rest)| rest.starts_with("::") && !rest.starts_with("::instrument::"))
        .map(|(at, name, _)| file.finding(at, format!("`{name}::`"), ONE_OBSERVER))
        .collect()
}

fn panics(file: &File) -> Vec<Finding> {
    let code = mask(&file.text).code;
    let tests = test_items(&code);
    [".unwrap()", ".expect("]
        .into_iter()
        .flat_map(|call| code.match_indices(call))
        .filter(|(at, _)| !tests.iter().any(|item| item.contains(at)))
        .map(|(at, call)| file.finding(at, format!("`{call}`"), MAY_PANIC))
        .collect()
}

fn public_paths(file: &File, package: &str) -> Vec<Finding> {
    let code = mask(&file.text).code;
    let allowed = PUBLIC_MODULES
        .iter()
        .find(|(name, _)| *name == package)
        .map_or(&[][..], |(_, modules)| *modules);
    let mut findings = Vec::new();
    for (at, rest) in public_items(&code) {
        if let Some(rest) = rest.strip_prefix("mod ") {
            let name = identifier(rest);
            // Inside an allowed module, the modules are that module's matter.
            let top = code
                .get(..at)
                .is_some_and(|before| before.matches('{').count() == before.matches('}').count());
            if top && package != TEST_KIT && !allowed.contains(&name) {
                findings.push(file.finding(at, format!("`pub mod {name}`"), ONE_PATH));
            }
        } else if let Some(rest) = rest.strip_prefix("use ") {
            let list = rest.split(';').next().unwrap_or(rest);
            if list.contains('*') {
                findings.push(file.finding(at, "a glob `pub use`", ONE_PATH));
            }
        }
    }
    findings
}

/// Where `pub` stands, and what comes after it.
fn public_items(code: &str) -> impl Iterator<Item = (usize, &str)> {
    words(code, "pub").filter_map(|at| Some((at, code.get(at + 3..)?.trim_start())))
}

/// A file or a directory that is compiled for tests alone.
struct TestFile {
    stem: String,
}

impl TestFile {
    fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&self.stem)
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }
}

/// What `#[cfg(test)] mod name;` pulls in.
fn test_files(files: &[File]) -> Vec<TestFile> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_crate_source()) {
        let code = mask(&file.text).code;
        for item in test_items(&code) {
            let text = code.get(item).unwrap_or_default();
            if let Some(declared) = text.trim_end().strip_suffix(';')
                && let Some((_, name)) = declared.rsplit_once("mod ")
            {
                let (directory, name_of_file) = file.path.rsplit_once('/').unwrap_or_default();
                let stem = match name_of_file {
                    "lib.rs" | "main.rs" | "mod.rs" => directory.to_owned(),
                    _ => file.path.trim_end_matches(".rs").to_owned(),
                };
                let name = identifier(name);
                found.push(TestFile {
                    stem: format!("{stem}/{name}"),
                });
            }
        }
    }
    found
}

/// The items under `#[cfg(test)]`, the attribute included.
fn test_items(code: &str) -> Vec<Range<usize>> {
    attributes(code)
        .filter_map(|attribute| {
            let text: String = code
                .get(attribute.clone())?
                .chars()
                .filter(|character| !character.is_whitespace())
                .collect();
            if text.starts_with("#![cfg(test)") {
                return Some(0..code.len());
            }
            (text.starts_with("#[cfg(test)") || text.starts_with("#[cfg(all(test,"))
                .then(|| attribute.start..item_end(code, attribute.end))
        })
        .collect()
}

/// Where the item ends that begins, perhaps after more attributes, at `at`.
fn item_end(code: &str, at: usize) -> usize {
    let mut at = at;
    while let Some(rest) = code.get(at..)
        && let Some(next) = rest.trim_start().strip_prefix("#[")
    {
        let inside = code.len() - next.len();
        at = inside + closing(next, '[', ']') + 1;
    }
    let rest = code.get(at..).unwrap_or_default();
    match rest.find(['{', ';']) {
        Some(end) if rest.get(end..).is_some_and(|rest| rest.starts_with('{')) => {
            let inside = at + end + 1;
            inside + closing(code.get(inside..).unwrap_or_default(), '{', '}') + 1
        }
        Some(end) => at + end + 1,
        None => code.len(),
    }
    .min(code.len())
}

/// Each `#[…]` and `#![…]`, as a whole.
fn attributes(code: &str) -> impl Iterator<Item = Range<usize>> {
    code.match_indices('#').filter_map(|(start, _)| {
        let rest = code.get(start + 1..)?;
        let rest = rest.strip_prefix('!').unwrap_or(rest);
        let inside = rest.trim_start().strip_prefix('[')?;
        let from = code.len() - inside.len();
        Some(start..(from + closing(inside, '[', ']') + 1).min(code.len()))
    })
}

/// Where, after an opening bracket, the closing one stands.
fn closing(inside: &str, open: char, close: char) -> usize {
    let mut depth = 0_usize;
    for (at, character) in inside.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            if depth == 0 {
                return at;
            }
            depth -= 1;
        }
    }
    inside.len()
}

/// Where `word` stands as a word of its own.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = text.get(..*at).and_then(|text| text.chars().next_back());
            let after = text
                .get(at + word.len()..)
                .and_then(|text| text.chars().next());
            !before.is_some_and(part) && !after.is_some_and(part)
        })
}

fn identifier(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_');
    text.get(..end.unwrap_or(text.len())).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{check, file},
        *,
    };

    #[test]
    fn unfinished_work_is_refused() {
        let good = file(
            "a.rs",
            "fn todo() { ignore(); } // dbg\nlet x = \"TODO\"; // TODOS",
        );
        let bad = file(
            "a.rs",
            "todo!();\nunimplemented!();\ndbg!(x);\n#[ignore]\n#[ignore = \"slow\"]\n// TODO\n/// FIXME: x\n/* XXX */ // HACK",
        );
        let mut places: Vec<String> = (1..=8).map(|line| format!("a.rs:{line}")).collect();
        places.push("a.rs:8".to_owned());
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        check(unfinished, &good, &bad, &places);
    }

    #[test]
    fn a_file_of_more_than_700_lines_is_refused() {
        let of = |lines| file("crates/a/src/a.rs", "x\n".repeat(lines));
        check(length, &of(700), &of(701), &["crates/a/src/a.rs:1"]);
    }

    #[test]
    fn an_allow_or_expect_without_a_reason_is_refused() {
        let good = file(
            "a.rs",
            "#![expect(\n  a,\n  reason = \"b\"\n)]\n#[allow(a, reason = \"[\")]\nx.expect(b); // #[allow(a)]",
        );
        let bad = file(
            "a.rs",
            "#[allow(a)]\n#![expect(a, b)]\n#[cfg_attr(c, allow(a))]\n#[allow(reason_of)]",
        );
        check(
            reasons,
            &good,
            &bad,
            &["a.rs:1", "a.rs:2", "a.rs:3", "a.rs:4"],
        );
    }

    #[test]
    fn what_may_panic_is_refused_outside_of_tests() {
        let good = file(
            "a.rs",
            "/// x.unwrap()\nfn f() { x.unwrap_or(1); }\n#[cfg(test)]\n#[rustfmt::skip]\nmod tests { fn f() { x.unwrap(); { y.expect(1) } } }",
        );
        let bad = file(
            "a.rs",
            "#[cfg(test)]\nuse a;\nx.unwrap();\n#[cfg(test)] mod t { }\n#[cfg(not(test))] fn f() {\nx.expect(\"\"); }",
        );
        check(panics, &good, &bad, &["a.rs:3", "a.rs:6"]);
    }

    #[test]
    fn an_event_outside_of_observe_is_refused() {
        let good = file(
            "a.rs",
            "use tracing::instrument::Instrument; // tracing::info\nlet tracing = \"tracing::info!\";",
        );
        let bad = file(
            "a.rs",
            "use tracing::info;\ntracing::warn!(x);\nmetrics::counter!(x);",
        );
        check(traces, &good, &bad, &["a.rs:1", "a.rs:2", "a.rs:3"]);
        assert!(is_core_but_observe("crates/gatepass/src/wire/head.rs"));
        assert!(!is_core_but_observe("crates/gatepass/src/observe.rs"));
        assert!(!is_core_but_observe("crates/gatepass-axum/src/head.rs"));
    }

    #[test]
    fn a_file_that_only_tests_compile_is_a_test() {
        let files = [
            file("crates/a/src/lib.rs", "#[cfg(test)]\nmod testing;\nmod b;"),
            file("crates/a/src/b.rs", "#[cfg(test)] mod tests;"),
        ];
        let found = test_files(&files);
        let covered = |path| found.iter().any(|test| test.covers(path));
        assert!(covered("crates/a/src/testing.rs"));
        assert!(covered("crates/a/src/testing/deep.rs"));
        assert!(covered("crates/a/src/b/tests.rs"));
        assert!(!covered("crates/a/src/b.rs"));
        assert!(!covered("crates/a/src/testing_more.rs"));
    }

    #[test]
    fn a_second_public_path_is_refused() {
        let good = file(
            "lib.rs",
            "mod a;\npub mod wire;\npub mod docs { pub mod defaults {} }\npub(crate) use a::*;\npub use self::{a::B, c::{D, E}};",
        );
        let bad = file(
            "lib.rs",
            "pub mod a;\nmod b { }\npub mod c {}\npub use a::*;\npub use b::{c, d::*};",
        );
        check(
            |file| public_paths(file, "gatepass"),
            &good,
            &bad,
            &["lib.rs:1", "lib.rs:3", "lib.rs:4", "lib.rs:5"],
        );
        assert_eq!(public_paths(&good, "gatepass-axum").len(), 2);
        assert_eq!(public_paths(&file("lib.rs", "pub mod a;"), TEST_KIT), []);
    }
}
