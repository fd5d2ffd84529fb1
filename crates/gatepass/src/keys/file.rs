//! Key sets in files, for resource servers.

use std::{fs, path::Path};

use crate::keys::{
    error::KeyError,
    set::{KeySet, SkippedKey},
};

/// A file from which gatepass can't read keys to verify with. Each message names the file and the
/// fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("cannot read the key set {path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The error message of the system.
        why: String,
    },
    /// The file does not hold a key set that gatepass can use.
    #[error(
        "cannot use the key set {path}: {error}; put the issuer's own document there, as its jwks_uri serves it"
    )]
    Unusable {
        /// The file.
        path: String,
        /// The fault.
        error: KeyError,
    },
    /// The file holds a key set, but gatepass can use none of its keys.
    #[error("none of the {} keys in {path} can be used; the first: {}", skipped.len(), first(skipped))]
    AllSkipped {
        /// The file.
        path: String,
        /// The keys, each with the reason.
        skipped: Vec<SkippedKey>,
    },
}

fn first(skipped: &[SkippedKey]) -> String {
    let first = skipped.first();
    first.map(|key| key.error.to_string()).unwrap_or_default()
}

impl KeySet {
    /// Reads a file with a JSON Web Key Set. Returns the usable keys and the skipped ones, like
    /// [`from_jwks`](Self::from_jwks).
    ///
    /// gatepass reads the file once. If the issuer changes its keys, read the file again and call
    /// [`Verifier::replace_keys`](crate::Verifier::replace_keys).
    ///
    /// ```
    /// use gatepass::{KeySet, keys::KeyFileError};
    ///
    /// let error = KeySet::from_jwks_file("/nowhere/jwks.json").unwrap_err();
    /// assert!(error.to_string().starts_with("cannot read the key set /nowhere/jwks.json: "));
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyFileError`], which names the file.
    pub fn from_jwks_file(path: impl AsRef<Path>) -> Result<(Self, Vec<SkippedKey>), KeyFileError> {
        let name = path.as_ref().display().to_string();
        let text = fs::read_to_string(&path).map_err(|error| KeyFileError::Unreadable {
            path: name.clone(),
            why: error.to_string(),
        })?;
        let unusable = |error| KeyFileError::Unusable {
            path: name.clone(),
            error,
        };
        // Some editors begin a file with a byte order mark, which JSON does not allow.
        let json = text.trim_start_matches('\u{feff}');
        let (keys, skipped) = Self::read_jwks(json).map_err(unusable)?;
        if keys.is_empty() && !skipped.is_empty() {
            return Err(KeyFileError::AllSkipped {
                path: name,
                skipped,
            });
        }
        let keys = Self::of_jwks(keys).map_err(unusable)?;
        Ok((keys, skipped))
    }
}
