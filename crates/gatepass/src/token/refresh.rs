//! Reads and writes refresh tokens.
//!
//! A refresh token names a session and a generation of it, and HMAC-SHA256 authenticates it. The
//! store holds no refresh tokens, so an attacker can't make one from a copy of the database.
//! gatepass refuses garbage before any I/O, and can derive the token of a generation again.

use std::{collections::HashSet, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    env::clock::Timestamp,
    keys::{error::KeyError, secret::MasterSecret, secret_set::SecretSet},
    model::{
        ids::{Audience, Generation, Issuer, SessionId},
        refusal::Refusal,
    },
};

/// The prefix of every refresh token. People and secret scanners recognise it.
pub(crate) const PREFIX: &str = "gpr_";

const VERSION: u8 = 1;
const BODY: usize = 1 + 4 + 18 + 4;
const TOKEN: usize = BODY + 32;

/// An authentic refresh token. The session decides whether it is still valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) session: SessionId,
    pub(crate) generation: Generation,
}

/// The keys that authenticate refresh tokens: the first signs, each verifies.
#[derive(Clone)]
pub(crate) struct RefreshKeys(Arc<[RefreshKey]>);

struct RefreshKey {
    until: Option<Timestamp>,
    id: [u8; 4],
    /// As long as a block of the hash, so HMAC uses it as it is.
    mac: Zeroizing<[u8; 64]>,
}

impl RefreshKeys {
    /// The keys of these secrets. The first one signs.
    pub(crate) fn new(
        secrets: &SecretSet,
        issuer: &Issuer,
        audience: &Audience,
    ) -> Result<Self, KeyError> {
        let keys = secrets.iter();
        let keys: Arc<[_]> = keys
            .map(|(secret, until)| RefreshKey::derived(secret, issuer, audience, until))
            .collect();
        let mut seen = HashSet::new();
        if keys.iter().all(|key| seen.insert(key.id)) {
            Ok(Self(keys))
        } else {
            Err(KeyError::DuplicateSecret)
        }
    }

    /// The refresh token of this session and generation. It is the same each time.
    pub(crate) fn token(&self, session: SessionId, generation: Generation) -> String {
        let Some(key) = self.0.first() else {
            return String::new();
        };
        let mut token = Zeroizing::new(Vec::with_capacity(TOKEN));
        token.push(VERSION);
        token.extend_from_slice(&key.id);
        token.extend_from_slice(session.as_bytes());
        token.extend_from_slice(&generation.get().to_be_bytes());
        let tag = key.mac(&token).finalize().into_bytes();
        token.extend_from_slice(&tag);
        let mut text = String::with_capacity(PREFIX.len() + TOKEN * 4 / 3 + 1);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&*token, &mut text);
        text
    }

    /// The session and generation in `token`, if a key that is valid at `now` authenticates it.
    pub(crate) fn open(&self, token: &str, now: Timestamp) -> Result<Presented, Refusal> {
        let bytes = decode(token)?;
        let (body, tag) = bytes.split_at(BODY);
        let (id, presented) = read(body)?;
        let key = self
            .0
            .iter()
            .find(|key| key.id == id && key.until.is_none_or(|until| now < until))
            .ok_or(Refusal::UnknownKey)?;
        key.mac(body)
            .verify_slice(tag)
            .map_err(|_| Refusal::BadSignature)?;
        Ok(presented)
    }
}

/// The session and generation in `token`, if the key of this secret authenticates it.
pub(crate) fn open_with(
    secret: &MasterSecret,
    issuer: &Issuer,
    audience: &Audience,
    token: &str,
) -> Result<Presented, Refusal> {
    let key = RefreshKey::derived(secret, issuer, audience, None);
    // A key without an end is valid at any time.
    RefreshKeys(Arc::new([key])).open(token, Timestamp::EPOCH)
}

/// The session and generation in `token`, which may be forged.
pub(crate) fn unverified(token: &str) -> Result<Presented, Refusal> {
    let bytes = decode(token)?;
    let (body, _) = bytes.split_at(BODY);
    read(body).map(|(_, presented)| presented)
}

fn decode(token: &str) -> Result<[u8; TOKEN], Refusal> {
    let Some(encoded) = token.strip_prefix(PREFIX) else {
        // Three segments: an access token, or another JWT, in the wrong place.
        let jwt = token.split('.').count() == 3;
        return Err(if jwt {
            Refusal::WrongType
        } else {
            Refusal::Malformed
        });
    };
    let mut bytes = [0; TOKEN];
    if URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes) != Ok(TOKEN) {
        return Err(Refusal::Malformed);
    }
    Ok(bytes)
}

/// The id of the key, and the session and generation, in the body of a token.
fn read(body: &[u8]) -> Result<([u8; 4], Presented), Refusal> {
    let (version, rest) = split::<1>(body)?;
    let (id, rest) = split::<4>(rest)?;
    let (session, rest) = split::<18>(rest)?;
    let (generation, _) = split::<4>(rest)?;
    if version != [VERSION] {
        return Err(Refusal::Malformed);
    }
    let presented = Presented {
        session: SessionId::from_bytes(session),
        generation: Generation::new(u32::from_be_bytes(generation)),
    };
    Ok((id, presented))
}

impl RefreshKey {
    /// The key depends on issuer and audience, because services that share a secret must not accept
    /// each other's tokens.
    fn derived(
        secret: &MasterSecret,
        issuer: &Issuer,
        audience: &Audience,
        until: Option<Timestamp>,
    ) -> Self {
        Self {
            until,
            id: *secret.derive_for("gatepass refresh token key id v2", issuer, audience),
            mac: secret.derive_for("gatepass refresh token HMAC-SHA256 v2", issuer, audience),
        }
    }

    fn mac(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new((&*self.mac).into());
        mac.update(body);
        mac
    }
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Refusal> {
    bytes
        .split_first_chunk::<N>()
        .map(|(first, rest)| (*first, rest))
        .ok_or(Refusal::Malformed)
}

impl fmt::Debug for RefreshKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshKeys([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    fn secret(byte: u8) -> MasterSecret {
        MasterSecret::from_bytes(&[byte; 32]).unwrap()
    }

    fn keys(byte: u8) -> RefreshKeys {
        keys_of(&secret(byte).into(), "shop-api")
    }

    fn keys_of(secrets: &SecretSet, audience: &str) -> RefreshKeys {
        let issuer = Issuer::new("https://shop.example").unwrap();
        RefreshKeys::new(secrets, &issuer, &Audience::new(audience).unwrap()).unwrap()
    }

    const SESSION: SessionId = SessionId::from_bytes([9; 18]);

    #[test]
    fn neither_half_of_a_key_is_that_of_another_issuer_or_audience() {
        let secret = secret(1);
        let key = |issuer: &str, audience: &str| {
            let issuer = Issuer::new(issuer).unwrap();
            RefreshKey::derived(&secret, &issuer, &Audience::new(audience).unwrap(), None)
        };
        let own = key("https://shop.example", "shop");
        for (issuer, audience) in [
            ("https://shop.example", "admin"),
            ("https://admin.example", "shop"),
            // The same joined text, split at another place.
            ("https://shop.exampl", "eshop"),
        ] {
            let other = key(issuer, audience);
            assert_ne!(own.id, other.id, "{issuer} {audience}");
            assert_ne!(*own.mac, *other.mac, "{issuer} {audience}");
        }
    }

    #[test]
    fn a_token_says_its_session_and_generation() {
        let keys = keys(1);
        let token = keys.token(SESSION, Generation::new(7));
        assert_eq!(
            keys.open(&token, NOW),
            Ok(Presented {
                session: SESSION,
                generation: Generation::new(7)
            })
        );
        assert_eq!(keys.token(SESSION, Generation::new(7)), token);
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let keys = keys(1);
        let token = keys.token(SESSION, Generation::FIRST);
        for at in 0..token.len() {
            for with in ["A", "B", "_", "=", " ", "."] {
                let mut changed = token.clone();
                changed.replace_range(at..=at, with);
                assert!(
                    changed == token || keys.open(&changed, NOW).is_err(),
                    "{with} at {at}"
                );
            }
        }
    }

    #[test]
    fn a_token_of_another_secret_is_of_an_unknown_key() {
        let token = keys(1).token(SESSION, Generation::FIRST);
        assert_eq!(keys(2).open(&token, NOW), Err(Refusal::UnknownKey));
    }

    #[test]
    fn a_token_of_another_audience_is_of_an_unknown_key() {
        let token = keys(1).token(SESSION, Generation::FIRST);
        let admin = keys_of(&secret(1).into(), "admin-api");
        assert_eq!(admin.open(&token, NOW), Err(Refusal::UnknownKey));
    }

    #[test]
    fn a_retired_secret_verifies_for_its_time_and_never_signs() {
        let until = NOW + Duration::from_secs(60);
        let secrets = SecretSet::new(secret(2)).retire(secret(1), until);
        let both = keys_of(&secrets, "shop-api");
        let token = keys(1).token(SESSION, Generation::FIRST);
        assert!(both.open(&token, NOW).is_ok());
        assert_eq!(both.open(&token, until), Err(Refusal::UnknownKey));
        assert_eq!(
            both.token(SESSION, Generation::FIRST),
            keys(2).token(SESSION, Generation::FIRST)
        );
    }

    #[test]
    fn an_announced_secret_verifies_for_good() {
        let secrets = SecretSet::new(secret(1)).announce(secret(2));
        let both = keys_of(&secrets, "shop-api");
        let token = keys(2).token(SESSION, Generation::FIRST);
        let later = NOW + Duration::from_secs(1_000_000_000);
        assert!(both.open(&token, later).is_ok());
    }

    #[test]
    fn other_tokens_are_of_the_wrong_type() {
        assert_eq!(keys(1).open("aaa.bbb.ccc", NOW), Err(Refusal::WrongType));
        assert_eq!(keys(1).open("gpr_", NOW), Err(Refusal::Malformed));
        assert_eq!(keys(1).open("", NOW), Err(Refusal::Malformed));
    }
}
