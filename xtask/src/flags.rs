//! The command line.

use std::ffi::OsString;

use crate::tools::ToolsOf;

/// Every command, for the check that the docs name no other.
pub(crate) const COMMANDS: &[&str] = &[
    "setup",
    "test",
    "servers",
    "demo",
    "conformance",
    "interop",
    "browser",
    "bench",
    "lint",
    "advisories",
    "semver",
    "release",
    "docs",
    "minimal",
    "msrv",
    "tidy",
    "ci",
];

xflags::xflags! {
    /// The project's own commands.
    cmd xtask {
        /// Install what the other commands need, or say exactly what to install. Apart from
        /// `setup`, only `test` and `ci` install anything.
        cmd setup {
            /// Install only the tools of this command: advisories, docs, semver or release. Without
            /// it, install what all others need.
            optional command: ToolsOf
        }

        /// Run every test: doc tests, other libraries, the JavaScript client, then all others.
        cmd test {
            /// Arguments for the test runner, which then runs alone, without the doc tests.
            repeated args: OsString
        }

        /// Start the servers that the tests need, and keep them running until you press Ctrl-C. Use
        /// a test runner in another terminal.
        cmd servers {}

        /// Play logins, theft and restarts against the axum example, and describe each exchange.
        cmd demo {}

        /// Play every scenario in every framework, and compare the replies.
        cmd conformance {
            /// Play only the scenarios whose names contain this.
            optional filter: String
        }

        /// Exchange tokens and key sets with PyJWT and jose in both directions, with every
        /// algorithm.
        cmd interop {}

        /// Run the tests of the page and of the JavaScript client in a real Chromium.
        cmd browser {
            /// Run only the tests whose names contain this.
            optional filter: String
        }

        /// Measure the speed of gatepass and of the libraries that it is compared with, and write a
        /// report to `benches/report`.
        cmd bench {
            /// Measure only these parts: verify, sign, denylist, http, stores, growth, rights,
            /// streams, peers, scale.
            repeated part: String
            /// Measure for two minutes only, and write no report.
            optional --quick
            /// Count instructions instead, and compare them with the counts on record.
            optional --check
            /// With `--check`: write the counts to the record.
            optional --update
        }

        /// Check format, clippy for each set of features, the docs, tidy, and dependencies.
        cmd lint {}

        /// Check the dependencies for known vulnerabilities, with the newest database of RustSec.
        cmd advisories {}

        /// Compare the API of the published crates with the last release, and check that the
        /// versions fit the changes.
        cmd semver {
            /// Compare with this git revision instead.
            optional --baseline baseline: String
        }

        /// Do everything for a release except the upload: checks, packages, the command line tool
        /// and documentation.
        cmd release {
            /// Required, because only a person publishes.
            optional --dry-run
        }

        /// Render the guide, build the documentation of the published crates as docs.rs does, and
        /// fail on warnings and on dead links of the guide.
        cmd docs {}

        /// Check that the published crates compile with the oldest versions of their dependencies
        /// that they allow. `lint` also does this after a manifest has changed.
        cmd minimal {}

        /// Check that the published crates compile with the oldest Rust that they promise, if that
        /// toolchain is installed, and that no dependency needs a newer one.
        cmd msrv {}

        /// Check the rules of the architecture and of the prose.
        cmd tidy {}

        /// Run everything that continuous integration runs, the fastest checks first.
        cmd ci {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_command_is_accepted() {
        for command in COMMANDS {
            Xtask::from_vec(vec![OsString::from(command)]).unwrap();
        }
        assert!(Xtask::from_vec(vec![OsString::from("deploy")]).is_err());
    }

    #[test]
    fn every_accepted_command_is_listed() {
        // An exhaustive match: a new command does not compile until it is here, and in the list.
        let name = |command: &XtaskCmd| match command {
            XtaskCmd::Setup(_) => "setup",
            XtaskCmd::Test(_) => "test",
            XtaskCmd::Servers(_) => "servers",
            XtaskCmd::Demo(_) => "demo",
            XtaskCmd::Conformance(_) => "conformance",
            XtaskCmd::Interop(_) => "interop",
            XtaskCmd::Browser(_) => "browser",
            XtaskCmd::Bench(_) => "bench",
            XtaskCmd::Lint(_) => "lint",
            XtaskCmd::Advisories(_) => "advisories",
            XtaskCmd::Semver(_) => "semver",
            XtaskCmd::Release(_) => "release",
            XtaskCmd::Docs(_) => "docs",
            XtaskCmd::Minimal(_) => "minimal",
            XtaskCmd::Msrv(_) => "msrv",
            XtaskCmd::Tidy(_) => "tidy",
            XtaskCmd::Ci(_) => "ci",
        };
        for command in COMMANDS {
            let parsed = Xtask::from_vec(vec![OsString::from(command)]).unwrap();
            assert_eq!(name(&parsed.subcommand), *command);
        }
        assert_eq!(COMMANDS.len(), 17);
    }

    #[test]
    fn what_follows_two_dashes_is_the_test_runners() {
        let given = ["test", "--", "a_filter", "--no-capture"].map(OsString::from);
        let XtaskCmd::Test(test) = Xtask::from_vec(given.to_vec()).unwrap().subcommand else {
            panic!("not the test command");
        };
        assert_eq!(test.args, ["a_filter", "--no-capture"]);
    }
}
