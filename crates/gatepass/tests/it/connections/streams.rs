//! Streams and other work that end with a connection.

use futures_util::{StreamExt, stream};
use gatepass::Guarded;
use tokio::sync::mpsc;

use super::*;

/// A stream that a test feeds, and whose end the feeding side sees.
fn fed() -> (
    mpsc::UnboundedSender<u32>,
    impl stream::Stream<Item = u32> + Send,
) {
    let (feed, fed) = mpsc::unbounded_channel();
    let items = stream::unfold(fed, |mut fed| async { Some((fed.recv().await?, fed)) });
    (feed, items)
}

#[tokio::test(start_paused = true)]
async fn a_guarded_stream_ends_with_the_reason_and_drops_the_stream_within_at_once() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    let (feed, items) = fed();
    let mut guarded: Guarded<_> = connection.guard(items);
    feed.send(1).unwrap();
    assert_eq!(guarded.next().await, Some(Ok(1)));
    feed.send(2).unwrap();
    node.authority.end_session(issued.session_id).await.unwrap();
    // An item that is ready comes too late.
    assert_eq!(guarded.next().await, Some(Err(Ended::Revoked)));
    assert!(feed.is_closed());
    assert_eq!(guarded.next().await, None);
    assert_eq!(guarded.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_guarded_stream_that_waits_is_woken_by_the_end() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    let (_feed, items) = fed();
    let guarded = connection.guard(items);
    let last = tokio::spawn(guarded.collect::<Vec<_>>());
    tokio::time::sleep(SECOND).await;
    node.authority.end_session(issued.session_id).await.unwrap();
    assert_eq!(last.await.unwrap(), [Err(Ended::Revoked)]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_by_itself_has_no_reason() {
    let node = Node::new().await;
    let (_, connection) = node.open().await;
    let items = connection.guard(stream::iter([1, 2])).collect::<Vec<_>>();
    assert_eq!(items.await, [Ok(1), Ok(2)]);
}

/// For example, a write that waits for a client that doesn't read.
#[tokio::test(start_paused = true)]
async fn work_that_waits_is_given_up_when_the_connection_ends() {
    let node = Node::new().await;
    let (issued, connection) = node.open().await;
    assert_eq!(connection.until_ended(async { 7 }).await, Ok(7));
    let (held, holds) = mpsc::channel::<()>(1);
    let working = tokio::spawn(async move {
        let work = async move {
            let _holds = holds;
            std::future::pending::<()>().await;
        };
        connection.until_ended(work).await
    });
    tokio::time::sleep(SECOND).await;
    assert!(!held.is_closed());
    node.authority.end_session(issued.session_id).await.unwrap();
    held.closed().await;
    assert_eq!(working.await.unwrap(), Err(Ended::Revoked));
}
