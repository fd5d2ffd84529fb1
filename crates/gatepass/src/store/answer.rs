//! Waiting for a store, but not for ever.

use std::time::Duration;

use crate::store::error::{StoreError, StoreErrorKind};

/// The store's `answer`, or that it took longer than `timeout`.
pub(crate) async fn in_time<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(timeout, answer).await;
    answer.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)))
}
