//! The decision on a refresh token that is presented: one pure function.

use std::time::Duration;

use crate::{
    env::clock::Timestamp,
    model::{
        ids::{Audience, ClientId, Generation, Issuer},
        refusal::Refusal,
        session::Session,
    },
};

/// How spent refresh tokens are treated. The reason for each default is documented in
/// [`docs::defaults`](crate::docs::defaults).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "its three knobs are the whole of what can be chosen"
)]
pub struct ReusePolicy {
    /// How long after it was spent a refresh token is answered as if it just had been: with the
    /// session's current one. For example, a second tab and a retry send a token that the first
    /// request has just spent. A session rotates at most once in this time. At most the
    /// access-token lifetime. Default 30 s.
    pub overlap: Duration,
    /// How long after it was spent the last refresh token is taken for one whose answer was lost on
    /// the way. Zero to take none for that. Default 1 h.
    pub recovery: Duration,
    /// The reaction to a refresh token that comes back outside of both. Default
    /// [`OnReuse::EndSession`].
    pub on_reuse: OnReuse,
}

/// The reaction to a spent refresh token that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnReuse {
    /// The session is ended for both holders of the token: one of the two is a thief (RFC 9700
    /// §4.14.2).
    EndSession,
    /// The token is refused and the session goes on.
    Refuse,
}

impl Default for ReusePolicy {
    fn default() -> Self {
        Self {
            overlap: Duration::from_secs(30),
            recovery: Duration::from_secs(3600),
            on_reuse: OnReuse::EndSession,
        }
    }
}

/// The action to take on a presented refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever asks must act on every answer"
)]
pub enum Decision {
    /// Refuse it, and change nothing.
    Refuse(Refusal),
    /// Advance the session from the one generation to the other.
    Advance {
        /// The generation that the session has.
        from: Generation,
        /// The generation that it gets.
        to: Generation,
    },
    /// Answer with the session's current refresh token, and change nothing.
    Replay,
    /// Mark the session's current generation as recovered and answer with its refresh token.
    Recover,
    /// A spent token came back: act on [`ReusePolicy::on_reuse`].
    Reuse {
        /// How many generations ago it was current.
        gap: u32,
        /// How long ago it was spent, if that is remembered.
        age: Option<Duration>,
    },
}

/// The one that presents a refresh token, as far as it must be the same as at the login.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the three names are all that a refresh token is bound to"
)]
pub struct Presenter<'a> {
    /// The issuer that is asked.
    pub issuer: &'a Issuer,
    /// The audience that the access token would be for.
    pub audience: &'a Audience,
    /// The OAuth client that asks.
    pub client: &'a ClientId,
}

/// Decides what becomes of the refresh token of generation `presented`, whose authenticity has been
/// verified, presented by `presenter` at the store's time `now`.
///
/// The first row that fits:
///
/// | the session | decision |
/// |---|---|
/// | is unknown, ended or past its absolute end | refuse [`SessionEnded`](Refusal::SessionEnded) |
/// | belongs to another issuer, audience or client | refuse [`WrongIssuer`](Refusal::WrongIssuer), [`WrongAudience`](Refusal::WrongAudience) or [`WrongClient`](Refusal::WrongClient) |
/// | was not refreshed for too long | refuse [`RefreshExpired`](Refusal::RefreshExpired) |
/// | has this generation, and rotated at most `overlap` ago | replay |
/// | has this generation | advance |
/// | is ahead, and this generation was spent at most `overlap` ago | replay |
/// | is one ahead, this generation was spent at most `recovery` ago and was not itself recovered | recover |
/// | is ahead | reuse |
/// | is behind: the store lost writes, since we did issue the token | advance past it |
///
/// The fourth row keeps the last rotation the only one within `overlap`. For example, five tabs
/// refresh one after the other: the second to fifth get the token that the first one got, and a
/// request that was on its way with the oldest token is still answered.
///
/// A generation that was spent in the future, by a store whose clock was ahead for a moment, isn't
/// replayed, since the overlap would last until the clock gets there. It can be recovered.
#[must_use]
pub fn decide(
    session: Option<&Session>,
    presented: Generation,
    presenter: Presenter<'_>,
    policy: &ReusePolicy,
    now: Timestamp,
) -> Decision {
    let Some(session) = session.filter(|session| session.is_live(now)) else {
        return Decision::Refuse(Refusal::SessionEnded);
    };
    if session.issuer != *presenter.issuer {
        return Decision::Refuse(Refusal::WrongIssuer);
    }
    if session.audience != *presenter.audience {
        return Decision::Refuse(Refusal::WrongAudience);
    }
    if session.client != *presenter.client {
        return Decision::Refuse(Refusal::WrongClient);
    }
    if !session.is_refreshable(now) {
        return Decision::Refuse(Refusal::RefreshExpired);
    }
    let current = session.generation;
    if presented == current && session.has_just_rotated(policy.overlap, now) {
        return Decision::Replay;
    }
    if presented >= current {
        return Decision::Advance {
            from: current,
            to: presented.next(),
        };
    }
    let spent = session.spent_by(presented);
    let age = spent.and_then(|rotation| session.age_of(rotation, now));
    if age.is_some_and(|age| age <= policy.overlap) {
        return Decision::Replay;
    }
    let recoverable = presented.next() == current
        && policy.recovery > Duration::ZERO
        && spent.is_some()
        && age.is_none_or(|age| age <= policy.recovery)
        && session.recovered != Some(presented);
    if recoverable {
        return Decision::Recover;
    }
    Decision::Reuse {
        gap: current.gap(presented),
        age,
    }
}
