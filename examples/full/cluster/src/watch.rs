//! Asks all nodes repeatedly whether they accept a token while its session ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ureq::Agent;

/// How long after the answer to a logout a node may still accept its token.
pub(crate) const BOUND: Duration = Duration::from_secs(2);

/// The pause between two requests. The nodes share a processor with each other, and with
/// PostgreSQL.
const PAUSE: Duration = Duration::from_millis(1);
/// How long to ask a node after the bound: it must not accept the token again.
const AFTERWARDS: Duration = Duration::from_millis(250);

/// The threads that send the requests, one for each node.
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    nodes: Vec<JoinHandle<Vec<Asked>>>,
}

/// A request.
#[derive(Clone, Copy)]
struct Asked {
    sent: Instant,
    answered: Instant,
    /// `None` means no answer.
    status: Option<u16>,
}

/// A logout, and when each node learned of it.
pub(crate) struct Outcome {
    pub(crate) what: String,
    pub(crate) nodes: Vec<Seen>,
}

/// The answers of a node before and after a logout.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    /// How long after the answer to the logout the node first refused the token.
    refused: Option<Duration>,
    /// How long after that answer the last accepted request was sent.
    accepted: Option<Duration>,
    /// Whether it accepted the token after it had refused it.
    forgot: bool,
    asked: usize,
}

impl Watch {
    pub(crate) fn begin(urls: impl Iterator<Item = String>, bearer: String) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let watch = |url: String| {
            let (over, bearer) = (Arc::clone(&over), bearer.clone());
            thread::spawn(move || ask(&url, &bearer, &over))
        };
        let nodes = urls.map(watch).collect();
        Self { over, nodes }
    }

    /// Continues until the bound is over. The logout was answered at `ended`.
    pub(crate) fn end(self, what: String, ended: Instant) -> Outcome {
        thread::sleep(BOUND + AFTERWARDS);
        self.over.store(true, Ordering::Relaxed);
        let nodes = self.nodes.into_iter();
        let nodes = nodes.map(|node| Seen::of(&node.join().unwrap_or_default(), ended));
        Outcome {
            what,
            nodes: nodes.collect(),
        }
    }
}

fn ask(url: &str, bearer: &str, over: &AtomicBool) -> Vec<Asked> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(BOUND))
        .proxy(None)
        .build()
        .into();
    let mut asked = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let sent = Instant::now();
        let answer = agent.get(url).header("authorization", bearer).call();
        let status = answer.ok().map(|answer| {
            let status = answer.status().as_u16();
            // Read to the end, so that the agent can reuse the connection.
            drop(answer.into_body().read_to_vec());
            status
        });
        asked.push(Asked {
            sent,
            answered: Instant::now(),
            status,
        });
        thread::sleep(PAUSE);
    }
    asked
}

impl Seen {
    fn of(asked: &[Asked], ended: Instant) -> Self {
        let refused = asked.iter().find(|one| one.status == Some(401));
        let mut accepted = asked.iter().filter(|one| one.status == Some(200));
        let last = accepted.next_back().map(|one| one.sent);
        Self {
            refused: refused.map(|one| one.answered.saturating_duration_since(ended)),
            accepted: last.and_then(|sent| sent.checked_duration_since(ended)),
            forgot: refused
                .zip(last)
                .is_some_and(|(refused, last)| last > refused.answered),
            asked: asked.len(),
        }
    }

    /// Whether the node learned of the logout in time, and never forgot it.
    fn is_right(&self) -> bool {
        let late = self.accepted.is_some_and(|accepted| accepted >= BOUND);
        self.refused.is_some() && !late && !self.forgot
    }

    pub(crate) fn shown(&self) -> String {
        let refused = match self.refused {
            Some(refused) => format!("after {} ms", millis(refused)),
            None => "never".to_owned(),
        };
        let forgot = if self.forgot {
            ", and accepted it again"
        } else {
            ""
        };
        format!("refused {refused}{forgot} (asked {} times)", self.asked)
    }
}

impl Outcome {
    /// Whether each node learned of the logout in time, and never forgot it.
    pub(crate) fn is_right(&self) -> bool {
        self.nodes.iter().all(Seen::is_right)
    }

    /// A column for each node.
    pub(crate) fn learned(&self) -> String {
        let nodes = self.nodes.iter().map(|node| match node.refused {
            Some(refused) => format!("{:>10}", millis(refused)),
            None => format!("{:>10}", "never"),
        });
        nodes.collect()
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_right_that_refuses_in_time_and_for_good() {
        let ended = Instant::now() + Duration::from_secs(60);
        // The time of each request in milliseconds relative to the logout's answer, and its status.
        let seen = |asked: &[(i64, u16)]| {
            let asked: Vec<_> = asked
                .iter()
                .map(|(at, status)| {
                    let at_most = Duration::from_millis(at.unsigned_abs());
                    let sent = if *at < 0 {
                        ended - at_most
                    } else {
                        ended + at_most
                    };
                    Asked {
                        sent,
                        answered: sent,
                        status: (*status != 0).then_some(*status),
                    }
                })
                .collect();
            Seen::of(&asked, ended)
        };
        for (name, asked, right) in [
            ("at once", &[(-5, 200), (1, 401), (2500, 401)][..], true),
            ("before it was answered", &[(-5, 200), (-1, 401)], true),
            ("just in time", &[(1999, 200), (2001, 401)], true),
            (
                "a node that judges nothing",
                &[(5, 200), (900, 503), (1900, 0), (2200, 401)],
                true,
            ),
            ("too late", &[(2000, 200), (2001, 401)], false),
            ("never", &[(-5, 200), (1, 200)], false),
            ("no answer", &[(1, 0), (2, 503)], false),
            ("forgotten", &[(1, 401), (2, 200), (3, 401)], false),
            ("never asked", &[], false),
        ] {
            assert_eq!(seen(asked).is_right(), right, "{name}");
        }
        let late = seen(&[(5, 200), (12, 401)]);
        assert_eq!(late.shown(), "refused after 12.0 ms (asked 2 times)");
    }
}
