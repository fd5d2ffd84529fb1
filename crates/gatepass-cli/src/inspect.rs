//! The content of a token, and everything that is wrong with it.
//!
//! The core takes a token apart and says why gates refuse it ([`TokenForm`], [`AccessTokenParts`]).
//! This module shows that to people, and adds the time and the signature.
//!
//! [`AccessTokenParts`]: gatepass::inspect::AccessTokenParts

mod access;
mod signature;

use std::fmt;

use gatepass::{
    Refusal, Timestamp,
    inspect::{TokenForm, verify_refresh_token},
    store::{Audience, Issuer},
};

use crate::{key_file::TokenKeys, text::printable};

/// The report on a token.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Whether you gave a key and the signature is good.
    signed: bool,
    shown: Vec<String>,
    /// Everything that is wrong with it.
    wrong: Vec<String>,
}

impl Report {
    /// Whether it found nothing wrong. That does not make the token trustworthy.
    pub(crate) fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }

    fn show(&mut self, line: impl Into<String>) {
        self.shown.push(line.into());
    }

    fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }
}

/// Inspects `token`, which may be any text. Ignores white space around it, and `Bearer` before it.
///
/// `service` is the issuer and audience to check a refresh token with.
pub(crate) fn inspect(
    token: &str,
    keys: Option<&TokenKeys>,
    service: Option<&(Issuer, Audience)>,
    now: Timestamp,
) -> Report {
    let mut report = Report::default();
    let token = bare(token);
    if token.is_empty() {
        report.wrong("no token: give one on standard input, or as an argument");
        return report;
    }
    match TokenForm::of(token) {
        Ok(TokenForm::Refresh {
            session,
            generation,
            ..
        }) => {
            report.show("a refresh token");
            report.show(format!("  session     {session}"));
            report.show(format!("  generation  {generation}"));
            refresh(&mut report, token, keys, service);
        }
        Err(refusal) if token.starts_with("gpr_") => {
            report.show("a refresh token, by its first letters");
            report.wrong(format!("{refusal}: it was cut off, or changed"));
        }
        Ok(_) | Err(_) => access::look(&mut report, token, keys, now),
    }
    report
}

fn bare(token: &str) -> &str {
    let token = token.trim();
    match token.split_once(char::is_whitespace) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_start(),
        _ => token,
    }
}

fn refresh(
    report: &mut Report,
    token: &str,
    keys: Option<&TokenKeys>,
    service: Option<&(Issuer, Audience)>,
) {
    report.show("Only the store knows whether the session lives and the token is not spent.");
    let Some(keys) = keys else {
        report.show(
            "Not verified: only the master secret shows who made it. Give its file with --key.",
        );
        return;
    };
    let TokenKeys::Secret {
        master: Some(master),
        ..
    } = keys
    else {
        report.wrong("not verified: only the master secret verifies a refresh token, and --key names another key");
        return;
    };
    let Some((issuer, audience)) = service else {
        report.wrong("not verified: a refresh token is bound to issuer and audience; give --issuer and --audience");
        return;
    };
    match verify_refresh_token(master, issuer, audience, token) {
        Ok(_) => report.signed = true,
        Err(Refusal::UnknownKey) => {
            report
                .wrong("it was made with another master secret, or for another issuer or audience");
        }
        Err(refusal) => report.wrong(format!("{refusal}: it was changed, or forged")),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.signed {
            "NOT TO BE TRUSTED for that alone: the given key signed it, but a gate checks more, such as its revocation and audience\n"
        } else {
            "NOT TO BE TRUSTED: any attacker can write such a token\n"
        })?;
        for line in &self.shown {
            writeln!(f, "{}", printable(line))?;
        }
        if self.is_good() {
            return writeln!(f, "nothing found wrong");
        }
        writeln!(f, "wrong")?;
        self.wrong
            .iter()
            .try_for_each(|wrong| writeln!(f, "  - {}", printable(wrong)))
    }
}

#[cfg(test)]
mod tests;
