//! The record of the authorities that use a store, which keeps two services from sharing a store by
//! mistake.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    keys::{secret::MasterSecret, secret_set::SecretSet},
    model::ids::{Audience, Issuer},
};

/// An authority, as a store remembers it: its issuer, its audience, and a fingerprint of its master
/// secret. The fingerprint doesn't reveal the secret.
///
/// Nodes of one service have the same identity. When an authority starts, it asks the store for the
/// identities that the store knows.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceIdentity {
    /// The issuer (`iss`).
    #[serde(rename = "iss")]
    pub issuer: Issuer,
    /// The audience (`aud`).
    #[serde(rename = "aud")]
    pub audience: Audience,
    /// The fingerprint of the master secret, in hexadecimal.
    #[serde(rename = "secret")]
    fingerprint: String,
}

impl ServiceIdentity {
    pub(crate) fn new(issuer: &Issuer, audience: &Audience, secret: &MasterSecret) -> Self {
        let fingerprint = secret.derive::<8>("gatepass fingerprint v1");
        let fingerprint = fingerprint.iter().map(|byte| format!("{byte:02x}"));
        Self {
            issuer: issuer.clone(),
            audience: audience.clone(),
            fingerprint: fingerprint.collect(),
        }
    }

    /// The fingerprints of the master secrets of `identities`.
    pub(crate) fn fingerprints(identities: &[Self]) -> Vec<String> {
        let fingerprints = identities.iter().map(|one| one.fingerprint.clone());
        fingerprints.collect()
    }

    /// The identities of an authority with these secrets, the active one first.
    pub(crate) fn all(secrets: &SecretSet, issuer: &Issuer, audience: &Audience) -> Vec<Self> {
        let secrets = secrets.iter().map(|(secret, _)| secret);
        secrets
            .map(|secret| Self::new(issuer, audience, secret))
            .collect()
    }

    /// The text that a store keeps. Equal identities have equal texts.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The identity that a store has kept as `text`. `None` if the text isn't an identity.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl fmt::Debug for ServiceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceIdentity")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("fingerprint", &self.fingerprint)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_being_kept_and_shows_no_secret() {
        let secret = MasterSecret::from_bytes(&[7; 32]).unwrap();
        let (issuer, audience) = (Issuer::new("a \"b\"").unwrap(), Audience::new("c").unwrap());
        let identity = ServiceIdentity::new(&issuer, &audience, &secret);
        assert_eq!(
            ServiceIdentity::from_text(&identity.to_text()),
            Some(identity.clone())
        );
        let other = MasterSecret::from_bytes(&[8; 32]).unwrap();
        assert_ne!(ServiceIdentity::new(&issuer, &audience, &other), identity);
        assert_eq!(ServiceIdentity::from_text("{}"), None);
        let shown = format!("{identity:?}");
        assert!(!shown.contains("0707"), "{shown}");
    }
}
