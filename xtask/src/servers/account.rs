//! As whom the servers run: PostgreSQL refuses root.

use std::{ffi::OsString, path::Path, process::Command};

use xshell::Shell;

use crate::{apt, setup::answers};

/// The user that a server runs as, and how to switch them.
#[derive(Clone)]
pub(super) struct Account {
    switch: Vec<OsString>,
    name: Option<&'static str>,
}

impl Account {
    /// Whoever runs this; where that is root, a user with fewer rights.
    pub(super) fn choose(sh: &Shell) -> Self {
        let setpriv = answers(sh, &["setpriv", "--version"]);
        // The signal ends a server whose xtask was killed, which would stay for ever.
        let mut switch: Vec<OsString> = Vec::new();
        if setpriv {
            switch.extend(["setpriv", "--pdeathsig", "INT"].map(Into::into));
        }
        let name = if apt::is_root(sh) {
            ["postgres", "nobody"]
                .into_iter()
                .find(|name| answers(sh, &["id", "-u", name]))
        } else {
            None
        };
        if let Some(name) = name {
            switch.extend(["--reuid", name, "--regid"].map(Into::into));
            let group = xshell::cmd!(sh, "id -g {name}").quiet().read();
            switch.push(group.unwrap_or_else(|_| name.to_owned()).into());
            switch.push("--clear-groups".into());
        }
        Self { switch, name }
    }

    /// The user's name, where it is another than whoever runs this.
    pub(super) fn other(&self) -> Option<&'static str> {
        self.name
    }

    /// `program`, to be run as this user.
    pub(super) fn command(&self, program: &Path) -> Command {
        match self.switch.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg("--").arg(program);
                command
            }
        }
    }
}
