//! The sessions that an administrator asks for.

use crate::{
    env::clock::Timestamp,
    model::{
        ids::{AccountId, Audience, ClientId, Issuer, Subject},
        network::Network,
        provider_login::ProviderLogout,
        session::Session,
        session_cursor::SessionCursor,
    },
};

/// The beginning and the id of a session. Lists are sorted by these two.
type Place<'a> = (Timestamp, &'a [u8]);

/// More bytes than the longest subject has.
const LONGEST: usize = 256;

/// The sessions that an administrator asks for: all live ones, unless you narrow it down. Each
/// condition that you set must hold.
///
/// ```
/// use gatepass::{SessionFilter, Subject};
///
/// // The live sessions of the users of tenant 7 that began in the office.
/// let filter = SessionFilter::new()
///     .subject_prefix(Subject::new("tenant-7/")?)
///     .network("192.0.2.0/24".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A store has indexes for some conditions. For the others, it looks at each session, a few hundred
/// in one call.
///
/// | condition | PostgreSQL, SQLite | Redis | in memory |
/// |---|---|---|---|
/// | `begun_after`, `begun_before` | an index | an index | an index |
/// | `subject` | an index | an index, if the issuer is known | looks at each |
/// | `subject_prefix` | an index | looks at each | looks at each |
/// | all others | looks at each | looks at each | looks at each |
///
/// A filter with a subject uses only the index for the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    issuer: Option<Issuer>,
    audience: Option<Audience>,
    all_services: bool,
    subject: Option<Subjects>,
    client: Option<ClientId>,
    device: Option<String>,
    network: Option<Network>,
    begun_after: Option<Timestamp>,
    begun_before: Option<Timestamp>,
    seen_after: Option<Timestamp>,
    seen_before: Option<Timestamp>,
    provider_logout: Option<ProviderLogout>,
    state: SessionState,
    leaves_out_ended: bool,
    page_size: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subjects {
    One(Subject),
    BeginningWith(Subject),
}

/// Whether a session goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionState {
    /// The session has not ended, and is not past its absolute end. A session that has been idle
    /// for too long is live until the store removes it, because its client may be able to resume
    /// it.
    #[default]
    Live,
    /// The session has ended, or is past its absolute end. A store keeps such a session for as long
    /// as an access token of it could be valid, and ten minutes longer. For example, after a logout
    /// you find it for up to 25 minutes.
    Ended,
    /// Live and ended sessions.
    Any,
}

impl SessionFilter {
    /// The default number of sessions on a page. A page of a user's list has the same.
    pub const PAGE_SIZE: usize = 100;
    /// The most sessions on a page. These are about half a megabyte.
    pub const MAX_PAGE_SIZE: usize = 1000;

    /// All live sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sessions of this issuer.
    ///
    /// An [`Authority`](crate::Authority) takes its own issuer if you set none.
    #[must_use]
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuer = Some(issuer);
        self
    }

    /// Sessions of this audience.
    ///
    /// An [`Authority`](crate::Authority) takes its own audience if you set none.
    #[must_use]
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = Some(audience);
        self
    }

    /// Sessions of all services that share the store. An [`Authority`](crate::Authority) then
    /// doesn't add its own issuer and audience to the filter.
    #[must_use]
    pub fn all_services(mut self) -> Self {
        self.all_services = true;
        self
    }

    /// Sessions of this user.
    #[must_use]
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = Some(Subjects::One(subject));
        self
    }

    /// Sessions of the users whose subjects begin with `prefix`, byte by byte.
    #[must_use]
    pub fn subject_prefix(mut self, prefix: Subject) -> Self {
        self.subject = Some(Subjects::BeginningWith(prefix));
        self
    }

    /// Sessions of this OAuth client.
    #[must_use]
    pub fn client(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// Sessions whose device label or `User-Agent` contains `text`, in upper or lower case. For
    /// example, `firefox` finds `Mozilla/5.0 … Firefox/140.0`.
    #[must_use]
    pub fn device(mut self, text: &str) -> Self {
        self.device = Some(text.to_lowercase());
        self
    }

    /// Sessions whose login came from this range of addresses. For one address, give
    /// `Network::from(address)`.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// Sessions that began at this time or later.
    #[must_use]
    pub fn begun_after(mut self, at: Timestamp) -> Self {
        self.begun_after = Some(at);
        self
    }

    /// Sessions that began before this time.
    #[must_use]
    pub fn begun_before(mut self, at: Timestamp) -> Self {
        self.begun_before = Some(at);
        self
    }

    /// Sessions that were last refreshed, or began, at this time or later.
    #[must_use]
    pub fn seen_after(mut self, at: Timestamp) -> Self {
        self.seen_after = Some(at);
        self
    }

    /// Sessions that were last refreshed, or began, before this time. A session in use may be among
    /// them if its access token has needed no refresh since.
    #[must_use]
    pub fn seen_before(mut self, at: Timestamp) -> Self {
        self.seen_before = Some(at);
        self
    }

    /// Sessions in this state. The default is live sessions.
    #[must_use]
    pub fn state(mut self, state: SessionState) -> Self {
        self.state = state;
        self
    }

    /// The number of sessions on a page: 100 by default, and 1,000 at most. It doesn't change which
    /// sessions gatepass counts or ends.
    #[must_use]
    pub fn page_size(mut self, sessions: usize) -> Self {
        self.page_size = Some(sessions);
        self
    }

    /// Whether `session` matches, at the store's time `now`.
    #[must_use]
    pub fn matches(&self, session: &Session, now: Timestamp) -> bool {
        self.is_of(session) && self.is_in_time(session) && self.is_in_state(session, now)
    }

    fn is_of(&self, session: &Session) -> bool {
        let subject = session.subject();
        self.issuer
            .as_ref()
            .is_none_or(|own| *own == session.issuer)
            && self
                .audience
                .as_ref()
                .is_none_or(|own| *own == session.audience)
            && self
                .client
                .as_ref()
                .is_none_or(|own| *own == session.client)
            && self.subject.as_ref().is_none_or(|wanted| match wanted {
                Subjects::One(one) => one == subject,
                Subjects::BeginningWith(prefix) => subject.as_str().starts_with(prefix.as_str()),
            })
            && self.is_on(session)
            && self.provider_logout.as_ref().is_none_or(|logout| {
                let login = session.identity.provider_login();
                login.is_some_and(|login| logout.ends(login))
            })
    }

    fn is_on(&self, session: &Session) -> bool {
        let contains = |text: Option<&str>, part: &String| {
            text.is_some_and(|text| text.to_lowercase().contains(part))
        };
        let agent = session.device.user_agent.as_deref();
        let is_device = self.device.as_ref().is_none_or(|part| {
            contains(session.identity.device_label(), part) || contains(agent, part)
        });
        let is_in = |network: &Network| {
            let address = session.device.address;
            address.is_some_and(|address| network.contains(address))
        };
        is_device && self.network.as_ref().is_none_or(is_in)
    }

    fn is_in_time(&self, session: &Session) -> bool {
        let (begun, seen) = (session.created_at, session.last_seen_at);
        self.begun_after.is_none_or(|at| begun >= at)
            && self.begun_before.is_none_or(|at| begun < at)
            && self.seen_after.is_none_or(|at| seen >= at)
            && self.seen_before.is_none_or(|at| seen < at)
    }

    fn is_in_state(&self, session: &Session, now: Timestamp) -> bool {
        let is_live = session.is_live(now);
        let is_wanted = match self.state {
            SessionState::Live => is_live,
            SessionState::Ended => !is_live,
            SessionState::Any => true,
        };
        is_wanted && (is_live || !self.leaves_out_ended)
    }

    /// The sessions on a page.
    #[must_use]
    pub fn sessions_on_a_page(&self) -> usize {
        let size = self.page_size.unwrap_or(Self::PAGE_SIZE);
        size.clamp(1, Self::MAX_PAGE_SIZE)
    }

    /// The one account whose sessions match, if the filter names issuer and subject. For stores
    /// that group sessions by account.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match (&self.issuer, &self.subject) {
            (Some(issuer), Some(Subjects::One(subject))) => Some(AccountId::of(issuer, subject)),
            _ => None,
        }
    }

    /// The range of the sessions after `after` that can match, for stores that find sessions by
    /// their beginning. Returns the earliest beginning, and the beginning and id that all of them
    /// are below.
    #[must_use]
    pub fn begun_range<'a>(&self, after: Option<&'a SessionCursor>) -> (Timestamp, Place<'a>) {
        let behind = after.map(|after| (after.created_at, after.id.as_bytes().as_slice()));
        let before = self.begun_before.map(|at| (at, [].as_slice()));
        let end = behind.into_iter().chain(before).min();
        let first = self.begun_after.unwrap_or(Timestamp::EPOCH);
        (first, end.unwrap_or((Timestamp::MAX, &[])))
    }

    /// The range of the sessions after `after` that can match, for stores that find sessions by
    /// their subject. Returns the first possible subject, byte by byte, and the subject, beginning
    /// and id that all of them are below. `None` if the filter has no subject.
    #[must_use]
    pub fn subject_range<'a>(
        &self,
        after: Option<&'a SessionCursor>,
    ) -> Option<(&str, (String, Place<'a>))> {
        let (first, last) = match self.subject.as_ref()? {
            Subjects::One(one) => (one, one.as_str().to_owned()),
            Subjects::BeginningWith(prefix) => {
                let subject = after.and_then(|after| after.subject.as_ref());
                let last = subject.map(|subject| subject.as_str().to_owned());
                // No subject is longer, and no character has greater bytes.
                let greatest = char::MAX.to_string().repeat(LONGEST / char::MAX.len_utf8());
                (
                    prefix,
                    last.unwrap_or_else(|| format!("{prefix}{greatest}")),
                )
            }
        };
        let end = after.map(|after| (after.created_at, after.id.as_bytes().as_slice()));
        Some((first.as_str(), (last, end.unwrap_or((Timestamp::MAX, &[])))))
    }

    /// The place after `session` in the list of these sessions.
    #[must_use]
    pub fn cursor_behind(&self, session: &Session) -> SessionCursor {
        let mut cursor = SessionCursor::behind(session);
        if matches!(self.subject, Some(Subjects::BeginningWith(_))) {
            cursor.subject = Some(session.subject().clone());
        }
        cursor
    }

    /// Sessions whose login at a provider this logout ends.
    pub(crate) fn ended_by(mut self, logout: ProviderLogout) -> Self {
        self.provider_logout = Some(logout);
        self
    }

    /// Leaves out sessions that are already over.
    pub(crate) fn leave_out_ended(&mut self) {
        self.leaves_out_ended = true;
    }

    /// The filter with the issuer and the audience of the service that asks, unless the filter sets
    /// others.
    pub(crate) fn asked_by(&self, issuer: &Issuer, audience: &Audience) -> Self {
        let mut filter = self.clone();
        if !filter.all_services {
            filter.issuer.get_or_insert_with(|| issuer.clone());
            filter.audience.get_or_insert_with(|| audience.clone());
        }
        filter
    }
}
