//! The operations of a store, by name.

/// An operation of a [`SessionStore`](gatepass::SessionStore) or its
/// [`RevocationLog`](gatepass::RevocationLog).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// [`SessionStore::begin`](gatepass::SessionStore::begin).
    Begin,
    /// [`SessionStore::advance`](gatepass::SessionStore::advance).
    Advance,
    /// [`SessionStore::recover`](gatepass::SessionStore::recover).
    Recover,
    /// [`SessionStore::renew`](gatepass::SessionStore::renew).
    Renew,
    /// [`SessionStore::load`](gatepass::SessionStore::load).
    Load,
    /// [`SessionStore::end`](gatepass::SessionStore::end).
    End,
    /// [`SessionStore::revoke_token`](gatepass::SessionStore::revoke_token).
    RevokeToken,
    /// [`SessionStore::sessions`](gatepass::SessionStore::sessions).
    Sessions,
    /// [`SessionStore::introduce`](gatepass::SessionStore::introduce).
    Introduce,
    /// [`SessionStore::purge`](gatepass::SessionStore::purge).
    Purge,
    /// [`SessionStore::purged_until`](gatepass::SessionStore::purged_until).
    PurgedUntil,
    /// [`RevocationLog::pull`](gatepass::RevocationLog::pull).
    Pull,
    /// [`RevocationLog::changed`](gatepass::RevocationLog::changed).
    Changed,
    /// [`RevocationLog::status`](gatepass::RevocationLog::status).
    Status,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 14] = [
        Self::Begin,
        Self::Advance,
        Self::Recover,
        Self::Renew,
        Self::Load,
        Self::End,
        Self::RevokeToken,
        Self::Sessions,
        Self::Introduce,
        Self::Purge,
        Self::PurgedUntil,
        Self::Pull,
        Self::Changed,
        Self::Status,
    ];
}
