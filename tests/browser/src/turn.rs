//! Limits how many browsers run at the same time.

use tokio::sync::Semaphore;

/// A page waits for other tabs and for the server. With more browsers than cores, it could wait
/// longer than its own time-outs.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Runs a test when fewer than two other tests run in this process.
pub async fn turn<T>(test: impl Future<Output = T>) -> T {
    let _turn = TURNS.acquire().await.unwrap();
    test.await
}
