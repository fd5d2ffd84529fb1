//! The attack tokens: the fault of each, and the reason for which a verifier must refuse it.
//!
//! A table is for one victim, whose key has one algorithm. [`signature`] has the attacks that
//! depend on the kind of key.

mod algorithm;
mod brought;
mod claims;
mod dates;
mod duplicates;
mod extensions;
mod key_id;
mod kinds;
mod segments;
mod signature;
mod size;
mod spelling;
mod types;

pub use signature::malleated;
use spelling::non_canonical;

use gatepass::{Issued, KeySet, Refusal, Timestamp, keys::Algorithm};

use crate::forge::{Forge, Members, unbase64url};

/// Maximum length of an access token in bytes.
pub const LIMIT: usize = 8 * 1024;

/// A token that must be refused.
#[derive(Clone, Debug)]
pub struct Attack {
    pub group: &'static str,
    /// The unique name. It begins with the group.
    pub name: String,
    pub token: String,
    pub reason: Refusal,
}

/// A valid token that looks like an attack. Without these, a verifier could refuse all attacks for
/// another reason than their own.
#[derive(Clone, Debug)]
pub struct Control {
    pub name: String,
    pub token: String,
}

#[derive(Debug, Default)]
pub struct Table {
    group: &'static str,
    pub attacks: Vec<Attack>,
    pub controls: Vec<Control>,
}

impl Table {
    pub fn of(victim: &Victim) -> Self {
        let mut table = Self::default();
        table.accepted("the good token", victim.good.clone());
        table.accepted("the good token, forged", victim.with_claims(&victim.claims));
        type Group = (&'static str, fn(&mut Table, &Victim));
        let groups: [Group; 13] = [
            ("algorithm", algorithm::attacks),
            ("key id", key_id::attacks),
            ("keys brought along", brought::attacks),
            ("extensions", extensions::attacks),
            ("type", types::attacks),
            ("signature", signature::attacks),
            ("base64url", spelling::attacks),
            ("segments", segments::attacks),
            ("duplicates", duplicates::attacks),
            ("claims", claims::attacks),
            ("dates", dates::attacks),
            ("other kinds", kinds::attacks),
            ("size", size::attacks),
        ];
        for (group, attacks) in groups {
            table.group = group;
            attacks(&mut table, victim);
        }
        table
    }

    fn refused(&mut self, reason: Refusal, name: impl AsRef<str>, token: impl Into<String>) {
        self.attacks.push(Attack {
            group: self.group,
            name: format!("{}: {}", self.group, name.as_ref()),
            token: token.into(),
            reason,
        });
    }

    fn accepted(&mut self, name: impl AsRef<str>, token: impl Into<String>) {
        self.controls.push(Control {
            name: format!("{}: {}", self.group, name.as_ref()),
            token: token.into(),
        });
    }
}

/// The service whose tokens the forger attacks. The forger has the keys that its verifiers trust,
/// and one that they don't.
pub struct Victim {
    pub forge: Forge,
    /// The verifiers also trust this key of another algorithm.
    pub neighbour: Forge,
    /// The verifiers trusted this key until some time ago.
    retired: Forge,
    pub stranger: Forge,
    good: String,
    refresh: String,
    claims: Members,
}

impl Victim {
    /// The keys that a verifier of tokens by `algorithm` trusts.
    pub fn keys(algorithm: Algorithm) -> KeySet {
        let (neighbour, retired) = (Self::neighbour(algorithm).key(), Self::retired().key());
        KeySet::signing(Forge::trusted(algorithm).key())
            .announce(neighbour.verifying_key().clone())
            .retire(
                retired.verifying_key().clone(),
                Timestamp::from_unix_secs(1),
            )
    }

    fn neighbour(algorithm: Algorithm) -> Forge {
        if algorithm.is_symmetric() {
            Forge::trusted(Algorithm::EdDsa)
        } else {
            Forge::trusted(Algorithm::Hs256)
        }
    }

    fn retired() -> Forge {
        let secret = b"a secret that was trusted once, of 64 bytes at least, as SHA-512 needs";
        Forge::new(Algorithm::Hs512, secret)
    }

    /// The owner of the session whose tokens are `issued`. They are signed with the first of
    /// [`keys`](Self::keys).
    pub fn new(algorithm: Algorithm, issued: &Issued) -> Self {
        let good = issued.access_token.as_str();
        let payload = good.split('.').nth(1).unwrap();
        Self {
            forge: Forge::trusted(algorithm),
            neighbour: Self::neighbour(algorithm),
            retired: Self::retired(),
            stranger: Forge::stranger(algorithm),
            good: good.to_owned(),
            refresh: issued.refresh_token.as_str().to_owned(),
            claims: Members::parse(&unbase64url(payload)),
        }
    }

    pub fn algorithm(&self) -> Algorithm {
        self.forge.algorithm
    }

    pub fn good(&self) -> &str {
        &self.good
    }

    pub fn refresh_token(&self) -> &str {
        &self.refresh
    }

    /// The header of the good token.
    pub fn header(&self) -> Members {
        self.forge.header()
    }

    /// The claims of the good token.
    pub fn claims(&self) -> Members {
        self.claims.clone()
    }

    /// The good token's header, payload and signature.
    pub fn segments(&self) -> [&str; 3] {
        segments(&self.good)
    }

    pub fn with_header(&self, header: &Members) -> String {
        self.forge
            .token(header.to_string(), self.claims.to_string())
    }

    pub fn with_claims(&self, claims: &Members) -> String {
        self.forge
            .token(self.header().to_string(), claims.to_string())
    }
}

pub fn segments(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// `text` as JSON, which must need no escaping.
fn quoted(text: impl std::fmt::Display) -> String {
    format!(r#""{text}""#)
}
