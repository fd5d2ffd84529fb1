//! The command line.

use std::ffi::OsString;

/// Every command there is, for the check that the docs name no other.
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
        /// Install what the other commands need, or say exactly what to install. Beside it only
        /// `test` and `ci` install.
        cmd setup {}

        /// Run every test: doc tests, other libraries, then all others.
        cmd test {
            /// Passed on to the test runner, which then runs alone, without the doc tests.
            repeated args: OsString
        }

        /// Start the servers that tests need, for a test runner in another terminal, until
        /// interrupted.
        cmd servers {}

        /// Play logins, theft and restarts against the axum example, and tell each exchange.
        cmd demo {}

        /// Play every scenario in every framework, and compare what they answer.
        cmd conformance {
            /// Only the scenarios whose names contain this.
            optional filter: String
        }

        /// Exchange tokens and key sets with PyJWT and jose, both ways, with every algorithm.
        cmd interop {}

        /// Run the tests of the page and of the JavaScript client in a real Chromium.
        cmd browser {
            /// Only the tests whose names contain this.
            optional filter: String
        }

        /// Measure how fast it is against what it must not be slower than, and report that in
        /// `benches/report`.
        cmd bench {
            /// Only these parts: verify, sign, denylist, http, stores, growth, peers, scale.
            repeated part: String
            /// Measure less, in two minutes, and report nothing.
            optional --quick
            /// Count instructions instead, and compare them with those on record.
            optional --check
            /// With `--check`: put the counts on record.
            optional --update
        }

        /// Check format, clippy for each set of features, the docs, tidy, and dependencies.
        cmd lint {}

        /// Check the dependencies for known vulnerabilities, by the newest database of RustSec.
        cmd advisories {}

        /// Compare the API of the published crates with that of the last release: whether the
        /// versions fit the changes.
        cmd semver {
            /// Compare with this revision of git instead.
            optional --baseline baseline: String
        }

        /// Do all of a release but the upload: checks, packages and documentation.
        cmd release {
            /// Needed, since only a person publishes.
            optional --dry-run
        }

        /// Build the documentation of the published crates as docs.rs builds it, and refuse
        /// warnings.
        cmd docs {}

        /// Check that the published crates compile with the oldest versions of their dependencies
        /// that they allow. `lint` does so when a manifest has changed.
        cmd minimal {}

        /// Check that the published crates compile with the oldest Rust that they promise, where
        /// that toolchain is installed, and that no dependency needs a newer one.
        cmd msrv {}

        /// Check the architecture: what the prose says, in code.
        cmd tidy {}

        /// Run all that continuous integration runs, what fails fastest first.
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
