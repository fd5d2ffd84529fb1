//! Users that answer late while their session is refreshed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gatepass::{
    AuthenticationError, Authenticator, Credentials, Device, Identity, ReusePolicy, Session,
    UserUpdate, async_trait,
};
use test_support::world::{SECOND, World, builder, login, refresh};
use tokio::task::JoinSet;

test_support::on_both_stores! {
    a_refresh_that_lost_its_race_ends_no_session_however_slow_the_users_are
}

/// Users whose answer comes when the test says so.
#[derive(Clone)]
struct Waiting {
    asked: Arc<AtomicU32>,
    answers: Arc<tokio::sync::Semaphore>,
}

#[async_trait]
impl Authenticator for Waiting {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        Err(AuthenticationError::BadCredentials)
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        Ok(UserUpdate::Unchanged)
    }
}

async fn a_refresh_that_lost_its_race_ends_no_session_however_slow_the_users_are(world: World) {
    let users = Waiting {
        asked: Arc::default(),
        answers: Arc::new(tokio::sync::Semaphore::new(0)),
    };
    let node = builder(Arc::clone(&world.store), &world.clock)
        .reuse(ReusePolicy {
            overlap: 2 * SECOND,
            recovery: Duration::ZERO,
            ..ReusePolicy::default()
        })
        .authenticator(users.clone());
    let node = node.build().await.unwrap();
    let first = login(&node, "alice").await;
    // Two tabs at once. The users are read for both while the token is still unspent.
    let mut tabs = JoinSet::new();
    for _ in 0..2 {
        let (node, first) = (node.clone(), first.clone());
        tabs.spawn(async move { refresh(&node, &first).await });
    }
    while users.asked.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    users.answers.add_permits(1);
    tabs.join_next().await.unwrap().unwrap().unwrap();
    world.clock.advance(3 * SECOND);
    // The second tab loses the race, and its user is read once more for the answer to it.
    users.answers.add_permits(2);
    tabs.join_next().await.unwrap().unwrap().unwrap();
}
