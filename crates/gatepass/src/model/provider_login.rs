//! Logins through an OpenID Connect provider, and the logouts that the provider reports.

use serde::{Deserialize, Serialize};

use crate::{
    env::clock::Timestamp,
    model::ids::{AccountId, InvalidName, Issuer, ProviderSession, Subject},
};

/// A login through an OpenID Connect provider, from the claims of its ID token.
///
/// Pass it to [`Identity::logged_in_by`](crate::Identity::logged_in_by). A [back-channel
/// logout](crate::AuthorityBuilder::backchannel_logout) of the provider then ends the session.
///
/// ```
/// use gatepass::{Identity, Timestamp, issuers::ProviderLogin};
///
/// // The claims `iss`, `sub`, `iat` and `sid` of an ID token that your OpenID Connect client has
/// // verified.
/// let issued_at = Timestamp::from_unix_secs(1_795_250_290);
/// let login = ProviderLogin::new("https://login.example", "248289761001", issued_at)?
///     .in_session("08a5019c-17e1-4977-8f42-65a12843ea02")?;
/// let identity = Identity::new("alice")?.logged_in_by(login);
/// # Ok::<(), gatepass::InvalidName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderLogin {
    issuer: Issuer,
    subject: Subject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<ProviderSession>,
    /// In seconds since 1970, as the ID token has it.
    iat: i64,
    /// Only the beginning of the session needs it, which keeps the time itself.
    #[serde(skip)]
    authenticated_at: Option<Timestamp>,
}

impl ProviderLogin {
    /// The login with these claims of the ID token: `iss`, `sub` and `iat`.
    ///
    /// `issued_at` orders logins and logouts by the provider's own clock. For example, a logout
    /// that arrives late doesn't end the session of a login after it.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] if one of the texts is empty, longer than 255 bytes, or has characters that
    /// names must not have: see [`Subject::new`].
    pub fn new(
        issuer: impl Into<String>,
        subject: impl Into<String>,
        issued_at: Timestamp,
    ) -> Result<Self, InvalidName> {
        Ok(Self {
            issuer: Issuer::new(issuer)?,
            subject: Subject::new(subject)?,
            sid: None,
            iat: issued_at.unix_secs(),
            authenticated_at: None,
        })
    }

    /// Sets when the provider authenticated the user: the claim `auth_time` of the ID token (OIDC
    /// Core §2). The session that begins has this time, so a route with a
    /// [`max_age`](crate::Requirements::max_age) refuses a user who typed the password at the
    /// provider too long ago. Without it, the user counts as authenticated at the login here.
    ///
    /// A provider must send `auth_time` if the authorization request has `max_age`. A time in the
    /// future counts as now.
    ///
    /// A step-up ([`Authority::reauthenticated`](crate::Authority::reauthenticated)) counts as an
    /// authentication at its own time. Before it, ask the provider for `prompt=login`, and check
    /// `auth_time` yourself.
    #[must_use]
    pub fn authenticated_at(mut self, at: Timestamp) -> Self {
        self.authenticated_at = Some(at);
        self
    }

    pub(crate) fn auth_time(&self) -> Option<Timestamp> {
        self.authenticated_at
    }

    /// Sets the user's session at the provider: the claim `sid` of the ID token, if it has one. A
    /// logout of another session of the user then doesn't end this one.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn in_session(mut self, sid: impl Into<String>) -> Result<Self, InvalidName> {
        self.sid = Some(ProviderSession::new(sid)?);
        Ok(self)
    }

    /// The provider.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The user, as the provider calls them.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The user's session at the provider, if you set it.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_ref().map(ProviderSession::as_str)
    }

    /// When the provider issued the ID token.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        Timestamp::from_unix_secs(self.iat)
    }

    /// The accounts under which the log has the logouts that concern this login.
    pub(crate) fn accounts(&self) -> [AccountId; 2] {
        let (issuer, subject) = (&self.issuer, &self.subject);
        [
            AccountId::of_provider_user(issuer, subject),
            match &self.sid {
                Some(sid) => AccountId::of_provider_session(issuer, sid),
                None => AccountId::of_unknown_session(issuer, subject),
            },
        ]
    }
}

/// A logout at an OpenID Connect provider, from its logout token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderLogout {
    pub(crate) issuer: Issuer,
    pub(crate) whose: LoggedOut,
    /// When the provider issued the logout token.
    pub(crate) issued_at: Timestamp,
}

/// The user or the session that the provider has logged out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoggedOut {
    /// All sessions of the user.
    User(Subject),
    /// One session, and its user if the provider names one.
    Session(ProviderSession, Option<Subject>),
}

impl ProviderLogout {
    /// The user, if the provider names one.
    pub(crate) fn subject(&self) -> Option<&Subject> {
        match &self.whose {
            LoggedOut::User(subject) => Some(subject),
            LoggedOut::Session(_, subject) => subject.as_ref(),
        }
    }

    /// The session at the provider, if the logout is for one session.
    pub(crate) fn sid(&self) -> Option<&ProviderSession> {
        match &self.whose {
            LoggedOut::User(_) => None,
            LoggedOut::Session(sid, _) => Some(sid),
        }
    }

    /// Whether this logout ends `login`. Both times come from the provider's clock, in whole
    /// seconds. So, if the provider sends a logout token again, it ends no login that began in a
    /// later second.
    ///
    /// A login whose session at the provider isn't known may belong to any session of its user.
    pub(crate) fn ends(&self, login: &ProviderLogin) -> bool {
        let of_user = self.subject().map(|subject| *subject == login.subject);
        let of_session = self.sid().map(|sid| match &login.sid {
            Some(own) => own == sid,
            None => of_user == Some(true),
        });
        login.issuer == self.issuer
            && of_user.unwrap_or(true)
            && of_session.unwrap_or(true)
            && login.issued_at() <= self.issued_at
    }

    /// The accounts under which the log has this logout.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = AccountId> {
        let issuer = &self.issuer;
        let (first, second) = match &self.whose {
            LoggedOut::User(subject) => (AccountId::of_provider_user(issuer, subject), None),
            LoggedOut::Session(sid, subject) => {
                let unknown = subject.as_ref();
                let unknown = unknown.map(|subject| AccountId::of_unknown_session(issuer, subject));
                (AccountId::of_provider_session(issuer, sid), unknown)
            }
        };
        [first].into_iter().chain(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &str = "https://login.example";

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix_secs(1_800_000_000 + secs)
    }

    fn login(subject: &str, sid: Option<&str>) -> ProviderLogin {
        let login = ProviderLogin::new(LOGIN, subject, at(10)).unwrap();
        match sid {
            Some(sid) => login.in_session(sid).unwrap(),
            None => login,
        }
    }

    fn logout(subject: Option<&str>, sid: Option<&str>) -> ProviderLogout {
        let subject = subject.map(|subject| Subject::new(subject).unwrap());
        let whose = match (sid, subject) {
            (Some(sid), subject) => LoggedOut::Session(ProviderSession::new(sid).unwrap(), subject),
            (None, subject) => LoggedOut::User(subject.unwrap()),
        };
        let issuer = Issuer::new(LOGIN).unwrap();
        let issued_at = at(10);
        ProviderLogout {
            issuer,
            whose,
            issued_at,
        }
    }

    #[test]
    fn a_logout_ends_the_logins_of_the_user_or_the_session_that_it_names() {
        let (alice, bob) = (login("alice", Some("one")), login("bob", Some("two")));
        let without_sid = login("alice", None);
        for (logout, expected) in [
            (logout(Some("alice"), None), [true, false, true]),
            // The third may belong to that session.
            (logout(Some("alice"), Some("one")), [true, false, true]),
            (logout(Some("alice"), Some("two")), [false, false, true]),
            (logout(None, Some("one")), [true, false, false]),
            (logout(Some("bob"), Some("one")), [false, false, false]),
            (logout(None, Some("two")), [false, true, false]),
        ] {
            let ended = [&alice, &bob, &without_sid].map(|login| logout.ends(login));
            assert_eq!(ended, expected, "{logout:?}");
        }
    }

    #[test]
    fn a_logout_ends_no_later_login_and_none_of_another_provider() {
        let mut logout = logout(Some("alice"), None);
        assert!(logout.ends(&login("alice", None)));
        logout.issued_at = at(9);
        assert!(!logout.ends(&login("alice", None)));
        logout.issued_at = at(10);
        logout.issuer = Issuer::new("https://other.example").unwrap();
        assert!(!logout.ends(&login("alice", None)));
    }

    /// The log and the search for sessions know the same logouts of a login.
    #[test]
    fn a_login_finds_in_the_log_each_logout_that_ends_it() {
        let logins = [
            login("alice", Some("one")),
            login("alice", None),
            login("bob", Some("two")),
        ];
        for (subject, sid) in [
            (Some("alice"), None),
            (Some("alice"), Some("one")),
            (None, Some("one")),
            (Some("alice"), Some("other")),
            (None, Some("alice")),
            (Some("bob"), Some("two")),
        ] {
            let logout = logout(subject, sid);
            for login in &logins {
                let found = logout.accounts().any(|one| login.accounts().contains(&one));
                assert_eq!(found, logout.ends(login), "{logout:?} {login:?}");
            }
        }
        // Sessions of our own, and access tokens of the user, have other entries.
        let (issuer, alice) = (Issuer::new(LOGIN).unwrap(), Subject::new("alice").unwrap());
        for login in &logins {
            let accounts = login.accounts();
            assert!(!accounts.contains(&AccountId::of(&issuer, &alice)));
            assert!(!accounts.contains(&AccountId::of_foreign(&issuer, &alice)));
        }
    }
}
