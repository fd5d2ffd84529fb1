//! The commands that the repository's pages tell their readers to run.
//!
//! Each of them is given to the real program, in an empty directory and with a store that isn't
//! there. The program reads its arguments, and then fails if it needs more. It exits with 2 only if
//! the arguments are wrong.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{directory, text};

/// A command on a page.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    line: usize,
    args: Vec<String>,
}

/// The kinds of code blocks that have commands.
const SHELLS: [&str; 3] = ["sh", "bash", "console"];

/// An argument of these pages that a reader replaces, and a good value for it.
const PLACEHOLDERS: [(&str, &str); 2] = [
    ("SESSION", "nTMvH0FdrFbd5hbSmU3_oOHI"),
    ("COMMAND", "doctor"),
];

/// The commands in the blocks of code of a page in Markdown, and those within its sentences.
fn commands(page: &str) -> (Vec<Named>, Vec<Named>) {
    let (mut blocks, mut spans) = (Vec::new(), Vec::new());
    let (mut block, mut paragraph) = (None, (1, String::new()));
    let mut lines = (1..).zip(page.lines().chain([""]));
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if let Some(kind) = line.strip_prefix("```") {
            block = block.is_none().then_some(kind);
        } else if block.is_some_and(|kind| SHELLS.contains(&kind)) {
            let mut whole = line.to_owned();
            while let Some(begun) = whole.strip_suffix('\\') {
                whole = format!("{begun}{}", lines.next().map_or("", |(_, line)| line));
            }
            blocks.extend(args(&whole).map(|args| Named { line: number, args }));
        } else if block.is_none() && line.is_empty() {
            let (begins, text) = std::mem::take(&mut paragraph);
            let code = text.split('`').skip(1).step_by(2);
            spans.extend(code.filter_map(args).map(|mut args| {
                // A sentence may name a command without the arguments that it needs.
                args.push("--help".to_owned());
                Named { line: begins, args }
            }));
        } else if block.is_none() {
            if paragraph.1.is_empty() {
                paragraph.0 = number;
            }
            paragraph.1.push_str(line);
            paragraph.1.push(' ');
        }
    }
    (blocks, spans)
}

/// The arguments of a call of `gatepass`, up to a redirection, a pipe or a comment.
fn args(code: &str) -> Option<Vec<String>> {
    let code = code.strip_prefix("$ ").unwrap_or(code);
    let is_variable = |word: &&str| word.contains('=');
    let mut words = code.split_whitespace().skip_while(is_variable);
    if words.next() != Some("gatepass") {
        return None;
    }
    let ends = |word: &str| word.starts_with(['|', '<', '>', '#', '&', ';']) || word == "2>";
    let words = words.take_while(|word| !ends(word));
    let words = words.filter(|word| *word != "…").map(|word| {
        let placeholder = PLACEHOLDERS.iter().find(|(name, _)| *name == word);
        placeholder.map_or(word, |(_, value)| value).to_owned()
    });
    Some(words.collect())
}

/// The message of the program if the arguments are wrong.
fn refusal(args: &[String]) -> Option<String> {
    let directory = directory();
    let output = Command::new(env!("CARGO_BIN_EXE_gatepass"))
        .args(args)
        .current_dir(directory.path())
        .env("GATEPASS_STORE", "sqlite:missing.db")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let is_refused = output.status.code() == Some(2);
    is_refused.then(|| text(&output.stderr).to_owned())
}

#[test]
fn every_command_on_a_page_has_arguments_that_the_program_accepts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tracked = Command::new("git")
        .args(["ls-files", "-z", "*.md"])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(tracked.status.success(), "{}", text(&tracked.stderr));
    let (mut in_blocks, mut in_sentences, mut refused) = (0, 0, Vec::new());
    // The changelog names commands of the past.
    let paths = text(&tracked.stdout).split_terminator('\0');
    for path in paths.filter(|path| *path != "CHANGELOG.md") {
        let (blocks, spans) = commands(&fs::read_to_string(root.join(path)).unwrap());
        in_blocks += blocks.len();
        in_sentences += spans.len();
        for Named { line, args } in blocks.iter().chain(&spans) {
            let said = refusal(args);
            refused.extend(said.map(|said| format!("{path}:{line}: {args:?}: {said}")));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    // Fewer would mean that this test doesn't see them any more.
    assert!(
        in_blocks >= 18 && in_sentences >= 60,
        "{in_blocks}, {in_sentences}"
    );
}

#[test]
fn the_commands_of_a_page_are_found_without_what_is_the_shells() {
    let page = "# A\n\nRun `gatepass sessions\nend SESSION …`, or `gatepass`.\n\n\
        ```sh\ngatepass inspect --key a.pem < token\nls | gatepass\ngatepass doctor \\\n    \
        --json # why\n```\n\n1. `b`:\n   ```console\n   $ A=b gatepass jwks c.pem > d\n   \
        gatepass\n   ```\n\n```text\n$ gatepass old\n```\n";
    let (blocks, spans) = commands(page);
    let named = |line, args: &str| Named {
        line,
        args: args.split_whitespace().map(str::to_owned).collect(),
    };
    assert_eq!(
        blocks,
        [
            named(7, "inspect --key a.pem"),
            named(9, "doctor --json"),
            named(15, "jwks c.pem"),
            named(16, ""),
        ]
    );
    let id = "nTMvH0FdrFbd5hbSmU3_oOHI";
    let ends = format!("sessions end {id} --help");
    assert_eq!(spans, [named(3, &ends), named(3, "--help")]);
}

#[test]
fn wrong_arguments_are_refused_and_a_store_that_is_not_there_is_no_wrong_argument() {
    for (args, is_refused) in [
        ("doctor --jsno", true),
        ("sessions end", true),
        ("sessions finish --all", true),
        ("keygen hs256 --frm a --help", true),
        ("sessions end --all", false),
        ("doctor --json", false),
        ("keygen hs256 --help", false),
    ] {
        let args = Vec::from_iter(args.split(' ').map(str::to_owned));
        assert_eq!(refusal(&args).is_some(), is_refused, "{args:?}");
    }
}
