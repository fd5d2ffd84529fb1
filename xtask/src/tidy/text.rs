//! Checks all tracked text files, in any language.

use super::{File, Finding};
use crate::metadata::Metadata;

const ONE_NAME: &str = "One name for one thing: access token, session, denylist, allow-list.";
const RETIRED: &str = "A name that was given up stays away: write the one that replaced it.";
const SELF_CONTAINED: &str =
    "The repository explains itself: it refers to nothing that its reader does not have.";
const ENDS: &str =
    "Text files end with a newline, and no line with a blank: a diff shows what changed.";
const MAP: &str = "ARCHITECTURE.md is the map: every crate of the workspace is on it.";

pub(super) fn check(metadata: &Metadata, files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        findings.extend(terms(file));
        findings.extend(retired(file));
        findings.extend(outside(file));
        findings.extend(ends(file));
    }
    let members: Vec<&str> = metadata
        .members()
        .map(|member| member.name.as_str())
        .collect();
    findings.extend(map(files, &members));
    findings
}

/// Finds words of other systems for things that have a name here.
fn terms(file: &File) -> Vec<Finding> {
    // Other projects choose their own names.
    if file.path.ends_with("Cargo.lock") {
        return Vec::new();
    }
    // In parts, so that this check doesn't find its own file.
    let refused = [
        concat!("tick", "et"),
        concat!("pass", "port"),
        concat!("black", "list"),
        concat!("white", "list"),
    ];
    let text = file.text.to_ascii_lowercase();
    refused
        .into_iter()
        .flat_map(|term| text.match_indices(term))
        .map(|(at, term)| file.finding(at, format!("the word {term:?}"), ONE_NAME))
        .collect()
}

/// Finds former names of gatepass's types, alone or at the beginning of a longer name. The capital
/// distinguishes them from the usual words, so no sentence can begin with such a word.
fn retired(file: &File) -> Vec<Finding> {
    // The changelog of a release may say what a name became. Other languages have their own names.
    let checked = [".rs", ".md"].iter().any(|end| file.path.ends_with(end));
    if !checked || file.path == "CHANGELOG.md" {
        return Vec::new();
    }
    // In parts, so that this check doesn't find its own file.
    let refused = [
        concat!("Adm", "ission"),
        concat!("Adm", "itted"),
        concat!("Beg", "un"),
        concat!("Counting", "Store"),
        concat!("Dem", "and"),
        concat!("Den", "ied"),
        concat!("End", "Target"),
        concat!("Fault", "Handle"),
        concat!("Faulty", "Store"),
        concat!("FromAdm", "ission"),
        concat!("Grpc", "Refusal"),
        concat!("Inq", "uiry"),
        concat!("Json", "Refusal"),
        concat!("Re", "read"),
        concat!("Surf", "ace"),
        concat!("User", "Gone"),
        concat!("Ver", "dict"),
    ];
    refused
        .into_iter()
        .flat_map(|name| file.text.match_indices(name))
        .filter(|(at, name)| {
            let before = file.text.get(..*at);
            let before = before.and_then(|text| text.chars().next_back());
            let after = file.text.get(at + name.len()..);
            let after = after.and_then(|text| text.chars().next());
            !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
                && !after.is_some_and(|after| after.is_ascii_lowercase() || after == '_')
        })
        .map(|(at, name)| file.finding(at, format!("the former name {name:?}"), RETIRED))
        .collect()
}

/// Finds paths that exist only where the project is made.
fn outside(file: &File) -> Vec<Finding> {
    [concat!("..", "/shared"), concat!(".", "library")]
        .into_iter()
        .flat_map(|path| file.text.match_indices(path))
        .filter(|(at, path)| {
            // A field or a method of that name is not a path.
            let before = file
                .text
                .get(..*at)
                .and_then(|text| text.chars().next_back());
            let after = file
                .text
                .get(at + path.len()..)
                .and_then(|text| text.chars().next());
            !before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ')')
                && !after.is_some_and(|after| after.is_alphanumeric() || after == '_')
        })
        .map(|(at, path)| file.finding(at, format!("a reference to {path:?}"), SELF_CONTAINED))
        .collect()
}

fn ends(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut at = 0;
    for line in file.text.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            None => findings.push(file.finding(at, "no newline at the end", ENDS)),
            Some(line) if line.ends_with(char::is_whitespace) => {
                findings.push(file.finding(at, "white space at the end of the line", ENDS));
            }
            Some(_) => {}
        }
        at += line.len();
    }
    findings
}

fn map(files: &[File], members: &[&str]) -> Vec<Finding> {
    let path = "ARCHITECTURE.md";
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return vec![missing(path, MAP)];
    };
    let part =
        |character: char| character.is_alphanumeric() || character == '-' || character == '_';
    let named: Vec<&str> = file.text.split(|character| !part(character)).collect();
    members
        .iter()
        .filter(|member| !named.contains(member))
        .map(|member| Finding {
            place: path.to_owned(),
            what: format!("the crate `{member}` is not on it"),
            invariant: MAP,
        })
        .collect()
}

fn missing(path: &str, invariant: &'static str) -> Finding {
    Finding {
        place: path.to_owned(),
        what: "there is no such tracked file".to_owned(),
        invariant,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{check, file},
        *,
    };

    #[test]
    fn terms_of_other_systems_are_refused() {
        let good = file("a.md", "An access token is on the denylist.\n");
        let bad = ["Tick_et", "pass_port", "BLACK_LIST", "white_list"].join("\n");
        let bad = file("a.md", bad.replace('_', ""));
        check(
            terms,
            &good,
            &bad,
            &["a.md:1", "a.md:2", "a.md:3", "a.md:4"],
        );
        assert_eq!(terms(&file("Cargo.lock", bad.text)), []);
    }

    #[test]
    fn names_that_types_had_once_are_refused() {
        let good = "fn begun() -> PermissionDenied; // SQL: GRANT. Granted, demands; a surface.\n";
        let good = file("a.rs", good);
        let bad = [
            "Adm_ission",
            "Adm_itted<A>",
            "the Beg_un.",
            "Counting_Store",
            "Dem_and::new()",
            "wire::Den_ied",
            "End_Target",
            "Fault_Handle",
            "Faulty_Store",
            "FromAdm_ission",
            "Grpc_Refusal",
            "Inq_uiry",
            "Json_Refusal",
            "Re_read",
            "Surf_ace",
            "EndReason::User_Gone",
            "proxy::Ver_dict",
        ];
        let lines: Vec<String> = (1..=bad.len()).map(|line| format!("a.rs:{line}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let bad = bad.join("\n").replace('_', "");
        check(retired, &good, &file("a.rs", bad.clone()), &lines);
        assert_eq!(retired(&file("a.md", bad.clone())).len(), lines.len());
        for elsewhere in ["CHANGELOG.md", "LICENSE-APACHE", "a.py"] {
            assert_eq!(retired(&file(elsewhere, bad.clone())), [], "{elsewhere}");
        }
    }

    #[test]
    fn a_reference_to_what_the_reader_does_not_have_is_refused() {
        let good = file(
            "a.md",
            "shared, package._library, package.".to_owned() + "library\n",
        );
        let bad = file(
            "a.md",
            "see ..|/shared/x\nand `.|library/y`".replace('|', ""),
        );
        check(outside, &good, &bad, &["a.md:1", "a.md:2"]);
    }

    #[test]
    fn blanks_at_the_end_are_refused() {
        let good = file("a.txt", "a\n\n  b\n");
        let bad = file("a.txt", "a \n\t\nb\r\nc");
        check(
            ends,
            &good,
            &bad,
            &["a.txt:1", "a.txt:2", "a.txt:3", "a.txt:4"],
        );
        assert_eq!(ends(&file("a.txt", "")), []);
    }

    #[test]
    fn a_crate_that_is_not_on_the_map_is_refused() {
        let files = [file("ARCHITECTURE.md", "`gatepass-axum/`: extractors\n")];
        assert_eq!(map(&files, &["gatepass-axum"]), []);
        let found = map(&files, &["gatepass", "gatepass-axum"]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found.first().unwrap().what,
            "the crate `gatepass` is not on it"
        );
    }

    #[test]
    fn a_missing_map_is_refused() {
        let found = map(&[], &["gatepass"]);
        assert_eq!(found, [missing("ARCHITECTURE.md", MAP)]);
    }
}
