//! Checks the commands that docs and comments tell you to run.

use std::ffi::OsString;

use super::{
    File, Finding,
    markdown::{self, Kind},
};
use crate::{
    flags::{COMMANDS, Xtask},
    metadata::Metadata,
};

const COMMAND: &str =
    "Every command of cargo that docs name can be run: its package, program and flags exist.";

/// Checks one file of Markdown or Rust.
pub(super) fn check(file: &File, metadata: &Metadata) -> Vec<Finding> {
    // The changelog names commands of the past.
    let is_read = file.is_rust() || file.path.ends_with(".md");
    if !is_read || file.path == "CHANGELOG.md" {
        return Vec::new();
    }
    let pieces = markdown::pieces(file);
    let code = pieces
        .iter()
        .filter(|piece| matches!(piece.kind, Kind::Span | Kind::Code));
    let faults = code.flat_map(|piece| {
        let faults = commands(&piece.text).filter_map(|words| fault(&words, metadata));
        faults.map(|what| Finding {
            place: format!("{}:{}", file.path, piece.line),
            what,
            invariant: COMMAND,
        })
    });
    faults.collect()
}

/// The arguments of each call of cargo in a line of code.
fn commands(code: &str) -> impl Iterator<Item = Vec<&str>> {
    let call = "cargo ";
    code.match_indices(call).filter_map(move |(at, _)| {
        // The word must not be part of another word or of a path.
        let before = code.get(..at)?.chars().next_back();
        let is_call =
            before.is_none_or(|before| !before.is_alphanumeric() && !"-_./".contains(before));
        let words = code.get(at + call.len()..)?.split_whitespace();
        let ends = |word: &&str| {
            ["|", "||", "&&", ";", "#", ">", "\\"].contains(word) || word.starts_with(['>', '…'])
        };
        let words = words.take_while(|word| !ends(word));
        let words = words.map(|word| word.trim_end_matches([';', ',', '"', ')', '`']));
        is_call.then(|| words.collect())
    })
}

fn fault(words: &[&str], metadata: &Metadata) -> Option<String> {
    let (command, args) = words.split_first()?;
    // Another workspace, or a name that you choose.
    let is_other =
        |word: &&str| word.starts_with("--manifest-path") || word.starts_with(['<', '$', '"']);
    if args.iter().any(is_other) {
        return None;
    }
    match *command {
        "xtask" => own(args),
        "run" | "test" | "nextest" | "build" | "check" | "clippy" | "doc" | "bench" => {
            built(command, args, metadata)
        }
        _ => None,
    }
}

/// The fault of a call of this program.
fn own(args: &[&str]) -> Option<String> {
    let name = args.first().filter(|name| !name.starts_with('-'))?;
    let is_told = args
        .iter()
        .all(|word| *word != "--help" && !word.contains(['[', 'N']));
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    let is_good = COMMANDS.contains(name) && (!is_told || Xtask::from_vec(args).is_ok());
    (!is_good).then(|| match COMMANDS.contains(name) {
        false => format!("there is no `cargo xtask {name}`"),
        true => format!("`cargo xtask {name}` has other arguments"),
    })
}

/// The fault of a call of cargo for packages of the workspace.
fn built(command: &str, args: &[&str], metadata: &Metadata) -> Option<String> {
    // The arguments after two dashes are for the program.
    let args = args.split(|arg| *arg == "--").next()?;
    let after = |names: &[&str]| {
        let values = args.windows(2).filter_map(|pair| match pair {
            [name, value] if names.contains(name) => Some(*value),
            _ => None,
        });
        Vec::from_iter(values)
    };
    let names = after(&["-p", "--package"]);
    let named = |name: &&str| metadata.members().find(|member| member.name == **name);
    if let Some(unknown) = names.iter().find(|name| named(name).is_none()) {
        return Some(format!("there is no package {unknown}"));
    }
    let packages: Vec<_> = names.iter().filter_map(named).collect();
    if packages.is_empty() {
        return None;
    }
    for (flag, kind) in [
        ("--bin", "bin"),
        ("--example", "example"),
        ("--test", "test"),
    ] {
        let has = |name: &&str| {
            packages
                .iter()
                .any(|package| package.has_target(kind, name))
        };
        if let Some(unknown) = after(&[flag]).into_iter().find(|name| !has(name)) {
            return Some(format!("{} has no {kind} {unknown}", names.join(" and ")));
        }
    }
    let chooses = |arg: &&str| ["--bin", "--example"].contains(arg);
    let is_run = command == "run" && !args.iter().any(chooses);
    let runs = packages.iter().all(|package| package.has_default_program());
    (is_run && !runs).then(|| format!("{} has no program, or several", names.join(" and ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::file, *};

    fn metadata() -> Metadata {
        let package = |name: &str, programs: &[&str], default: Option<&str>| {
            let programs = programs
                .iter()
                .map(|name| json!({"kind": ["bin"], "name": name}));
            let hello = json!({"kind": ["example"], "name": "hello"});
            json!({
                "id": name, "name": name, "manifest_path": "/w/Cargo.toml", "default_run": default,
                "targets": Vec::from_iter(programs.chain([hello])),
            })
        };
        let metadata = json!({
            "packages": [
                package("shop", &["shop"], None), package("recipes", &["a", "b"], None),
                package("chosen", &["a", "b"], Some("a")), package("library", &[], None),
            ],
            "workspace_members": ["shop", "recipes", "chosen", "library"], "workspace_root": "/w",
            "resolve": {"nodes": []},
        });
        Metadata::parse(&metadata.to_string()).unwrap()
    }

    fn whats(text: &str) -> Vec<String> {
        let findings = check(&file("a.md", text), &metadata());
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn commands_that_can_be_run_are_accepted() {
        for good in [
            "cargo run -p shop -- -p other --bin c",
            "cargo run -p recipes --bin b",
            "cargo run -p chosen",
            "cargo run --package library --example hello",
            "cargo nextest run -p library filter | less",
            "cargo add nothing",
            "cargo run -p $NAME",
            "cargo check --manifest-path x/Cargo.toml -p other",
            "A=1 cargo xtask test -- filter",
            "cargo xtask bench --check --update",
            "cargo xtask bench verify http",
            "cargo xtask --help",
            "cargo xtask test --help",
            "mycargo run -p other",
        ] {
            assert_eq!(
                whats(&format!("`{good}`\n\n```sh\n{good}\n```\n")),
                [""; 0],
                "{good}"
            );
        }
        assert_eq!(whats("cargo xtask deploy, without a code span"), [""; 0]);
    }

    #[test]
    fn a_command_that_cannot_be_run_is_refused() {
        for (bad, what) in [
            ("cargo run -p shops", "there is no package shops"),
            ("cargo test -p shop -p b", "there is no package b"),
            ("cargo run -p shop --bin c", "shop has no bin c"),
            ("cargo run -p shop --example c", "shop has no example c"),
            ("cargo run -p recipes", "recipes has no program, or several"),
            ("cargo run -p library", "library has no program, or several"),
            ("x && cargo xtask tset", "there is no `cargo xtask tset`"),
            (
                "cargo xtask lint --fix",
                "`cargo xtask lint` has other arguments",
            ),
        ] {
            assert_eq!(whats(&format!("See `{bad}`.\n")), [what]);
            assert_eq!(whats(&format!("```sh\n{bad}\n```\n")), [what]);
        }
        let comment = file("a.rs", "//! Run `cargo xtask\n//! tset`.\n");
        let found = check(&comment, &metadata());
        assert_eq!(found.first().unwrap().place, "a.rs:1");
        assert_eq!(
            check(&file("CHANGELOG.md", "`cargo xtask tset`\n"), &metadata()),
            []
        );
    }
}
