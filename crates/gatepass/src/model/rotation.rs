//! The decision about a presented refresh token: one pure function.

use std::time::Duration;

use crate::{
    env::clock::Timestamp,
    model::{
        ids::{Audience, ClientId, Generation, Issuer},
        refusal::Refusal,
        session::Session,
    },
};

/// The rules for spent refresh tokens. [`docs::defaults`](crate::docs::defaults) has the reason for
/// each default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "its three knobs are the whole of what can be chosen"
)]
pub struct ReusePolicy {
    /// How long gatepass still accepts a refresh token after it was spent, and answers with the
    /// session's current one. For example, a second tab or a retry sends a token that the first
    /// request has just spent. A session rotates at most once in this time. At most the
    /// access-token lifetime. Default 30 s.
    pub overlap: Duration,
    /// How long gatepass still accepts the last refresh token that was spent, because the answer
    /// with the next one may have been lost on the way. Zero turns this off. Default 1 h.
    pub recovery: Duration,
    /// The reaction to a spent refresh token that neither `overlap` nor `recovery` covers. Default
    /// [`OnReuse::EndSession`].
    pub on_reuse: OnReuse,
}

/// The reaction to a spent refresh token that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnReuse {
    /// gatepass ends the session for both holders of the token, since one of the two is a thief
    /// (RFC 9700 §4.14.2).
    EndSession,
    /// gatepass refuses the token, and the session goes on.
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

/// The action to take for a presented refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever asks must act on every answer"
)]
pub enum Decision {
    /// Refuse the token, and change nothing.
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
        /// How many generations ago the token was current.
        gap: u32,
        /// How long ago the token was spent, if the session still has that time.
        age: Option<Duration>,
    },
}

/// The client that presents a refresh token, and the service that it asks. All three must be the
/// same as at the login.
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

/// Decides about a refresh token of generation `presented` that `presenter` sends at the store's
/// time `now`. The caller has verified that the token is authentic.
///
/// The first row that fits decides:
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
/// | is behind: gatepass has issued the token, so the store has lost writes | advance past it |
///
/// Because of the fourth row, a session rotates only once within `overlap`. For example, five tabs
/// refresh one after the other. The second to fifth tab get the same token as the first, and a
/// request that is still on its way with the oldest token succeeds.
///
/// If the store's clock was ahead for a moment, a generation may have been spent in the future.
/// gatepass doesn't replay it, since the overlap would last until the clock gets there. The client
/// can recover it.
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
