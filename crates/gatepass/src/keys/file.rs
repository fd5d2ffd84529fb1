//! Key sets in files, as a resource server has those of its issuer.

use std::{fs, path::Path};

use crate::keys::{
    error::KeyError,
    set::{KeySet, SkippedKey},
};

/// A file that is no set of keys to verify with. Each message names the file, and says what is
/// wrong with it.
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
    /// The file holds no set of keys, or none that can be used.
    #[error(
        "cannot use the key set {path}: {error}; what belongs there is the issuer's own document, as it stands at its jwks_uri"
    )]
    Unusable {
        /// The file.
        path: String,
        /// The fault.
        error: KeyError,
    },
    /// It is a set of keys, and not one of them can be used.
    #[error("none of the {} keys in {path} can be used; the first: {}", skipped.len(), first(skipped))]
    AllSkipped {
        /// The file.
        path: String,
        /// Why not.
        skipped: Vec<SkippedKey>,
    },
}

fn first(skipped: &[SkippedKey]) -> String {
    let first = skipped.first();
    first.map(|key| key.error.to_string()).unwrap_or_default()
}

impl KeySet {
    /// The keys in a file that holds a JSON Web Key Set, and those in it that are not used, as
    /// [`from_jwks`](Self::from_jwks) has them. It is read once: to follow an issuer that changes
    /// its keys, read it again and swap them by
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
        // Editors of some systems begin a file with it, and JSON does not have it.
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
