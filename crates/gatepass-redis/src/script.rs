//! The scripts. Each does the work of one call on one partition, atomically.

use std::sync::OnceLock;

use redis::{Arg, Cmd};

/// A script, which servers know by its hash.
pub(crate) struct Script {
    text: &'static str,
    hash: OnceLock<String>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reads,
    ReadsOnPrimary,
    /// Makes a change that a caller learns of, so replicas may have to acknowledge it first.
    Changes,
    Maintains,
}

/// A script with its keys and arguments, as a command for a server that knows the script.
pub(crate) struct Call {
    script: &'static Script,
    command: Cmd,
}

/// Declares a script: its kind, its flags, and the files that it consists of.
macro_rules! script {
    ($name:ident, $kind:expr, $shebang:literal, $($part:literal)+) => {
        pub(crate) static $name: Script = Script {
            text: concat!(
                $shebang, "\n",
                $(include_str!(concat!("lua/", $part, ".lua")), "\n"),+
            ),
            hash: OnceLock::new(),
            kind: $kind,
        };
    };
}

// These scripts need only the right to read. Replicas would also run them, so they check the role.
script!(PULL, Kind::Reads, "#!lua flags=no-writes", "primary" "pull");
script!(OPENED, Kind::Reads, "#!lua flags=no-writes", "primary" "opened");
script!(STATUS, Kind::Reads, "#!lua flags=no-writes", "primary" "status");
// These scripts also only read, but don't declare it, so that replicas refuse them. They must work
// on a full server.
script!(LOAD, Kind::ReadsOnPrimary, "#!lua flags=allow-oom", "common" "load");
script!(LIST, Kind::ReadsOnPrimary, "#!lua flags=allow-oom", "common" "list");
script!(SCAN, Kind::ReadsOnPrimary, "#!lua flags=allow-oom", "common" "scan");
script!(
    CUTOFF,
    Kind::ReadsOnPrimary,
    "#!lua flags=allow-oom",
    "cutoff"
);
script!(
    REMEMBERED,
    Kind::ReadsOnPrimary,
    "#!lua flags=allow-oom",
    "remembered"
);
script!(BEATING, Kind::ReadsOnPrimary, "#!lua flags=allow-oom", "common" "beating");
// Logouts and purges must work on a full server.
script!(END, Kind::Changes, "#!lua flags=allow-oom", "common" "append" "end");
script!(
    REVOKE_FOREIGN,
    Kind::Changes,
    "#!lua flags=allow-oom",
    "common" "append" "revoke_foreign"
);
script!(REVOKE, Kind::Changes, "#!lua flags=allow-oom", "common" "append" "revoke");
script!(
    INTRODUCE,
    Kind::Changes,
    "#!lua flags=allow-oom",
    "introduce"
);
script!(PURGE, Kind::Maintains, "#!lua flags=allow-oom", "common" "purge");
script!(REMEMBER, Kind::Maintains, "#!lua flags=allow-oom", "common" "remember");
script!(BEAT, Kind::Maintains, "#!lua flags=allow-oom", "common" "beat");
script!(SETTLE, Kind::Maintains, "#!lua flags=allow-oom", "common" "attempt" "settle");
script!(OPEN, Kind::Maintains, "#!lua flags=allow-oom", "open");
// A server that has no memory for attempts has none for sessions.
script!(COUNT, Kind::Maintains, "#!lua", "common" "attempt" "count");
script!(BEGIN, Kind::Changes, "#!lua", "common" "append" "begin");
script!(ADVANCE, Kind::Changes, "#!lua", "advance");
script!(CHANGE, Kind::Changes, "#!lua", "common" "append" "change");
script!(ALLOW, Kind::Changes, "#!lua", "common" "allow");

impl Script {
    /// A call of the script with its keys. The first key decides which server runs it.
    pub(crate) fn on<const KEYS: usize>(&'static self, keys: [String; KEYS]) -> Call {
        // Allocates once, because this runs for each request.
        let mut command = Cmd::with_capacity(12, 512);
        command.arg(self.command(true)).arg(self.hash()).arg(KEYS);
        for key in keys {
            command.arg(key);
        }
        Call {
            script: self,
            command,
        }
    }

    fn hash(&self) -> &str {
        self.hash
            .get_or_init(|| redis::Script::new(self.text).get_hash().to_owned())
    }

    fn command(&self, known: bool) -> &'static str {
        match (known, self.kind == Kind::Reads) {
            (true, true) => "EVALSHA_RO",
            (true, false) => "EVALSHA",
            (false, true) => "EVAL_RO",
            (false, false) => "EVAL",
        }
    }
}

impl Call {
    pub(crate) fn text(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.command.arg(argument.as_ref());
        self
    }

    pub(crate) fn int(mut self, argument: i64) -> Self {
        self.command.arg(argument);
        self
    }

    /// An argument that may be missing.
    pub(crate) fn int_or_none(self, argument: Option<i64>) -> Self {
        match argument {
            Some(argument) => self.int(argument),
            None => self.text(""),
        }
    }

    /// Whether the call only reads, so that it can be sent twice.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self.script.kind, Kind::Reads | Kind::ReadsOnPrimary)
    }

    /// Whether the call makes a change that callers learn of.
    pub(crate) fn changes(&self) -> bool {
        self.script.kind == Kind::Changes
    }

    /// The command for a server that knows the script.
    pub(crate) fn by_hash(&self) -> &Cmd {
        &self.command
    }

    /// The command for a server that doesn't know the script. The server knows it from then on.
    pub(crate) fn by_text(&self) -> Cmd {
        let mut command = Cmd::new();
        command
            .arg(self.script.command(false))
            .arg(self.script.text);
        for argument in self.command.args_iter().skip(2) {
            if let Arg::Simple(argument) = argument {
                command.arg(argument);
            }
        }
        command
    }
}
