//! A time limit for the answers of a store.

use std::time::Duration;

use crate::store::error::{StoreError, StoreErrorKind};

/// Waits for the store's `answer`. Fails with [`StoreErrorKind::TimedOut`] after `timeout`.
pub(crate) async fn in_time<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(timeout, answer).await;
    answer.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)))
}
