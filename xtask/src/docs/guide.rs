//! Renders the guide with mdBook, and checks its pages as a web site would show them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use xshell::{Shell, cmd};

const SOURCE: &str = "docs/book";

/// Renders the guide into the directory `book`, and returns the faults of its pages. A warning of
/// mdBook is an error.
pub(super) fn render(sh: &Shell, mdbook: &Path, book: &Path) -> anyhow::Result<Vec<String>> {
    let rendered = cmd!(sh, "{mdbook} build {SOURCE} --dest-dir {book}")
        // It then prints nothing but faults, and also succeeds with some of them, for example if a
        // page includes a file that isn't there.
        .env("MDBOOK_LOG", "warn")
        .quiet()
        .ignore_status()
        .output()?;
    let said = String::from_utf8_lossy(&rendered.stderr);
    anyhow::ensure!(
        rendered.status.success() && said.trim().is_empty(),
        "mdBook finds faults in {SOURCE}:\n{}",
        said.trim()
    );
    check(book)
}

/// The faults of all pages below `book`.
fn check(book: &Path) -> anyhow::Result<Vec<String>> {
    let book = fs::canonicalize(book)?;
    let mut pages = BTreeMap::new();
    super::read_pages(&book, &mut pages)?;
    anyhow::ensure!(!pages.is_empty(), "no page in {}", book.display());
    let anchors: BTreeMap<&Path, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, page)| (path.as_path(), ids(page)))
        .collect();
    let mut findings = Vec::new();
    for (path, page) in &pages {
        let name = path.strip_prefix(&book).unwrap_or(path).display();
        let links = links(page).filter_map(|link| dead(&book, path, link, &anchors));
        let faults = links.chain(left_over(page));
        findings.extend(faults.map(|fault| format!("the guide, {name}: {fault}")));
    }
    Ok(findings)
}

/// The fault of a link on the page `from` that leads to no file or anchor of the book.
fn dead(
    book: &Path,
    from: &Path,
    link: &str,
    anchors: &BTreeMap<&Path, BTreeSet<&str>>,
) -> Option<String> {
    let is_elsewhere = ["https://", "http://", "mailto:", "data:"];
    if is_elsewhere.iter().any(|scheme| link.starts_with(scheme)) {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let to = if path.is_empty() {
        from.to_owned()
    } else {
        let is_from_root = path.starts_with('/');
        let base = if is_from_root {
            Some(book)
        } else {
            from.parent()
        };
        let to = base?.join(path.trim_start_matches('/'));
        let to = if to.is_dir() {
            to.join("index.html")
        } else {
            to
        };
        match fs::canonicalize(to) {
            Ok(to) if to.starts_with(book) => to,
            Ok(_) => {
                return Some(format!(
                    "the link {link} leads out of the book; write the whole URL on GitHub"
                ));
            }
            Err(_) => return Some(format!("the link {link} leads to no file")),
        }
    };
    let has = |ids: &BTreeSet<&str>| anchor.is_empty() || ids.contains(anchor);
    let is_there = anchors.get(to.as_path()).is_none_or(has);
    (!is_there).then(|| format!("the link {link} leads to no anchor"))
}

/// The Markdown that mdBook hasn't understood, and shows to readers.
fn left_over(page: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if page.contains("{{#") {
        findings.push("it shows a `{{#...}}` of mdBook".to_owned());
    }
    let mut is_code = false;
    for (tag, text) in tags(page) {
        match tag.split_whitespace().next() {
            Some("code" | "script") => is_code = true,
            Some("/code" | "/script") => is_code = false,
            _ => {}
        }
        if !is_code && text.contains("][") {
            let line = text.lines().find(|line| line.contains("]["));
            let line = line.unwrap_or_default().trim();
            findings.push(format!("it shows a link without its target: {line}"));
        }
    }
    findings
}

fn links(page: &str) -> impl Iterator<Item = &str> {
    let attributes = [" href=\"", " src=\""];
    tags(page).flat_map(move |(tag, _)| attributes.into_iter().filter_map(|name| value(tag, name)))
}

fn ids(page: &str) -> BTreeSet<&str> {
    let ids = tags(page).filter_map(|(tag, _)| value(tag, " id=\""));
    ids.collect()
}

/// Each tag of a page without its brackets, and the text after it. mdBook writes `&lt;` in texts.
fn tags(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let after = page.split('<').skip(1);
    after.filter_map(|tag| tag.split_once('>'))
}

fn value<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = tag.split_once(name)?;
    Some(after.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a book with these pages, beside which there is a file of the repository.
    fn found(pages: &[(&str, &str)]) -> Vec<String> {
        let target = tempfile::tempdir().unwrap();
        let book = target.path().join("book");
        fs::create_dir_all(book.join("migrate")).unwrap();
        fs::write(target.path().join("README.md"), "").unwrap();
        fs::write(book.join("page.png"), "").unwrap();
        for (path, page) in pages {
            fs::write(book.join(path), page).unwrap();
        }
        check(&book).unwrap()
    }

    #[test]
    fn links_within_the_book_and_to_other_sites_are_good() {
        let index = "<h1 class=\"a\" id=\"one\">One</h1> <a href=\"migrate/a.html#two\">a</a>\
            <a href=\"#one\">b</a> <img alt=\"c\" src=\"page.png\"> <a href=\"migrate/\">d</a>\
            <a href=\"https://a.example/b.html#c\">e</a> <a href=\"mailto:a@b.example\">f</a>\
            <code>[g][h] href=\"i.html\"</code>";
        let pages = [
            ("index.html", index),
            (
                "migrate/a.html",
                "<h1 id=\"two\">Two</h1> <a href=\"../index.html#one\">a</a>",
            ),
            ("migrate/index.html", "<a href=\"/page.png\">a</a>"),
        ];
        assert_eq!(found(&pages), [""; 0]);
    }

    #[test]
    fn a_link_to_a_page_or_an_anchor_that_is_not_there_is_found() {
        let pages = [
            (
                "index.html",
                "<a href=\"a.html\">a</a> <a href=\"#one\">b</a>",
            ),
            (
                "migrate/a.html",
                "<a href=\"../index.html#one\">a</a> <img src=\"page.png\">",
            ),
        ];
        assert_eq!(
            found(&pages),
            [
                "the guide, index.html: the link a.html leads to no file",
                "the guide, index.html: the link #one leads to no anchor",
                "the guide, migrate/a.html: the link ../index.html#one leads to no anchor",
                "the guide, migrate/a.html: the link page.png leads to no file",
            ]
        );
    }

    #[test]
    fn a_link_to_a_file_of_the_repository_is_found() {
        assert_eq!(
            found(&[("index.html", "<a href=\"../README.md\">a</a>")]),
            [
                "the guide, index.html: the link ../README.md leads out of the book; write the \
                 whole URL on GitHub"
            ]
        );
    }

    #[test]
    fn markdown_that_is_left_over_is_found() {
        assert_eq!(
            found(&[("index.html", "<p>{{#include a.rs}}\nsee [a][b].</p>")]),
            [
                "the guide, index.html: it shows a `{{#...}}` of mdBook",
                "the guide, index.html: it shows a link without its target: see [a][b].",
            ]
        );
    }
}
