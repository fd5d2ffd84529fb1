//! Passwords for the applications in `examples/adopted`. Hashes them with argon2id outside the
//! async threads, one for each processor at a time.
//!
//! ```
//! use example_passwords::Passwords;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let passwords = Passwords::new()?;
//! let hash = passwords.hash("looking-glass").await?;
//! assert!(passwords.verify("looking-glass", Some(hash)).await?);
//! assert!(!passwords.verify("looking-glass", None).await?);
//! # Ok(()) }
//! ```

use std::{fmt, io, sync::Arc, thread::available_parallelism, time::Duration};

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use gatepass::{
    StoreError,
    store::{Random, SystemRandom},
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use zeroize::Zeroizing;

/// How long a password waits for its turn. Less than gatepass waits for the answer to a login.
const PATIENCE: Duration = Duration::from_secs(3);

const CROWDED: &str = "too many passwords wait to be hashed";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Hashes passwords and compares them. Cheap to clone. Clones share the turns.
#[derive(Clone)]
pub struct Passwords {
    /// One turn for each processor. A hash takes 19 MiB.
    turns: Arc<Semaphore>,
    /// The hash to compare a password with if there is no account. So the answer takes the same
    /// time with and without an account.
    dummy: Arc<str>,
}

impl Passwords {
    /// A hasher with free turns.
    ///
    /// # Errors
    ///
    /// An error if the machine has no randomness, or doesn't tell how many processors it has.
    pub fn new() -> io::Result<Self> {
        let processors = available_parallelism()?.get();
        Ok(Self {
            turns: Arc::new(Semaphore::new(processors)),
            dummy: hashed("").map_err(io::Error::other)?.into(),
        })
    }

    /// The hash of a password, with a salt of its own.
    ///
    /// # Errors
    ///
    /// An error if the machine has no randomness, or if this password got no turn for 3 seconds
    /// because too many others wait. Answer 503.
    pub async fn hash(&self, password: &str) -> Result<String, StoreError> {
        let password = Zeroizing::new(password.to_owned());
        self.in_turn(move || hashed(&password)).await
    }

    /// Whether `password` matches `hash`. Without a hash, it never does, and neither does an empty
    /// password.
    ///
    /// # Errors
    ///
    /// An error if `hash` is not a hash of argon2, or if there was no turn, as for
    /// [`hash`](Self::hash).
    pub async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool, StoreError> {
        let password = Zeroizing::new(password.to_owned());
        let dummy = Arc::clone(&self.dummy);
        let verify = move || {
            let parsed = PasswordHash::new(hash.as_deref().unwrap_or(&dummy))?;
            let verified = Argon2::default().verify_password(password.as_bytes(), &parsed);
            Ok(verified.is_ok() && hash.is_some() && !password.is_empty())
        };
        self.in_turn(verify).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| StoreError::unavailable(io::Error::other(CROWDED)))?;
        let turn = turn.map_err(StoreError::unavailable)?;
        let done = spawn_blocking(move || {
            let _turn = turn;
            work().map_err(io::Error::other)
        });
        done.await
            .map_err(StoreError::unavailable)?
            .map_err(StoreError::unavailable)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

fn hashed(password: &str) -> Result<String, Failure> {
    let mut salt = [0; 16];
    SystemRandom.fill(&mut salt)?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_password_without_a_turn_fails_after_three_seconds() {
        let passwords = Passwords::new().unwrap();
        let processors = passwords.turns.available_permits();
        let all = passwords.turns.acquire_many(processors.try_into().unwrap());
        let all = all.await.unwrap();
        let begun = Instant::now();
        let failed = passwords.hash("looking-glass").await.unwrap_err();
        assert_eq!(failed.source().unwrap().to_string(), CROWDED);
        assert_eq!(begun.elapsed().as_secs(), 3);

        drop(all);
        let hash = passwords.hash("looking-glass").await.unwrap();
        assert!(passwords.verify("looking-glass", Some(hash)).await.unwrap());
    }
}
