//! Writers that contend for one file.

use std::time::{Duration, Instant};

use gatepass::{
    ClientId, Device, Identity, Session, SessionId,
    store::{Advance, AdvanceCause, Audience, Issuer, NewSession, SeenFrom, SessionStore},
};
use gatepass_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::task::JoinSet;

const STORES: u8 = 3;
const CALLERS: u8 = 16;
/// Longer than a store waits for the lock, so that one that never got it would be found out.
const WORK: Duration = Duration::from_secs(4);
const DAY: Duration = Duration::from_secs(86_400);
const ACCESS_TTL: Duration = Duration::from_secs(900);

async fn begin(store: &SqliteStore, number: u8) -> Session {
    let new = NewSession {
        id: SessionId::from_bytes([number; 18]),
        issuer: Issuer::new("https://shop.example").unwrap(),
        audience: Audience::new("shop-api").unwrap(),
        client: ClientId::new("web").unwrap(),
        identity: Identity::new("alice").unwrap(),
        device: Device::default(),
        idle_ttl: DAY,
        absolute_ttl: DAY * 30,
        access_ttl: ACCESS_TTL,
        max_sessions: None,
    };
    store.begin(new).await.unwrap().session
}

async fn advance(store: &SqliteStore, session: Session) -> Session {
    let advance = Advance {
        id: session.id,
        client: session.client,
        from: session.generation,
        to: session.generation.next(),
        cause: AdvanceCause::Refresh,
        overlap: Duration::ZERO,
        seen_from: SeenFrom::default(),
        identity: None,
        idle_ttl: DAY,
        access_ttl: ACCESS_TTL,
    };
    store.advance(advance).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_gets_its_turn_however_much_others_write() {
    let directory = TempDir::new().unwrap();
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..STORES {
        let store = SqliteStore::open(directory.path().join("sessions.db")).unwrap();
        for caller in 0..CALLERS {
            let store = store.clone();
            callers.spawn(async move {
                let mut session = begin(&store, number * CALLERS + caller).await;
                while began.elapsed() < WORK {
                    session = advance(&store, session).await;
                }
                let (stored, _) = store.load(session.id).await.unwrap();
                assert_eq!(stored, Some(session), "nothing is lost");
            });
        }
    }
    callers.join_all().await;
}
