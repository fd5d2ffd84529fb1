//! Counts attempts to log in before a password is checked, and refuses them if there were too many.

use std::{borrow::Cow, fmt, net::IpAddr};

use crate::{
    authority::{
        authority::{Authority, cleaned},
        events::Event,
    },
    error::Error,
    model::{
        device::Device, refusal::Refusal, throttling::throttle_key, trusted_proxies::is_private,
    },
    store::{AttemptOutcome, CountAttempt, SettleAttempt},
};

/// A counted attempt to log in, from [`Authority::login_attempt`].
///
/// Say how it ends. An attempt that is dropped counts like a wrong password, for example if the
/// client hangs up.
#[must_use = "an attempt that is dropped counts like a wrong password"]
pub struct LoginAttempt {
    authority: Authority,
    device: Device,
    name_hash: String,
    /// The attempt, and whether it counts for its pair alone; `None` if nothing is counted.
    counted: Option<(CountAttempt, bool)>,
}

impl Authority {
    /// Counts an attempt to log in with this user name from this device, for a login that your
    /// application does itself. The endpoints and [`login`](Self::login) do the same.
    ///
    /// Call it before you check the password, a one-time code or another secret that can be
    /// guessed. The bounds are those of [`LoginThrottle`](crate::LoginThrottle). Without an
    /// address, gatepass counts only the name. The same holds for a private address, unless you
    /// have configured [`TrustedProxies`](crate::TrustedProxies).
    ///
    /// ```
    /// use gatepass::{Authority, Device, Error, Identity, Issued, Refusal, Subject};
    ///
    /// # async fn is_right(user: &Subject, code: &str) -> bool { true }
    /// async fn log_in(authority: &Authority, user: Subject, code: &str, device: Device) -> Result<Issued, Error> {
    ///     let attempt = authority.login_attempt(user.as_str(), &device).await?;
    ///     if !is_right(&user, code).await {
    ///         attempt.failed();
    ///         return Err(Refusal::BadCredentials.into());
    ///     }
    ///     attempt.succeeded().await?;
    ///     authority.issue(Identity::of(user), device).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyAttempts`], which says when to try again; [`Error::Store`] if the attempt
    /// can't be counted.
    pub async fn login_attempt(&self, name: &str, device: &Device) -> Result<LoginAttempt, Error> {
        let device = cleaned(device.clone());
        let attempt = self.count_attempt(name, &device).await;
        attempt.inspect_err(|error| self.report_login(&device, &self.name_hash(name), error))
    }

    /// Counts an attempt. The caller reports a refusal to operators.
    pub(super) async fn count_attempt(
        &self,
        name: &str,
        device: &Device,
    ) -> Result<LoginAttempt, Error> {
        let counted = match self.inner.settings.throttle {
            None => None,
            Some(throttle) => {
                let key = self.throttle_key(name);
                let policy = self.inner.verifier.policy();
                // Without trusted proxies, a private address is more likely a proxy's, and all
                // clients would share its free attempts.
                let is_clients =
                    |address: &IpAddr| policy.proxies.is_some() || !is_private(*address);
                let address = device.address.filter(is_clients);
                let names = self.inner.names.load_full();
                let attempt = names.attempt(&policy.issuer, &key, address, throttle);
                let counted = self.inner.store.count_attempt(attempt);
                match self.ask("count_attempt", counted).await? {
                    AttemptOutcome::Counted { known } => Some((attempt, known)),
                    AttemptOutcome::Refused { by, retry_after } => {
                        if let Some(suppressed) = self.inner.verifier.refusals().throttled(by) {
                            self.tell(|| Event::LoginThrottled {
                                by,
                                retry_after,
                                name_hash: self.name_hash(name),
                                device: device.clone(),
                                suppressed,
                            });
                        }
                        return Err(Refusal::TooManyAttempts { retry_after }.into());
                    }
                }
            }
        };
        Ok(LoginAttempt {
            authority: self.clone(),
            device: device.clone(),
            name_hash: self.name_hash(name),
            counted,
        })
    }

    /// The name by which gatepass counts attempts.
    fn throttle_key<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match &self.inner.settings.authenticator {
            Some(authenticator) => authenticator.throttle_key(name),
            None => throttle_key(name),
        }
    }

    /// Reports a refused login to operators.
    pub(super) fn report_login(&self, device: &Device, name_hash: &str, error: &Error) {
        if let Error::Refused(refusal) = error {
            let refusals = self.inner.verifier.refusals();
            refusals.login(device, Some(name_hash), refusal);
        }
    }
}

impl LoginAttempt {
    /// Says that the user is authenticated. The attempt no longer counts. gatepass forgets the
    /// earlier failures with this name from this address, and knows the pair of both from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store can't record that. Begin no session then.
    pub async fn succeeded(self) -> Result<(), Error> {
        self.settle(true).await
    }

    /// Says that the credentials were wrong. The attempt counts, and gatepass logs `login.refused`.
    pub fn failed(self) {
        let error = Refusal::BadCredentials.into();
        let authority = &self.authority;
        authority.report_login(&self.device, &self.name_hash, &error);
    }

    /// Says that no credentials were checked, for example because your database is down. The
    /// attempt no longer counts.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store can't record that.
    pub async fn cancelled(self) -> Result<(), Error> {
        self.settle(false).await
    }

    /// Ends the attempt by the application's answer about the credentials.
    pub(super) async fn ended<T>(self, answer: Result<T, Error>) -> Result<T, Error> {
        match answer {
            Ok(authenticated) => {
                self.succeeded().await?;
                Ok(authenticated)
            }
            // This attempt counts.
            Err(error @ Error::Refused(Refusal::BadCredentials)) => Err(error),
            Err(error) => {
                // The caller gets the first error, and the log has the other.
                let _ = self.cancelled().await;
                Err(error)
            }
        }
    }

    async fn settle(self, succeeded: bool) -> Result<(), Error> {
        let Some((attempt, known)) = self.counted else {
            return Ok(());
        };
        let mut settled = SettleAttempt::new(attempt, known);
        settled.succeeded = succeeded;
        let stored = self.authority.inner.store.settle_attempt(settled);
        self.authority.ask("settle_attempt", stored).await
    }
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt").finish_non_exhaustive()
    }
}
