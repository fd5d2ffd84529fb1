//! Checks which commands install anything, from outside, with a `PATH` of the test's own.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

/// A machine that has only cargo, git, chown and `apt-get` on its `PATH`.
struct Machine(tempfile::TempDir);

struct Outcome {
    succeeded: bool,
    /// The output. It has a line for each call of `apt-get`.
    out: String,
    err: String,
}

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        // Only root may install.
        machine.program("id", "echo 0");
        machine.program("git", "exit 0");
        machine.program("chown", "exit 0");
        machine.program("apt-get", r#"echo "apt-get $@""#);
        let cargo = format!(
            r#"[ "$1" = metadata ] && exec '{}' "$@"; exit 0"#,
            env!("CARGO")
        );
        machine.program("cargo", &cargo);
        machine
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn xtask(&self, args: &[&str]) -> Outcome {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(args)
            .env("PATH", self.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Outcome {
            succeeded: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn a_command_that_lacks_something_says_how_to_get_it_and_installs_nothing() {
    let machine = Machine::new();
    for (args, said) in [
        (&["servers"][..], "apt-get install redis-server"),
        (&["interop"], "apt-get install python3-venv nodejs npm"),
        (&["browser"], "apt-get install chromium"),
        (&["bench", "--check"], "apt-get install valgrind"),
    ] {
        let Outcome {
            succeeded,
            out,
            err,
        } = machine.xtask(args);
        assert!(!succeeded && !out.contains("apt-get"), "{args:?}: {out}");
        assert!(
            err.contains(said) && err.contains("cargo xtask setup"),
            "{args:?}: {out}{err}"
        );
    }
}

#[test]
fn setup_and_test_say_what_they_install_before_they_do() {
    let machine = Machine::new();
    for command in ["setup", "test"] {
        let Outcome { out, err, .. } = machine.xtask(&[command]);
        let said = out.find("install with apt-get: python3-venv, nodejs, npm\n");
        let done = out.find("apt-get install --yes --quiet=2 python3-venv nodejs npm\n");
        assert!(said.is_some() && said < done, "{command}: {out}{err}");
    }
}

#[test]
fn setup_of_a_command_installs_only_the_tools_of_that_command() {
    let machine = Machine::new();
    // Cargo calls this instead of installing, into a directory that has no tools yet.
    let (log, target) = (
        machine.path().join("installed"),
        machine.path().join("target"),
    );
    let cargo = format!(
        r#"export CARGO_TARGET_DIR='{}'
        case "$1" in metadata) exec '{}' "$@";; install) echo "$@" >> '{}';; esac"#,
        target.display(),
        env!("CARGO"),
        log.display()
    );
    machine.program("cargo", &cargo);
    for (command, tool) in [("docs", "mdbook"), ("release", "mdbook")] {
        let Outcome { out, err, .. } = machine.xtask(&["setup", command]);
        assert!(!out.contains("apt-get"), "{command}: {out}");
        assert!(err.contains(tool), "{command}: {out}{err}");
        let installed = fs::read_to_string(&log).unwrap();
        assert!(
            installed.contains(&format!("{tool}@")),
            "{command}: {installed}"
        );
        fs::remove_file(&log).unwrap();
    }
    let Outcome { succeeded, err, .. } = machine.xtask(&["setup", "deploy"]);
    assert!(!succeeded && !log.exists());
    assert!(err.contains("advisories, docs, semver, release"), "{err}");
}

#[test]
fn a_git_that_fails_is_no_reason_to_check_nothing() {
    let machine = Machine::new();
    machine.program("git", "exit 128");
    for args in [&["semver"][..], &["release", "--dry-run"]] {
        let Outcome { succeeded, out, .. } = machine.xtask(args);
        assert!(
            !succeeded && !out.contains("NOT CHECKED"),
            "{args:?}: {out}"
        );
    }
}

#[test]
fn a_flag_that_there_is_not_is_reported_by_its_name() {
    let machine = Machine::new();
    for (args, said) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["setup", "--nonsense"], "--nonsense"),
        (&["test", "--nonsense"], "--nonsense"),
        (&["bench", "--nonsense"], "--nonsense"),
        (&["deploy"], "deploy"),
    ] {
        let Outcome {
            succeeded,
            out,
            err,
            ..
        } = machine.xtask(args);
        assert!(!succeeded, "{args:?}: {out}");
        assert!(err.contains(said), "{args:?}: {out}{err}");
    }
}
