//! The order in which to publish the crates: each after its dependencies.

use crate::metadata::Package;

/// The published crates in that order. If two are possible, the alphabet decides.
///
/// A dependency of tests counts if it has a version, because cargo asks the registry for it.
/// Without a version, the package doesn't contain the dependency.
pub(super) fn of<'a>(
    packages: impl Iterator<Item = &'a Package>,
) -> anyhow::Result<Vec<&'a Package>> {
    let mut open: Vec<&Package> = packages.collect();
    open.sort_by(|one, other| one.name.cmp(&other.name));
    let mut order = Vec::new();
    while !open.is_empty() {
        let waits = |package: &&Package| {
            let mut needs = package.needs_published();
            needs.any(|name| open.iter().any(|other| other.name == name))
        };
        let (later, now): (Vec<_>, Vec<_>) = open.iter().copied().partition(waits);
        let names = || Vec::from_iter(later.iter().map(|package| package.name.as_str()));
        anyhow::ensure!(
            !now.is_empty(),
            "these crates need one another, so none can be published first: {}. Give the dependency \
             of a test a path and no version",
            names().join(", ")
        );
        order.extend(now);
        open = later;
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, needs: &[(&str, &str)]) -> Package {
        let needs = needs.iter().map(
            |(name, version)| json!({"name": name, "kind": "dev", "req": version, "path": "/w"}),
        );
        let package = json!({
            "id": name, "name": name, "manifest_path": "/w/Cargo.toml",
            "dependencies": Vec::from_iter(needs),
        });
        serde_json::from_value(package).unwrap()
    }

    fn names(packages: &[Package]) -> anyhow::Result<Vec<&str>> {
        let order = of(packages.iter())?;
        Ok(order.iter().map(|package| package.name.as_str()).collect())
    }

    #[test]
    fn a_crate_comes_after_those_that_it_needs() {
        let packages = [
            package("axum", &[("tower", "^0.1.0"), ("testkit", "^0.1.0")]),
            package("testkit", &[("core", "^0.1.0"), ("axum", "*")]),
            package("tower", &[("core", "^0.1.0"), ("serde", "^1")]),
            package("core", &[("core", "*")]),
        ];
        assert_eq!(
            names(&packages).unwrap(),
            ["core", "testkit", "tower", "axum"]
        );
    }

    #[test]
    fn crates_that_need_one_another_are_reported() {
        let packages = [
            package("core", &[]),
            package("a", &[("b", "^0.1.0")]),
            package("b", &[("a", "^0.1.0")]),
        ];
        let error = names(&packages).unwrap_err().to_string();
        assert!(error.contains("a, b"), "{error}");
    }
}
