//! Sessions to begin with.

use std::time::Duration;

use gatepass::{
    ClientId, Device, Identity, Session, SessionId, Subject,
    store::{
        AccountId, Advance, AdvanceCause, Audience, EndReason, EndSessions, Issuer, NewSession,
        Random, Revocation, SeenFrom, SessionStore, SystemRandom,
    },
};

const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const ACCESS_TTL: Duration = Duration::from_secs(900);
pub(crate) const IDLE_TTL: Duration = DAY;
pub(crate) const ABSOLUTE_TTL: Duration = DAY.saturating_mul(30);

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

fn issuer() -> Issuer {
    Issuer::new("https://shop.example").unwrap()
}

pub(crate) fn account(name: &str) -> AccountId {
    AccountId::of(&issuer(), &subject(name))
}

pub(crate) fn new_session(name: &str) -> NewSession {
    let mut id = [0; 18];
    SystemRandom.fill(&mut id).unwrap();
    id[..2].copy_from_slice(&account(name).prefix());
    NewSession {
        id: SessionId::from_bytes(id),
        issuer: issuer(),
        audience: Audience::new("shop-api").unwrap(),
        client: ClientId::new("web").unwrap(),
        identity: Identity::of(subject(name)),
        device: Device::default(),
        idle_ttl: IDLE_TTL,
        absolute_ttl: ABSOLUTE_TTL,
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
