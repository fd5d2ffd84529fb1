//! Signatures that take long hold up no other request. These tests run on one async thread, so that
//! another task runs only if the login gives up the thread.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc,
};

use gatepass::{Device, Identity, KeySet, Requirements, keys::Algorithm};
use tokio::{runtime, task::spawn_blocking};

use super::material::{authority, key};

/// Whether another request is served between the beginning of a login with a key of `algorithm` and
/// its end.
///
/// There is one blocking thread, and it is held until the other request was served. Otherwise a
/// signature could be there before the login has looked for it.
async fn serves_during_a_login(algorithm: Algorithm) -> bool {
    let authority = authority(KeySet::signing(key(algorithm))).await;
    let identity = || Identity::new("alice").unwrap();
    let before = authority.issue(identity(), Device::default());
    let before = before.await.unwrap();
    let (release, released) = mpsc::channel();
    let held = spawn_blocking(move || released.recv());
    let served = Arc::new(AtomicBool::new(false));
    let other = tokio::spawn({
        let (authority, served) = (authority.clone(), Arc::clone(&served));
        async move {
            let (token, requirements) = (before.access_token.as_str(), Requirements::new());
            let pass = authority.verifier().verify(token, &requirements).await;
            served.store(pass.is_ok(), Ordering::SeqCst);
            release.send(()).unwrap();
        }
    });
    let issued = authority.issue(identity(), Device::default());
    let issued = issued.await.unwrap();
    let served = served.load(Ordering::SeqCst);
    other.await.unwrap();
    held.await.unwrap().unwrap();
    let requirements = Requirements::new();
    let pass = authority
        .verifier()
        .verify(issued.access_token.as_str(), &requirements)
        .await;
    assert!(pass.is_ok(), "{algorithm}: {pass:?}");
    served
}

/// Runs it on one async thread and one blocking one.
fn on_few_threads(test: impl Future<Output = ()>) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build();
    runtime.unwrap().block_on(test);
}

fn is_slow(algorithm: Algorithm) -> bool {
    let name = algorithm.name();
    name.starts_with("RS") || name.starts_with("PS") || name == "ES384"
}

#[test]
fn other_requests_are_served_while_a_slow_signature_is_made() {
    on_few_threads(async {
        for algorithm in Algorithm::ALL.into_iter().filter(|one| is_slow(*one)) {
            assert!(serves_during_a_login(algorithm).await, "{algorithm}");
        }
    });
}

/// The way to another thread and back would cost more than it saves.
#[test]
fn a_quick_signature_is_made_at_once() {
    on_few_threads(async {
        for algorithm in Algorithm::ALL.into_iter().filter(|one| !is_slow(*one)) {
            assert!(!serves_during_a_login(algorithm).await, "{algorithm}");
        }
    });
}
