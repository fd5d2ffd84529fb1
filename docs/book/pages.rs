//! The pages show the code that is tested, and their links lead somewhere.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The addresses of files of this repository, as pages write them.
const FILES: [&str; 2] = [
    "https://github.com/gatepass-rs/gatepass/blob/main/",
    "https://github.com/gatepass-rs/gatepass/tree/main/",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages of the guide, with their directories.
fn pages() -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let directories = [source.clone(), source.join("migrate")];
    let entries = directories
        .iter()
        .filter_map(|path| fs::read_dir(path).ok());
    let files = entries.flatten().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .filter(|path| !path.ends_with("SUMMARY.md"))
        .collect()
}

/// The targets of the links of a page.
fn links(page: &str) -> Vec<&str> {
    let inline = page.split("](").skip(1);
    let inline = inline.filter_map(|rest| rest.split(')').next());
    let definitions = page.lines().filter(|line| line.starts_with('['));
    let defined = definitions.filter_map(|line| Some(line.split_once("]: ")?.1));
    inline.chain(defined).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let texts = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    texts
        .map(|text| {
            let kept = text
                .chars()
                .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn the_first_login_shows_the_program_that_is_tested() {
    let (page, program) = (
        include_str!("src/first_login.md"),
        include_str!("programs/first_login.rs"),
    );
    let at = program.find("\n#[cfg(test)]").unwrap();
    let (server, tests) = program.split_at(at);
    for block in [
        format!("```rust,no_run\n{server}```\n"),
        format!("```rust\n{}```\n", tests.trim_start()),
    ] {
        assert!(page.contains(&block), "not on the page:\n{block}");
    }
}

#[test]
fn links_lead_to_files_and_to_headings() {
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        for link in links(&page) {
            let in_repository = FILES.iter().find_map(|prefix| link.strip_prefix(prefix));
            let (file, anchor) = match (in_repository, link.contains("://")) {
                (None, true) => continue,
                (Some(file), _) => (file, link.split_once('#')),
                (None, false) => (link, link.split_once('#')),
            };
            let file = file.split('#').next().unwrap_or_default();
            let target = match (in_repository, file) {
                (Some(_), file) => root().join(file),
                (None, "") => path.clone(),
                (None, file) => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: no file at {link}", path.display());
            if let Some((_, anchor)) = anchor {
                let target = fs::read_to_string(target).unwrap();
                let known = anchors(&target).iter().any(|own| own == anchor);
                assert!(known, "{}: no heading at {link}", path.display());
            }
        }
    }
}
