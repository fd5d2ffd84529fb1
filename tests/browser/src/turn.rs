//! How many browsers run at a time.

use tokio::sync::Semaphore;

/// A page waits for other tabs and for the server. More browsers than cores would let it wait
/// longer than its own time-outs.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Runs a test when fewer than two others run in this process.
pub async fn turn<T>(test: impl Future<Output = T>) -> T {
    let _turn = TURNS.acquire().await.unwrap();
    test.await
}
