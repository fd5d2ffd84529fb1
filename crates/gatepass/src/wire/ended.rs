//! The end of a connection, as clients see it.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use crate::verifier::ended::Ended;

impl Ended {
    /// The code of the WebSocket Close frame (RFC 6455 §7.4). [`reason`](Self::reason) is its
    /// reason.
    ///
    /// The code is 4401, of the private range, if a request would now get 401. It is 1013 (try
    /// again later) if a request would now get 503.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Revoked | Self::GrantChanged | Self::Expired => 4401,
            Self::Unknown => 1013,
        }
    }

    /// The last event of a stream of server-sent events.
    pub fn event(self) -> LastEvent {
        LastEvent {
            ended: self,
            retry: (self == Self::Unknown).then(spread),
        }
    }
}

/// The last event of a stream of server-sent events. Its `Display` is the event as text of the
/// media type `text/event-stream`.
///
/// ```
/// use gatepass::Ended;
///
/// let text = Ended::Revoked.event().to_string();
/// assert_eq!(text, "event: session_ended\ndata: {\"reason\":\"revoked\"}\n\n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct LastEvent {
    ended: Ended,
    retry: Option<Duration>,
}

impl LastEvent {
    /// The name of the event: `session_ended`, or `unavailable` if the client should connect again
    /// with the same tokens.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.ended {
            Ended::Revoked | Ended::GrantChanged | Ended::Expired => "session_ended",
            Ended::Unknown => "unavailable",
        }
    }

    /// The data of the event: a JSON object with the `reason`.
    #[must_use]
    pub fn data(&self) -> String {
        // Reasons are names without characters that JSON would escape.
        format!(r#"{{"reason":"{}"}}"#, self.ended.reason())
    }

    /// How long a browser should wait before it connects again: a random time of 2 to 7 s. `None`
    /// if it should not connect again. A node that has lost its store ends all its streams at once,
    /// and a browser's `EventSource` has no jitter of its own.
    #[must_use]
    pub const fn retry(&self) -> Option<Duration> {
        self.retry
    }
}

impl fmt::Display for LastEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "event: {}", self.name())?;
        writeln!(f, "data: {}", self.data())?;
        if let Some(retry) = self.retry {
            writeln!(f, "retry: {}", retry.as_millis())?;
        }
        writeln!(f)
    }
}

/// A random pause. It is not a secret, so it doesn't need the random source of keys.
fn spread() -> Duration {
    const LEAST: u64 = 2000;
    const SPREAD: u64 = 5000;
    Duration::from_millis(LEAST + RandomState::new().hash_one(()) % SPREAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_are_to_connect_again_are_spread_over_seconds() {
        let retries = (0..100).map(|_| Ended::Unknown.event().retry().unwrap());
        let retries = Vec::from_iter(retries);
        let (least, most) = (retries.iter().min().unwrap(), retries.iter().max().unwrap());
        assert!(*least >= Duration::from_secs(2) && *most < Duration::from_secs(7));
        assert!(*most - *least > Duration::from_secs(1));
        assert_eq!(Ended::Revoked.event().retry(), None);
        let text = Ended::Unknown.event().to_string();
        let (head, tail) = text.split_once("retry: ").unwrap();
        assert_eq!(
            head,
            "event: unavailable\ndata: {\"reason\":\"store_unavailable\"}\n"
        );
        assert!(tail.ends_with("\n\n") && tail.trim().parse::<u64>().is_ok());
    }
}
