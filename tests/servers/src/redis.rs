//! Redis, or Valkey under the name of Redis.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    account::Account,
    directory::Directory,
    process::{Process, free_port, on_free_ports},
    program::{Durability, Requirement, answers, password, succeeds},
};

pub(crate) const REQUIREMENT: Requirement = Requirement {
    name: "Redis (redis-server and redis-cli, 7 or newer)",
    package: "redis-server",
    is_there: || answers("redis-server", "--version") && answers("redis-cli", "--version"),
};

/// A server, which stops when this is dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    account: Account,
    settings: PathBuf,
    data: PathBuf,
    port: u16,
    password: String,
}

impl Redis {
    /// Starts a server, and waits until it answers.
    ///
    /// # Errors
    ///
    /// An error with the server's output, if it doesn't start.
    pub fn start(directory: &Directory, durability: Durability) -> anyhow::Result<Self> {
        Self::with_settings(directory, durability, &[])
    }

    /// Starts a server with additional lines in its configuration file.
    ///
    /// # Errors
    ///
    /// An error with the server's output, if it doesn't start.
    pub fn with_settings(
        directory: &Directory,
        durability: Durability,
        settings: &[&str],
    ) -> anyhow::Result<Self> {
        Self::with_password(directory, durability, settings, password()?)
    }

    /// Starts a replica of this server.
    ///
    /// # Errors
    ///
    /// An error with the replica's output, if it doesn't start or doesn't reach the primary.
    pub fn replica(&self, directory: &Directory, durability: Durability) -> anyhow::Result<Self> {
        let of = format!("replicaof 127.0.0.1 {}", self.port);
        let settings = [of.as_str(), "repl-diskless-sync-delay 0"];
        let mut replica =
            Self::with_password(directory, durability, &settings, self.password.clone())?;
        let (port, password) = (replica.port, replica.password.clone());
        replica.process.wait_until(|| {
            let state = ask(port, &password, &["info", "replication"])?;
            anyhow::ensure!(state.contains("master_link_status:up"), "{state}");
            Ok(())
        })?;
        Ok(replica)
    }

    pub(crate) fn with_password(
        directory: &Directory,
        durability: Durability,
        settings: &[&str],
        password: String,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!((REQUIREMENT.is_there)(), REQUIREMENT.missing());
        on_free_ports(|| Self::serve(directory, durability, settings, &password))
    }

    fn serve(
        directory: &Directory,
        durability: Durability,
        settings: &[&str],
        password: &str,
    ) -> anyhow::Result<Self> {
        let (data, port) = (directory.place("redis"), free_port()?);
        // The default is 10,000 above the other port. Clients of other tests have their ports
        // there.
        let bus = free_port()?;
        directory.make_place(&data)?;
        let mut lines = format!(
            "bind 127.0.0.1\n\
             port {port}\n\
             cluster-port {bus}\n\
             dir {}\n\
             save \"\"\n\
             daemonize no\n\
             requirepass {password}\n\
             masterauth {password}\n",
            data.display()
        );
        lines.push_str(match durability {
            Durability::None => "appendonly no\n",
            Durability::Crash => "appendonly yes\nappendfsync always\n",
            Durability::AllButTheLastSecond => "appendonly yes\nappendfsync everysec\n",
        });
        for setting in settings {
            lines.push_str(setting);
            lines.push('\n');
        }
        let file = data.with_extension("conf");
        directory.write(&file, &lines)?;
        let account = directory.account.clone();
        Ok(Self {
            process: serve(&account, &file, &data, port, password)?,
            account,
            settings: file,
            data,
            port,
            password: password.to_owned(),
        })
    }

    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://default:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// The server's port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends a command with redis-cli, and returns the answer.
    ///
    /// # Errors
    ///
    /// An error if the server doesn't answer.
    pub fn ask(&self, command: &[&str]) -> anyhow::Result<String> {
        ask(self.port, &self.password, command)
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    pub(crate) fn wait_until(
        &mut self,
        answers: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.process.wait_until(answers)
    }

    /// Kills the server (SIGKILL).
    ///
    /// # Errors
    ///
    /// An error if it can't signal the server.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Stops the server where it is (SIGSTOP). Connections stay open, and get no answer.
    ///
    /// # Errors
    ///
    /// An error if it can't signal the server.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process.pause()
    }

    /// Continues a stopped server (SIGCONT).
    ///
    /// # Errors
    ///
    /// An error if it can't signal the server.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process.resume()
    }

    /// Restarts a killed server with its data, on the same port.
    ///
    /// # Errors
    ///
    /// An error with the server's output, if it doesn't start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process = serve(
            &self.account,
            &self.settings,
            &self.data,
            self.port,
            &self.password,
        )?;
        Ok(())
    }

    /// Makes a replica a primary.
    ///
    /// # Errors
    ///
    /// An error if the server doesn't answer.
    pub fn promote(&self) -> anyhow::Result<()> {
        self.ask(&["replicaof", "no", "one"])?;
        Ok(())
    }
}

fn serve(
    account: &Account,
    settings: &Path,
    data: &Path,
    port: u16,
    password: &str,
) -> anyhow::Result<Process> {
    let mut command = account.command(Path::new("redis-server"));
    command.arg(settings);
    let mut process = Process::start("Redis", command, &data.with_extension("log"))?;
    // While it loads, it answers with an error.
    process.wait_until(|| {
        let pong = ask(port, password, &["ping"])?;
        anyhow::ensure!(pong.trim() == "PONG", "{pong}");
        Ok(())
    })?;
    Ok(process)
}

pub(crate) fn ask(port: u16, password: &str, command: &[&str]) -> anyhow::Result<String> {
    let mut cli = Command::new("redis-cli");
    cli.args(["-e", "-h", "127.0.0.1", "-p", &port.to_string()])
        // Other users of the machine can see arguments.
        .env("REDISCLI_AUTH", password)
        .args(command);
    succeeds("redis-cli", &mut cli)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_killed_comes_back_with_what_was_acknowledged() {
        let directory = Directory::make(std::env::temp_dir().join("gatepass-servers")).unwrap();
        let mut redis = Redis::start(&directory, Durability::Crash).unwrap();
        redis.ask(&["set", "key", "value"]).unwrap();
        redis.kill().unwrap();
        assert!(redis.ask(&["get", "key"]).is_err());
        redis.restart().unwrap();
        assert_eq!(redis.ask(&["get", "key"]).unwrap().trim(), "value");
    }
}
