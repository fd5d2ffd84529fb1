//! Revocations that come while a connection begins to wait.

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
