//! A client that says what it sends, what it got, and whether that was right.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

/// The members of an answer that a reader wants to see, in this order.
const SHOWN: &[&str] = &[
    "subject",
    "scope",
    "token_type",
    "expires_in",
    "access_token",
    "refresh_token",
    "sessions",
    "error",
    "reason",
];

/// One request.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) access: Option<&'a str>,
    pub(crate) body: Option<Value>,
}

#[derive(Clone, Copy)]
pub(crate) enum Method {
    Get,
    Post,
}

/// The expected answer: the status, and of a refusal its reason.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) reason: Option<&'static str>,
}

/// The answer that came back.
pub(crate) struct Answer {
    status: u16,
    body: Value,
    /// When it was there.
    pub(crate) at: Instant,
}

/// Counts the answers that were wrong.
pub(crate) struct Client {
    agent: Agent,
    url: String,
    failed: usize,
}

impl Client {
    pub(crate) fn new(url: String) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            // The server is on this machine: the proxies that the environment names are not for it.
            .proxy(None)
            // A connection to a server that was stopped is of no use.
            .max_idle_connections(0)
            .build()
            .into();
        Self {
            agent,
            url,
            failed: 0,
        }
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    /// Whether it serves requests, those with tokens included.
    pub(crate) fn is_ready(&self) -> bool {
        let answer = self.agent.get(format!("{}/ready", self.url)).call();
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// Sends, prints and judges one exchange.
    pub(crate) fn expect(
        &mut self,
        what: &str,
        request: &Request<'_>,
        expected: Expected,
    ) -> anyhow::Result<Answer> {
        let answer = self.send(request)?;
        // An unexpected reason is also wrong.
        let right = answer.status == expected.status && answer.member("reason") == expected.reason;
        let shown = format!("{} -> {}", request.shown(), answer.shown());
        let wanted = match expected.reason {
            Some(reason) => format!("{} {reason}", expected.status),
            None => expected.status.to_string(),
        };
        self.judge(what, right, &shown, &wanted);
        Ok(answer)
    }

    /// Prints one step, and counts it if it went wrong.
    pub(crate) fn judge(&mut self, what: &str, right: bool, got: &str, wanted: &str) {
        if right {
            println!("  ok      {what}: {got}");
        } else {
            self.failed += 1;
            println!("  FAILED  {what}: {got}\n          expected {wanted}");
        }
    }

    fn send(&self, request: &Request<'_>) -> anyhow::Result<Answer> {
        let url = format!("{}{}", self.url, request.path);
        let bearer = request.access.map(|token| format!("Bearer {token}"));
        let answer = match request.method {
            Method::Get => {
                let mut get = self.agent.get(url);
                if let Some(bearer) = bearer {
                    get = get.header("authorization", bearer);
                }
                get.call()
            }
            Method::Post => {
                let mut post = self.agent.post(url);
                if let Some(bearer) = bearer {
                    post = post.header("authorization", bearer);
                }
                match &request.body {
                    Some(body) => post
                        .header("content-type", "application/json")
                        .send(body.to_string()),
                    None => post.send_empty(),
                }
            }
        };
        let answer = answer.with_context(|| format!("{} was not answered", request.shown()))?;
        Answer::read(answer)
    }
}

impl Request<'_> {
    fn shown(&self) -> String {
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        format!("{method} {}", self.path)
    }
}

impl Answer {
    fn read(answer: Response<Body>) -> anyhow::Result<Self> {
        let status = answer.status().as_u16();
        let text = answer.into_body().read_to_string()?;
        // Not every answer has a body, and not every body is ours.
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Self {
            status,
            body,
            at: Instant::now(),
        })
    }

    /// A text member of the body.
    pub(crate) fn member(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }

    /// A token, which an answer that was right has.
    pub(crate) fn token(&self, name: &str) -> anyhow::Result<String> {
        self.member(name)
            .map(str::to_owned)
            .with_context(|| format!("an answer without {name}, so this cannot go on"))
    }

    fn shown(&self) -> String {
        let mut shown = self.status.to_string();
        for name in SHOWN {
            match self.body.get(name) {
                Some(Value::String(token)) if name.ends_with("_token") => {
                    shown += &format!(" {name}={}", shortened(token));
                }
                Some(Value::Array(sessions)) => {
                    let logins = sessions.iter().filter_map(|one| one.get("created_at"));
                    let logins: Vec<_> = logins.map(Value::to_string).collect();
                    shown += &format!(" created_at={}", logins.join(","));
                }
                Some(Value::String(text)) => shown += &format!(" {name}={text:?}"),
                Some(other) => shown += &format!(" {name}={other}"),
                None => {}
            }
        }
        shown
    }
}

/// Enough to tell two tokens apart, too little to use one.
fn shortened(token: &str) -> String {
    let characters: Vec<char> = token.chars().collect();
    let Some((first, rest)) = characters.split_at_checked(4) else {
        return "...".to_owned();
    };
    let end = rest.len().saturating_sub(4).max(rest.len().min(24));
    let last = rest.get(end..).unwrap_or_default();
    format!(
        "{}...{}",
        first.iter().collect::<String>(),
        last.iter().collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_token_is_ever_shown_whole() {
        let token = "gpr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxyz9";
        assert_eq!(shortened(token), "gpr_...xyz9");
        for short in ["", "abc", "abcdefgh", "abcdefghijkl"] {
            assert!(short.is_empty() || !shortened(short).contains(short));
        }
        let body = json!({"access_token": token, "refresh_token": token, "expires_in": 900});
        let answer = Answer {
            status: 200,
            body,
            at: Instant::now(),
        };
        assert_eq!(
            answer.shown(),
            "200 expires_in=900 access_token=gpr_...xyz9 refresh_token=gpr_...xyz9"
        );
    }

    #[test]
    fn a_refusal_is_shown_with_its_reason() {
        let body = json!({"error": "invalid_token", "reason": "revoked", "error_description": "x"});
        let answer = Answer {
            status: 401,
            body,
            at: Instant::now(),
        };
        assert_eq!(
            answer.shown(),
            "401 error=\"invalid_token\" reason=\"revoked\""
        );
    }

    #[test]
    fn a_step_that_goes_wrong_is_counted() {
        let mut client = Client::new("http://127.0.0.1:1".to_owned());
        client.judge("a", true, "200", "200");
        client.judge("b", false, "200", "401");
        assert_eq!(client.failed(), 1);
    }
}
