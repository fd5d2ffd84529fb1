//! Checks the links, the anchors and the names of files in docs and comments.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    File, Finding,
    markdown::{self, Kind, Piece},
};

const LINK: &str = "A link leads to a file that is tracked, and its anchor to a heading there.";
const ON_DOCS_RS: &str =
    "A page that rustdoc shows links to items or to whole URLs: docs.rs has none of our files.";
const ITEM: &str =
    "Only rustdoc resolves a link to an item: GitHub and crates.io show it as broken.";
const NAMED: &str = "A file that docs and comments name exists.";

/// URLs of this repository's files, for pages that readers see elsewhere.
const OURS: [&str; 2] = [
    "https://github.com/gatepass-rs/gatepass/blob/main/",
    "https://github.com/gatepass-rs/gatepass/tree/main/",
];

/// The pages of the core, which rustdoc shows as modules of the same names.
const PAGES: &str = "crates/gatepass/docs";
const PAGES_MODULE: &str = "docs::";

/// The possible targets of links.
pub(super) struct Tree<'a> {
    /// The tracked files and their directories.
    paths: BTreeSet<&'a str>,
    anchors: BTreeMap<&'a str, BTreeSet<String>>,
}

impl<'a> Tree<'a> {
    /// Collects the paths of all tracked files, and the anchors of the texts among them.
    pub(super) fn new(paths: impl IntoIterator<Item = &'a str>, files: &'a [File]) -> Self {
        let mut all = BTreeSet::from([""]);
        for path in paths {
            let ends = path.match_indices('/').map(|(at, _)| at);
            all.extend(ends.chain([path.len()]).filter_map(|end| path.get(..end)));
        }
        let markdown = files.iter().filter(|file| file.path.ends_with(".md"));
        let anchors = markdown.map(|file| (file.path.as_str(), anchors(file)));
        Self {
            paths: all,
            anchors: anchors.collect(),
        }
    }

    fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }
}

/// Checks one file of Markdown or Rust.
pub(super) fn check(file: &File, tree: &Tree<'_>) -> Vec<Finding> {
    if !file.is_rust() && !file.path.ends_with(".md") {
        return Vec::new();
    }
    // The changelog names files of the past.
    let is_history = file.path == "CHANGELOG.md";
    let finding = |piece: &Piece, (what, invariant): (String, &'static str)| Finding {
        place: format!("{}:{}", file.path, piece.line),
        what,
        invariant,
    };
    let pieces = markdown::pieces(file);
    let faults = pieces.iter().filter_map(|piece| {
        let fault = match piece.kind {
            Kind::Link => link(file, &piece.text, tree),
            Kind::Span if !is_history => name(file, &piece.text, tree),
            _ => None,
        };
        Some(finding(piece, fault?))
    });
    faults.collect()
}

/// The fault of a link to `target`, and the rule that the link breaks.
fn link(file: &File, target: &str, tree: &Tree<'_>) -> Option<(String, &'static str)> {
    if let Some(own) = OURS.iter().find_map(|prefix| target.strip_prefix(prefix)) {
        return no_file("", own, tree);
    }
    if target.contains("://") || target.starts_with("mailto:") || target.is_empty() {
        return None;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    if path.contains("::") || (is_shown_by_rustdoc(file) && is_word(path)) {
        if !is_shown_by_rustdoc(file) || is_readme(file) {
            return Some((format!("a link to the item {path}"), ITEM));
        }
        let page = path.rsplit_once(PAGES_MODULE)?.1;
        return no_anchor(&format!("{PAGES}/{page}.md"), anchor?, tree);
    }
    if path.is_empty() {
        // rustdoc adds its own anchors, such as `#method.new`.
        let is_own = |anchor: &&str| !(file.is_rust() && anchor.contains('.'));
        let anchor = anchor.filter(is_own)?;
        if file.is_rust() {
            let has = anchors(file).contains(anchor);
            return (!has).then(|| (format!("there is no heading #{anchor}"), LINK));
        }
        return no_anchor(&file.path, anchor, tree);
    }
    if is_shown_by_rustdoc(file) {
        return Some((format!("a link to the file {path}"), ON_DOCS_RS));
    }
    no_file(directory(&file.path), target, tree)
}

/// The fault of a link to `target` from `directory`, if there is no such file.
fn no_file(directory: &str, target: &str, tree: &Tree<'_>) -> Option<(String, &'static str)> {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let to = resolve(directory, path);
    match to.filter(|to| tree.has(to)) {
        None => Some((format!("there is no file {path}"), LINK)),
        Some(to) if to.ends_with(".md") => no_anchor(&to, anchor?, tree),
        Some(_) => None,
    }
}

fn no_anchor(page: &str, anchor: &str, tree: &Tree<'_>) -> Option<(String, &'static str)> {
    let has = |anchors: &BTreeSet<String>| anchors.contains(anchor);
    let has = tree.anchors.get(page).is_some_and(has);
    (!has).then(|| (format!("{page} has no heading #{anchor}"), LINK))
}

/// Whether `path` can be the name of an item in scope, such as `Authority`.
fn is_word(path: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || "_()@!".contains(character);
    !path.is_empty() && path.chars().all(is_part)
}

/// Whether docs.rs shows the page.
fn is_shown_by_rustdoc(file: &File) -> bool {
    let mut parts = file.path.split('/');
    let is_crate = parts.next() == Some("crates");
    let place = parts.nth(1);
    let is_page = match place {
        // The list of the pages is for readers of the files.
        Some("docs") => !is_readme(file),
        place => place == Some("README.md"),
    };
    file.is_rust() || (is_crate && is_page)
}

/// The front page of a crate, which crates.io and GitHub show as well.
fn is_readme(file: &File) -> bool {
    file.path.ends_with("README.md")
}

/// The fault of a code span that names a file, and the rule that it breaks.
fn name(file: &File, code: &str, tree: &Tree<'_>) -> Option<(String, &'static str)> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-./".contains(character);
    let path = code.trim_end_matches('/');
    // A path that starts with a slash is part of a URL, or is on the reader's machine.
    if !path.chars().all(is_part) || path.starts_with('/') || path.split('/').any(is_placeholder) {
        return None;
    }
    let exists = match path.split_once('/') {
        // Other names of one part are names of modules and options, or of the reader's files.
        None => {
            let is_guide = path.strip_suffix(".md").is_some_and(|stem| {
                !stem.is_empty() && stem.chars().all(|letter| letter.is_ascii_uppercase())
            });
            let has = || {
                let mut names = tree.paths.iter().filter_map(|path| path.rsplit('/').next());
                names.any(|name| name == path)
            };
            !is_guide || has()
        }
        // The path is relative to the root, to the page, or to a directory that the sentence names,
        // for example the directory of a crate.
        Some((top, _)) if tree.has(top) => {
            let tail = format!("/{path}");
            let from_page = resolve(directory(&file.path), path);
            from_page.is_some_and(|path| tree.has(&path))
                || tree
                    .paths
                    .iter()
                    .any(|known| *known == path || known.ends_with(&tail))
        }
        Some(_) => true,
    };
    (!exists).then(|| (format!("there is no file {code}"), NAMED))
}

/// Whether a part of a path is a placeholder for other names.
fn is_placeholder(part: &str) -> bool {
    part.contains("NAME") || part == "..."
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The path from the root, or `None` if it leads out of the repository.
fn resolve(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a page: of its headings, and those that it sets itself.
fn anchors(file: &File) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut counts = BTreeMap::new();
    for piece in markdown::pieces(file) {
        if piece.kind != Kind::Heading {
            continue;
        }
        let anchor = markdown::anchor(&piece.text);
        let count = counts.entry(anchor.clone()).or_insert(0);
        anchors.insert(match *count {
            0 => anchor,
            count => format!("{anchor}-{count}"),
        });
        *count += 1;
    }
    for mark in ["id=\"", "name=\""] {
        let after = file.text.split(mark).skip(1);
        let set = after.filter_map(|text| text.split_once('"'));
        anchors.extend(set.map(|(anchor, _)| anchor.to_owned()));
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::{super::testing::file, *};

    fn tree_files() -> Vec<File> {
        vec![
            file("README.md", "# One\n## Two, again\n# One\n"),
            file("docs/book/src/a.md", "# A page\n<a id=\"set\"></a>\n"),
            file("crates/gatepass/docs/nodes.md", "# The bound\n"),
        ]
    }

    #[track_caller]
    fn assert_found(path: &str, good: &str, bad: &str, whats: &[&str]) {
        let files = tree_files();
        let others = [
            "examples/full/app/page.png",
            "crates/gatepass/src/model/ids.rs",
            "tests/src/nodes.rs",
        ];
        let paths = files.iter().map(|file| file.path.as_str()).chain(others);
        let tree = Tree::new(paths, &files);
        assert_eq!(check(&file(path, good), &tree), [], "good, but refused");
        let found = check(&file(path, bad), &tree);
        let found: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(found, whats);
    }

    #[test]
    fn a_link_to_a_file_or_a_heading_that_is_not_there_is_refused() {
        assert_found(
            "docs/book/src/b.md",
            "[a](a.md#a-page) [b](../../../README.md#two-again) [c](../../../README.md#one-1)\n\
             [d](a.md#set) ![e](../../../examples/full/app/page.png) [f](https://g.example/h#i)\n\
             [j](../../../examples/) [k](mailto:l@m.example)\n\
             [n](https://github.com/gatepass-rs/gatepass/blob/main/README.md#two-again)\n",
            "[a](b.md)\n[c](a.md#b-page) [d](../../../../e)\n[f]: ../README.md\n\
             [g](https://github.com/gatepass-rs/gatepass/tree/main/h)\n",
            &[
                "there is no file b.md",
                "docs/book/src/a.md has no heading #b-page",
                "there is no file ../../../../e",
                "there is no file ../README.md",
                "there is no file h",
            ],
        );
        assert_found(
            "README.md",
            "[a](#two-again)\n",
            "[b](#three) [c](crate::Auth)\n",
            &[
                "README.md has no heading #three",
                "a link to the item crate::Auth",
            ],
        );
    }

    #[test]
    fn a_page_on_docs_rs_links_to_items_and_not_to_files() {
        assert_found(
            "crates/gatepass/docs/nodes.md",
            "[a](crate::docs::nodes#the-bound) [b](Auth) [c](#the-bound)\n",
            "[a](crate::docs::nodes#bound) [b](wire.md)\n",
            &[
                "crates/gatepass/docs/nodes.md has no heading #bound",
                "a link to the file wire.md",
            ],
        );
        assert_found(
            "crates/gatepass/src/lib.rs",
            "//! # Here\n//! [a](#here) [b](Self::new#method.c) [d](gatepass::docs::nodes)\n",
            "//! [a](#there) [b](../docs/nodes.md)\n",
            &[
                "there is no heading #there",
                "a link to the file ../docs/nodes.md",
            ],
        );
        assert_found(
            "crates/gatepass/README.md",
            "[a](https://docs.rs/gatepass)\n",
            "[a](gatepass::docs::nodes) [b](docs/nodes.md)\n",
            &[
                "a link to the item gatepass::docs::nodes",
                "a link to the file docs/nodes.md",
            ],
        );
    }

    #[test]
    fn the_list_of_the_pages_links_to_files_and_not_to_items() {
        assert_found(
            "crates/gatepass/docs/README.md",
            "[a](nodes.md#the-bound) [b](../src/model/ids.rs)\n",
            "[a](nodes.md#bound) [b](crate::docs::nodes)\n",
            &[
                "crates/gatepass/docs/nodes.md has no heading #bound",
                "a link to the item crate::docs::nodes",
            ],
        );
    }

    #[test]
    fn a_name_of_a_file_that_is_not_there_is_refused() {
        assert_found(
            "crates/gatepass/src/lib.rs",
            "// `crates/gatepass/src/model/ids.rs`, `src/model`, `docs/nodes.md`, `tests/`,\n\
             // `crates/gatepass-NAME`, `and/or`, `crates/*/src`,\n\
             // `README.md`, `target/doc`, `/docs/a.md`\n",
            "// `crates/gatepass/src/ids.rs` and `docs/bounds.md`. `DESIGN.md`\n",
            &[
                "there is no file crates/gatepass/src/ids.rs",
                "there is no file docs/bounds.md",
                "there is no file DESIGN.md",
            ],
        );
        assert_found(
            "CHANGELOG.md",
            "`crates/old`\n",
            "[a](crates/old)\n",
            &["there is no file crates/old"],
        );
    }
}
