//! Slow signatures, which gatepass makes where they hold up no other request.
//!
//! A signature with RSA or on P-384 takes hundreds of microseconds of arithmetic, and an async
//! thread that makes it serves no other request meanwhile. So gatepass makes it on one of tokio's
//! blocking threads, unless none is free for 100 ms. The other algorithms take some tens of
//! microseconds, which is too little to hand the work to another thread.

use std::{
    num::NonZeroUsize,
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::{
    env::internal_error::InternalError,
    keys::{algorithm::Algorithm, signing::SigningKey},
    token::access::Unsigned,
};

/// The slow signatures that this process makes at once. They may use half of the processors. The
/// other half stays free for the async threads, however many clients log in together.
static SLOW: LazyLock<SlowSignatures> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    SlowSignatures::with_permits((processors / 2).max(1))
});

/// Signs an access token, on a blocking thread if that takes long.
pub(crate) async fn sign(key: &SigningKey, unsigned: Unsigned) -> Result<String, InternalError> {
    if is_slow(key.verifying_key().algorithm()) {
        SLOW.sign(key.clone(), unsigned).await
    } else {
        unsigned.signed_by(key)
    }
}

/// Whether a signature takes more than some tens of microseconds.
const fn is_slow(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Es384 => true,
        Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512
        | Algorithm::Es256
        | Algorithm::EdDsa => false,
    }
}

/// The longest wait for a blocking thread. By the time gatepass signs an answer, the store has
/// committed: a client that gives up waiting would have spent its refresh token for nothing. And an
/// application may keep all blocking threads busy with logins that wait for one.
const PATIENCE: Duration = Duration::from_millis(100);

/// The blocking threads that may sign.
struct SlowSignatures {
    permits: Arc<Semaphore>,
}

impl SlowSignatures {
    fn with_permits(permits: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(permits)),
        }
    }

    /// Signs on a blocking thread, or on this one if no other has signed in time.
    async fn sign(&self, key: SigningKey, unsigned: Unsigned) -> Result<String, InternalError> {
        let elsewhere = self.sign_elsewhere(key.clone(), unsigned.clone());
        match timeout(PATIENCE, elsewhere).await {
            Ok(Some(signed)) => signed,
            Ok(None) | Err(_) => unsigned.signed_by(&key),
        }
    }

    /// `None` if the thread panicked, or never started because its runtime is shutting down.
    async fn sign_elsewhere(
        &self,
        key: SigningKey,
        unsigned: Unsigned,
    ) -> Option<Result<String, InternalError>> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let signed = spawn_blocking(move || {
            let signed = unsigned.signed_by(&key);
            // Release it only now, even if the caller has gone: the bound counts threads.
            drop(permit);
            signed
        });
        signed.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, sync::mpsc, task::Poll};

    use tokio::runtime;

    use super::*;

    fn key() -> SigningKey {
        let pem = include_bytes!("../../tests/keys/rsa.pem");
        SigningKey::from_pem(Algorithm::Rs256, pem).unwrap()
    }

    fn unsigned(key: &SigningKey) -> Unsigned {
        Unsigned::new(key, &serde_json::json!({ "sub": "alice" })).unwrap()
    }

    async fn first_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_signature_waits_for_its_turn() {
        let (key, signatures) = (key(), SlowSignatures::with_permits(1));
        let turn = Arc::clone(&signatures.permits)
            .acquire_owned()
            .await
            .unwrap();
        let mut signed = pin!(signatures.sign(key.clone(), unsigned(&key)));
        for _ in 0..100 {
            assert!(first_poll(&mut signed).await.is_pending());
            tokio::task::yield_now().await;
        }
        drop(turn);
        let token = signed.await.unwrap();
        assert_eq!(token.split('.').count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_signature_that_no_other_thread_makes_in_time_is_made_here() {
        let (key, signatures) = (key(), SlowSignatures::with_permits(1));
        let _permit = Arc::clone(&signatures.permits)
            .acquire_owned()
            .await
            .unwrap();
        let began = tokio::time::Instant::now();
        let token = signatures.sign(key.clone(), unsigned(&key)).await.unwrap();
        assert_eq!(token.split('.').count(), 3);
        assert_eq!(began.elapsed(), PATIENCE);
    }

    /// Otherwise clients that hang up would let more threads sign than the bound allows.
    #[test]
    fn a_caller_that_leaves_keeps_its_turn_until_the_signature_is_made() {
        let runtime = runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .enable_time()
            .build();
        runtime.unwrap().block_on(async {
            let (key, signatures) = (key(), SlowSignatures::with_permits(1));
            // The one blocking thread has something else to do first.
            let (release, released) = mpsc::channel();
            let held = spawn_blocking(move || released.recv());
            {
                let mut left = pin!(signatures.sign(key.clone(), unsigned(&key)));
                assert!(first_poll(&mut left).await.is_pending());
            }
            assert_eq!(signatures.permits.available_permits(), 0);
            release.send(()).unwrap();
            held.await.unwrap().unwrap();
            signatures.sign(key.clone(), unsigned(&key)).await.unwrap();
            assert_eq!(signatures.permits.available_permits(), 1);
        });
    }
}
