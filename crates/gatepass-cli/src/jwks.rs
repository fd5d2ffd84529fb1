//! Key sets for services that verify tokens.

use anyhow::bail;
use gatepass::{KeySet, Timestamp};

use crate::key_file::KeyFile;

/// The JSON Web Key Set (RFC 7517 §5) of the public halves of these keys.
pub(crate) fn of(files: &[KeyFile], now: Timestamp) -> anyhow::Result<String> {
    let mut keys: Vec<gatepass::keys::VerifyingKey> = Vec::new();
    for file in files {
        let key = file.public_key()?;
        if keys.iter().any(|other| other.id() == key.id()) {
            bail!(
                "{:?} holds the key {} a second time; name each key once, with one algorithm",
                file.path(),
                key.id()
            );
        }
        keys.push(key);
    }
    Ok(KeySet::verifying(keys).jwks(now))
}
