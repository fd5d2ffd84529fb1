//! Installs the tools of others, in pinned versions, below the target directory. Your own versions
//! of them stay as they are.

use std::{path::PathBuf, str::FromStr};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{metadata, program::Missing, progress::step};

/// A tool. Its name is also the name of its program.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
    /// The arguments that make the program say its version. If it can't, there are none, and
    /// cargo says which version it has installed.
    ask: &'static [&'static str],
    from: Registry,
}

/// The registry that has a tool.
#[derive(Clone, Copy, Debug)]
enum Registry {
    /// crates.io, which has the source. Compiling it takes a minute or more.
    Crates,
    /// PyPI, which has the compiled program.
    PyPi,
}

/// Checks sets of features.
pub(crate) const CARGO_HACK: Tool = Tool {
    name: "cargo-hack",
    version: "0.6.46",
    ask: &["hack", "--version"],
    from: Registry::Crates,
};

/// Checks advisories, licences, duplicates and sources of all dependencies.
pub(crate) const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    ask: &["--version"],
    from: Registry::Crates,
};

/// Finds dependencies that no code uses.
pub(crate) const CARGO_SHEAR: Tool = Tool {
    name: "cargo-shear",
    version: "1.13.0",
    ask: &["--version"],
    from: Registry::Crates,
};

/// Compares the public API with that of a release.
pub(crate) const CARGO_SEMVER_CHECKS: Tool = Tool {
    name: "cargo-semver-checks",
    version: "0.51.0",
    ask: &["semver-checks", "--version"],
    from: Registry::Crates,
};

/// Builds programs that carry the list of their dependencies.
pub(crate) const CARGO_AUDITABLE: Tool = Tool {
    name: "cargo-auditable",
    version: "0.7.7",
    ask: &[],
    from: Registry::Crates,
};

/// Renders the guide.
pub(crate) const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: "0.5.4",
    ask: &["--version"],
    from: Registry::Crates,
};

/// Finds misspelt words.
pub(crate) const TYPOS: Tool = Tool {
    name: "typos",
    version: "1.52.0",
    ask: &["--version"],
    from: Registry::PyPi,
};

/// The tools that `lint` needs, except that of [`SETS`] for `semver`. They come with everything
/// else.
pub(crate) const OF_LINT: &[&Tool] = &[&TYPOS, &CARGO_HACK, &CARGO_DENY, &CARGO_SHEAR];

/// The commands that need few tools, and nothing else. `cargo xtask setup COMMAND` installs these
/// tools.
///
/// If several commands need a tool, a message about the missing tool names the first of them.
const SETS: &[ToolsOf] = &[
    ToolsOf {
        command: "advisories",
        tools: &[&CARGO_DENY],
    },
    ToolsOf {
        command: "docs",
        tools: &[&MDBOOK],
    },
    ToolsOf {
        command: "semver",
        tools: &[&CARGO_SEMVER_CHECKS],
    },
    ToolsOf {
        command: "release",
        tools: &[&MDBOOK, &CARGO_AUDITABLE, &CARGO_SEMVER_CHECKS],
    },
];

/// The tools of one command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToolsOf {
    command: &'static str,
    pub(crate) tools: &'static [&'static Tool],
}

impl FromStr for ToolsOf {
    type Err = String;

    fn from_str(command: &str) -> Result<Self, Self::Err> {
        let set = SETS.iter().find(|set| set.command == command);
        set.copied().ok_or_else(|| {
            let names = Vec::from_iter(SETS.iter().map(|set| set.command));
            format!(
                "`{command}` has no tools of its own. These commands have: {}. `cargo xtask setup` \
                 installs what all others need",
                names.join(", ")
            )
        })
    }
}

impl Tool {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The program, if it is there in the right version.
    pub(crate) fn installed(&self, sh: &Shell) -> anyhow::Result<Option<PathBuf>> {
        let root = self.root(sh)?;
        let program = root.join("bin").join(self.name);
        let ask = self.ask;
        let asked = if ask.is_empty() {
            cmd!(sh, "cargo install --list --root {root}")
        } else {
            cmd!(sh, "{program} {ask...}")
        };
        let answer = asked.quiet().ignore_stderr().read();
        let there = answer.is_ok_and(|answer| self.is_this(&answer));
        Ok((there && program.is_file()).then_some(program))
    }

    /// As [`installed`](Self::installed). If the tool is missing, says that nothing checks `what`.
    pub(crate) fn installed_for(&self, sh: &Shell, what: &str) -> anyhow::Result<Option<PathBuf>> {
        let installed = self.installed(sh)?;
        if installed.is_none() {
            let name = self.name;
            step(
                "lint",
                &format!(
                    "NOT CHECKED: {what}, since {name} is not there; `{}` installs it",
                    self.setup()
                ),
            );
        }
        Ok(installed)
    }

    /// The program. If it is missing, installs it first or fails, as `missing` says.
    pub(crate) fn ready(&self, sh: &Shell, missing: Missing) -> anyhow::Result<PathBuf> {
        if let Some(program) = self.installed(sh)? {
            return Ok(program);
        }
        let (name, version, root) = (self.name, self.version, self.root(sh)?);
        let shown = root.display();
        anyhow::ensure!(
            missing == Missing::Installed,
            "{name}@{version} is missing: run `{}`, which installs it into {shown}",
            self.setup()
        );
        let (registry, how) = match self.from {
            Registry::Crates => ("crates.io", ", which is compiled once"),
            Registry::PyPi => ("PyPI", ""),
        };
        step(
            "setup",
            &format!("install from {registry}, into {shown}: {name}@{version}{how}"),
        );
        self.install(sh).with_context(|| {
            format!("cannot install {name}@{version} from {registry}; is the network there?")
        })?;
        let installed = self.installed(sh)?;
        installed.with_context(|| format!("{name}@{version} is installed, and does not run"))
    }

    /// The command that installs this tool, and as little else as possible.
    fn setup(&self) -> String {
        let has_this = |set: &&ToolsOf| set.tools.iter().any(|tool| tool.name == self.name);
        match SETS.iter().find(has_this) {
            Some(set) => format!("cargo xtask setup {}", set.command),
            None => "cargo xtask setup".to_owned(),
        }
    }

    fn install(&self, sh: &Shell) -> anyhow::Result<()> {
        let (name, version, root) = (self.name, self.version, self.root(sh)?);
        match self.from {
            Registry::Crates => cmd!(
                sh,
                "cargo install --quiet --locked --root {root} {name}@{version}"
            )
            // Without this variable, cargo-shear calls its own version "dev".
            .env("SHEAR_VERSION", version)
            // A tool runs for seconds, and optimising it takes minutes.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
            Registry::PyPi => {
                cmd!(sh, "python3 -m venv {root}").quiet().run()?;
                let python = root.join("bin/python");
                cmd!(
                    sh,
                    "{python} -m pip install --quiet --disable-pip-version-check {name}=={version}"
                )
            }
        }
        .quiet()
        .run()?;
        Ok(())
    }

    /// Whether an answer names this version: the program's, or the list of cargo's, which has a
    /// line `cargo-auditable v0.7.7:`.
    fn is_this(&self, answer: &str) -> bool {
        if self.ask.is_empty() {
            let wanted = format!("{} v{}:", self.name, self.version);
            return answer.lines().any(|line| line == wanted);
        }
        let last = answer.split_whitespace().next_back();
        last.is_some_and(|last| last.strip_prefix('v').unwrap_or(last) == self.version)
    }

    fn root(&self, sh: &Shell) -> anyhow::Result<PathBuf> {
        let tools = metadata::target_directory(sh)?.join("tools");
        Ok(match self.from {
            Registry::Crates => tools,
            Registry::PyPi => tools.join("python"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_missing_is_installed_by_the_command_that_its_message_names() {
        let missing = [
            (&TYPOS, "cargo xtask setup"),
            (&CARGO_HACK, "cargo xtask setup"),
            (&CARGO_SHEAR, "cargo xtask setup"),
            (&CARGO_DENY, "cargo xtask setup advisories"),
            (&MDBOOK, "cargo xtask setup docs"),
            (&CARGO_SEMVER_CHECKS, "cargo xtask setup semver"),
            (&CARGO_AUDITABLE, "cargo xtask setup release"),
        ];
        for (tool, command) in missing {
            assert_eq!(tool.setup(), command);
            let installed = match command.strip_prefix("cargo xtask setup ") {
                Some(name) => name.parse::<ToolsOf>().unwrap().tools,
                None => OF_LINT,
            };
            let is_installed = installed.iter().any(|one| one.name == tool.name);
            assert!(is_installed, "{command} doesn't install {}", tool.name);
        }
    }

    #[test]
    fn a_command_without_tools_of_its_own_is_refused_with_those_that_have_some() {
        for command in ["lint", "deploy", "", "Docs"] {
            let error = command.parse::<ToolsOf>().unwrap_err();
            assert!(
                error.contains("advisories, docs, semver, release"),
                "{error}"
            );
        }
    }

    #[test]
    fn each_workflow_installs_only_the_tools_of_its_command() {
        let workflows = metadata::workspace_root().join(".github/workflows");
        for set in SETS {
            let (command, file) = (set.command, format!("{}.yml", set.command));
            let workflow = std::fs::read_to_string(workflows.join(file)).unwrap();
            let calls = workflow
                .lines()
                .filter_map(|line| line.trim().strip_prefix("- run: cargo xtask setup"));
            assert_eq!(Vec::from_iter(calls), [format!(" {command}")], "{command}");
        }
    }

    #[test]
    fn another_version_is_another_tool() {
        assert!(CARGO_DENY.is_this(&format!("cargo-deny {}\n", CARGO_DENY.version)));
        for answer in ["cargo-deny 0.1.0", "", "cargo-deny"] {
            assert!(!CARGO_DENY.is_this(answer), "{answer}");
        }
        assert!(MDBOOK.is_this(&format!("mdbook v{}\n", MDBOOK.version)));
        assert!(!MDBOOK.is_this("mdbook v0.4.0\n"));
    }

    #[test]
    fn a_tool_that_does_not_say_its_version_is_in_the_list_of_cargo() {
        let version = CARGO_AUDITABLE.version;
        let listed = |name: &str, version: &str| {
            format!("a v0.1.0:\n    a\n{name} v{version}:\n    {name}\n")
        };
        assert!(CARGO_AUDITABLE.is_this(&listed("cargo-auditable", version)));
        for (name, version) in [("cargo-auditable", "0.1.0"), ("cargo-deny", version)] {
            assert!(
                !CARGO_AUDITABLE.is_this(&listed(name, version)),
                "{name} {version}"
            );
        }
    }
}
