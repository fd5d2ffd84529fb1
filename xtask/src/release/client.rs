//! Checks the files of the JavaScript client's package.

use std::collections::BTreeSet;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use xshell::{Shell, cmd};

const DIRECTORY: &str = "clients/js";
pub(super) const MANIFEST: &str = "clients/js/package.json";
const README: &str = "README.md";
const LICENCES: &[&str] = &["LICENSE-APACHE", "LICENSE-MIT"];

/// A package, as `npm pack --json` describes it.
#[derive(Deserialize)]
struct Packed {
    files: Vec<PackedFile>,
}

#[derive(Deserialize)]
struct PackedFile {
    path: String,
}

/// The files that the package must have, and lacks.
pub(super) fn files(sh: &Shell) -> anyhow::Result<Vec<String>> {
    let options = ["--dry-run", "--json", "--ignore-scripts"];
    let packed = cmd!(sh, "npm pack ./{DIRECTORY} {options...}").quiet();
    let packed = packed.ignore_stderr().read().with_context(|| {
        format!("npm can't package {DIRECTORY}: it needs Node 20 or newer with npm")
    })?;
    let manifest: Value = serde_json::from_str(&sh.read_file(MANIFEST)?)?;
    let mut findings = missing(&manifest, &packed)?;
    for licence in LICENCES {
        // Copies, because npm leaves links out of a package.
        if sh.read_file(format!("{DIRECTORY}/{licence}"))? != sh.read_file(licence)? {
            findings.push(format!("{DIRECTORY}/{licence} differs from {licence}"));
        }
    }
    Ok(findings)
}

/// The files that the manifest names, the README or a licence that are not in the package.
fn missing(manifest: &Value, packed: &str) -> anyhow::Result<Vec<String>> {
    let packed: Vec<Packed> =
        serde_json::from_str(packed).context("the answer of `npm pack` has an unknown form")?;
    let files = packed.iter().flat_map(|package| &package.files);
    let packed = BTreeSet::from_iter(files.map(|file| file.path.as_str()));
    let mut promised = BTreeSet::from_iter(LICENCES.iter().copied().chain([README]));
    for member in ["exports", "files", "types"] {
        let named = manifest.get(member);
        let named = named.with_context(|| format!("{MANIFEST} has no `{member}`"))?;
        paths(named, &mut promised);
    }
    let missing = promised.difference(&packed);
    Ok(missing
        .map(|file| format!("the package of {DIRECTORY} has no {file}"))
        .collect())
}

/// Adds all texts in `value`, which are paths.
fn paths<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(path) => {
            found.insert(path.strip_prefix("./").unwrap_or(path));
        }
        Value::Array(values) => values.iter().for_each(|value| paths(value, found)),
        Value::Object(members) => members.values().for_each(|value| paths(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_that_the_package_must_have_and_lacks_is_found() {
        let manifest = json!({
            "exports": {".": {"types": "./a.d.ts", "default": "./a.js"}},
            "types": "./a.d.ts", "files": ["a.js", "b.js"],
        });
        let all = [
            "LICENSE-APACHE",
            "LICENSE-MIT",
            "README.md",
            "a.d.ts",
            "a.js",
            "b.js",
        ];
        let packed = |files: &[&str]| {
            let files = files.iter().map(|path| json!({"path": path, "size": 1}));
            json!([{"id": "a@0.1.0", "files": Vec::from_iter(files)}]).to_string()
        };
        assert_eq!(missing(&manifest, &packed(&all)).unwrap(), [""; 0]);
        for (at, file) in all.into_iter().enumerate() {
            let mut others = all.to_vec();
            others.remove(at);
            assert_eq!(
                missing(&manifest, &packed(&others)).unwrap(),
                [format!("the package of clients/js has no {file}")]
            );
        }
    }

    #[test]
    fn an_answer_or_a_manifest_of_another_form_is_an_error_and_not_a_package_without_faults() {
        let manifest = json!({"exports": "./a.js", "types": "./a.d.ts", "files": []});
        for answer in ["", "{}", "[{}]"] {
            assert!(missing(&manifest, answer).is_err(), "{answer}");
        }
        for member in ["exports", "types", "files"] {
            let mut manifest = manifest.clone();
            manifest.as_object_mut().unwrap().remove(member);
            assert!(missing(&manifest, "[]").is_err(), "{member}");
        }
    }
}
