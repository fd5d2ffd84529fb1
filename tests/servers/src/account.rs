//! The user that the servers run as. PostgreSQL refuses root.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Stdio},
};

use crate::program::{answers, succeeds};

/// The user that a server runs as, with the command that switches to this user.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    switch: Vec<OsString>,
    name: Option<&'static str>,
}

impl Account {
    /// The current user. If that is root, a user with fewer rights.
    pub(crate) fn choose() -> Self {
        // The signal ends a server whose starter was killed. Otherwise the server would run for
        // ever.
        let mut switch: Vec<OsString> = Vec::new();
        if answers("setpriv", "--version") {
            switch.extend(["setpriv", "--pdeathsig", "INT"].map(Into::into));
        }
        let name = is_root()
            .then(|| ["postgres", "nobody"].into_iter().find(|name| exists(name)))
            .flatten();
        if let Some(name) = name {
            switch.extend(["--reuid", name, "--regid"].map(Into::into));
            let group = succeeds("id", Command::new("id").args(["-g", name]));
            switch.push(group.map_or_else(|_| name.into(), |group| group.trim().into()));
            switch.push("--clear-groups".into());
        }
        Self { switch, name }
    }

    /// The user's name, if it isn't the current user.
    pub(crate) fn other(&self) -> Option<&'static str> {
        self.name
    }

    /// A command that runs `program` as this user.
    pub(crate) fn command(&self, program: &Path) -> Command {
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

fn is_root() -> bool {
    let user = succeeds("id", Command::new("id").arg("-u"));
    user.is_ok_and(|user| user.trim() == "0")
}

fn exists(user: &str) -> bool {
    let mut command = Command::new("id");
    command.args(["-u", user]).stdout(Stdio::null());
    command.stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
