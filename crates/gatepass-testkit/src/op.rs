//! The operations of a store, by name.

/// An operation of a [`SessionStore`](gatepass::store::SessionStore) or its
/// [`RevocationLog`](gatepass::store::RevocationLog).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// [`SessionStore::begin`](gatepass::store::SessionStore::begin).
    Begin,
    /// [`SessionStore::advance`](gatepass::store::SessionStore::advance).
    Advance,
    /// [`SessionStore::recover`](gatepass::store::SessionStore::recover).
    Recover,
    /// [`SessionStore::renew`](gatepass::store::SessionStore::renew).
    Renew,
    /// [`SessionStore::change`](gatepass::store::SessionStore::change).
    Change,
    /// [`SessionStore::load`](gatepass::store::SessionStore::load).
    Load,
    /// [`SessionStore::end`](gatepass::store::SessionStore::end).
    End,
    /// [`SessionStore::revoke_token`](gatepass::store::SessionStore::revoke_token).
    RevokeToken,
    /// [`SessionStore::revoke_foreign`](gatepass::store::SessionStore::revoke_foreign).
    RevokeForeign,
    /// [`SessionStore::sessions`](gatepass::store::SessionStore::sessions).
    Sessions,
    /// [`SessionStore::scan`](gatepass::store::SessionStore::scan).
    Scan,
    /// [`SessionStore::introduce`](gatepass::store::SessionStore::introduce).
    Introduce,
    /// [`SessionStore::purge`](gatepass::store::SessionStore::purge).
    Purge,
    /// [`SessionStore::purged_until`](gatepass::store::SessionStore::purged_until).
    PurgedUntil,
    /// [`SessionStore::beat`](gatepass::store::SessionStore::beat).
    Beat,
    /// [`SessionStore::heartbeats`](gatepass::store::SessionStore::heartbeats).
    Heartbeats,
    /// [`SessionStore::count_attempt`](gatepass::store::SessionStore::count_attempt).
    CountAttempt,
    /// [`SessionStore::settle_attempt`](gatepass::store::SessionStore::settle_attempt).
    SettleAttempt,
    /// [`RevocationLog::pull`](gatepass::store::RevocationLog::pull).
    Pull,
    /// [`RevocationLog::changed`](gatepass::store::RevocationLog::changed).
    Changed,
    /// [`RevocationLog::status`](gatepass::store::RevocationLog::status).
    Status,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 21] = [
        Self::Begin,
        Self::Advance,
        Self::Recover,
        Self::Renew,
        Self::Change,
        Self::Load,
        Self::End,
        Self::RevokeToken,
        Self::RevokeForeign,
        Self::Sessions,
        Self::Scan,
        Self::Introduce,
        Self::Purge,
        Self::PurgedUntil,
        Self::Beat,
        Self::Heartbeats,
        Self::CountAttempt,
        Self::SettleAttempt,
        Self::Pull,
        Self::Changed,
        Self::Status,
    ];
}
