//! The revocations that a replica knows.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use moka::{Expiry, sync::Cache};

use crate::{
    denylist::{
        id_set::{Id, IdSet},
        prefixes::Prefixes,
    },
    env::clock::Timestamp,
    model::{
        grant::Grant,
        ids::{AccountId, Issuer, SessionId, SessionNumber},
        revocation::{Cutoff, RevocationTarget},
    },
    store::TokenStatus,
    token::pass::{Origin, Pass},
};

/// The revocations that a replica knows. It drops none of them before its time.
pub(super) struct Entries {
    /// The sessions and tokens.
    ids: IdSet,
    /// The cutoff of each account that has one, and for how long it is kept. Their number has no
    /// bound: a full bounded cache would evict the freshest revocations first.
    cutoffs: Cache<AccountId, (Cutoff, Duration)>,
    /// Spares most tokens the lookup in `cutoffs`.
    prefixes: Prefixes,
    /// The grant of each session whose rights have changed, and for how long it is kept. Their
    /// number has no bound either. `ids` holds each of these sessions, so the tokens of other
    /// sessions need no lookup here.
    grants: Cache<SessionId, (Grant, Duration)>,
    /// Changes with each insert of revocations.
    version: AtomicU64,
}

impl Entries {
    pub(super) fn new() -> Self {
        Self {
            ids: IdSet::new(),
            cutoffs: Cache::builder().expire_after(KeptFor).build(),
            prefixes: Prefixes::new(),
            grants: Cache::builder().expire_after(KeptFor).build(),
            version: AtomicU64::new(new_version()),
        }
    }

    /// Puts revocations in, each for as long as its entry is kept.
    pub(super) fn insert(&self, revocations: impl Iterator<Item = (RevocationTarget, Duration)>) {
        let now = Instant::now();
        for (target, kept) in revocations {
            let kept = kept.clamp(MIN_KEPT, MAX_KEPT);
            match target {
                RevocationTarget::Session(id) => self.ids.insert(Id::of_session(id), kept, now),
                RevocationTarget::Token(id) => self.ids.insert(Id::of_token(id), kept, now),
                RevocationTarget::Sessions(account, cutoff) => {
                    // `prefixes` comes first, so that it knows every entry of the cache.
                    self.prefixes.insert(account.prefix(), kept, now);
                    self.cut_off(account, cutoff, kept);
                }
                RevocationTarget::Grant(session, grant) => {
                    self.change(session, grant, kept);
                    // The cache comes first, so that a reader that finds the id also finds the
                    // grant.
                    self.ids.insert(Id::of_grant(session), kept, now);
                }
            }
        }
        // The version changes even if all entries were known: another thread may have inserted
        // them, and not have come here yet.
        self.version.swap(new_version(), Ordering::AcqRel);
    }

    /// Cutoffs arrive in any order, from the log and from this node's own commits.
    fn cut_off(&self, account: AccountId, cutoff: Cutoff, kept: Duration) {
        self.cutoffs.entry(account).and_upsert_with(|before| {
            let before = before.map(moka::Entry::into_value);
            let both = before.map_or(cutoff, |(before, _)| before.and(cutoff));
            // The later of the two deadlines stays.
            (both, kept)
        });
    }

    /// Grants also arrive in any order.
    fn change(&self, session: SessionId, grant: Grant, kept: Duration) {
        self.grants.entry(session).and_upsert_with(|before| {
            let before = before.map(moka::Entry::into_value);
            let both = before.map_or(grant, |(before, _)| before.and(grant));
            (both, kept)
        });
    }

    /// The approximate number of entries.
    pub(super) fn len(&self) -> u64 {
        self.ids.len() as u64 + self.cutoffs.entry_count()
    }

    /// Frees expired entries, and brings `len` up to date. A lookup does not need it.
    pub(super) fn settle(&self) {
        let now = Instant::now();
        self.ids.sweep(now);
        self.cutoffs.run_pending_tasks();
        self.grants.run_pending_tasks();
        self.prefixes.sweep(now);
    }

    /// A number that changes with each insert of revocations. While it is the same as before a
    /// lookup, another lookup has the same result.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The status of the access token of `pass`. `issuer` is this service.
    pub(super) fn status(&self, pass: &Pass, issuer: &Issuer) -> TokenStatus {
        let is_revoked = self.ids.contains(Id::of_token(pass.token_id()))
            || match pass.origin() {
                Origin::Own(session) => {
                    let prefix = session.id.prefix();
                    let account = || AccountId::of(issuer, pass.subject());
                    self.ids.contains(Id::of_session(session.id))
                        || self.is_cut_off(prefix, account, session.number)
                }
                Origin::Foreign(foreign) => {
                    let prefix = foreign.account.prefix();
                    let number = SessionNumber::of_foreign(pass.issued_at());
                    self.is_cut_off(prefix, || foreign.account, number)
                }
            };
        if is_revoked {
            return TokenStatus::Revoked;
        }
        let grant = self.note_offer(pass);
        let version = pass.grant_version().unwrap_or_default();
        if grant.is_some_and(|grant| grant.refuses(version)) {
            return TokenStatus::Stale;
        }
        TokenStatus::Live
    }

    /// Notes in the pass whether its client gets other rights by a refresh. Returns the grant of
    /// its session, if the grant has changed within the lifetime of the session's tokens.
    pub(super) fn note_offer(&self, pass: &Pass) -> Option<Grant> {
        let Origin::Own(session) = pass.origin() else {
            return None;
        };
        if !self.ids.contains(Id::of_grant(session.id)) {
            return None;
        }
        let (grant, _) = self.grants.get(&session.id)?;
        if grant.is_newer_than(session.grant) {
            pass.found_newer(grant.newest);
        }
        Some(grant)
    }

    /// Whether a token is revoked that another issuer issued to this account at this time.
    pub(super) fn has_cut_off(&self, account: AccountId, issued_at: Timestamp) -> bool {
        let number = SessionNumber::of_foreign(issued_at);
        self.is_cut_off(account.prefix(), || account, number)
    }

    /// The cutoff of an account, if it has one.
    pub(super) fn cutoff(&self, account: AccountId) -> Option<Cutoff> {
        self.cutoffs.get(&account).map(|(cutoff, _)| cutoff)
    }

    fn is_cut_off(
        &self,
        prefix: [u8; 2],
        account: impl FnOnce() -> AccountId,
        number: SessionNumber,
    ) -> bool {
        self.prefixes.may_contain(prefix) && {
            let cutoff = self.cutoffs.get(&account());
            cutoff.is_some_and(|(cutoff, _)| cutoff.covers(number))
        }
    }
}

/// A version that no other replica of this process has or had, because another verifier may see the
/// [`Pass`] that remembers it. Never zero.
fn new_version() -> u64 {
    static VERSIONS: AtomicU64 = AtomicU64::new(1);
    VERSIONS.fetch_add(1, Ordering::Relaxed)
}

/// Shortest time that an entry is kept. The wall clock may have been ahead from the start. When it
/// is set right later, the entry must still be there.
const MIN_KEPT: Duration = Duration::from_secs(3600);
/// Longest time that an entry is kept: moka refuses deadlines that are absurdly far away.
const MAX_KEPT: Duration = Duration::from_secs(10 * 366 * 86_400);

struct KeptFor;

impl<K, V> Expiry<K, (V, Duration)> for KeptFor {
    fn expire_after_create(
        &self,
        _: &K,
        (_, kept): &(V, Duration),
        _: Instant,
    ) -> Option<Duration> {
        Some(*kept)
    }

    // By default an updated entry keeps its old deadline. The new one isn't always later: a
    // restored log can have an earlier end of the same session.
    fn expire_after_update(
        &self,
        _: &K,
        (_, kept): &(V, Duration),
        _: Instant,
        left: Option<Duration>,
    ) -> Option<Duration> {
        Some((*kept).max(left.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::GrantVersion;

    #[test]
    fn an_older_cutoff_that_comes_later_brings_nothing_back() {
        let entries = Entries::new();
        let account = AccountId::from_bytes([7; 16]);
        let cutoff = |number| Cutoff::all(SessionNumber::new(number));
        for up_to in [9, 5] {
            let target = RevocationTarget::Sessions(account, cutoff(up_to));
            entries.insert([(target, MIN_KEPT)].into_iter());
        }
        let (known, _) = entries.cutoffs.get(&account).unwrap();
        assert_eq!(known, cutoff(9));
    }

    #[test]
    fn an_older_grant_that_comes_later_makes_no_token_good_again() {
        let entries = Entries::new();
        let session = SessionId::from_bytes([7; 18]);
        let version = GrantVersion::new;
        let grant = |newest, valid_from| Grant {
            newest: version(newest),
            valid_from: version(valid_from),
        };
        for grant in [grant(3, 2), grant(1, 1), grant(2, 0)] {
            let target = RevocationTarget::Grant(session, grant);
            entries.insert([(target, MIN_KEPT)].into_iter());
        }
        let (known, _) = entries.grants.get(&session).unwrap();
        assert_eq!(known, grant(3, 2));
        assert!(entries.ids.contains(Id::of_grant(session)));
    }
}
