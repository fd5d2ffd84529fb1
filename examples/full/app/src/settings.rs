//! The settings, from flags or environment variables.

use std::{
    convert::Infallible,
    fmt, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Parser;
use gatepass::{ClientId, Transport, wire::Client};
use zeroize::Zeroizing;

use crate::{
    location::{Database, StoreLocation},
    peer::PeerUrl,
    secrets,
};

/// The example application of gatepass: login sessions that can be revoked.
///
/// The defaults run at once, with demo users. Write durations as 30s, 15m, 14d.
#[derive(Clone, Debug, Parser)]
#[non_exhaustive]
pub struct Settings {
    /// The address and port to listen on, such as 127.0.0.1:3000. Port 0 means any free port
    #[arg(long, env = "GATEPASS_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,

    /// Also prints lines of shell with curl, to log in, refresh and log out in another terminal
    #[arg(long, env = "GATEPASS_CURL")]
    pub curl: bool,

    /// The place of the sessions: sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE, redis://USER:PASSWORD@HOST (rediss:// to encrypt, separated by commas for a cluster), or `memory`, to forget them at the end. Nodes of one store need the same --secret-file, --issuer and --audience
    // `--help` doesn't show the value, because the address of a database may contain its password.
    #[arg(
        long,
        env = "GATEPASS_STORE",
        default_value = "sqlite:gatepass.db",
        hide_env_values = true
    )]
    pub store: StoreLocation,

    /// Uses a store that another issuer, audience or secret also uses. Needed once, for a second
    /// service or after you have replaced the secret
    #[arg(long, env = "GATEPASS_SHARE_STORE")]
    pub share_store: bool,

    /// The place of the users: sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE, or `memory`. Default: in the same database as the sessions, and for those in Redis sqlite:gatepass-users.db
    // As above.
    #[arg(long, env = "GATEPASS_USER_STORE", hide_env_values = true)]
    pub user_store: Option<Database>,

    /// The file of the master secret. Default: a file next to the SQLite file, which the first
    /// start makes. There is no default for a server that nodes share
    #[arg(long, env = "GATEPASS_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,

    /// The file of the HS256 key that signs access tokens. Default: derived from the master secret
    #[arg(long, env = "GATEPASS_JWT_SECRET_FILE", value_name = "FILE")]
    pub jwt_secret_file: Option<PathBuf>,

    /// A private key (PEM) that signs instead: FILE, or PS256:FILE for an algorithm other than the
    /// usual one. If there are several, the first signs and all verify
    #[arg(
        long = "key",
        env = "GATEPASS_KEY",
        value_name = "FILE.pem",
        value_delimiter = ',',
        conflicts_with = "jwt_secret_file"
    )]
    pub keys: Vec<PathBuf>,

    /// The issuer of the tokens (iss): the URL by which clients know the service. It doesn't depend
    /// on --listen, so a restart on another port logs no user out
    #[arg(long, env = "GATEPASS_ISSUER", default_value = Settings::ISSUER)]
    pub issuer: String,

    /// The audience of the tokens (aud)
    #[arg(long, env = "GATEPASS_AUDIENCE", default_value = "gatepass-example")]
    pub audience: String,

    /// The lifetime of an access token
    #[arg(long, env = "GATEPASS_ACCESS_TTL", value_name = "DURATION", default_value = "15m", value_parser = humantime::parse_duration)]
    pub access_ttl: Duration,

    /// How long a session may stay unused
    #[arg(long, env = "GATEPASS_IDLE_TTL", value_name = "DURATION", default_value = "14d", value_parser = humantime::parse_duration)]
    pub idle_ttl: Duration,

    /// The maximum lifetime of a session
    #[arg(long, env = "GATEPASS_ABSOLUTE_TTL", value_name = "DURATION", default_value = "90d", value_parser = humantime::parse_duration)]
    pub absolute_ttl: Duration,

    /// How long the server still answers a spent refresh token. A session gets a new refresh token
    /// at most once in this time
    #[arg(long, env = "GATEPASS_OVERLAP", value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub overlap: Duration,

    /// How long the server assumes that the answer to the last spent refresh token was lost
    #[arg(long, env = "GATEPASS_RECOVERY", value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    pub recovery: Duration,

    /// Maximum number of sessions of a user. Another login ends the oldest one. 0 means any number
    #[arg(
        long,
        env = "GATEPASS_MAX_SESSIONS",
        value_name = "NUMBER",
        default_value_t = 100
    )]
    pub max_sessions: u32,

    /// How long this node may take to enforce a revocation that another node made
    #[arg(long, env = "GATEPASS_MAX_STALENESS", value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub max_staleness: Duration,

    /// How often this node leaves a heartbeat in the store. Then a logout whose client waits is
    /// answered as soon as all nodes enforce it, and `gatepass doctor` knows the nodes. 5s is a
    /// good interval
    #[arg(long, env = "GATEPASS_HEARTBEAT", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub heartbeat: Option<Duration>,

    /// How far the clocks of issuer and verifier may differ
    #[arg(long, env = "GATEPASS_LEEWAY", value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub leeway: Duration,

    /// How clients carry their tokens. bearer: in headers and bodies. cookie: in cookies. both: in
    /// headers and bodies unless a login asks for cookies, as browsers do on the page of `GET /`
    #[arg(long, env = "GATEPASS_TRANSPORT", value_name = "bearer|cookie|both", default_value = "both", value_parser = transport)]
    pub transport: Transport,

    /// Sets cookies over plain HTTP, for browsers that keep no Secure cookies for localhost. Only
    /// for development
    #[arg(long, env = "GATEPASS_INSECURE_LOCALHOST_COOKIES")]
    pub insecure_localhost_cookies: bool,

    /// Another origin (scheme and host) whose pages may use the service's cookies
    #[arg(
        long = "trusted-origin",
        env = "GATEPASS_TRUSTED_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub trusted_origins: Vec<String>,

    /// A reverse proxy in front of the service: an address, or a network such as 10.0.0.0/8. Its
    /// `X-Forwarded-For` contains the addresses of clients
    #[arg(
        long = "trusted-proxy",
        env = "GATEPASS_TRUSTED_PROXY",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<String>,

    /// Turns off the limit on attempts to log in, for load tests
    #[arg(long, env = "GATEPASS_NO_LOGIN_THROTTLE")]
    pub no_login_throttle: bool,

    /// Another node over the same store, such as http://127.0.0.1:3001. The page of `GET /` shows
    /// how soon that node learns of a logout here. This node sends access tokens to it unencrypted
    #[arg(long, env = "GATEPASS_PEER", value_name = "URL")]
    pub peer: Option<PeerUrl>,

    /// A file of OAuth clients, one in each line: ID:SECRET for a confidential client, which may
    /// introspect tokens, or ID for a public client
    #[arg(long, env = "GATEPASS_CLIENT_FILE", value_name = "FILE")]
    pub client_file: Option<PathBuf>,

    /// An OAuth client, as in --client-file. All users of the machine can read a command line, so
    /// write a client with a secret into the file
    // `--help` doesn't show the value, because it may contain a secret.
    #[arg(
        long = "client",
        env = "GATEPASS_CLIENT",
        value_name = "ID:SECRET",
        hide_env_values = true
    )]
    pub clients: Vec<ClientSetting>,

    /// The users, instead of the demo users: [{"username","password","scope"}]. Each start deletes
    /// all others, and sets these passwords again
    #[arg(long, env = "GATEPASS_USERS", value_name = "FILE.json")]
    pub users: Option<PathBuf>,
}

impl Settings {
    /// The default issuer.
    pub(crate) const ISSUER: &str = "http://127.0.0.1:3000";

    /// The OAuth clients in the file and on the command line.
    pub(crate) fn clients(&self) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::new();
        if let Some(path) = &self.client_file {
            clients = ClientSetting::read(path)?;
        }
        for client in &self.clients {
            clients.push(client.client().context("cannot use a --client")?);
        }
        Ok(clients)
    }

    /// The database of the users.
    #[must_use]
    pub fn users_in(&self) -> Database {
        self.user_store
            .clone()
            .unwrap_or_else(|| self.store.users())
    }

    /// Listens on the configured address. The listener is non-blocking, as async runtimes need it.
    ///
    /// # Errors
    ///
    /// An error if the service can't listen on the address, for example because it is in use.
    pub fn bind(&self) -> anyhow::Result<TcpListener> {
        let bind = || {
            let listener = TcpListener::bind(self.listen)?;
            listener.set_nonblocking(true)?;
            io::Result::Ok(listener)
        };
        bind().with_context(|| {
            format!(
                "cannot listen on {}; choose another address with --listen",
                self.listen
            )
        })
    }
}

fn transport(name: &str) -> Result<Transport, String> {
    match name {
        "bearer" => Ok(Transport::Bearer),
        "cookie" => Ok(Transport::Cookie),
        "both" => Ok(Transport::Both),
        _ => Err("the known transports are bearer, cookie and both".into()),
    }
}

/// An OAuth client as you write it on a command line or in a file. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ClientSetting(Zeroizing<String>);

impl ClientSetting {
    /// The client.
    ///
    /// # Errors
    ///
    /// The error describes the fault, and shows nothing of the client.
    pub fn client(&self) -> anyhow::Result<Client> {
        let (id, secret) = match self.0.split_once(':') {
            Some((id, secret)) => (id, Some(secret)),
            None => (self.0.as_str(), None),
        };
        let id = ClientId::new(id)
            .context("a client is written ID:SECRET, or ID if it is a public one")?;
        let client = match secret {
            None => Client::public(id),
            Some("") => anyhow::bail!(
                "the client {id} has an empty secret; make one with: openssl rand -hex 32"
            ),
            Some(secret) => Client::confidential(id, secret),
        };
        // All clients belong to this service, so no other service learns the users' passwords.
        Ok(client.password_grant())
    }

    /// The clients in a file, one in each line. It skips empty lines.
    fn read(path: &Path) -> anyhow::Result<Vec<Client>> {
        let content = secrets::read(path)?;
        let content = str::from_utf8(&content).with_context(|| format!("{path:?} is not UTF-8"))?;
        let lines = (1..).zip(content.lines().map(str::trim));
        let clients = lines.filter(|(_, line)| !line.is_empty());
        let clients = clients.map(|(number, line)| {
            let client = Self(Zeroizing::new(line.to_owned())).client();
            client.with_context(|| format!("cannot use line {number} of {path:?}"))
        });
        let clients: Vec<_> = clients.collect::<anyhow::Result<_>>()?;
        ensure!(
            !clients.is_empty(),
            "{path:?} names no client; write ID:SECRET into it"
        );
        Ok(clients)
    }
}

impl FromStr for ClientSetting {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for ClientSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSetting([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Settings, String> {
        Settings::try_parse_from(["example"].iter().chain(args)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let settings = parse(&[]).unwrap();
        let file = Database::Sqlite("gatepass.db".into());
        assert_eq!(settings.users_in(), file);
        assert_eq!(settings.store, StoreLocation::Database(file));
        assert_eq!(settings.access_ttl, Duration::from_secs(900));
        assert!(settings.listen.ip().is_loopback());
        // Without it, no browser could log in on the page.
        assert_eq!(settings.transport, Transport::Both);
    }

    #[test]
    fn a_mistake_is_an_error_that_says_what_to_do() {
        for (args, said) in [
            (&["--port", "1"][..], "unexpected argument '--port'"),
            (&["--listen", "localhost"], "--listen"),
            (
                &["--store", "mysql://db"],
                "--store: it must be sqlite:FILE",
            ),
            (&["--store", "gatepass.db"], "it must be sqlite:FILE"),
            (&["--store", "sqlite:"], "needs a file"),
            (
                &["--user-store", "mysql://db"],
                "--user-store: it must be sqlite:FILE",
            ),
            (
                &["--user-store", "redis://h"],
                "users are kept in a database",
            ),
            (&["--access-ttl", "15"], "--access-ttl"),
            (&["--peer", "127.0.0.1:3001"], "http://HOST:PORT"),
            (
                &["--key", "a.pem", "--jwt-secret-file", "b"],
                "cannot be used with",
            ),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(said), "{args:?}: {error}");
        }
    }

    #[test]
    fn no_password_of_a_server_is_shown() {
        for flag in ["--store", "--user-store"] {
            let error = parse(&[flag, "postgers://shop:hunter2@db/shop"]).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
            let settings = parse(&[flag, "postgres://shop:hunter2@db/shop"]).unwrap();
            assert!(!format!("{settings:?}").contains("hunter2"));
        }
    }

    #[test]
    fn users_are_where_it_is_said() {
        let settings = parse(&["--store", "postgres://db/shop"]).unwrap();
        assert_eq!(settings.users_in(), "postgres://db/shop".parse().unwrap());
        let settings = parse(&["--store", "postgres://db/shop", "--user-store", "memory"]);
        assert_eq!(settings.unwrap().users_in(), Database::Memory);
    }

    #[test]
    fn an_address_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let settings = parse(&["--listen", &address]).unwrap();
        let error = format!("{:#}", settings.bind().unwrap_err());
        assert!(
            error.contains(&address) && error.contains("--listen"),
            "{error}"
        );
    }

    #[test]
    fn clients_of_a_file_are_those_of_its_lines() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("clients");
        let clients = |content: &str| {
            std::fs::write(&file, content).unwrap();
            let file = file.to_str().unwrap();
            let settings = parse(&["--client-file", file, "--client", "cli"]).unwrap();
            settings.clients()
        };
        for content in ["shop:a:secret\nspa", "\n shop:a:secret \r\n\nspa\r\n\n"] {
            let clients = clients(content).unwrap();
            let ids: Vec<_> = clients.iter().map(|client| client.id().as_str()).collect();
            assert_eq!(ids, ["shop", "spa", "cli"]);
        }
        for (content, said) in [
            ("", "names no client"),
            ("\n\n", "names no client"),
            ("spa\n:hunter2\n", "line 2"),
            ("spa\n\nshop:\n", "line 3"),
            ("a\tb:hunter2", "line 1"),
        ] {
            let error = format!("{:#}", clients(content).err().unwrap());
            assert!(error.contains(said) && error.contains("clients"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn keys_may_be_given_more_than_once_and_keep_their_order() {
        let settings = parse(&["--key", "new.pem", "--key", "old.pem"]).unwrap();
        assert_eq!(settings.keys, ["new.pem", "old.pem"].map(PathBuf::from));
    }
}
