//! A cache of verified access tokens.
//!
//! A client sends one access token with each request for minutes, and an asymmetric signature costs
//! more than all other checks together. The cache remembers tokens whose signature and claims were
//! valid. Each request checks again all that changes with time: the time, the revocations, the key
//! set, and the requirements of the route.
//!
//! * A token whose key is a secret never enters. An HMAC costs little compared to the signature of
//!   a key pair, and its entry would take the place of a token that costs more.
//! * Only a token that passed every check enters. An attacker who sends other tokens can't fill it.
//! * A lookup compares the whole token, so a signature in another spelling is another token.
//! * An entry names its key. A verifier whose key set has lost the key doesn't find the entry.
//!
//! quick_cache holds the entries, because its hits write to no shared log. With moka in its place,
//! threads that verify the same tokens contend for that log, and two of them do less than one.

use std::{
    hash::{Hash, Hasher, RandomState},
    sync::OnceLock,
};

use quick_cache::{
    Equivalent, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use zeroize::Zeroizing;

use crate::{
    keys::verifying::{Fingerprint, VerifyingKey},
    token::pass::Pass,
};

/// Default memory of a cache, in bytes: about 25,000 tokens, one for each user active on a busy
/// node within the lifetime of a token.
pub(crate) const DEFAULT_BYTES: u64 = 32 * 1024 * 1024;

/// Verified access tokens, up to a number of bytes. The cache takes no memory before the first
/// token.
pub(crate) struct TokenCache {
    bytes: u64,
    tokens: OnceLock<Cache<Token, Entry, Weight, RandomState>>,
}

/// The text of a token. The cache overwrites it when the token leaves.
struct Token(Zeroizing<Box<str>>);

/// The text of a token to look up.
struct Borrowed<'a>(&'a str);

#[derive(Clone)]
struct Entry {
    pass: Pass,
    key: Fingerprint,
}

impl TokenCache {
    /// A cache of about this many bytes. With 0, it never holds a token.
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            bytes,
            tokens: OnceLock::new(),
        }
    }

    /// Whether the cache holds tokens of `key`.
    pub(crate) fn serves(&self, key: &VerifyingKey) -> bool {
        self.bytes > 0 && key.fingerprint().is_some()
    }

    /// The pass of `token`, if `key` verified it.
    pub(crate) fn find(&self, token: &str, key: &VerifyingKey) -> Option<Pass> {
        let entry = self.tokens.get()?.get(&Borrowed(token))?;
        (Some(entry.key) == key.fingerprint()).then_some(entry.pass)
    }

    /// The pass of `token`, and the key that verified it.
    pub(crate) fn get(&self, token: &str) -> Option<(Pass, Fingerprint)> {
        let entry = self.tokens.get()?.get(&Borrowed(token))?;
        Some((entry.pass, entry.key))
    }

    /// Remembers `token`, which the key with this fingerprint verified, and its pass.
    pub(crate) fn insert(&self, token: &str, key: Fingerprint, pass: &Pass) {
        let tokens = self.tokens.get_or_init(|| self.empty());
        let pass = pass.clone();
        tokens.insert(Token(Zeroizing::new(token.into())), Entry { pass, key });
    }

    fn empty(&self) -> Cache<Token, Entry, Weight, RandomState> {
        let tokens = usize::try_from(self.bytes / USUAL_BYTES).unwrap_or(usize::MAX);
        Cache::with(
            tokens,
            self.bytes,
            Weight,
            RandomState::new(),
            DefaultLifecycle::default(),
        )
    }
}

/// The bytes of a typical entry.
const USUAL_BYTES: u64 = 1300;
/// The bytes of an entry without the text of its token and the heap memory of its pass. They are
/// the overhead of the cache and the allocator, and the pass itself.
const OVERHEAD_BYTES: usize = 400;

#[derive(Clone)]
struct Weight;

impl Weighter<Token, Entry> for Weight {
    fn weight(&self, token: &Token, entry: &Entry) -> u64 {
        (OVERHEAD_BYTES + token.0.len() + entry.pass.heap_bytes()) as u64
    }
}

impl Equivalent<Token> for Borrowed<'_> {
    fn equivalent(&self, token: &Token) -> bool {
        *self.0 == **token.0
    }
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrowed(&self.0).hash(state);
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Token {}

/// The end of the signature distinguishes valid tokens, and only valid tokens are in the cache. The
/// hash has a key, so no issuer can choose tokens whose hashes collide.
impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let text = self.0.as_bytes();
        state.write(text.last_chunk::<32>().map_or(text, |end| end));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        env::clock::Timestamp,
        keys::{algorithm::Algorithm, signing::SigningKey},
        model::{
            authentication::Authentication,
            ids::{ClientId, GrantVersion, SessionId, SessionNumber, Subject, TokenId},
            scopes::Scopes,
        },
        token::pass::{CustomClaims, Origin, OwnSession, PassClaims},
    };

    const KEY: &[u8] = include_bytes!("../../tests/keys/ed25519.pub.pem");

    fn key() -> VerifyingKey {
        VerifyingKey::from_pem(Algorithm::EdDsa, KEY).unwrap()
    }

    fn pass(custom: CustomClaims) -> Pass {
        Pass::new(PassClaims {
            subject: Subject::new("alice").unwrap(),
            origin: Origin::Own(OwnSession {
                id: SessionId::from_bytes([1; 18]),
                number: SessionNumber::new(1),
                grant: GrantVersion::FIRST,
            }),
            token: TokenId::from_bytes([2; 16]),
            client: ClientId::new("default").ok(),
            scopes: Scopes::default(),
            actor: None,
            authentication: Authentication::default(),
            issued_at: Timestamp::EPOCH,
            not_before: None,
            expires_at: Timestamp::MAX,
            authenticated_at: Some(Timestamp::EPOCH),
            custom,
        })
    }

    fn token(number: u32) -> String {
        format!("{}.{number:086}", "x".repeat(400))
    }

    #[test]
    fn a_token_is_found_by_all_of_its_text_and_its_key() {
        let (cache, key) = (TokenCache::new(DEFAULT_BYTES), key());
        let print = key.fingerprint().unwrap();
        cache.insert(&token(1), print, &pass(CustomClaims::default()));
        assert!(cache.find(&token(1), &key).is_some());
        assert!(cache.find(&token(2), &key).is_none());
        // The hash covers only the end.
        assert!(cache.find(&token(1).replacen('x', "y", 1), &key).is_none());
        assert!(cache.find(&token(1)[1..], &key).is_none());
        let other = include_bytes!("../../tests/keys/p256.pub.pem");
        let other = VerifyingKey::from_pem(Algorithm::Es256, other).unwrap();
        assert!(cache.find(&token(1), &other).is_none());
        let renamed = key.with_id("another").unwrap();
        assert!(cache.find(&token(1), &renamed).is_some(), "the same key");
    }

    #[test]
    fn a_cache_keeps_to_its_bytes_whatever_is_in_the_tokens() {
        let print = key().fingerprint().unwrap();
        let large = json!({ "list": vec![1; 3000], "text": "x".repeat(3000) });
        for custom in [
            CustomClaims::default(),
            CustomClaims::parse(large.to_string(), |_| true).unwrap(),
        ] {
            let pass = pass(custom);
            let entry = OVERHEAD_BYTES + token(0).len() + pass.heap_bytes();
            let cache = TokenCache::new(4 << 20);
            for number in 0..10_000 {
                cache.insert(&token(number), print, &pass);
            }
            let tokens = cache.tokens.get().unwrap();
            assert!(tokens.weight() <= 4 << 20, "{}", tokens.weight());
            assert!(tokens.len() * entry <= 4 << 20);
            assert!(tokens.len() * entry >= 3 << 20, "{} tokens", tokens.len());
        }
    }

    #[test]
    fn a_cache_of_no_bytes_serves_no_key_and_no_cache_serves_a_secret() {
        let secret = SigningKey::hs256(&[7; 32]).unwrap();
        assert!(!TokenCache::new(DEFAULT_BYTES).serves(secret.verifying_key()));
        assert!(!TokenCache::new(0).serves(&key()));
        assert!(TokenCache::new(1).serves(&key()));
    }
}
