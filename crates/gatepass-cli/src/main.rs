//! The command line tool of gatepass: `gatepass --help` says what it does.

mod cli;
mod doctor;
mod inspect;
mod jwks;
mod key_file;
mod keygen;
mod place;
mod private_file;
mod sessions;
mod text;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

fn main() -> ExitCode {
    // A reader that closes the pipe early, as `head` does, has read what it wanted.
    let ended = |error: &anyhow::Error| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    let args = cli::Args::parse_from(sessions::ids_last(std::env::args_os()));
    match cli::run(&args, &mut io::stdout().lock()) {
        Ok(code) => code,
        Err(error) if ended(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // The program has no other place to report a failure of this.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
