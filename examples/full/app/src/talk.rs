//! Responses that stay open until their session ends: `GET /ws` and `GET /events`.

use std::time::Duration;

use futures_util::{Stream, stream};
use gatepass::Connection;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The text that a client receives each second.
pub const TICK: &str = "tick";

const PAUSE: Duration = Duration::from_secs(1);

/// The answer to a client's text: the same text. For `renew TOKEN`, renews the connection with this
/// access token, and answers `renewed`, or `refused` and the reason.
pub async fn talk(connection: &Connection, text: &str) -> String {
    let Some(token) = text.strip_prefix("renew ") else {
        return text.to_owned();
    };
    match connection.renew(token).await {
        Ok(()) => "renewed".to_owned(),
        Err(error) => format!("refused {}", error.reason()),
    }
}

/// The time between two ticks.
#[cfg(not(feature = "under-test"))]
fn pause() -> Duration {
    PAUSE
}

#[cfg(feature = "under-test")]
fn pause() -> Duration {
    crate::under_test::pause(PAUSE)
}

/// A clock that ticks immediately, and then each second. In a test it ticks only once, so that a
/// scenario knows what comes.
#[must_use]
pub fn clock() -> Interval {
    let mut clock = interval(pause());
    // So a client that didn't read for a minute doesn't get sixty ticks at once.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

/// The ticks of [`clock`] as a stream.
pub fn ticks() -> impl Stream<Item = &'static str> + Send + Sync {
    stream::unfold(clock(), async |mut clock| {
        clock.tick().await;
        Some((TICK, clock))
    })
}
