//! Checks of Rust source that neither the compiler nor clippy makes.

use proc_macro2::{Delimiter, TokenTree};

use super::{
    File, Finding,
    tokens::{self, is},
};
use crate::metadata::Metadata;

/// Maximum number of lines. A longer file holds more than one concept.
const MAX_LINES: usize = 700;

/// Public modules of published crates. All others are private.
const PUBLIC_MODULES: &[(&str, &[&str])] = &[(
    "gatepass",
    &["docs", "inspect", "issuers", "keys", "store", "wire"],
)];

/// The test kit. It is only for tests: it asserts, and its public modules are its table of
/// contents.
const TEST_KIT: &str = "gatepass-testkit";

const IGNORED: &str = "A test that doesn't run proves nothing: repair it or delete it.";
const TOO_LONG: &str = "A source file is one concept, and at most 700 lines.";
const ONE_OBSERVER: &str = "The core tells operators of events in `observe.rs` alone, so that each is counted and documented.";
const ONE_PATH: &str = "Every item has one public path: `lib.rs` has private modules and one explicit list of `pub use`.";

pub(super) fn check(metadata: &Metadata, files: &[File]) -> Vec<Finding> {
    let rust = || files.iter().filter(|file| file.is_rust());
    let mut findings = Vec::new();
    findings.extend(rust().flat_map(ignored));
    findings.extend(
        rust()
            .filter(|file| file.is_crate_source())
            .flat_map(length),
    );
    let core = rust().filter(|file| is_core_but_observe(&file.path));
    findings.extend(core.flat_map(traces));
    for package in metadata.published() {
        let path = format!("{}/src/lib.rs", metadata.directory(package));
        for file in rust().filter(|file| file.path == path) {
            findings.extend(public_paths(file, &package.name));
        }
    }
    findings
}

/// Each place in `file` from which `found` returns a finding. `whole` includes the test modules.
pub(super) fn places(
    file: &File,
    whole: bool,
    mut found: impl FnMut(&[TokenTree]) -> Option<String>,
    invariant: &'static str,
) -> Vec<Finding> {
    let tokens = match whole {
        true => tokens::all(file),
        false => tokens::of(file),
    };
    let mut findings = Vec::new();
    tokens::sequences(&tokens, &mut |sequence| {
        for at in 0..sequence.len() {
            let rest = sequence.get(at..).unwrap_or_default();
            if let (Some(what), Some(first)) = (found(rest), rest.first()) {
                findings.push(Finding {
                    place: format!("{}:{}", file.path, tokens::line(first.span())),
                    what,
                    invariant,
                });
            }
        }
    });
    findings
}

pub(super) fn word(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    }
}

fn ignored(file: &File) -> Vec<Finding> {
    let found = |rest: &[TokenTree]| {
        let [first, TokenTree::Group(group), ..] = rest else {
            return None;
        };
        let named = word(group.stream().into_iter().next().as_ref());
        let ignores = is(first, '#') && named.as_deref() == Some("ignore");
        ignores.then(|| "an ignored test".to_owned())
    };
    places(file, true, found, IGNORED)
}

fn length(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if lines <= MAX_LINES {
        return Vec::new();
    }
    vec![file.finding(0, format!("{lines} lines"), TOO_LONG)]
}

fn is_core_but_observe(path: &str) -> bool {
    path.starts_with("crates/gatepass/src/") && path != "crates/gatepass/src/observe.rs"
}

/// The uses of `tracing` and `metrics`. A task that continues in the span of its caller is no
/// event.
fn traces(file: &File) -> Vec<Finding> {
    let found = |rest: &[TokenTree]| {
        let name = word(rest.first())?;
        let is_path = rest.get(1).is_some_and(|token| is(token, ':'));
        let traces = ["tracing", "metrics"].contains(&name.as_str()) && is_path;
        let spans = word(rest.get(3)).as_deref() == Some("instrument");
        (traces && !spans).then(|| format!("`{name}::`"))
    };
    places(file, false, found, ONE_OBSERVER)
}

fn public_paths(file: &File, package: &str) -> Vec<Finding> {
    let allowed = PUBLIC_MODULES
        .iter()
        .find(|(name, _)| *name == package)
        .map_or(&[][..], |(_, modules)| *modules);
    let tokens = tokens::of(file);
    let mut findings = Vec::new();
    let mut rest = tokens.as_slice();
    // Only the root: the public modules inside have their own rules.
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if word(Some(first)).as_deref() != Some("pub") {
            continue;
        }
        let place = format!("{}:{}", file.path, tokens::line(first.span()));
        let mut refuse = |what| {
            findings.push(Finding {
                place: place.clone(),
                what,
                invariant: ONE_PATH,
            });
        };
        match (word(after.first()).as_deref(), word(after.get(1))) {
            (Some("mod"), Some(name))
                if package != TEST_KIT && !allowed.contains(&name.as_str()) =>
            {
                refuse(format!("`pub mod {name}`"));
            }
            (Some("use"), _) => {
                let list = after.iter().take_while(|token| !is(token, ';'));
                if list.into_iter().any(globs) {
                    refuse("a glob `pub use`".to_owned());
                }
            }
            _ => {}
        }
    }
    findings
}

/// Whether a list of `use` has a `*` in it.
fn globs(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
            group.stream().into_iter().any(|token| globs(&token))
        }
        _ => is(token, '*'),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{check, file},
        *,
    };

    #[test]
    fn an_ignored_test_is_refused() {
        let good = file("a.rs", "fn ignore() { ignore(); } // #[ignore]");
        let bad = file(
            "a.rs",
            "#[cfg(test)]\nmod tests {\n#[ignore]\nfn a() {}\n#[test]\n#[ignore = \"slow\"]\nfn b() {} }",
        );
        check(ignored, &good, &bad, &["a.rs:3", "a.rs:6"]);
    }

    #[test]
    fn a_file_of_more_than_700_lines_is_refused() {
        let of = |lines| file("crates/a/src/a.rs", "x\n".repeat(lines));
        check(length, &of(700), &of(701), &["crates/a/src/a.rs:1"]);
    }

    #[test]
    fn an_event_outside_of_observe_is_refused() {
        let good = file(
            "a.rs",
            "use tracing::instrument::Instrument; // tracing::info\nlet tracing = \"tracing::info!\";",
        );
        let bad = file(
            "a.rs",
            "use tracing::info;\nfn f() { tracing::warn!(x);\nmetrics::counter!(x); }",
        );
        check(traces, &good, &bad, &["a.rs:1", "a.rs:2", "a.rs:3"]);
        assert!(is_core_but_observe("crates/gatepass/src/wire/head.rs"));
        assert!(!is_core_but_observe("crates/gatepass/src/observe.rs"));
        assert!(!is_core_but_observe("crates/gatepass-axum/src/head.rs"));
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
