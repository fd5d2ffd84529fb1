//! The pages of the documentation, which readers also open as files.

use std::{fs, path::Path};

const INDEX: &str = include_str!("../../docs/README.md");
const OVERVIEW: &str = include_str!("../../docs/overview.md");

/// The name of each page, with its text.
fn pages() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let entries = fs::read_dir(directory).unwrap();
    let pages = entries.map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap())
    });
    pages.filter(|(name, _)| name != "README").collect()
}

#[test]
fn both_lists_name_each_page() {
    for (name, _) in pages() {
        let row = format!("| [{name}]({name}.md) | ");
        let item = format!("* [`docs::{name}`]: ");
        assert_eq!(INDEX.matches(&row).count(), 1, "no row for {name}");
        // The overview doesn't name itself.
        let expected = usize::from(name != "overview");
        assert_eq!(OVERVIEW.matches(&item).count(), expected, "{name}");
    }
}

#[test]
fn each_page_begins_with_its_only_title() {
    for (name, text) in pages() {
        // A block of code may have such lines as well, so leave each second part out.
        let prose = text.split("```").step_by(2);
        let titles = prose.flat_map(str::lines);
        let titles = titles.filter(|line| line.starts_with("# ")).count();
        assert!(text.starts_with("# ") && titles == 1, "{name}");
    }
}
