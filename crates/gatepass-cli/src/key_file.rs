//! Keys in files, in every form that the program reads.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use gatepass::{
    KeySet, MasterSecret,
    keys::{Algorithm, KeyError, SigningKey, VerifyingKey},
};
use zeroize::Zeroizing;

/// `FILE`, or `ALG:FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFile {
    algorithm: Option<Algorithm>,
    path: PathBuf,
}

impl From<OsString> for KeyFile {
    /// Write `./PS256:FILE` for a file whose own name begins like an algorithm.
    fn from(named: OsString) -> Self {
        let split = named.to_str().and_then(|text| text.split_once(':'));
        if let Some((name, path)) = split
            && let Ok(algorithm) = name.parse()
        {
            return Self {
                algorithm: Some(algorithm),
                path: path.into(),
            };
        }
        Self {
            algorithm: None,
            path: named.into(),
        }
    }
}

impl KeyFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The public half of the key in PEM.
    pub(crate) fn public_key(&self) -> anyhow::Result<VerifyingKey> {
        let content = self.read()?;
        if let Some(algorithm) = self.algorithm
            && algorithm.is_symmetric()
        {
            bail!(
                "{:?}: {algorithm} has no public key, and a key set never holds a secret; give your verifiers the secret itself, or use a key pair",
                self.path
            );
        }
        public_half(self.algorithm, &content).map_err(|error| self.unusable(error))
    }

    fn read(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let content = fs::read(&self.path).with_context(|| {
            format!("cannot read {:?}; name a file that you may read", self.path)
        })?;
        Ok(Zeroizing::new(content))
    }

    fn unusable(&self, error: KeyError) -> anyhow::Error {
        let path = &self.path;
        match error {
            KeyError::Pem(_) => anyhow!(
                "{path:?} is not one private or public key in PEM (PKCS #8 or SPKI; PKCS #1 for RSA); make one with: gatepass keygen ed25519"
            ),
            error => anyhow!(error).context(format!("cannot use {path:?}")),
        }
    }
}

/// The keys in one file, to verify a token with.
pub(crate) enum TokenKeys {
    /// One key, with each possible algorithm, since a file seldom names one.
    One(Vec<VerifyingKey>),
    /// A key set. A token names its key in it.
    Set(Vec<VerifyingKey>),
    /// A secret: a key of access tokens, or the master secret.
    Secret {
        /// The key, with each algorithm.
        keys: Vec<VerifyingKey>,
        master: Option<MasterSecret>,
    },
}

impl TokenKeys {
    pub(crate) fn read(file: &KeyFile) -> anyhow::Result<Self> {
        let content = file.read()?;
        let trimmed = content.trim_ascii_start();
        if trimmed.starts_with(b"{") {
            Self::of_json(&content)
        } else if trimmed.starts_with(b"-----BEGIN ") {
            Self::of_pem(file.algorithm, &content)
        } else {
            Self::of_secret(file.algorithm, &content)
        }
        .map_err(|error| file.unusable(error))
    }

    fn of_json(json: &[u8]) -> Result<Self, KeyError> {
        let json = str::from_utf8(json).map_err(|_| KeyError::Jwks)?;
        let set = match KeySet::from_jwks(json) {
            // It may be a single key, which may be a secret.
            Err(KeyError::Jwks) => match KeySet::from_jwks(&format!(r#"{{"keys":[{json}]}}"#)) {
                Err(KeyError::NoKey) => return Self::of_secret_jwk(json),
                read => read,
            },
            read => read,
        };
        set.map(|(set, _)| Self::Set(set.keys().cloned().collect()))
    }

    fn of_secret_jwk(jwk: &str) -> Result<Self, KeyError> {
        let symmetric = Algorithm::ALL
            .into_iter()
            .filter(|each| each.is_symmetric());
        // The error for the shortest hash is the one to report.
        let mut refused = None;
        let mut keys = Vec::new();
        for algorithm in symmetric {
            match SigningKey::from_jwk(algorithm, jwk) {
                Ok(key) => keys.push(key.verifying_key().clone()),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(error) if keys.is_empty() => Err(error),
            _ => Ok(Self::Secret { keys, master: None }),
        }
    }

    fn of_pem(algorithm: Option<Algorithm>, pem: &[u8]) -> Result<Self, KeyError> {
        if algorithm.is_some() {
            return Ok(Self::One(vec![public_half(algorithm, pem)?]));
        }
        // Reports the error if the key is bad with any algorithm.
        public_half(None, pem)?;
        let each = Algorithm::ALL.into_iter();
        let fit = each.filter_map(|algorithm| public_half(Some(algorithm), pem).ok());
        Ok(Self::One(fit.collect()))
    }

    fn of_secret(algorithm: Option<Algorithm>, secret: &[u8]) -> Result<Self, KeyError> {
        let with = |algorithm| {
            SigningKey::from_secret(algorithm, secret).map(|key| key.verifying_key().clone())
        };
        if let Some(algorithm) = algorithm {
            let keys = vec![with(algorithm)?];
            return Ok(Self::Secret { keys, master: None });
        }
        let master = MasterSecret::from_bytes(secret)?;
        let derived = SigningKey::derived(&master).verifying_key().clone();
        let symmetric = Algorithm::ALL
            .into_iter()
            .filter(|each| each.is_symmetric());
        // The longer hashes need a longer secret.
        let keys = symmetric.filter_map(|algorithm| with(algorithm).ok());
        Ok(Self::Secret {
            keys: [derived].into_iter().chain(keys).collect(),
            master: Some(master),
        })
    }
}

/// The public half of a private or public key in PEM.
fn public_half(algorithm: Option<Algorithm>, pem: &[u8]) -> Result<VerifyingKey, KeyError> {
    let public = match algorithm {
        Some(algorithm) => VerifyingKey::from_pem(algorithm, pem),
        None => VerifyingKey::from_any_pem(pem),
    };
    let private = match (public, algorithm) {
        (Err(KeyError::PrivateKey), Some(algorithm)) => SigningKey::from_pem(algorithm, pem),
        (Err(KeyError::PrivateKey), None) => SigningKey::from_any_pem(pem),
        (public, _) => return public,
    };
    private.map(|key| key.verifying_key().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_an_algorithm_is_one() {
        let file = |named: &str| KeyFile::from(OsString::from(named));
        for (named, algorithm, path) in [
            ("rsa.pem", None, "rsa.pem"),
            ("PS256:rsa.pem", Some(Algorithm::Ps256), "rsa.pem"),
            ("PS256:a:b", Some(Algorithm::Ps256), "a:b"),
            ("./PS256:rsa.pem", None, "./PS256:rsa.pem"),
            ("C:\\rsa.pem", None, "C:\\rsa.pem"),
        ] {
            let path = path.into();
            assert_eq!(file(named), KeyFile { algorithm, path }, "{named}");
        }
    }
}
