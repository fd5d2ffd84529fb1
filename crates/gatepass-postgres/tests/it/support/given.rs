//! Sessions to begin with.

use std::time::Duration;

use gatepass::{
    ClientId, Device, Identity, Session, SessionId, Subject,
    store::{
        AccountId, Advance, AdvanceCause, Audience, EndReason, EndSessions, Issuer, NewSession,
        Random, Revocation, RevokeToken, SeenFrom, SessionStore, SystemRandom, TokenId,
    },
};

const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const ACCESS_TTL: Duration = Duration::from_secs(900);
pub(crate) const IDLE_TTL: Duration = DAY;

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

fn issuer() -> Issuer {
    Issuer::new("https://shop.example").unwrap()
}

pub(crate) fn account(name: &str) -> AccountId {
    AccountId::of(&issuer(), &subject(name))
}

/// A revocation of a token of `session`.
pub(crate) fn token_of(session: &Session, number: u8) -> RevokeToken {
    RevokeToken {
        token: TokenId::from_bytes([number; 16]),
        session: session.id,
        account: session.account(),
        until: session.access_until,
    }
}

pub(crate) fn new_session(name: &str) -> NewSession {
    let mut id = [0; 18];
    SystemRandom.fill(&mut id).unwrap();
    NewSession {
        id: SessionId::from_bytes(id),
        issuer: issuer(),
        audience: Audience::new("shop-api").unwrap(),
        client: ClientId::new("web").unwrap(),
        identity: Identity::of(subject(name)),
        device: Device::default(),
        idle_ttl: IDLE_TTL,
        absolute_ttl: DAY * 30,
        access_ttl: ACCESS_TTL,
        max_sessions: None,
    }
}

pub(crate) async fn begin(store: &impl SessionStore, name: &str) -> Session {
    store.begin(new_session(name)).await.unwrap().session
}

pub(crate) fn advance_of(session: &Session) -> Advance {
    Advance {
        id: session.id,
        client: session.client.clone(),
        from: session.generation,
        to: session.generation.next(),
        cause: AdvanceCause::Refresh,
        // So that a test need not wait between two.
        overlap: Duration::ZERO,
        seen_from: SeenFrom::default(),
        identity: None,
        idle_ttl: IDLE_TTL,
        access_ttl: ACCESS_TTL,
    }
}

pub(crate) async fn end(store: &impl SessionStore, session: &Session) -> Vec<Revocation> {
    let target = EndSessions::Session(session.id);
    let ended = store.end(target, EndReason::Logout).await.unwrap();
    ended.into_iter().collect()
}
