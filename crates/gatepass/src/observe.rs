//! All events for operators. Each has one place, which traces it and, with the feature `metrics`,
//! counts it. No other module of this crate traces or counts.
//!
//! Names, fields and units are stable, and `docs/events.md` documents them. No event holds a token,
//! a key or a password, and no label of a metric names a user.

mod attempt;
mod proxy_addresses;
mod sampling;

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tracing::{debug, error, info, warn};

pub(crate) use self::attempt::Attempt;
#[cfg(feature = "metrics")]
use crate::model::health::Health;
use crate::{
    env::clock::{Clock, Timestamp},
    error::Error,
    keys::set::SkippedKey,
    model::{
        device::Device,
        grant::GrantEffect,
        ids::{Generation, Issuer, SessionId, SessionNumber, Subject, TokenId},
        provider_login::ProviderLogout,
        refusal::Refusal,
        revocation::Cutoff,
        session::{EndReason, Session},
        throttling::ThrottledBy,
        trusted_proxies::is_private,
    },
    observe::{
        proxy_addresses::ProxyAddresses,
        sampling::{Sampling, Traced},
    },
    store::error::StoreError,
    token::pass::Pass,
};

/// Counts an event, if the application enables the feature `metrics`.
macro_rules! count {
    ($name:literal $(, $label:literal => $value:expr)?) => {
        #[cfg(feature = "metrics")]
        metrics::counter!($name $(, $label => $value)?).increment(1);
    };
}

/// Reports refusals to operators. It counts each one, and [samples](Sampling) the ones that it
/// traces.
pub(crate) struct Refusals {
    clock: Arc<dyn Clock>,
    sampling: Sampling,
}

impl Refusals {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let sampling = Sampling::default();
        Self { clock, sampling }
    }

    /// Reports a refused access token, with its pass if the token is authentic.
    pub(crate) fn token(&self, pass: Option<&Pass>, refusal: &Refusal) {
        let reason = refusal.reason();
        count!("gatepass_tokens_refused_total", "reason" => reason);
        let Some(Traced { suppressed }) = self.sample("token.refused", reason) else {
            return;
        };
        let (subject, session) = (pass.map(Pass::subject), pass.and_then(Pass::session_id));
        info!(
            target: "gatepass", subject = subject.map(display), session = session.map(display),
            jti = pass.map(Pass::token_id).map(display),
            issuer = pass.and_then(Pass::foreign_issuer).map(display), reason, suppressed,
            "token.refused"
        );
    }

    /// Reports a refused login, with the hash of the user name if the request was read that far.
    pub(crate) fn login(&self, device: &Device, name_hash: Option<&str>, refusal: &Refusal) {
        let reason = refusal.reason();
        count!("gatepass_logins_refused_total", "reason" => reason);
        let Some(Traced { suppressed }) = self.sample("login.refused", reason) else {
            return;
        };
        // The log leaves the name out, because a user may type a password into its field.
        info!(
            target: "gatepass", reason, name_hash, address = device.address.map(display),
            user_agent = device.user_agent.as_deref(), suppressed, "login.refused"
        );
    }

    /// Reports an attempt to log in that exceeded the bound `by`. `login.refused` or
    /// `reauthentication.refused` follows. Returns the number of attempts that were suppressed
    /// before this one, or `None` if this one is suppressed.
    pub(crate) fn throttled(&self, by: ThrottledBy) -> Option<u64> {
        let by = by.as_str();
        count!("gatepass_logins_throttled_total", "by" => by);
        let Traced { suppressed } = self.sample("login.throttled", by)?;
        debug!(target: "gatepass", by, suppressed, "login.throttled");
        Some(suppressed.unwrap_or(0))
    }

    /// Reports a refused refresh, with the session and its owner as far as they are known.
    pub(crate) fn refresh(&self, attempt: &Attempt<'_>, refusal: &Refusal) {
        let reason = refusal.reason();
        count!("gatepass_refreshes_refused_total", "reason" => reason);
        let Some(Traced { suppressed }) = self.sample("refresh.refused", reason) else {
            return;
        };
        info!(
            target: "gatepass", subject = attempt.subject.map(display),
            session = attempt.session.map(display), reason, name_hash = attempt.name_hash,
            address = attempt.address().map(display), user_agent = attempt.user_agent(), suppressed,
            "refresh.refused"
        );
    }

    /// Reports a token of an old system that gatepass refused to exchange.
    pub(crate) fn old_token(&self, attempt: &Attempt<'_>, refusal: &Refusal) {
        let reason = refusal.reason();
        count!("gatepass_old_tokens_refused_total", "reason" => reason);
        let Some(Traced { suppressed }) = self.sample("old_token.refused", reason) else {
            return;
        };
        info!(
            target: "gatepass", subject = attempt.subject.map(display), reason,
            address = attempt.address().map(display), user_agent = attempt.user_agent(), suppressed,
            "old_token.refused"
        );
    }

    pub(crate) fn reauthentication(&self, pass: &Pass, device: &Device, refusal: &Refusal) {
        let reason = refusal.reason();
        count!("gatepass_reauthentications_refused_total", "reason" => reason);
        let Some(Traced { suppressed }) = self.sample("reauthentication.refused", reason) else {
            return;
        };
        info!(
            target: "gatepass", subject = %pass.subject(), session = pass.session_id().map(display), reason,
            address = device.address.map(display), user_agent = device.user_agent.as_deref(),
            suppressed, "reauthentication.refused"
        );
    }

    /// Reports a client that wants to revoke a token of another client.
    pub(crate) fn revocation(&self, refusal: &Refusal) {
        let reason = refusal.reason();
        count!("gatepass_revocations_refused_total", "reason" => reason);
        if let Some(Traced { suppressed }) = self.sample("revocation.refused", reason) {
            info!(target: "gatepass", reason, suppressed, "revocation.refused");
        }
    }

    /// Reports a refused logout token of an OpenID Connect provider.
    pub(crate) fn backchannel_logout(&self, refusal: &Refusal) {
        let reason = refusal.reason();
        count!("gatepass_backchannel_logouts_refused_total", "reason" => reason);
        if let Some(Traced { suppressed }) = self.sample("backchannel_logout.refused", reason) {
            info!(target: "gatepass", reason, suppressed, "backchannel_logout.refused");
        }
    }

    /// Reports a client that failed to authenticate itself.
    pub(crate) fn client(&self, device: &Device, refusal: &Refusal) {
        let reason = refusal.reason();
        count!("gatepass_clients_refused_total", "reason" => reason);
        if let Some(Traced { suppressed }) = self.sample("client.refused", reason) {
            info!(
                target: "gatepass", reason, address = device.address.map(display),
                user_agent = device.user_agent.as_deref(), suppressed, "client.refused"
            );
        }
    }

    fn sample(&self, event: &'static str, reason: &'static str) -> Option<Traced> {
        self.sampling.admit(event, reason, self.clock.now())
    }
}

/// Reports an event for the application that is lost, because too many others wait. Only the first
/// of several in a row is traced.
pub(crate) fn event_lost(first: bool) {
    if first {
        warn!(
            target: "gatepass",
            "events.lost: the handler of on_event() is too slow, and events for it are lost"
        );
    }
    count!("gatepass_events_lost_total");
}

/// Reports that the application's handler of an event failed.
pub(crate) fn event_handler_failed(why: &'static str) {
    error!(target: "gatepass", why, "event.handler_failed");
    count!("gatepass_event_handlers_failed_total");
}

/// Warns operators, once, that a proxy hides the addresses of all clients.
#[derive(Default)]
pub(crate) struct HiddenAddresses {
    logins: ProxyAddresses,
    told: AtomicBool,
}

impl HiddenAddresses {
    /// Looks at a request from `peer`, while no proxy is trusted. `header` finds a header field
    /// that a proxy writes.
    ///
    /// Only a private peer counts. A public peer may have written the header field itself, to
    /// mislead the operator.
    pub(crate) fn request(
        &self,
        peer: Option<IpAddr>,
        header: impl FnOnce() -> Option<&'static str>,
    ) {
        if self.told.load(Ordering::Relaxed) {
            return;
        }
        if let Some(address) = peer.filter(|peer| is_private(*peer))
            && let Some(header) = header()
        {
            self.tell(address, Some(header));
        }
    }

    /// Looks at a login, while no proxy is trusted.
    pub(crate) fn login(&self, address: Option<IpAddr>) {
        if let Some(address) = address.and_then(|address| self.logins.login(address)) {
            self.tell(address, None);
        }
    }

    fn tell(&self, address: IpAddr, header: Option<&'static str>) {
        if !self.told.swap(true, Ordering::Relaxed) {
            warn!(
                target: "gatepass", address = %address, header,
                "addresses.hidden: requests come from a private address, which is probably a proxy's; name it with trusted_proxies(), or say TrustedProxies::none()"
            );
        }
    }
}

/// `method` is how the user was authenticated.
pub(crate) fn session_issued(session: &Session, token: TokenId, method: &'static str) {
    info!(
        target: "gatepass", subject = %session.subject(), session = %session.id, jti = %token,
        client = %session.client, method, address = session.device.address.map(display),
        user_agent = session.device.user_agent.as_deref(), "session.issued"
    );
    count!("gatepass_sessions_issued_total");
}

/// A token of an old system gave access. `token.verified` comes before it.
pub(crate) fn old_token_accepted(pass: &Pass) {
    debug!(
        target: "gatepass", subject = %pass.subject(), jti = %pass.token_id(),
        issuer = pass.foreign_issuer().map(display), "old_token.accepted"
    );
    count!("gatepass_old_tokens_accepted_total");
}

/// A token of an old system became a session. `session.issued` comes before it.
pub(crate) fn old_token_exchanged(session: &Session, issuer: &Issuer) {
    info!(
        target: "gatepass", subject = %session.subject(), session = %session.id,
        issuer = %issuer, "old_token.exchanged"
    );
    count!("gatepass_old_tokens_exchanged_total");
}

/// `method` is how the client got the tokens, and `device` is the client's.
pub(crate) fn session_refreshed(
    session: &Session,
    token: TokenId,
    (method, device): (&'static str, Option<&Device>),
) {
    info!(
        target: "gatepass", subject = %session.subject(), session = %session.id, jti = %token,
        generation = session.generation.get(), client = %session.client, method,
        address = device.and_then(|device| device.address).map(display),
        user_agent = device.and_then(|device| device.user_agent.as_deref()), "session.refreshed"
    );
    count!("gatepass_sessions_refreshed_total");
}

/// `elsewhere` is where the request came from, if the last refresh came from another place.
pub(crate) fn session_replayed(session: &Session, token: TokenId, elsewhere: Option<&Device>) {
    match elsewhere {
        None => info!(
            target: "gatepass", subject = %session.subject(), session = %session.id, jti = %token,
            "session.replayed"
        ),
        Some(device) => warn!(
            target: "gatepass", subject = %session.subject(), session = %session.id, jti = %token,
            elsewhere = true, address = device.address.map(display),
            user_agent = device.user_agent.as_deref(), "session.replayed"
        ),
    }
    count!("gatepass_sessions_replayed_total");
}

/// `elsewhere` is where the request came from, if the last refresh came from another place.
pub(crate) fn session_recovered(
    session: &Session,
    presented: Generation,
    elsewhere: Option<&Device>,
) {
    let address = elsewhere
        .and_then(|device| device.address)
        .map(tracing::field::display);
    let user_agent = elsewhere.and_then(|device| device.user_agent.as_deref());
    warn!(
        target: "gatepass", subject = %session.subject(), session = %session.id,
        generation = presented.get(), elsewhere = elsewhere.map(|_| true), address, user_agent,
        "session.recovered"
    );
    count!("gatepass_sessions_recovered_total");
}

/// Reports a [`Decision::Reuse`](crate::store::Decision::Reuse). It is never sampled: a thief must
/// not be able to hide the alarm of one session behind the alarms of others.
pub(crate) fn reuse_detected(
    session: &Session,
    gap: u32,
    age: Option<Duration>,
    attempt: &Attempt<'_>,
) {
    warn!(
        target: "gatepass", subject = %session.subject(), session = %session.id, gap,
        age_ms = age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        name_hash = attempt.name_hash, address = attempt.address().map(display),
        user_agent = attempt.user_agent(), "session.reuse_detected"
    );
    count!("gatepass_sessions_reuse_detected_total");
}

pub(crate) fn session_renewed(session: &Session, token: TokenId) {
    info!(
        target: "gatepass", subject = %session.subject(), session = %session.id, jti = %token,
        "session.renewed"
    );
    count!("gatepass_sessions_renewed_total");
}

pub(crate) fn session_reauthenticated(session: &Session) {
    info!(
        target: "gatepass", subject = %session.subject(), session = %session.id,
        "session.reauthenticated"
    );
    count!("gatepass_sessions_reauthenticated_total");
}

/// The rights of a session changed.
pub(crate) fn session_changed(session: &Session, effect: GrantEffect) {
    let enforced = effect == GrantEffect::Enforce;
    info!(
        target: "gatepass", subject = %session.subject(), session = %session.id,
        version = session.grant.newest.get(), enforced, "session.changed"
    );
    count!("gatepass_sessions_changed_total");
}

/// `by` is the device that asked for it.
pub(crate) fn session_ended(
    session: SessionId,
    subject: Option<&Subject>,
    reason: EndReason,
    by: Option<&Device>,
) {
    info!(
        target: "gatepass", subject = subject.map(display), session = %session,
        reason = reason.as_str(), address = by.and_then(|device| device.address).map(display),
        user_agent = by.and_then(|device| device.user_agent.as_deref()), "session.ended"
    );
    count!("gatepass_sessions_ended_total", "reason" => reason.as_str());
}

/// Reports the end of all sessions of a subject up to a number, except perhaps one. `by` is the
/// device that asked for it.
pub(crate) fn sessions_ended(
    cutoff: Cutoff,
    subject: Option<&Subject>,
    reason: EndReason,
    by: Option<&Device>,
) {
    info!(
        target: "gatepass", subject = subject.map(display), up_to = cutoff.up_to.get(),
        except = cutoff.except.map(SessionNumber::get), reason = reason.as_str(),
        address = by.and_then(|device| device.address).map(display),
        user_agent = by.and_then(|device| device.user_agent.as_deref()), "sessions.ended"
    );
    count!("gatepass_cutoffs_total", "reason" => reason.as_str());
}

/// All nodes enforce a revocation that this node has committed and waited for.
pub(crate) fn revocation_enforced(after: Duration, by: &'static str) {
    let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    debug!(target: "gatepass", after_ms, by, "revocation.enforced");
    #[cfg(feature = "metrics")]
    metrics::histogram!("gatepass_revocation_enforced_seconds", "by" => by)
        .record(after.as_secs_f64());
}

/// `loudly` raises the event from the level debug to info.
pub(crate) fn token_verified(pass: &Pass, loudly: bool) {
    // Not counted: it happens at every request, and the server counts its requests.
    macro_rules! verified {
        ($level:ident) => {
            $level!(
                target: "gatepass", subject = %pass.subject(),
                session = pass.session_id().map(display), jti = %pass.token_id(),
                client = pass.client_id().map(display),
                issuer = pass.foreign_issuer().map(display), "token.verified"
            )
        };
    }
    if loudly {
        verified!(info);
    } else {
        verified!(debug);
    }
}

/// An open connection must end.
pub(crate) fn connection_ended(pass: &Pass, reason: &'static str) {
    // Not above debug: a logout is one event, and can end thousands of connections.
    debug!(
        target: "gatepass", subject = %pass.subject(), session = pass.session_id().map(display),
        jti = %pass.token_id(), issuer = pass.foreign_issuer().map(display), reason,
        "connection.ended"
    );
    count!("gatepass_connections_ended_total", "reason" => reason);
}

/// Counts a token that the cache knew, or that it has just learnt.
pub(crate) fn token_cache(is_hit: bool) {
    if is_hit {
        count!("gatepass_token_cache_hits_total");
    } else {
        count!("gatepass_token_cache_misses_total");
    }
}

pub(crate) fn token_revoked(pass: &Pass) {
    info!(
        target: "gatepass", subject = %pass.subject(), session = pass.session_id().map(display),
        jti = %pass.token_id(), issuer = pass.foreign_issuer().map(display), "token.revoked"
    );
    count!("gatepass_tokens_revoked_total");
}

/// Reports the revocation of all tokens of another issuer's subject, or of the token with this
/// `jti`.
pub(crate) fn foreign_revoked(issuer: &Issuer, subject: &Subject, jti: Option<&str>) {
    info!(target: "gatepass", subject = %subject, issuer = %issuer, jti, "foreign.revoked");
    count!("gatepass_foreign_revoked_total");
}

/// Reports a logout at an OpenID Connect provider, and how many sessions it has ended here. The
/// field `subject` is the provider's name for the user.
pub(crate) fn backchannel_logout(logout: &ProviderLogout, sessions: u64) {
    info!(
        target: "gatepass", issuer = %logout.issuer, subject = logout.subject().map(display),
        sid = logout.sid().map(display), sessions, "backchannel_logout.accepted"
    );
    count!("gatepass_backchannel_logouts_total");
}

/// Tells the operator the details that the client doesn't get.
pub(crate) fn store_unavailable(operation: &'static str, failure: &StoreError) {
    let source = std::error::Error::source(failure)
        .map(ToString::to_string)
        .unwrap_or_default();
    error!(target: "gatepass", operation, error = %failure, source, "store.unavailable");
    count!("gatepass_store_unavailable_total", "operation" => operation);
}

/// Counts every failed pull, and traces the first of several in a row.
pub(crate) fn pull_failed(failure: &StoreError, first: bool) {
    if first {
        store_unavailable("pull", failure);
    }
    count!("gatepass_pulls_failed_total");
}

/// Counts every failure to write or read heartbeats, and traces the first of several in a row.
pub(crate) fn heartbeat_failed(failure: &StoreError, first: bool) {
    if first {
        store_unavailable("heartbeat", failure);
    }
    count!("gatepass_heartbeats_failed_total");
}

pub(crate) fn store_available() {
    info!(target: "gatepass", "store.available");
}

/// Reports that the store had an earlier generation of a session than its owner: a
/// [`Decision::Advance`](crate::store::Decision::Advance) over a gap.
pub(crate) fn store_behind(session: &Session, gap: u32) {
    error!(
        target: "gatepass", subject = %session.subject(), session = %session.id, gap, "store.behind"
    );
    count!("gatepass_store_behind_total");
}

/// Counts every failed fetch of another issuer's keys, and traces the first of several in a row.
pub(crate) fn issuer_unavailable(issuer: &str, failure: &dyn fmt::Display, first: bool) {
    if first {
        error!(target: "gatepass", issuer, error = %failure, "issuer.unavailable");
    }
    #[cfg(feature = "metrics")]
    metrics::counter!("gatepass_issuer_fetches_failed_total", "issuer" => issuer.to_owned())
        .increment(1);
}

/// Reports a successful fetch of another issuer's keys, whether they have changed or not.
pub(crate) fn issuer_fetched(issuer: &str, now: Timestamp, recovered: bool) {
    if recovered {
        info!(target: "gatepass", issuer, "issuer.available");
    }
    #[cfg(feature = "metrics")]
    {
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds until the year 9999 fit"
        )]
        let secs = now.unix_secs() as f64;
        metrics::gauge!("gatepass_issuer_keys_fetched_timestamp_seconds", "issuer" => issuer.to_owned())
            .set(secs);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = now;
}

/// Another issuer has other keys than before.
pub(crate) fn issuer_keys(issuer: &str, keys: usize) {
    info!(target: "gatepass", issuer, keys, "issuer.keys");
}

/// Reports a key that another issuer publishes, and that gatepass doesn't use.
pub(crate) fn issuer_key_skipped(issuer: &str, skipped: &SkippedKey) {
    let SkippedKey {
        position, error, ..
    } = skipped;
    info!(target: "gatepass", issuer, position, error = %error, "issuer.key_skipped");
}

pub(crate) fn store_volatile() {
    warn!(
        target: "gatepass",
        "store.volatile: sessions are kept in memory only, and all are lost when this process ends"
    );
}

pub(crate) fn store_purged(removed: usize) {
    debug!(target: "gatepass", removed, "store.purged");
}

pub(crate) fn denylist_stale(error: &StoreError) {
    warn!(target: "gatepass", error = %error, "denylist.stale");
    count!("gatepass_denylist_stale_total");
}

pub(crate) fn denylist_judging_stale(lag: Duration) {
    let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
    warn!(target: "gatepass", lag_ms, "denylist.judging_stale");
    count!("gatepass_denylist_judging_stale_total");
}

pub(crate) fn denylist_reset() {
    info!(target: "gatepass", "denylist.reset");
    count!("gatepass_denylist_reset_total");
}

pub(crate) fn internal(error: &Error) {
    error!(target: "gatepass", error = %error, "internal");
    count!("gatepass_internal_errors_total");
}

/// The application has read the body of a request before the endpoint could.
pub(crate) fn body_taken() {
    error!(
        target: "gatepass",
        "body.taken: the application read the body of a request before the endpoint could"
    );
}

pub(crate) fn gate_missing(gate: &str, place: Option<(&str, &str)>) {
    let (method, path) = place.unzip();
    error!(
        target: "gatepass", gate, method, path,
        "gate.missing: a handler asks who is logged in, but its route has no gate"
    );
}

pub(crate) fn claims_unfit(error: &serde_json::Error, wanted: &str) {
    // The category, and not the text, which may quote a claim.
    error!(
        target: "gatepass", category = ?error.classify(), wanted,
        "claims.unfit: the custom claims of a token do not fit the type that a handler wants"
    );
}

/// A handler wants a user whom its gate doesn't load.
pub(crate) fn users_missing(wanted: &str) {
    error!(
        target: "gatepass", wanted,
        "users.missing: a handler asks for the record of the user, but its gate loads none of this type; give the gate Users"
    );
}

pub(crate) fn weak_secret(client: &dyn fmt::Display, bytes: usize) {
    warn!(
        target: "gatepass", client = %client, bytes,
        "client.weak_secret: a client's secret is so short that a person may have chosen it; make one with: openssl rand -hex 32"
    );
}

/// Updates the metrics of the replica.
#[cfg(feature = "metrics")]
pub(crate) fn replica(health: &Health) {
    // An unknown lag counts as too long.
    let lag = health.lag.map_or(f64::INFINITY, |lag| lag.as_secs_f64());
    metrics::gauge!("gatepass_replica_lag_seconds").set(lag);
    #[expect(
        clippy::cast_precision_loss,
        reason = "2^53 entries fit into no memory"
    )]
    metrics::gauge!("gatepass_replica_entries").set(health.entries as f64);
}

/// Describes the metrics whose names don't say it all.
#[cfg(feature = "metrics")]
pub(crate) fn describe() {
    use metrics::Unit;
    metrics::describe_gauge!(
        "gatepass_replica_lag_seconds",
        Unit::Seconds,
        "Time since the last complete pull of revocations began"
    );
    metrics::describe_gauge!(
        "gatepass_replica_entries",
        Unit::Count,
        "Revocations that this node knows"
    );
    metrics::describe_counter!(
        "gatepass_pulls_failed_total",
        Unit::Count,
        "Pulls of revocations that failed"
    );
    metrics::describe_histogram!(
        "gatepass_revocation_enforced_seconds",
        Unit::Seconds,
        "Time until all nodes enforced a revocation that the caller waited for"
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_name_stands_in_the_docs() {
        let (source, docs) = (
            include_str!("observe.rs"),
            include_str!("../docs/events.md"),
        );
        let (source, _) = source.split_once("#[cfg(test)]").unwrap();
        let is_name = |text: &&str| {
            let of_event = text.contains('.')
                && text
                    .bytes()
                    .all(|b| b == b'.' || b == b'_' || b.is_ascii_lowercase());
            text.starts_with("gatepass_") || of_event
        };
        let quoted = source.split('"').skip(1).step_by(2);
        let names = quoted.map(|text| text.split(':').next().unwrap_or_default());
        let names: Vec<_> = names.filter(is_name).collect();
        assert!(names.len() > 40, "{names:?}");
        for name in names {
            assert!(docs.contains(&format!("`{name}`")), "{name}");
        }
    }
}
