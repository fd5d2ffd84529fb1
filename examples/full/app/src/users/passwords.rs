//! Hashes passwords with argon2id: a few at a time, in memory that is kept for the next ones.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use gatepass::store::{Random, SystemRandom};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The memory to hash passwords in, and the turns to use it. Cheap to clone.
///
/// A hash with the default parameters takes 19 MiB. If each thread allocates and frees so much, the
/// memory stays in the arenas of the C library: 300 logins, 10 at once, left a gigabyte there. So
/// there is one block of memory for each password that is hashed at once, and the process keeps the
/// blocks.
#[derive(Clone)]
pub(super) struct Passwords(Arc<Pool>);

struct Pool {
    turns: Arc<Semaphore>,
    /// The free blocks. The next turn takes the block that was used last, so a process with few
    /// simultaneous logins has few blocks.
    free: Mutex<Vec<Vec<Block>>>,
}

/// The right to hash passwords now, one after another.
pub(super) struct Turn {
    memory: Vec<Block>,
    pool: Arc<Pool>,
    // Dropped after the memory is back, so that the next turn finds it.
    _permit: OwnedSemaphorePermit,
}

impl Passwords {
    /// Hashes at most `at_once` passwords at the same time.
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Pool {
            turns: Arc::new(Semaphore::new(at_once)),
            free: Mutex::default(),
        }))
    }

    /// Waits for a turn. Turns go in the order of the calls. A dropped future no longer waits.
    pub(super) async fn turn(&self) -> Result<Turn, AcquireError> {
        let permit = Arc::clone(&self.0.turns).acquire_owned().await?;
        let memory = self.0.free().pop().unwrap_or_default();
        Ok(Turn {
            memory,
            pool: Arc::clone(&self.0),
            _permit: permit,
        })
    }
}

impl Pool {
    fn free(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pool.free().push(mem::take(&mut self.memory));
    }
}

impl Turn {
    /// The hash of a new password, in PHC text.
    pub(super) fn hash(&mut self, password: &str) -> anyhow::Result<String> {
        let mut random = [0; 16];
        SystemRandom.fill(&mut random)?;
        let mut hash = || {
            let salt = Salt::new(&random)?;
            let params = params();
            let hash = PasswordHash {
                algorithm: ARGON2ID_IDENT,
                version: Some(Version::default().into()),
                params: ParamsString::try_from(&params)?,
                salt: Some(salt),
                hash: Some(self.digest(
                    &Argon2::from(params),
                    password,
                    &salt,
                    Params::DEFAULT_OUTPUT_LEN,
                )?),
            };
            password_hash::Result::Ok(hash.to_string())
        };
        hash().context("cannot hash a password")
    }

    /// Whether `hash` is the hash of `password`.
    pub(super) fn verify(
        &mut self,
        password: &str,
        hash: &str,
    ) -> Result<bool, password_hash::Error> {
        let hash = PasswordHash::new(hash)?;
        let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
            return Err(password_hash::Error::EncodingInvalid);
        };
        let argon2 = Argon2::new(
            Algorithm::try_from(hash.algorithm.as_str())?,
            hash.version
                .map(Version::try_from)
                .transpose()?
                .unwrap_or_default(),
            Params::try_from(&hash)?,
        );
        let output = self.digest(&argon2, password, &salt, expected.len())?;
        // `Output` is compared in constant time.
        Ok(output == expected)
    }

    fn digest(
        &mut self,
        argon2: &Argon2<'_>,
        password: &str,
        salt: &Salt,
        length: usize,
    ) -> Result<Output, password_hash::Error> {
        // Argon2 writes each block before it reads it, so the data of an earlier password has no
        // effect.
        let blocks = argon2.params().block_count();
        if self.memory.len() < blocks {
            self.memory.resize(blocks, Block::default());
        }
        let mut output = [0; Output::MAX_LENGTH];
        let output = output
            .get_mut(..length)
            .ok_or(password_hash::Error::OutputSize)?;
        let memory = &mut self.memory;
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, memory)?;
        Ok(Output::new(output)?)
    }
}

/// The parameters of new hashes.
#[cfg(not(feature = "under-test"))]
fn params() -> Params {
    Params::default()
}

#[cfg(feature = "under-test")]
use crate::under_test::argon2_params as params;

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};
    use tokio::task::{self, JoinSet};

    use super::*;

    #[tokio::test]
    async fn a_password_is_verified_by_its_hash_alone_whatever_was_hashed_before() {
        let mut turn = Passwords::new(1).turn().await.unwrap();
        let [one, again, other] =
            ["correct horse", "correct horse", "battery"].map(|text| turn.hash(text).unwrap());
        assert_ne!(one, again, "each has a salt of its own");
        for (password, hash, right) in [
            ("correct horse", &one, true),
            ("correct horse", &again, true),
            ("correct horse", &other, false),
            ("battery", &other, true),
            ("", &one, false),
        ] {
            assert_eq!(turn.verify(password, hash).unwrap(), right, "{hash}");
        }
        // Another implementation agrees.
        let hash = PasswordHash::new(&one).unwrap();
        let argon2 = Argon2::default();
        argon2.verify_password(b"correct horse", &hash).unwrap();
        assert!(argon2.verify_password(b"battery", &hash).is_err());
    }

    #[tokio::test]
    async fn a_hash_says_itself_what_it_costs_to_verify() {
        let mut turn = Passwords::new(1).turn().await.unwrap();
        let (more, salt) = (Params::DEFAULT_M_COST + 1024, b"somesalt");
        for (algorithm, version, params) in [
            (
                Algorithm::Argon2id,
                Version::V0x13,
                Params::new(more, 1, 2, None),
            ),
            (
                Algorithm::Argon2i,
                Version::V0x10,
                Params::new(1024, 1, 1, Some(24)),
            ),
            (
                Algorithm::Argon2d,
                Version::V0x13,
                Params::new(1024, 2, 4, Some(64)),
            ),
        ] {
            let argon2 = Argon2::new(algorithm, version, params.unwrap());
            let hash = argon2
                .hash_password_with_salt(b"correct horse", salt)
                .unwrap();
            let hash = hash.to_string();
            assert!(turn.verify("correct horse", &hash).unwrap(), "{hash}");
            assert!(!turn.verify("battery", &hash).unwrap(), "{hash}");
        }
        for malformed in [
            "",
            "hunter2",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ",
            "$scrypt$ln=16,r=8,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA",
        ] {
            assert!(turn.verify("hunter2", malformed).is_err(), "{malformed}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_logins_use_the_memory_of_few() {
        const AT_ONCE: usize = 2;
        let passwords = Passwords::new(AT_ONCE);
        let hash = passwords.turn().await.unwrap().hash("secret").unwrap();
        let mut logins = JoinSet::new();
        for _ in 0..30 {
            let (passwords, hash) = (passwords.clone(), hash.clone());
            logins.spawn(async move {
                let mut turn = passwords.turn().await.unwrap();
                let verified = task::spawn_blocking(move || turn.verify("secret", &hash).unwrap());
                verified.await.unwrap()
            });
        }
        assert!(logins.join_all().await.into_iter().all(|right| right));
        let sizes: Vec<usize> = passwords.0.free().iter().map(Vec::len).collect();
        assert!((1..=AT_ONCE).contains(&sizes.len()), "{sizes:?}");
        let one = Params::default().block_count();
        assert!(sizes.iter().all(|size| *size == one), "{sizes:?}");
    }
}
