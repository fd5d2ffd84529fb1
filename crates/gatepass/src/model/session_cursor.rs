//! A place in a list of sessions.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    env::clock::Timestamp,
    model::{
        ids::{InvalidId, SessionId, SessionNumber, Subject},
        session::Session,
    },
};

/// A place in a list of sessions, right after one of them.
///
/// A cursor stays valid while sessions begin, end and are purged, even if its own session is gone.
/// Send its text to your pages, for example in the link to the next page, and parse it again. Treat
/// the text as opaque: a later release may write it in another way.
///
/// ```
/// use gatepass::{SessionCursor, Timestamp};
/// # use gatepass::{SessionId, store::SessionNumber};
///
/// # let (at, number) = (Timestamp::from_unix_secs(1_800_000_000), SessionNumber::new(7));
/// let cursor = SessionCursor::new(at, number, SessionId::from_bytes([7; 18]));
/// assert_eq!(cursor.to_string().parse(), Ok(cursor));
/// assert!("elsewhere".parse::<SessionCursor>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionCursor {
    /// When the session began.
    pub created_at: Timestamp,
    /// The session's place among the sessions of its account.
    pub number: SessionNumber,
    /// The session.
    pub id: SessionId,
    /// The session's user, if the list is in the order of subjects.
    pub subject: Option<Subject>,
}

impl SessionCursor {
    /// The place after the session with this id and number that began at `created_at`.
    #[must_use]
    pub const fn new(created_at: Timestamp, number: SessionNumber, id: SessionId) -> Self {
        Self {
            created_at,
            number,
            id,
            subject: None,
        }
    }

    /// The place after `session`, in a list that isn't in the order of subjects.
    pub(super) const fn behind(session: &Session) -> Self {
        Self::new(session.created_at, session.number, session.id)
    }
}

impl fmt::Display for SessionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.created_at.unix_millis();
        write!(f, "{millis}.{}.{}", self.number, self.id)?;
        match &self.subject {
            Some(subject) => write!(f, ".{}", URL_SAFE_NO_PAD.encode(subject.as_str())),
            None => Ok(()),
        }
    }
}

impl FromStr for SessionCursor {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(InvalidId);
        let (millis, number, id) = (part()?, part()?, part()?);
        // Parsed as a session number, which accepts nothing but digits.
        let millis = millis.parse::<SessionNumber>()?.get();
        let created_at = Timestamp::from_unix_millis(millis);
        let mut cursor = Self::new(created_at, number.parse()?, id.parse()?);
        if let Some(subject) = parts.next() {
            let bytes = URL_SAFE_NO_PAD.decode(subject).map_err(|_| InvalidId)?;
            let subject = String::from_utf8(bytes).map_err(|_| InvalidId)?;
            cursor.subject = Some(Subject::new(subject).map_err(|_| InvalidId)?);
        }
        match parts.next() {
            Some(_) => Err(InvalidId),
            None => Ok(cursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let id = SessionId::from_bytes([255; 18]);
        let mut cursor = SessionCursor::new(Timestamp::MAX, SessionNumber::MAX, id);
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        cursor.subject = Some(Subject::new("jürgen.7@example.org").unwrap());
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn text_that_is_no_cursor_is_refused() {
        let id = SessionId::from_bytes([7; 18]);
        let good = SessionCursor::new(Timestamp::EPOCH, SessionNumber::default(), id).to_string();
        assert!(good.parse::<SessionCursor>().is_ok());
        for bad in [
            String::new(),
            "..".to_owned(),
            "1.2".to_owned(),
            format!("{good}."),
            format!("{good}.!"),
            // A subject has no control characters: PostgreSQL even refuses U+0000 in a query.
            format!("{good}.{}", URL_SAFE_NO_PAD.encode("a\0b")),
            format!("{good}.{}", URL_SAFE_NO_PAD.encode([255])),
            format!("{good}.YQ.YQ"),
            format!("-{good}"),
            format!("+{good}"),
            format!("99999999999999999999{good}"),
        ] {
            assert_eq!(bad.parse::<SessionCursor>(), Err(InvalidId), "{bad}");
        }
    }
}
