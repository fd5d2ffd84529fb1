//! Checks that the work tree is ready for a release.

use anyhow::Context;
use xshell::{Shell, cmd};

use super::client::MANIFEST as CLIENT;
use crate::metadata::Package;

/// The files that each package must have.
const FILES: &[&str] = &["README.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Everything that is missing from the manifests, the changelog and the work tree.
pub(super) fn check(sh: &Shell, packages: &[&Package]) -> anyhow::Result<Vec<String>> {
    let version = &packages.first().context("no crate is published")?.version;
    let mut findings = Vec::new();
    for package in packages {
        findings.extend(versions(package, version, packages));
        findings.extend(fields(package));
    }
    let client: serde_json::Value = serde_json::from_str(&sh.read_file(CLIENT)?)?;
    let client = client.get("version").and_then(|version| version.as_str());
    if client != Some(version) {
        let client = client.unwrap_or("none");
        findings.push(format!(
            "{CLIENT} has the version {client}, and the crates have {version}"
        ));
    }
    let text = sh.read_file("CHANGELOG.md")?;
    findings.extend(changelog(&text, version));
    let tags = cmd!(sh, "git tag --points-at HEAD").quiet().read()?;
    findings.extend(other_tags(&tags, version));
    if tags
        .lines()
        .any(|tag| tag.strip_prefix('v') == Some(version))
    {
        findings.extend(unfinished(&text, version));
    }
    let changed = cmd!(sh, "git status --porcelain").quiet().read()?;
    if let Some(first) = changed.lines().next() {
        let count = changed.lines().count();
        findings.push(format!(
            "the work tree has {count} changes that are not committed, for example `{first}`"
        ));
    }
    Ok(findings)
}

/// The required files that are missing from the package of this crate.
pub(super) fn files(sh: &Shell, package: &Package) -> anyhow::Result<Vec<String>> {
    let name = &package.name;
    let listed = cmd!(
        sh,
        "cargo package --quiet --list --allow-dirty --package {name}"
    );
    Ok(missing_files(name, &listed.quiet().read()?))
}

fn missing_files(name: &str, listed: &str) -> Vec<String> {
    FILES
        .iter()
        .filter(|file| !listed.lines().any(|line| line == **file))
        .map(|file| format!("the package of {name} has no {file}"))
        .collect()
}

fn versions(package: &Package, version: &str, packages: &[&Package]) -> Vec<String> {
    let name = &package.name;
    let mut findings = Vec::new();
    if package.version != *version {
        let own = &package.version;
        findings.push(format!(
            "{name} has the version {own}, and others have {version}"
        ));
    }
    for (sibling, wanted) in package.wants() {
        let is_published = packages.iter().any(|other| other.name == sibling);
        if is_published && wanted != "*" && wanted != format!("^{version}") {
            findings.push(format!(
                "{name} wants {sibling} {wanted}, whose version is {version}"
            ));
        }
    }
    findings
}

/// The missing fields that crates.io shows.
fn fields(package: &Package) -> Vec<String> {
    let documentation = format!("https://docs.rs/{}", package.name);
    let is_there = |field: &Option<String>| field.as_ref().is_some_and(|text| !text.is_empty());
    let mut missing = Vec::new();
    for (name, field) in [
        ("description", &package.description),
        ("homepage", &package.homepage),
        ("license", &package.license),
        ("readme", &package.readme),
        ("repository", &package.repository),
        ("rust-version", &package.rust_version),
    ] {
        if !is_there(field) {
            missing.push(format!("the manifest of {} has no {name}", package.name));
        }
    }
    if package.documentation.as_ref() != Some(&documentation) {
        missing.push(format!(
            "the manifest of {} must have documentation = \"{documentation}\"",
            package.name
        ));
    }
    missing
}

/// The fault of a changelog that has no section for this version, such as `## 0.1.0 (2027-01-31)`.
fn changelog(text: &str, version: &str) -> Option<String> {
    let mut sections = text.split("\n## ").skip(1);
    let is_of_version = |section: &&str| section.split_whitespace().next() == Some(version);
    match sections.find(is_of_version) {
        None => Some(format!("CHANGELOG.md has no section `## {version}`")),
        Some(section) if section.lines().skip(1).all(|line| line.trim().is_empty()) => Some(
            format!("the section `## {version}` of CHANGELOG.md is empty"),
        ),
        Some(_) => None,
    }
}

/// The faults of the changelog of a tagged commit: entries of a later release, or no date.
fn unfinished(text: &str, version: &str) -> Vec<String> {
    let has = format!("HEAD has the tag v{version}, and CHANGELOG.md");
    let sections = text.split("\n## ").skip(1);
    let findings = sections.filter_map(|section| {
        let (heading, entries) = section.split_once('\n').unwrap_or((section, ""));
        if heading.trim() == "Unreleased" {
            let has_entries = !entries.trim().is_empty();
            return has_entries.then(|| format!("{has} still has entries below *Unreleased*"));
        }
        let mut words = heading.split_whitespace();
        if words.next() != Some(version) {
            return None;
        }
        let date = words.next().and_then(|date| date.strip_prefix('('));
        let date = date.and_then(|date| date.strip_suffix(')'));
        (!date.is_some_and(is_date)).then(|| {
            format!("{has} has no date in `## {heading}`, such as `## {version} (2027-01-31)`")
        })
    });
    findings.collect()
}

/// Whether this has the form of a date, such as `2027-01-31`.
fn is_date(text: &str) -> bool {
    let parts = text.split('-').map(|part| {
        let is_number = part.chars().all(|digit| digit.is_ascii_digit());
        is_number.then_some(part.len())
    });
    parts.eq([Some(4), Some(2), Some(2)])
}

/// The faults of tags such as `v0.1.0` that name another version. A commit needs no tag yet.
fn other_tags(tags: &str, version: &str) -> Vec<String> {
    let of_release = |tag: &&str| {
        let number = tag.strip_prefix('v');
        number.is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()))
    };
    tags.lines()
        .filter(of_release)
        .filter(|tag| tag.strip_prefix('v') != Some(version))
        .map(|tag| format!("HEAD has the tag {tag}, and the crates have {version}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn package(change: impl FnOnce(&mut Value)) -> Package {
        let mut package = json!({
            "id": "a", "name": "a", "manifest_path": "/w/Cargo.toml", "version": "0.2.0",
            "description": "An a.", "homepage": "https://a.example", "license": "MIT",
            "readme": "README.md", "repository": "https://a.example/a", "rust_version": "1.89",
            "documentation": "https://docs.rs/a", "dependencies": [],
        });
        change(&mut package);
        serde_json::from_value(package).unwrap()
    }

    fn field(name: &'static str, value: Value) -> Package {
        package(|package| {
            package
                .as_object_mut()
                .unwrap()
                .insert(name.to_owned(), value);
        })
    }

    #[test]
    fn a_manifest_without_a_field_is_found() {
        assert_eq!(fields(&package(|_| {})), [""; 0]);
        let names = [
            "description",
            "homepage",
            "license",
            "readme",
            "repository",
            "rust_version",
        ];
        for name in names {
            for value in [json!(null), json!("")] {
                let found = fields(&field(name, value));
                assert_eq!(found.len(), 1, "{name}");
                assert!(
                    found
                        .iter()
                        .all(|found| found.contains(&name.replace('_', "-")))
                );
            }
        }
        for value in [json!(null), json!("https://docs.rs/b")] {
            let found = fields(&field("documentation", value));
            assert!(
                found.first().unwrap().contains("https://docs.rs/a"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn versions_that_do_not_agree_are_found() {
        let needs = |version: &str| field("dependencies", json!([{"name": "b", "req": version}]));
        let b = package(|package| *package.pointer_mut("/name").unwrap() = json!("b"));
        for good in ["^0.2.0", "*"] {
            assert_eq!(versions(&needs(good), "0.2.0", &[&b]), [""; 0]);
        }
        assert_eq!(
            versions(&needs("^0.1.0"), "0.2.0", &[]),
            [""; 0],
            "another's crate"
        );
        assert_eq!(
            versions(&needs("^0.1.0"), "0.2.0", &[&b]),
            ["a wants b ^0.1.0, whose version is 0.2.0"]
        );
        assert_eq!(
            versions(&b, "0.3.0", &[&b]),
            ["b has the version 0.2.0, and others have 0.3.0"]
        );
    }

    #[test]
    fn a_changelog_without_the_version_is_found() {
        let good =
            "# Changelog\n\n## Unreleased\n\n## 0.2.0 (2027-01-31)\n\n* A.\n\n## 0.1.0\n\n* B.\n";
        for version in ["0.2.0", "0.1.0"] {
            assert_eq!(changelog(good, version), None);
        }
        let missing = Some("CHANGELOG.md has no section `## 0.2`".to_owned());
        assert_eq!(changelog(good, "0.2"), missing);
        let empty = Some("the section `## Unreleased` of CHANGELOG.md is empty".to_owned());
        assert_eq!(changelog(good, "Unreleased"), empty);
    }

    #[test]
    fn a_tag_of_another_version_is_found() {
        for good in ["", "v0.2.0", "v0.2.0\nvendored\nmain\n2027"] {
            assert_eq!(other_tags(good, "0.2.0"), [""; 0], "{good}");
        }
        assert_eq!(
            other_tags("nightly\nv0.1.0\nv0.2.0\nv0.2.0-rc.1\n", "0.2.0"),
            [
                "HEAD has the tag v0.1.0, and the crates have 0.2.0",
                "HEAD has the tag v0.2.0-rc.1, and the crates have 0.2.0"
            ]
        );
    }

    #[test]
    fn a_changelog_that_is_not_finished_is_found_on_the_tag() {
        let text = |unreleased: &str, heading: &str| {
            format!("# Changelog\n\n## Unreleased\n{unreleased}\n{heading}\n\n* B.\n\n## 0.1.0\n")
        };
        for good in [
            "## 0.2.0 (2027-01-31)",
            "## 0.2.0-rc.1\n\n## 0.2.0 (2027-01-31)",
        ] {
            assert_eq!(unfinished(&text("", good), "0.2.0"), [""; 0], "{good}");
        }
        assert_eq!(
            unfinished(&text("\n* A.\n", "## 0.2.0 (2027-01-31)"), "0.2.0"),
            ["HEAD has the tag v0.2.0, and CHANGELOG.md still has entries below *Unreleased*"]
        );
        for bad in [
            "0.2.0",
            "0.2.0 (soon)",
            "0.2.0 (31-01-2027)",
            "0.2.0 2027-01-31",
        ] {
            let found = unfinished(&text("", &format!("## {bad}")), "0.2.0");
            let said = format!("CHANGELOG.md has no date in `## {bad}`");
            assert_eq!(found.len(), 1, "{bad}: {found:?}");
            assert!(found.iter().all(|found| found.contains(&said)), "{found:?}");
        }
    }

    #[test]
    fn a_package_without_its_licences_or_readme_is_found() {
        let listed = "Cargo.toml\nLICENSE-APACHE\nLICENSE-MIT\nREADME.md\nsrc/lib.rs\n";
        assert_eq!(missing_files("a", listed), [""; 0]);
        assert_eq!(
            missing_files("a", "docs/README.md\nLICENSE-MIT\n"),
            [
                "the package of a has no README.md",
                "the package of a has no LICENSE-APACHE"
            ]
        );
    }
}
