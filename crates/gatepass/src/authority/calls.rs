//! Calls to the store and to the application's authenticator, each in bounded time.

use crate::{
    authority::{authenticator::AuthenticationError, authority::Authority},
    error::Error,
    model::refusal::Refusal,
    observe,
    store::{
        answer,
        error::{StoreError, StoreErrorKind},
    },
};

impl Authority {
    /// Waits for the store, but not for ever.
    pub(super) async fn ask<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Error> {
        answer::in_time(self.inner.settings.store_timeout, answer)
            .await
            .inspect_err(|error| observe::store_unavailable(operation, error))
            .map_err(Error::from)
    }

    /// Waits for the application's authenticator, but not for ever.
    pub(super) async fn consult<T>(
        &self,
        answer: impl Future<Output = Result<T, AuthenticationError>>,
    ) -> Result<T, Error> {
        let answer = tokio::time::timeout(self.inner.settings.authenticator_timeout, answer).await;
        let late = || AuthenticationError::Unavailable(StoreError::new(StoreErrorKind::TimedOut));
        answer
            .unwrap_or_else(|_| Err(late()))
            .map_err(not_authenticated)
    }
}

fn not_authenticated(error: AuthenticationError) -> Error {
    match error {
        AuthenticationError::BadCredentials => Refusal::BadCredentials.into(),
        AuthenticationError::TooManyAttempts { retry_after } => {
            Refusal::TooManyAttempts { retry_after }.into()
        }
        AuthenticationError::Identity(error) => error.into(),
        AuthenticationError::Unavailable(error) => {
            observe::store_unavailable("authenticator", &error);
            error.into()
        }
    }
}
