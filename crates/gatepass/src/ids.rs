//! Identifiers, each its own type so that none can be taken for another.

use std::{fmt, str::FromStr};

use base64::{Engine, display::Base64Display, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    error::InternalError,
    random::{self, Random},
    text::is_deceptive,
};

/// A name that the application gave cannot be used as one here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a {what} is 1 to {MAX_NAME} bytes of text without control characters, line separators and directional marks"
)]
#[non_exhaustive]
pub struct InvalidName {
    what: &'static str,
}

/// Longest subject or client id in bytes. Long enough for e-mail addresses and URIs, short enough
/// that tokens stay far from the limits of HTTP headers.
const MAX_NAME: usize = 255;

fn checked_name(name: String, what: &'static str) -> Result<String, InvalidName> {
    // A log and a list of users show names. PostgreSQL also refuses U+0000 in text.
    let fits = (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(is_deceptive);
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
    /// Who is logged in: the application's own id of a user, the claim `sub` (RFC 7519 §4.1.2).
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

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The identifier that these bytes are.
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
                let mut bytes = [0; $bytes];
                match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
                    Ok($bytes) => Ok(Self(bytes)),
                    _ => Err(InvalidId),
                }
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

random_id! {
    /// One login on one device, the claim `sid`: two bytes of the subject's hash, then 128 random bits.
    ///
    /// The two bytes let a clustered store keep the sessions of a subject together.
    SessionId, 18
}

random_id! {
    /// One access token, the claim `jti` (RFC 7519 §4.1.7): 128 random bits.
    TokenId, 16
}

impl SessionId {
    /// A new id for a session of `subject`.
    pub(crate) fn random(subject: &Subject, random: &dyn Random) -> Result<Self, InternalError> {
        let mut bytes: [u8; 18] = random::bytes(random)?;
        for (byte, hashed) in bytes.iter_mut().zip(Self::subject_prefix(subject)) {
            *byte = hashed;
        }
        Ok(Self(bytes))
    }

    /// The first two bytes that every session id of `subject` has.
    #[must_use]
    pub fn subject_prefix(subject: &Subject) -> [u8; 2] {
        let [first, second, ..] = <[u8; 32]>::from(Sha256::digest(subject.as_str()));
        [first, second]
    }
}

impl TokenId {
    /// A new id.
    pub(crate) fn random(random: &dyn Random) -> Result<Self, InternalError> {
        random::bytes(random).map(Self)
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

    /// The generation after this one. A session would have to be refreshed every second for 136
    /// years to reach the last, which is its own successor.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many generations `self` is ahead of `older`; zero if it is not.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRandom;

    #[test]
    fn an_id_has_exactly_one_text() {
        let id = SessionId::random(&Subject::new("alice").unwrap(), &SystemRandom).unwrap();
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
    fn sessions_of_one_subject_share_a_prefix_and_nothing_else() {
        let alice = Subject::new("alice").unwrap();
        let one = SessionId::random(&alice, &SystemRandom).unwrap();
        let two = SessionId::random(&alice, &SystemRandom).unwrap();
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
        // Text that is written from right to left needs none of them.
        assert!(Subject::new("محمد").is_ok() && Subject::new("משה").is_ok());
    }
}
