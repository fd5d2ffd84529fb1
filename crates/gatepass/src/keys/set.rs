//! The keys of an issuer at one time.

use std::{collections::HashSet, fmt};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    env::clock::Timestamp,
    keys::{algorithm::Algorithm, error::KeyError, signing::SigningKey, verifying::VerifyingKey},
};

/// The keys of an issuer at one time: at most one signs, and all verify.
///
/// To change the signing key without refusing valid tokens:
///
/// 1. Add the new key with [`announce`](Self::announce) on every node, and wait until all nodes
///    have it.
/// 2. Make it the active key, and [`retire`](Self::retire) the old one until its last token has
///    expired.
///
/// You swap whole sets while the service runs, with
/// [`Authority::replace_keys`](crate::Authority::replace_keys).
///
/// ```
/// use gatepass::{KeySet, Timestamp, keys::SigningKey};
///
/// let old = SigningKey::hs256(b"an old secret of thirty-two bytes and some")?;
/// let new = SigningKey::hs256(b"a new secret of thirty-two bytes and more")?;
/// let keys = KeySet::signing(new).retire(old.verifying_key().clone(), Timestamp::from_unix_secs(1_800_000_000));
/// # Ok::<(), gatepass::keys::KeyError>(())
/// ```
#[derive(Clone)]
pub struct KeySet {
    active: Option<SigningKey>,
    /// Each key with its end, if it has one.
    verifying: Vec<(VerifyingKey, Option<Timestamp>)>,
}

impl KeySet {
    /// A set that signs tokens with `active`.
    #[must_use]
    pub fn signing(active: SigningKey) -> Self {
        let verifying = vec![(active.verifying_key().clone(), None)];
        Self {
            active: Some(active),
            verifying,
        }
    }

    /// A set that verifies and cannot sign.
    #[must_use]
    pub fn verifying(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        Self {
            active: None,
            verifying: keys.into_iter().map(|key| (key, None)).collect(),
        }
    }

    /// Accepts tokens of a key that other nodes may already sign with.
    #[must_use]
    pub fn announce(mut self, key: VerifyingKey) -> Self {
        self.verifying.push((key, None));
        self
    }

    /// Accepts tokens of a key that no longer signs, until `until`. Choose the time when the last
    /// token that it signed has expired, plus the leeway.
    #[must_use]
    pub fn retire(mut self, key: VerifyingKey, until: Timestamp) -> Self {
        self.verifying.push((key, Some(until)));
        self
    }

    /// The keys, the active one first. It includes retired keys that no longer verify.
    pub fn keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.verifying.iter().map(|(key, _)| key)
    }

    /// The ids of the keys, the active one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys().map(VerifyingKey::id)
    }

    /// The public keys as a JSON Web Key Set (RFC 7517 §5), for other services that verify. It has
    /// the active key, the announced keys, and the retired keys that still verify. It never has
    /// secrets.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> String {
        let live = self
            .verifying
            .iter()
            .filter(|(_, until)| is_good(*until, now));
        let keys: Vec<String> = live.filter_map(|(key, _)| key.to_jwk()).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    /// The usable keys in a JSON Web Key Set, and the skipped keys with the reasons.
    ///
    /// One bad key never discards the set. gatepass uses a key with the algorithm that it names
    /// (`alg`). If it names none, gatepass uses the only algorithm of its curve, or RS256. The id
    /// of a key is its `kid`, or else its RFC 7638 thumbprint. gatepass skips secrets, since a
    /// party that can read them can also sign.
    ///
    /// ```
    /// use gatepass::{KeySet, keys::KeyError};
    ///
    /// let (keys, skipped) = KeySet::from_jwks(r#"{"keys":[
    ///     {"kty":"OKP","crv":"Ed25519","kid":"2026","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    ///     {"kty":"OKP","crv":"Ed448","x":"…"}
    /// ]}"#)?;
    /// assert_eq!(keys.ids().collect::<Vec<_>>(), ["2026"]);
    /// assert_eq!(skipped[0].error, KeyError::Unsupported("Ed448".to_owned()));
    /// # Ok::<(), KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwks`] if the text isn't a JSON Web Key Set, [`KeyError::DuplicateKeyId`] if two
    /// usable keys have the same id, and [`KeyError::NoKey`] if no key is usable.
    pub fn from_jwks(json: &str) -> Result<(Self, Vec<SkippedKey>), KeyError> {
        let (keys, skipped) = Self::read_jwks(json)?;
        Ok((Self::of_jwks(keys)?, skipped))
    }

    /// The usable keys that another issuer publishes, each with one of the `allowed` algorithms,
    /// and the skipped keys. If two keys have one id, the first is used.
    pub(crate) fn of_issuer(
        json: &str,
        allowed: &[Algorithm],
    ) -> Result<(Self, Vec<SkippedKey>), KeyError> {
        let document: Document<'_> = serde_json::from_str(json).map_err(|_| KeyError::Jwks)?;
        let (mut keys, mut skipped) = (Vec::<VerifyingKey>::new(), Vec::new());
        for (position, jwk) in document.keys.iter().enumerate() {
            match VerifyingKey::of_issuer(jwk.get(), allowed) {
                Ok(key) if keys.iter().any(|known| known.id() == key.id()) => {
                    let error = KeyError::DuplicateKeyId(key.id().to_owned());
                    skipped.push(SkippedKey { position, error });
                }
                Ok(key) => keys.push(key),
                Err(error) => skipped.push(SkippedKey { position, error }),
            }
        }
        Ok((Self::of_jwks(keys)?, skipped))
    }

    /// The usable keys of a document, and the skipped ones.
    pub(super) fn read_jwks(json: &str) -> Result<(Vec<VerifyingKey>, Vec<SkippedKey>), KeyError> {
        let document: Document<'_> = serde_json::from_str(json).map_err(|_| KeyError::Jwks)?;
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (position, jwk) in document.keys.iter().enumerate() {
            match VerifyingKey::of_set(jwk.get()) {
                Ok(key) => keys.push(key),
                Err(error) => skipped.push(SkippedKey { position, error }),
            }
        }
        Ok((keys, skipped))
    }

    pub(super) fn of_jwks(keys: Vec<VerifyingKey>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::NoKey);
        }
        let set = Self::verifying(keys);
        set.check()?;
        Ok(set)
    }

    /// The [mark](VerifyingKey::mark) of each key, the active one first.
    pub(crate) fn marks(&self) -> Vec<String> {
        self.keys().map(VerifyingKey::mark).collect()
    }

    pub(crate) fn active(&self) -> Option<&SigningKey> {
        self.active.as_ref()
    }

    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<&VerifyingKey> {
        let (key, until) = self.verifying.iter().find(|(key, _)| key.id() == id)?;
        is_good(*until, now).then_some(key)
    }

    /// The key that writes exactly this header segment, if there is one. Since ids are unique in a
    /// set, parsing the header would lead to the same key.
    pub(crate) fn find_by_header(&self, segment: &str, now: Timestamp) -> Option<&VerifyingKey> {
        let mut keys = self.verifying.iter();
        let (key, until) = keys.find(|(key, _)| key.header() == segment)?;
        is_good(*until, now).then_some(key)
    }

    pub(crate) fn check(&self) -> Result<(), KeyError> {
        let mut seen = HashSet::new();
        match self.ids().find(|id| !seen.insert(*id)) {
            Some(twice) => Err(KeyError::DuplicateKeyId(twice.to_owned())),
            None => Ok(()),
        }
    }

    pub(crate) fn check_signing(&self) -> Result<(), KeyError> {
        self.active
            .as_ref()
            .map(|_| ())
            .ok_or(KeyError::NoSigningKey)
    }
}

/// Whether a key is valid at `now`. It has an end if `until` is set.
fn is_good(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_none_or(|until| now < until)
}

/// A key of a JSON Web Key Set that gatepass doesn't use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// The position of the key in the set, counted from 0.
    pub position: usize,
    /// The reason why gatepass doesn't use it.
    pub error: KeyError,
}

/// A JSON Web Key Set (RFC 7517 §5). Each key is read on its own, so that a bad key doesn't affect
/// the others.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field(
                "active",
                &self.active.as_ref().map(|key| key.verifying_key().id()),
            )
            .field("verifying", &self.verifying)
            .finish()
    }
}
