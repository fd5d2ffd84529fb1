//! OAuth clients and their authentication (RFC 6749 §2).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    http::head::{HeaderField, RequestHead},
    model::{ids::ClientId, refusal::Refusal},
    observe,
    wire::body::url_decoded,
};

/// An OAuth client that the endpoints know.
///
/// The application's own client needs no registration. It is public, and sends no `client_id`.
/// Register the other clients that have their own sessions, and the resource servers that
/// introspect tokens.
///
/// ```
/// use gatepass::{ClientId, wire::Client};
///
/// // A generated secret: `gatepass keygen secret` makes one.
/// let gateway = Client::confidential(ClientId::new("gateway")?, "cmFuZG9tIGJ5dGVzIGZyb20gYSBmaWxl");
/// let desktop = Client::public(ClientId::new("desktop")?).password_grant();
/// assert!(!format!("{gateway:?}").contains("cmFu"));
/// # Ok::<(), gatepass::InvalidName>(())
/// ```
#[derive(Clone)]
pub struct Client {
    id: ClientId,
    secret: Option<SecretHash>,
    password_grant: bool,
}

/// The SHA-256 of a client secret. A fast hash is enough because client secrets are random, so an
/// attacker can't guess them.
#[derive(Clone)]
struct SecretHash([u8; 32]);

impl SecretHash {
    fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    fn is_of(&self, secret: &str) -> bool {
        Self::of(secret).0.ct_eq(&self.0).into()
    }
}

impl Client {
    /// A client that cannot keep a secret, such as an app on a user's phone (RFC 6749 §2.1).
    #[must_use]
    pub fn public(id: ClientId) -> Self {
        Self {
            id,
            secret: None,
            password_grant: false,
        }
    }

    /// A client with a secret. The secret must be random, and should have at least 32 bytes:
    /// gatepass logs a warning for a shorter one. gatepass keeps only the hash of the secret.
    #[must_use]
    pub fn confidential(id: ClientId, secret: &str) -> Self {
        if secret.len() < 32 {
            observe::weak_secret(&id, secret.len());
        }
        Self::confidential_hashed(id, Sha256::digest(secret).into())
    }

    /// A client whose secret you have only as its SHA-256.
    #[must_use]
    pub fn confidential_hashed(id: ClientId, sha256: [u8; 32]) -> Self {
        Self {
            secret: Some(SecretHash(sha256)),
            ..Self::public(id)
        }
    }

    /// Lets the client log users in with their passwords (RFC 6749 §4.3). Use it only for the
    /// service's own apps, because the client learns the passwords. RFC 9700 §2.4 forbids this
    /// grant altogether.
    #[must_use]
    pub fn password_grant(mut self) -> Self {
        self.password_grant = true;
        self
    }

    /// The client's id.
    #[must_use]
    pub fn id(&self) -> &ClientId {
        &self.id
    }

    /// Whether the client has a secret.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.secret.is_some()
    }

    pub(super) fn may_use_passwords(&self) -> bool {
        self.password_grant
    }

    /// Whether the presented secret authenticates this client. A public client must present no
    /// secret.
    pub(super) fn is_proved_by(&self, presented: &Presented) -> bool {
        match &self.secret {
            None => presented.secrets.is_empty(),
            Some(hash) => presented.secrets.iter().any(|secret| hash.is_of(secret)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("confidential", &self.is_confidential())
            .finish_non_exhaustive()
    }
}

/// A client id and the texts that may be its secret.
pub(super) struct Presented {
    /// The ids that the text can mean.
    ids: Vec<String>,
    secrets: Vec<Zeroizing<String>>,
}

impl Presented {
    /// The id and the secret in a form's parameters.
    pub(super) fn in_body(id: String, secret: Option<String>) -> Self {
        Self {
            ids: vec![id],
            secrets: secret.into_iter().map(Zeroizing::new).collect(),
        }
    }

    /// Whether one of the ids names `client`.
    pub(super) fn names(&self, client: &Client) -> bool {
        self.ids.iter().any(|id| id == client.id.as_str())
    }

    /// The id and the secret in HTTP Basic (RFC 6749 §2.3.1), if the request has it.
    ///
    /// RFC 6749 form-encodes the id and the secret. Many clients send them as they are, and
    /// gatepass also understands these. Swagger UI sends both empty if its user has not filled them
    /// in. This counts as no header.
    ///
    /// # Errors
    ///
    /// [`Refusal::InvalidClient`] if the header has another scheme or does not parse, and
    /// [`Refusal::Ambiguous`] if there are two headers.
    pub(super) fn basic(head: &RequestHead<'_>) -> Result<Option<Self>, Refusal> {
        let value = match head.field("authorization") {
            HeaderField::Absent => return Ok(None),
            HeaderField::Once(value) => value,
            HeaderField::Repeated => return Err(Refusal::Ambiguous),
        };
        let presented = Self::parse_basic(value).ok_or(Refusal::InvalidClient)?;
        Ok(Some(presented).filter(|presented| !presented.is_blank()))
    }

    fn is_blank(&self) -> bool {
        self.secrets.is_empty() && self.ids.iter().all(String::is_empty)
    }

    fn parse_basic(value: &[u8]) -> Option<Self> {
        let (scheme, encoded) = str::from_utf8(value).ok()?.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = Zeroizing::new(STANDARD.decode(encoded.trim_start()).ok()?);
        let (id, secret) = str::from_utf8(&decoded).ok()?.split_once(':')?;
        let mut secrets = Vec::new();
        if !secret.is_empty() {
            secrets.extend(url_decoded(secret).map(Zeroizing::new));
            secrets.push(Zeroizing::new(secret.to_owned()));
        }
        let ids = url_decoded(id).into_iter().chain([id.to_owned()]);
        Some(Self {
            ids: ids.collect(),
            secrets,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(value: &str) -> Option<Presented> {
        Presented::parse_basic(value.as_bytes())
    }

    fn encoded(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn a_secret_is_understood_encoded_and_as_it_is() {
        let client = Client::confidential(ClientId::new("a").unwrap(), "se-cr:e t+%");
        for pair in ["a:se%2Dcr%3Ae+t%2B%25", "a:se-cr:e t+%"] {
            let presented = basic(&encoded(pair)).unwrap();
            assert!(client.is_proved_by(&presented), "{pair}");
        }
        for pair in ["a:", "a:se-cr", "a:SE-CR:E T+%"] {
            let presented = basic(&encoded(pair)).unwrap();
            assert!(!client.is_proved_by(&presented), "{pair}");
        }
    }

    #[test]
    fn a_public_client_presents_no_secret() {
        let client = Client::public(ClientId::new("a").unwrap());
        assert!(client.is_proved_by(&basic(&encoded("a:")).unwrap()));
        assert!(!client.is_proved_by(&basic(&encoded("a:guess")).unwrap()));
    }

    #[test]
    fn what_is_not_basic_is_nothing() {
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic !",
            "Bearer abc",
            "Basic YQ",
            "Basic YTpi=",
        ] {
            assert!(basic(value).is_none(), "{value}");
        }
        assert!(basic("bAsIc   YTpi").is_some());
    }
}
