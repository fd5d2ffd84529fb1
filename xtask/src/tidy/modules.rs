//! The imports between the modules of each crate.
//!
//! A crate has layers. A module imports from its own layer or from a lower one, and no two modules
//! import each other, not even through other modules. So you can start anywhere and read downwards.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Span, TokenTree};

use super::{
    File, Finding,
    tokens::{self, is},
};
use crate::metadata::Metadata;

/// The layers of the core, the lowest first. Each is a module directly below the crate root.
const LAYERS: &[&str] = &[
    "env",
    "model",
    "keys",
    "token",
    "store",
    "error",
    "observe",
    "http",
    "denylist",
    "config",
    "issuers",
    "verifier",
    "authority",
    "wire",
];

/// The crate whose modules have layers.
const CORE: &str = "gatepass";

const CIRCLE: &str =
    "No circles: modules that import each other can only be read, tested and moved together.";
const LAYER: &str = "A module of the core imports from its own layer or from a lower one.";
const UNPLACED: &str =
    "Each module of the core has a layer: name it in `LAYERS` of xtask/src/tidy/modules.rs.";
const ROOT: &str =
    "Import from the module that defines a thing: `use crate::Thing` hides where it is.";

pub(super) fn check(metadata: &Metadata, files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in metadata.members() {
        let source = format!("{}/src/", metadata.directory(member));
        let graph = Graph::of(&source, files);
        findings.extend(graph.roots.iter().map(Import::finding));
        findings.extend(circle(&graph));
        if member.name == CORE {
            findings.extend(layers(&graph));
        }
    }
    findings
}

/// A reference from one module to another, or to the root of the crate.
struct Import {
    place: String,
    what: String,
}

impl Import {
    fn finding(&self) -> Finding {
        Finding {
            place: self.place.clone(),
            what: self.what.clone(),
            invariant: ROOT,
        }
    }
}

/// The imports between the modules of a crate.
struct Graph {
    /// The imports of each module, such as `wire::head`: the imported modules, each with one place.
    imports: BTreeMap<String, BTreeMap<String, String>>,
    /// Imports through the crate root.
    roots: Vec<Import>,
}

impl Graph {
    /// The graph of the crate whose files are in the directory `source`.
    fn of(source: &str, files: &[File]) -> Self {
        let modules: BTreeMap<String, &File> = files
            .iter()
            .filter_map(|file| Some((module(file.path.strip_prefix(source)?)?, file)))
            .collect();
        let names: BTreeSet<&str> = modules.keys().map(String::as_str).collect();
        let mut graph = Self {
            imports: BTreeMap::new(),
            roots: Vec::new(),
        };
        for (name, file) in &modules {
            // The root names all of its modules.
            if name.is_empty() {
                continue;
            }
            let imports = graph.imports.entry(name.clone()).or_default();
            for path in paths(file) {
                let place = format!("{}:{}", file.path, tokens::line(path.at));
                let absolute = absolute(name, &path.segments);
                match longest(&absolute, &names) {
                    Some(module) if module == *name => {}
                    Some(module) if path.reexports && module.starts_with(name.as_str()) => {}
                    Some(module) => {
                        imports.entry(module).or_insert(place);
                    }
                    // The `super::$name` of a macro is the module of its caller.
                    None if absolute.is_empty() => {}
                    None => graph.roots.push(Import {
                        place,
                        what: format!("`crate::{}`", absolute.join("::")),
                    }),
                }
            }
        }
        graph
    }
}

/// The module in a file below `src`: `wire/head.rs` is `wire::head`, and `lib.rs` is the root.
fn module(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".rs")?;
    match stem {
        "lib" | "main" => Some(String::new()),
        _ if stem.starts_with("bin/") => None,
        _ => Some(stem.replace('/', "::")),
    }
}

/// A path that begins with `crate`, `self` or `super`.
struct Path {
    segments: Vec<String>,
    at: Span,
    /// Whether it is in a `pub use`. A parent may re-export what its children define.
    reexports: bool,
}

fn paths(file: &File) -> Vec<Path> {
    let mut found = Vec::new();
    tokens::sequences(&tokens::of(file), &mut |sequence| {
        let mut reexports = false;
        let mut at = 0;
        while let Some(token) = sequence.get(at) {
            if is(token, ';') {
                reexports = false;
            }
            if let TokenTree::Ident(word) = token {
                let begins = ["crate", "self", "super"].iter().any(|one| word == one);
                let colon = |before| {
                    let before = at.checked_sub(before).and_then(|at| sequence.get(at));
                    before.is_some_and(|before| is(before, ':'))
                };
                // One colon precedes a type, two are inside a path.
                let inside = colon(1) && colon(2);
                // `$crate` names an item for the users of a macro, and such items are in the root.
                let dollar = at.checked_sub(1).and_then(|at| sequence.get(at));
                let follows = inside || dollar.is_some_and(|before| is(before, '$'));
                if word == "use" {
                    reexports = is_public(sequence, at);
                } else if begins && !follows && is_path(sequence, at) {
                    let from = found.len();
                    at = tree(sequence, at, &mut Vec::new(), &mut found);
                    for path in found.iter_mut().skip(from) {
                        path.reexports = reexports;
                    }
                    continue;
                }
            }
            at += 1;
        }
    });
    found
}

/// Whether `pub` or `pub(…)` is before the word at `at`.
fn is_public(sequence: &[TokenTree], at: usize) -> bool {
    let word = |at: Option<usize>| {
        let token = at.and_then(|at| sequence.get(at));
        matches!(token, Some(TokenTree::Ident(word)) if word == "pub")
    };
    let before = at.checked_sub(1);
    let is_group = before.is_some_and(|at| matches!(sequence.get(at), Some(TokenTree::Group(_))));
    word(before) || is_group && word(at.checked_sub(2))
}

/// Whether two colons follow the word at `at`.
fn is_path(sequence: &[TokenTree], at: usize) -> bool {
    let colon = |at| sequence.get(at).is_some_and(|token| is(token, ':'));
    colon(at + 1) && colon(at + 2)
}

/// Reads a path, or a tree of paths in a `use`, that begins at `at`. Returns its end.
fn tree(
    sequence: &[TokenTree],
    mut at: usize,
    before: &mut Vec<String>,
    found: &mut Vec<Path>,
) -> usize {
    let length = before.len();
    let mut last = None;
    while let Some(token) = sequence.get(at) {
        match token {
            TokenTree::Ident(word) => {
                before.push(word.to_string());
                last = Some(word.span());
                at += 1;
            }
            TokenTree::Group(group) => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut place = 0;
                while place < inside.len() {
                    place = tree(&inside, place, before, found);
                    // The comma.
                    place += 1;
                }
                last = None;
                at += 1;
                break;
            }
            _ => {
                at += 1;
                break;
            }
        }
        if !is_path(sequence, at - 1) {
            break;
        }
        at += 2;
    }
    // A macro is in the root, regardless of the module that defines it.
    let is_macro = sequence.get(at).is_some_and(|token| is(token, '!'));
    if let Some(at) = last
        && !is_macro
    {
        found.push(Path {
            segments: before.clone(),
            at,
            reexports: false,
        });
    }
    before.truncate(length);
    // Skip the new name.
    if let Some(TokenTree::Ident(word)) = sequence.get(at)
        && word == "as"
    {
        at += 2;
    }
    at
}

/// The path from the crate root.
fn absolute(module: &str, path: &[String]) -> Vec<String> {
    let mut absolute: Vec<String> = module.split("::").map(str::to_owned).collect();
    for (place, segment) in path.iter().enumerate() {
        match (place, segment.as_str()) {
            (0, "crate") => absolute.clear(),
            (_, "self") => {}
            (_, "super") => drop(absolute.pop()),
            _ => absolute.push(segment.clone()),
        }
    }
    absolute
}

/// The module that a path leads into.
fn longest(path: &[String], modules: &BTreeSet<&str>) -> Option<String> {
    (1..=path.len())
        .rev()
        .filter_map(|length| Some(path.get(..length)?.join("::")))
        .find(|module| modules.contains(module.as_str()))
}

/// A circle of imports, if there is one.
fn circle(graph: &Graph) -> Option<Finding> {
    let mut done = BTreeSet::new();
    for start in graph.imports.keys() {
        let mut way = Vec::new();
        if let Some(circle) = walk(graph, start, &mut way, &mut done) {
            let place = |from: &str, to: &str| {
                let places = graph.imports.get(from);
                places.and_then(|places| places.get(to)).cloned()
            };
            let first = circle.first().map(String::as_str).unwrap_or_default();
            let second = circle.get(1).map(String::as_str).unwrap_or_default();
            return Some(Finding {
                place: place(first, second).unwrap_or_default(),
                what: circle.join(" → "),
                invariant: CIRCLE,
            });
        }
    }
    None
}

fn walk(
    graph: &Graph,
    module: &str,
    way: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(start) = way.iter().position(|one| one == module) {
        let mut circle = way.split_off(start);
        circle.push(module.to_owned());
        return Some(circle);
    }
    if done.contains(module) {
        return None;
    }
    way.push(module.to_owned());
    for next in graph.imports.get(module).into_iter().flatten() {
        if let Some(circle) = walk(graph, next.0, way, done) {
            return Some(circle);
        }
    }
    way.pop();
    done.insert(module.to_owned());
    None
}

/// Imports that go upwards in the core.
fn layers(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (module, imports) in &graph.imports {
        let Some(own) = layer(module) else {
            findings.push(Finding {
                place: module.clone(),
                what: "a module without a layer".to_owned(),
                invariant: UNPLACED,
            });
            continue;
        };
        for (target, place) in imports {
            if layer(target).is_some_and(|layer| layer > own) {
                findings.push(Finding {
                    place: place.clone(),
                    what: format!("`{module}` imports from `{target}`"),
                    invariant: LAYER,
                });
            }
        }
    }
    findings
}

fn layer(module: &str) -> Option<usize> {
    let top = module.split("::").next()?;
    LAYERS.iter().position(|layer| *layer == top)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::file, *};

    fn graph(files: &[(&str, &str)]) -> Graph {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| file(&format!("a/src/{path}"), *text))
            .collect();
        Graph::of("a/src/", &files)
    }

    fn places(findings: impl IntoIterator<Item = Finding>) -> Vec<String> {
        findings
            .into_iter()
            .map(|finding| format!("{}: {}", finding.place, finding.what))
            .collect()
    }

    #[test]
    fn modules_that_import_each_other_are_refused() {
        let good = graph(&[
            ("lib.rs", "mod a; mod b; pub use self::a::A;"),
            (
                "a.rs",
                "mod c;\npub use self::c::C;\nuse crate::b::B;\n#[cfg(test)] mod tests { use crate::b::X; }",
            ),
            ("a/c.rs", "use crate::b::{B, self}; // crate::a"),
            (
                "b.rs",
                "const B: &str = \"crate::a::A\"; #[cfg(test)] use crate::a::A;",
            ),
        ]);
        assert_eq!(places(circle(&good)), [""; 0]);
        let bad = graph(&[
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "fn b() {\n select!(super::c::f());\n}"),
            ("c.rs", "use super::{d, a::{A, f as g}};"),
            ("d.rs", ""),
        ]);
        assert_eq!(places(circle(&bad)), ["a/src/a.rs:1: a → b → c → a"]);
        let child = graph(&[
            ("a.rs", "mod b; use self::b::B;"),
            ("a/b.rs", "use super::A;"),
        ]);
        assert_eq!(places(circle(&child)), ["a/src/a.rs:1: a → a::b → a"]);
    }

    #[test]
    fn an_import_through_the_crate_root_is_refused() {
        let graph = graph(&[
            ("lib.rs", "use crate::Thing;"),
            (
                "a.rs",
                "use crate::b::Thing; use std::crate_::X;\nuse crate::{Thing, b}; crate::given!();\nfn f(x: super::Other) {}\nmacro_rules! m { ($n:ident) => { super::$n() } }",
            ),
            ("b.rs", ""),
        ]);
        let roots = places(graph.roots.iter().map(Import::finding));
        assert_eq!(
            roots,
            [
                "a/src/a.rs:2: `crate::Thing`",
                "a/src/a.rs:3: `crate::Other`"
            ]
        );
    }

    #[test]
    fn an_import_from_a_higher_layer_and_a_module_without_one_are_refused() {
        let graph = graph(&[
            ("model/ids.rs", "use crate::env::clock::C;"),
            ("env/clock.rs", "use crate::model::ids::Id;"),
            ("wire.rs", "use crate::authority::A;"),
            ("authority.rs", ""),
            ("attic.rs", ""),
        ]);
        assert_eq!(
            places(layers(&graph)),
            [
                "attic: a module without a layer",
                "a/src/env/clock.rs:1: `env::clock` imports from `model::ids`",
            ]
        );
    }
}
