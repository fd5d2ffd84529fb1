//! Finding, counting and ending the sessions of all users, for administrators.

use crate::{
    authority::{
        authority::Authority,
        enforcing::Ending,
        pace::{Pace, Pacer},
    },
    error::Error,
    model::{
        ids::SessionId, session::EndReason, session::Session, session_cursor::SessionCursor,
        session_filter::SessionFilter,
    },
    store::EndSessions,
};

/// The number of sessions that one call of the store looks at: some hundred kilobytes.
const PART: usize = 500;
/// The most sessions that one page looks at, so that it comes in bounded time.
const LOOKED_AT: usize = 40 * PART;

/// A page of the sessions that a [`SessionFilter`] matches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoundSessions {
    /// The sessions. There may be fewer than a page holds, even none, although more follow.
    pub sessions: Vec<Session>,
    /// The place to go on from; `None` after the last page.
    pub next: Option<SessionCursor>,
}

/// The result of [`Authority::end_where`].
#[derive(Debug)]
#[non_exhaustive]
pub struct EndedSessions {
    /// How many sessions the call has ended.
    pub count: u64,
    /// Lets you wait until all nodes enforce the ends.
    pub ending: Ending,
}

impl EndedSessions {
    /// The end of no session.
    pub(super) fn none(authority: &Authority) -> Self {
        Self {
            count: 0,
            ending: Ending::new(authority, true),
        }
    }
}

impl Authority {
    /// Lists the sessions that `filter` matches, page by page. Without `after` it returns the first
    /// page; pass the last page's `next` to get the one after it. It lists only sessions of this
    /// issuer and audience, unless the filter asks for others.
    ///
    /// A session that matches from the first page to the last is on exactly one of them, also
    /// while other sessions begin and end. The store decides on the order: with all stores but
    /// Redis, the newest session comes first. In Redis this holds for the sessions of one
    /// subject, and for each sixteenth of all sessions. With a prefix of subjects, PostgreSQL and
    /// SQLite go from the last subject to the first.
    ///
    /// The call looks at 20,000 sessions at most, so that it returns in bounded time. If few of
    /// them match, a page may be short or empty although more follow: go on until `next` is
    /// `None`.
    ///
    /// The times are exact, and for administrators. Don't show them to the client of the session:
    /// see [`sessions`](Self::sessions).
    ///
    /// ```
    /// use gatepass::{Authority, Error, Network, SessionFilter};
    ///
    /// /// Prints who is logged in from a network.
    /// async fn print(authority: &Authority, network: Network) -> Result<(), Error> {
    ///     let filter = SessionFilter::new().network(network);
    ///     let mut next = None;
    ///     loop {
    ///         let page = authority.find_sessions(&filter, next.as_ref()).await?;
    ///         page.sessions.iter().for_each(|session| println!("{}", session.subject()));
    ///         next = page.next;
    ///         if next.is_none() {
    ///             return Ok(());
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store cannot be read.
    pub async fn find_sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
    ) -> Result<FoundSessions, Error> {
        let filter = self.asks_for(filter);
        let size = filter.sessions_on_a_page();
        let (mut sessions, mut next) = (Vec::new(), after.cloned());
        let (mut limit, mut looked_at) = (size, 0);
        loop {
            let part = self.inner.store.scan(&filter, next.as_ref(), limit);
            let part = self.ask("scan", part).await?;
            sessions.extend(part.sessions);
            next = part.next;
            if sessions.len() > size {
                sessions.truncate(size);
                next = sessions.last().map(|last| filter.cursor_behind(last));
            }
            looked_at += limit;
            if sessions.len() >= size || next.is_none() || looked_at >= LOOKED_AT {
                return Ok(FoundSessions { sessions, next });
            }
            limit = PART;
        }
    }

    /// Counts the sessions that `filter` matches. It counts only sessions of this issuer and
    /// audience, unless the filter asks for others.
    ///
    /// It looks at 500 sessions with each call of the store. A session that begins or ends
    /// meanwhile may be counted or not.
    ///
    /// ```
    /// use gatepass::{Authority, Device, Identity, MasterSecret, MemoryStore, SessionFilter};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let secret = MasterSecret::generate()?;
    /// # let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
    /// #     .build()
    /// #     .await?;
    /// authority.issue(Identity::new("alice")?, Device::default()).await?;
    /// assert_eq!(authority.count_sessions(&SessionFilter::new()).await?, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store cannot be read.
    pub async fn count_sessions(&self, filter: &SessionFilter) -> Result<u64, Error> {
        let filter = self.asks_for(filter);
        let (mut count, mut next) = (0_u64, None);
        loop {
            let part = self.inner.store.scan(&filter, next.as_ref(), PART);
            let part = self.ask("scan", part).await?;
            count = count.saturating_add(u64::try_from(part.sessions.len()).unwrap_or(u64::MAX));
            next = part.next;
            if next.is_none() {
                return Ok(count);
            }
        }
    }

    /// Ends each session that `filter` matches, one after the other at this [`Pace`]. It ends only
    /// sessions of this issuer and audience, unless the filter asks for others. Each end and its
    /// entry in the log are one act.
    ///
    /// Sessions that have already ended stay as they are, even if the filter asks for them. A
    /// session that begins meanwhile may go on. If a session is refreshed while the call looks at
    /// it, the session ends even if it no longer matches the filter. If you drop the future, it
    /// stops, and the other sessions go on. Call it again then.
    ///
    /// To end all sessions of one user, call [`logout_all`](Self::logout_all): it is one act,
    /// however many sessions there are, and misses none.
    ///
    /// ```
    /// use gatepass::{Authority, ClientId, Error, Pace, SessionFilter};
    ///
    /// /// Logs all users out of an application that is withdrawn, and waits until all nodes know.
    /// async fn withdraw(authority: &Authority, client: ClientId) -> Result<u64, Error> {
    ///     let filter = SessionFilter::new().client(client);
    ///     let ended = authority.end_where(&filter, Pace::default()).await?;
    ///     ended.ending.enforced().await;
    ///     Ok(ended.count)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store did not confirm an end. Some of the sessions may have ended by
    /// then: call it again.
    pub async fn end_where(
        &self,
        filter: &SessionFilter,
        pace: Pace,
    ) -> Result<EndedSessions, Error> {
        let reason = EndReason::EndedByApplication;
        self.end_each(self.asks_for(filter), pace, reason).await
    }

    /// Ends each session that `filter` matches. Unlike [`end_where`](Self::end_where), this doesn't
    /// limit the filter to one issuer and audience.
    pub(super) async fn end_each(
        &self,
        mut filter: SessionFilter,
        pace: Pace,
        reason: EndReason,
    ) -> Result<EndedSessions, Error> {
        filter.leave_out_ended();
        let mut pacer = Pacer::start(pace, &*self.inner.settings.random);
        let (mut count, mut next) = (0, None);
        loop {
            let part = self.inner.store.scan(&filter, next.as_ref(), PART);
            let part = self.ask("scan", part).await?;
            for session in part.sessions {
                let target = EndSessions::SessionOf(session.id, session.account());
                let ended = self.end(target, Some(session.subject()), reason).await?;
                if ended.is_new {
                    count += 1;
                    pacer.wait().await?;
                }
            }
            next = part.next;
            if next.is_none() {
                break;
            }
        }
        // An earlier call whose answer was lost may have ended some of them.
        let here = self.inner.verifier.catch_up().await.is_ok();
        let ending = Ending::new(self, here);
        Ok(EndedSessions { count, ending })
    }

    /// The session with this id, if it is one of this issuer. It may have ended.
    ///
    /// ```
    /// use gatepass::{Authority, Error, SessionId};
    ///
    /// async fn is_ended(authority: &Authority, id: SessionId) -> Result<bool, Error> {
    ///     let session = authority.session(id).await?;
    ///     Ok(session.is_none_or(|session| session.ended.is_some()))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store cannot be read.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, Error> {
        let (session, _) = self.ask("load", self.inner.store.load(id)).await?;
        let issuer = &self.inner.verifier.policy().issuer;
        Ok(session.filter(|session| session.issuer == *issuer))
    }

    /// The sessions that this authority asks the store for.
    fn asks_for(&self, filter: &SessionFilter) -> SessionFilter {
        let policy = self.inner.verifier.policy();
        filter.asked_by(&policy.issuer, &policy.audience)
    }
}
