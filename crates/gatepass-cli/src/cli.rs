//! The arguments of the command line, and the dispatch to its commands.

use std::{
    fmt,
    io::{self, IsTerminal, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand, builder::TypedValueParser};
use gatepass::{
    Clock, SystemClock,
    store::{Audience, Issuer},
};

use crate::{
    doctor, inspect, jwks,
    key_file::{KeyFile, TokenKeys},
    keygen::{self, KeyKind, RsaBits},
    place::Place,
    sessions,
};

/// Makes keys and secrets for gatepass, shows the content of a token, prints key sets, lists and
/// ends sessions, and finds faults of a store and its nodes
///
/// Exits with 0 if all is well, with 1 if not, and with 2 if the arguments are wrong.
#[derive(Debug, Parser)]
#[command(name = "gatepass", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a secret or a private key, in a new file that only its owner may read
    ///
    /// Prints what you may publish: the key's id, and for a key pair the public JWK on a second
    /// line. The id of a secret is the id of its HS256 key. It never overwrites a file.
    #[command(subcommand)]
    Keygen(Keygen),

    /// Show the content of an access or refresh token, and everything that is wrong with it
    ///
    /// Verifies nothing but the signature, and that only with --key. It doesn't check whether the
    /// token is revoked, or whether your service accepts its issuer and audience. Exits with 1 if
    /// anything is wrong with the token.
    Inspect {
        /// The token, or - for standard input (default). The list of processes shows arguments
        #[arg(default_value = "-", hide_default_value = true)]
        token: String,

        /// The file of the key to check the signature with: PEM, JWK, JWKS or a secret, as FILE or
        /// ALG:FILE
        #[arg(long, value_name = "[ALG:]FILE", value_parser = key_file())]
        key: Option<KeyFile>,

        /// The issuer (iss) of the service, to check a refresh token with its master secret
        #[arg(long, requires = "audience")]
        issuer: Option<String>,

        /// The audience (aud) of the service
        #[arg(long, requires = "issuer")]
        audience: Option<String>,
    },

    /// Find faults of a store and of the nodes that use it
    ///
    /// It changes nothing, and sees only nodes that leave heartbeats. Exits with 0 if there is
    /// nothing to do, with 1 if there is something to do, and with 2 if the arguments are wrong.
    Doctor {
        #[command(flatten)]
        store: StoreArgs,

        /// Several services share the store on purpose
        #[arg(long)]
        shared: bool,

        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },

    /// List, show, count and end the sessions in a store
    ///
    /// All commands except `end` only read. Exits with 0 if it did what you asked, with 1 if not,
    /// and with 2 if the arguments are wrong.
    Sessions {
        #[command(flatten)]
        store: StoreArgs,

        #[command(subcommand)]
        command: Box<sessions::Command>,
    },

    /// Print the JSON Web Key Set of public keys, for services that verify tokens
    Jwks {
        /// Private or public keys in PEM. Write ALG:FILE if a key's algorithm is not the usual one
        /// (PS256:rsa.pem)
        #[arg(required = true, value_name = "[ALG:]FILE", value_parser = key_file())]
        keys: Vec<KeyFile>,
    },
}

/// The store, and its name in the database.
#[derive(clap::Args)]
struct StoreArgs {
    /// The store: sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE, or
    /// redis://USER:PASSWORD@HOST (rediss:// to encrypt, separated by commas for a cluster). The
    /// list of processes shows arguments, so put a password into the variable
    // Not shown by --help: it may hold a password.
    #[arg(
        long,
        env = "GATEPASS_STORE",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    store: Option<String>,

    /// The schema in PostgreSQL, or the namespace in Redis, if it is not `gatepass`
    #[arg(long, global = true)]
    name: Option<String>,
}

impl fmt::Debug for StoreArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: there may be a password in it.
        f.debug_struct("StoreArgs").finish_non_exhaustive()
    }
}

impl StoreArgs {
    /// The store of the call, or `None` after an error on standard error: the call names no store,
    /// or an unknown one.
    fn place(&self) -> Option<Place> {
        let problem = match self.store.as_deref().map(Place::parse) {
            Some(Ok(place)) => return Some(place),
            Some(Err(_)) => UNKNOWN_STORE,
            None => NO_STORE,
        };
        let _ = writeln!(io::stderr(), "error: {problem}");
        None
    }
}

#[derive(Debug, Subcommand)]
enum Keygen {
    /// 64 random bytes in hex: a master secret, or a key for HS256, HS384 or HS512
    Secret {
        /// The new file
        #[arg(long, value_name = "FILE", default_value = "gatepass.secret")]
        out: PathBuf,
    },
    /// The HS256 key of a master secret, as a JWK, for services that verify with a shared secret
    Hs256 {
        /// The file of the master secret
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The new file
        #[arg(long, value_name = "FILE", default_value = "hs256.jwk")]
        out: PathBuf,
    },
    /// An Ed25519 key, for EdDSA: small and fast. Take it unless you need another algorithm
    Ed25519 {
        /// The new file
        #[arg(long, value_name = "FILE", default_value = "ed25519.pem")]
        out: PathBuf,
    },
    /// A key on the curve P-256, for ES256
    Es256 {
        /// The new file
        #[arg(long, value_name = "FILE", default_value = "es256.pem")]
        out: PathBuf,
    },
    /// A key on the curve P-384, for ES384
    Es384 {
        /// The new file
        #[arg(long, value_name = "FILE", default_value = "es384.pem")]
        out: PathBuf,
    },
    /// An RSA key, for RS256, or for PS256 if all your verifiers have it
    Rsa {
        /// The length of the modulus in bits
        #[arg(long, value_enum, default_value = "3072")]
        bits: RsaBits,
        /// The new file
        #[arg(long, value_name = "FILE", default_value = "rsa.pem")]
        out: PathBuf,
    },
}

/// The exit status after a wrong call, as clap has it.
const WRONG_CALL: u8 = 2;
const NO_STORE: &str = "no store is given: name it by --store or in the variable GATEPASS_STORE";
/// Does not repeat the URL, which may hold a password.
const UNKNOWN_STORE: &str = "the store of --store is not known: write sqlite:FILE, \
    postgres://USER:PASSWORD@HOST/DATABASE or redis://USER:PASSWORD@HOST";

/// Parses a key file of any path, even one that is not UTF-8.
fn key_file() -> impl TypedValueParser<Value = KeyFile> {
    clap::builder::OsStringValueParser::new().map(KeyFile::from)
}

/// Runs the command of `args`, and writes its result to `out`.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    match &args.command {
        Command::Keygen(keygen) => make(keygen, out)?,
        Command::Jwks { keys } => writeln!(out, "{}", jwks::of(keys, now)?)?,
        Command::Sessions { store, command } => {
            let Some(place) = store.place() else {
                return Ok(ExitCode::from(WRONG_CALL));
            };
            let code = sessions::run(&place, store.name.as_deref(), command, out)?;
            out.flush()?;
            return Ok(code);
        }
        Command::Doctor {
            store,
            shared,
            json,
        } => {
            let Some(place) = store.place() else {
                return Ok(ExitCode::from(WRONG_CALL));
            };
            let options = doctor::Options {
                name: store.name.clone(),
                shared: *shared,
            };
            let report = doctor::examine(&place, &options)?;
            if *json {
                writeln!(out, "{:#}", report.json())?;
            } else {
                write!(out, "{report}")?;
            }
            out.flush()?;
            return Ok(ExitCode::from(u8::from(!report.is_healthy())));
        }
        Command::Inspect {
            token,
            key,
            issuer,
            audience,
        } => {
            let service = match (issuer, audience) {
                (Some(issuer), Some(audience)) => Some((
                    Issuer::new(issuer.as_str())?,
                    Audience::new(audience.as_str())?,
                )),
                _ => None,
            };
            let keys = key.as_ref().map(TokenKeys::read).transpose()?;
            let token = match token.as_str() {
                "-" => read_token()?,
                token => token.to_owned(),
            };
            let report = inspect::inspect(&token, keys.as_ref(), service.as_ref(), now);
            write!(out, "{report}")?;
            out.flush()?;
            return Ok(ExitCode::from(u8::from(!report.is_good())));
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn make(keygen: &Keygen, out: &mut dyn Write) -> anyhow::Result<()> {
    let (path, made) = match keygen {
        Keygen::Secret { out } => (out, keygen::secret()?),
        Keygen::Hs256 { from, out } => (out, keygen::derived(from)?),
        Keygen::Ed25519 { out } => (out, keygen::key_pair(KeyKind::Ed25519)?),
        Keygen::Es256 { out } => (out, keygen::key_pair(KeyKind::Es256)?),
        Keygen::Es384 { out } => (out, keygen::key_pair(KeyKind::Es384)?),
        Keygen::Rsa { bits, out } => (out, keygen::key_pair(KeyKind::Rsa(*bits))?),
    };
    made.write_to(path)?;
    // Programs read standard output, so this goes to standard error.
    let kept = if cfg!(unix) {
        "only its owner may read it"
    } else {
        "restrict who may read it: this system has no file modes"
    };
    let _ = writeln!(io::stderr(), "made {path:?}; {kept}");
    write!(out, "{}", made.public())?;
    Ok(())
}

/// The token on standard input.
fn read_token() -> anyhow::Result<String> {
    // Far more than any token has, and still little memory.
    const MOST: u64 = 1 << 20;
    let input = io::stdin();
    if input.is_terminal() {
        let _ = writeln!(
            io::stderr(),
            "reading a token; end it with Enter and Ctrl-D"
        );
    }
    let mut text = Vec::new();
    let read = input.lock().take(MOST + 1).read_to_end(&mut text);
    read.context("cannot read a token from standard input")?;
    ensure!(
        text.len() as u64 <= MOST,
        "standard input holds more than a token: over {MOST} bytes"
    );
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
