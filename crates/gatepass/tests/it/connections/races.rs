//! Revocations that come while a connection begins to wait.

use std::{
    pin::{Pin, pin},
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use gatepass::{Pass, Verifier};

use super::*;

const ROUNDS: usize = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_revocation_falls_between_a_look_and_the_wait() {
    let node = Node::new().await;
    let authority = Arc::new(node.authority);
    for round in 0..ROUNDS {
        let issued = login(&authority, "alice").await;
        let pass = verify(&authority, &issued).await.unwrap();
        let connection = authority.verifier().connection(&pass);
        let waiting = tokio::spawn(async move { connection.ended().await });
        let ending = tokio::spawn({
            let (authority, spins) = (Arc::clone(&authority), round % 50);
            async move {
                for _ in 0..spins {
                    tokio::task::yield_now().await;
                }
                match round % 3 {
                    0 => authority.end_session(issued.session_id).await,
                    1 => authority.revoke_token(&pass).await,
                    _ => authority.logout_all(&subject("alice")).await,
                }
            }
        });
        ending.await.unwrap().unwrap();
        // It looks again after half a minute, and must not need that.
        let ended = timeout(20 * SECOND, waiting).await;
        assert_eq!(ended.unwrap().unwrap(), Ended::Revoked);
    }
}

/// Looks as soon as it is woken, in the thread that wakes it.
struct LooksAtOnce {
    verifier: Verifier,
    pass: Pass,
    found: Mutex<Vec<Poll<Ended>>>,
}

impl Wake for LooksAtOnce {
    fn wake(self: Arc<Self>) {
        let found = poll_once(pin!(self.verifier.ended(&self.pass)), Waker::noop());
        let mut all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(found);
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[tokio::test(start_paused = true)]
async fn one_who_is_woken_finds_the_revocation() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    let looks = Arc::new(LooksAtOnce {
        verifier: node.authority.verifier().clone(),
        pass: connection.pass(),
        found: Mutex::default(),
    });
    let waker = Waker::from(Arc::clone(&looks));
    let mut waiting = pin!(connection.ended());
    assert_eq!(poll_once(waiting.as_mut(), &waker), Poll::Pending);
    node.authority.end_session(issued.session_id).await.unwrap();
    let found = looks.found.lock().unwrap();
    assert_eq!(found.first(), Some(&Poll::Ready(Ended::Revoked)));
}
