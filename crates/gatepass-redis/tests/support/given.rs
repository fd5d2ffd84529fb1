//! Sessions to begin with.

use std::time::Duration;

use gatepass::{
    Advance, AdvanceCause, ClientId, Device, EndReason, EndTarget, Grant, NewSession, Random,
    Revocation, Session, SessionId, SessionStore, Subject, SystemRandom,
};

const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const ACCESS_TTL: Duration = Duration::from_secs(900);
pub(crate) const IDLE_TTL: Duration = DAY;

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

pub(crate) fn new_session(name: &str) -> NewSession {
    let mut id = [0; 18];
    SystemRandom.fill(&mut id).unwrap();
    id[..2].copy_from_slice(&SessionId::subject_prefix(&subject(name)));
    NewSession {
        id: SessionId::from_bytes(id),
        client: ClientId::new("web").unwrap(),
        grant: Grant::new(subject(name)),
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
        grant: None,
        idle_ttl: IDLE_TTL,
        access_ttl: ACCESS_TTL,
    }
}

pub(crate) async fn end(store: &impl SessionStore, session: &Session) -> Vec<Revocation> {
    let target = EndTarget::Session(session.id);
    store.end(target, EndReason::Logout).await.unwrap()
}
