//! Identifiers. Each has its own type, so you can't confuse them.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{display::Base64Display, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

use crate::{
    env::{
        clock::Timestamp,
        internal_error::InternalError,
        random::{self, Random},
    },
    model::text::has_deceptive,
};

/// A name that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a {what} is 1 to {MAX_NAME} bytes of text without control characters, line separators and directional marks"
)]
#[non_exhaustive]
pub struct InvalidName {
    what: &'static str,
}

/// Longest subject, client id, issuer or audience in bytes. This is enough for e-mail addresses and
/// URIs, and keeps tokens far below the limits of HTTP headers.
const MAX_NAME: usize = 255;

fn checked_name(name: String, what: &'static str) -> Result<String, InvalidName> {
    // Logs and lists of users show names. PostgreSQL also refuses U+0000 in text.
    let fits = (1..=MAX_NAME).contains(&name.len()) && !has_deceptive(&name);
    if fits {
        Ok(name)
    } else {
        Err(InvalidName { what })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Takes `name` as a ", $what, ".")]
            ///
            /// # Errors
            ///
            /// [`InvalidName`] if it is empty, longer than 255 bytes, or contains a character that
            /// makes it look like another name: a control character, U+2028 or U+2029, or a
            /// directional mark, override or isolate such as U+202E.
            pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
                checked_name(name.into(), $what).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;

            fn try_from(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The user who is logged in: the application's own id of a user, the claim `sub` (RFC 7519
    /// §4.1.2).
    Subject, "subject"
}

name! {
    /// The OAuth client that a session belongs to, the claim `client_id` (RFC 8693 §4.3).
    ClientId, "client id"
}

/// Text that is not an identifier of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of this kind")]
#[non_exhaustive]
pub struct InvalidId;

/// Decodes base64url without padding, with zeros in unused bits. Each request decodes two ids, and
/// the base64 crate is optimised for longer texts.
fn decode_id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    let (groups, end) = text.as_bytes().as_chunks::<4>();
    let mut bytes = id.iter_mut();
    // The value of a character that is not a digit has a bit above the lower six.
    let mut wrong = 0;
    let mut fill = |digits: [u8; 4], into: usize| {
        let digits = digits.map(|digit| DIGITS.get(usize::from(digit)).copied().unwrap_or(NONE));
        wrong |= digits.iter().fold(0, |all, digit| all | digit) & NONE;
        let bits = digits
            .iter()
            .fold(0, |bits, digit| bits << 6 | u32::from(*digit));
        let [_, decoded @ ..] = bits.to_be_bytes();
        let (decoded, unused) = decoded.split_at(into);
        wrong |= unused.iter().fold(0, |all, byte| all | byte);
        for byte in decoded {
            *bytes.next()? = *byte;
        }
        Some(())
    };
    for group in groups {
        fill(*group, 3)?;
    }
    match *end {
        [] => {}
        [one, other] => fill([one, other, b'A', b'A'], 1)?,
        [one, other, third] => fill([one, other, third, b'A'], 2)?,
        _ => return None,
    }
    (wrong == 0 && bytes.next().is_none()).then_some(id)
}

/// The value of a character that is not a digit.
const NONE: u8 = 0x80;
/// The values of base64url digits (RFC 4648 §5), indexed by character.
static DIGITS: [u8; 256] = digits();

#[expect(
    clippy::indexing_slicing,
    reason = "const code has no iterators, and each index is a byte or below the length"
)]
const fn digits() -> [u8; 256] {
    let mut digits = [NONE; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut digit = 0;
    while digit < alphabet.len() {
        digits[alphabet[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The identifier with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The identifier as bytes, as stores keep it.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidId;

            fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
                bytes.try_into().map(Self).map_err(|_| InvalidId)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                decode_id(text).map(Self).ok_or(InvalidId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Base64Display::new(&self.0, &URL_SAFE_NO_PAD).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

name! {
    /// The service that issues tokens, the claim `iss` (RFC 7519 §4.1.1).
    Issuer, "issuer"
}

name! {
    /// The service that tokens are meant for, the claim `aud` (RFC 7519 §4.1.3).
    Audience, "audience"
}

name! {
    /// A session of a user at an OpenID Connect provider, the claim `sid` of its ID tokens and
    /// logout tokens (OIDC Back-Channel Logout §2.4).
    ProviderSession, "session of a provider"
}

random_id! {
    /// One login on one device, the claim `sid`: the first two bytes of the [`AccountId`], then 128
    /// random bits.
    ///
    /// The two bytes let a clustered store keep the sessions of an account together.
    SessionId, 18
}

random_id! {
    /// A subject of one issuer, as stores and the revocation log name it: a 128-bit hash of issuer
    /// and subject.
    ///
    /// OpenID Connect Core §5.7 calls issuer and subject together the only stable name of a user.
    /// So the user `alice` of one issuer is not the user `alice` of another, even if both issuers
    /// keep their sessions in one store.
    ///
    /// ```
    /// use gatepass::{Subject, store::{AccountId, Issuer}};
    ///
    /// let alice = Subject::new("alice")?;
    /// let (shop, bank) = (Issuer::new("https://shop.example")?, Issuer::new("https://bank.example")?);
    /// assert_ne!(AccountId::of(&shop, &alice), AccountId::of(&bank, &alice));
    /// # Ok::<(), gatepass::InvalidName>(())
    /// ```
    AccountId, 16
}

random_id! {
    /// One access token, the claim `jti` (RFC 7519 §4.1.7): 128 random bits.
    TokenId, 16
}

random_id! {
    /// One process that leaves heartbeats in a store: 128 random bits, new at each start.
    NodeId, 16
}

impl NodeId {
    /// A new id.
    pub(crate) fn random(random: &dyn Random) -> Result<Self, InternalError> {
        random::bytes(random).map(Self)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The first 128 bits of a hash of an issuer and `rest`, for the purpose that `domain` names.
fn hash_of(domain: &str, issuer: &Issuer, rest: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(domain);
    // The length separates inputs that are equal when joined, such as "ab" "c" and "a" "bc".
    hash.update((issuer.0.len() as u64).to_be_bytes());
    hash.update(&issuer.0);
    hash.update(rest);
    let hash = <[u8; 32]>::from(hash.finalize());
    let mut id = [0; 16];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    id
}

impl AccountId {
    /// The account of `subject` at `issuer`.
    #[must_use]
    pub fn of(issuer: &Issuer, subject: &Subject) -> Self {
        Self(hash_of("", issuer, subject.0.as_bytes()))
    }

    /// The name of a subject of another issuer, for revocations of its tokens here.
    ///
    /// It differs from [`of`](Self::of) because the other issuer may keep its own sessions in the
    /// same store, and a revocation here must not end them.
    #[must_use]
    pub fn of_foreign(issuer: &Issuer, subject: &Subject) -> Self {
        Self(hash_of("foreign subject", issuer, subject.0.as_bytes()))
    }

    /// The name of a user of an OpenID Connect provider, for logouts at the provider. It differs
    /// from [`of_foreign`](Self::of_foreign) because such a logout concerns logins that are under
    /// way, and not the user's access tokens.
    pub(crate) fn of_provider_user(issuer: &Issuer, subject: &Subject) -> Self {
        Self(hash_of("provider user", issuer, subject.0.as_bytes()))
    }

    /// The name of a user's sessions at an OpenID Connect provider whose `sid` isn't known here,
    /// for logouts at the provider.
    pub(crate) fn of_unknown_session(issuer: &Issuer, subject: &Subject) -> Self {
        Self(hash_of("unknown session", issuer, subject.0.as_bytes()))
    }

    /// The name of a session at an OpenID Connect provider, for logouts at the provider.
    pub(crate) fn of_provider_session(issuer: &Issuer, sid: &ProviderSession) -> Self {
        Self(hash_of("provider session", issuer, sid.0.as_bytes()))
    }

    /// The first two bytes of every session id of this account.
    #[must_use]
    pub const fn prefix(&self) -> [u8; 2] {
        let [first, second, ..] = self.0;
        [first, second]
    }
}

impl SessionId {
    /// A new id for a session of `account`.
    pub(crate) fn random(account: AccountId, random: &dyn Random) -> Result<Self, InternalError> {
        let mut bytes: [u8; 18] = random::bytes(random)?;
        for (byte, hashed) in bytes.iter_mut().zip(account.prefix()) {
            *byte = hashed;
        }
        Ok(Self(bytes))
    }

    /// The id of the one session of `account` that belongs to a secret with this hash.
    pub(crate) fn of_hash(account: AccountId, hash: [u8; 32]) -> Self {
        let mut bytes = [0; 18];
        let parts = account.prefix().into_iter().chain(hash);
        bytes
            .iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = from);
        Self(bytes)
    }

    /// The first two bytes, which it shares with its [`AccountId`].
    #[must_use]
    pub const fn prefix(&self) -> [u8; 2] {
        let [first, second, ..] = self.0;
        [first, second]
    }
}

impl TokenId {
    /// The id of another issuer's token for `subject` with this `jti`.
    ///
    /// An issuer must not use a `jti` twice (RFC 7519 §4.1.7). Some issuers may do so, or let a
    /// client choose it. The hash therefore includes the subject, so that a logout of one user
    /// doesn't revoke the token of another.
    pub(crate) fn of_foreign_jti(issuer: &Issuer, subject: &Subject, jti: &str) -> Self {
        let length = (subject.0.len() as u64).to_be_bytes();
        let rest = [&length, subject.0.as_bytes(), jti.as_bytes()].concat();
        Self(hash_of("foreign jti", issuer, &rest))
    }

    /// The id of another issuer's token without a `jti`: a hash of the signed text. It leaves out
    /// the signature, since each ECDSA signature has a second valid form.
    pub(crate) fn of_foreign_text(issuer: &Issuer, signed: &str) -> Self {
        Self(hash_of("foreign token", issuer, signed.as_bytes()))
    }

    /// An account that stands for only this token.
    pub(crate) const fn as_account(self) -> AccountId {
        AccountId(self.0)
    }

    /// The id of an old system's token, for one audience. Each audience exchanges the token for
    /// itself.
    pub(crate) fn of_old(issuer: &Issuer, audience: &Audience, name: &str) -> Self {
        // An audience has no control characters, so the zero byte ends it.
        let rest = [audience.0.as_bytes(), &[0], name.as_bytes()].concat();
        Self(hash_of("old token", issuer, &rest))
    }

    /// A new id.
    pub(crate) fn random(random: &dyn Random) -> Result<Self, InternalError> {
        random::bytes(random).map(Self)
    }
}

/// The place of a session among the sessions of its account, in the order in which they began: the
/// claim `sn`.
///
/// The store assigns it while no other session of the account can begin, so it grows within an
/// account, however fast sessions follow each other. It is at least the store's time in
/// milliseconds since 1970, so it grows even if the store has forgotten the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNumber(i64);

impl SessionNumber {
    /// The largest number: the largest integer that JSON and Lua read exactly (RFC 8259 §6).
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The number, clamped to the range from zero to [`MAX`](Self::MAX).
    #[must_use]
    pub const fn new(number: i64) -> Self {
        if number > Self::MAX.0 {
            Self::MAX
        } else if number < 0 {
            Self(0)
        } else {
            Self(number)
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The place of another issuer's token among the tokens of its subject, by its `iat`.
    pub(crate) fn of_foreign(issued_at: Timestamp) -> Self {
        Self::new(issued_at.unix_millis())
    }

    /// The number of the session that begins after this one, at the store's time `now`.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self::new(now.unix_millis().max(self.0.saturating_add(1)))
    }
}

impl fmt::Display for SessionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SessionNumber {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // `parse` alone would accept a sign.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text
            .parse()
            .ok()
            .filter(|number| digits && *number <= Self::MAX.0);
        number.map(Self).ok_or(InvalidId)
    }
}

/// How many times a session has been refreshed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u32);

impl Generation {
    /// The generation of a session that was never refreshed.
    pub const FIRST: Self = Self(0);

    /// The generation with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The generation after this one. The last generation is its own successor. A client would have
    /// to refresh a session every second for 136 years to reach it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many generations `self` is ahead of `older`. Zero if it is not ahead.
    #[must_use]
    pub const fn gap(self, older: Self) -> u32 {
        self.0.saturating_sub(older.0)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often the rights of a session have changed: a version of what its access tokens allow.
///
/// Access tokens carry it as the claim `gv`, and lack the claim at the first version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantVersion(u32);

impl GrantVersion {
    /// The version of a session whose rights have never changed.
    pub const FIRST: Self = Self(0);

    /// The version with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The version after this one. The last version is its own successor, and no session reaches
    /// it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for GrantVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;
    use crate::env::random::SystemRandom;

    fn account(subject: &str) -> AccountId {
        let issuer = Issuer::new("https://shop.example").unwrap();
        AccountId::of(&issuer, &Subject::new(subject).unwrap())
    }

    #[test]
    fn an_account_is_the_pair_of_issuer_and_subject() {
        let of = |issuer: &str, subject: &str| {
            AccountId::of(
                &Issuer::new(issuer).unwrap(),
                &Subject::new(subject).unwrap(),
            )
        };
        assert_eq!(of("ab", "c"), of("ab", "c"));
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_ne!(of("ab", "c"), of("ab", "C"));
    }

    #[test]
    fn numbers_of_sessions_grow_whatever_the_clock_does() {
        let noon = Timestamp::from_unix_millis(1_000_000);
        let first = SessionNumber::default().next(noon);
        assert_eq!(first.get(), 1_000_000);
        assert_eq!(first.next(noon).get(), 1_000_001, "in the same millisecond");
        assert_eq!(first.next(Timestamp::EPOCH).get(), 1_000_001, "set back");
        assert_eq!(SessionNumber::MAX.next(noon), SessionNumber::MAX);
        assert_eq!("1000000".parse(), Ok(first));
        for bad in ["", "+1", "-1", "1.0", " 1", "9007199254740992"] {
            assert_eq!(bad.parse::<SessionNumber>(), Err(InvalidId), "{bad:?}");
        }
    }

    #[test]
    fn an_id_has_exactly_one_text() {
        let id = SessionId::random(account("alice"), &SystemRandom).unwrap();
        let text = id.to_string();
        assert_eq!(text.len(), 24);
        assert_eq!(text.parse(), Ok(id));
        for other in [
            format!("{text}="),
            format!(" {text}"),
            text[1..].to_owned(),
            format!("{text}A"),
        ] {
            assert_eq!(other.parse::<SessionId>(), Err(InvalidId), "{other}");
        }
        // 16 bytes leave four bits unused in the last character; only one spelling has them zero.
        assert!("AAAAAAAAAAAAAAAAAAAAAA".parse::<TokenId>().is_ok());
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAB".parse::<TokenId>(), Err(InvalidId));
    }

    #[test]
    fn an_id_is_read_exactly_as_strict_base64url_is() {
        fn check<const N: usize>(text: &str) {
            let mut bytes = [0; N];
            let read = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
            let expected = read.is_ok_and(|length| length == N).then_some(bytes);
            assert_eq!(decode_id::<N>(text), expected, "{text:?}");
        }
        let good = "AZaz09-_AZaz09-_AZaz09-_AZaz09-_";
        for length in 0..good.len() {
            for place in 0..=length {
                for character in ('\0'..='\u{ff}').chain(['\u{20ac}']) {
                    let mut text = good[..length].to_owned();
                    text.replace_range(
                        place..(place + 1).min(length),
                        character.encode_utf8(&mut [0; 4]),
                    );
                    check::<16>(&text);
                    check::<18>(&text);
                    check::<17>(&text);
                }
            }
        }
    }

    #[test]
    fn sessions_of_one_account_share_a_prefix_and_nothing_else() {
        let one = SessionId::random(account("alice"), &SystemRandom).unwrap();
        let two = SessionId::random(account("alice"), &SystemRandom).unwrap();
        assert_eq!(one.0[..2], two.0[..2]);
        assert_ne!(one.0[2..], two.0[2..]);
    }

    #[test]
    fn names_that_would_break_logs_or_stores_are_refused() {
        for bad in ["", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(Subject::new(bad).is_err(), "{bad:?}");
            assert!(ClientId::new(bad).is_err(), "{bad:?}");
        }
        assert!(Subject::new("jürgen@example.org").is_ok());
    }

    #[test]
    fn names_that_would_look_like_others_are_refused() {
        let directional = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        let marks = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
        for bad in directional.chain(marks) {
            let name = format!("ad{bad}min");
            assert!(Subject::new(&*name).is_err(), "{bad:?}");
            assert!(ClientId::new(&*name).is_err(), "{bad:?}");
        }
        // Right-to-left text needs none of them.
        assert!(Subject::new("محمد").is_ok() && Subject::new("משה").is_ok());
    }
}
