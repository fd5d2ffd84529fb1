//! A driver that describes each exchange, without any token or password.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gatepass_testkit::scenario::{Driver, Opened, Request, Response, UserChange};
use serde_json::Value;

const ACCESS: &str = "access token";
const REFRESH: &str = "refresh token";

/// Drives an application through another driver, and describes each step.
///
/// It gives each token a number, so that a reader sees which one a client presents. For example, a
/// thief presents "refresh token 1" after its owner got "refresh token 2".
#[derive(Debug)]
pub struct Narrator<D> {
    driver: D,
    tell: fn(&str),
    /// The name of each token that the application issued.
    names: Mutex<HashMap<String, String>>,
    exchanges: AtomicUsize,
}

impl<D> Narrator<D> {
    /// Prints each line with `tell`.
    pub fn new(driver: D, tell: fn(&str)) -> Self {
        Self {
            driver,
            tell,
            names: Mutex::default(),
            exchanges: AtomicUsize::new(0),
        }
    }

    /// The number of answered requests.
    pub fn exchanges(&self) -> usize {
        self.exchanges.load(Ordering::Relaxed)
    }

    fn asked(&self, request: &Request) -> String {
        let (path, query) = request.path.split_once('?').unzip();
        let mut presented = Vec::new();
        if query.is_some() {
            presented.push("a query".to_owned());
        }
        for (name, value) in &request.headers {
            let value = String::from_utf8_lossy(value);
            match *name {
                "authorization" => presented.push(match value.split_once(' ') {
                    Some(("Bearer", token)) => self.name(token),
                    _ => "the secret of a client".to_owned(),
                }),
                "cookie" => presented.extend(value.split("; ").filter_map(|pair| {
                    let (_, token) = pair.split_once('=')?;
                    Some(format!("{} by cookie", self.name(token)))
                })),
                _ => {}
            }
        }
        let members = members(&request.body);
        for member in ["username", "password", "refresh_token", "token"] {
            let value = members.iter().find(|(name, _)| name == member);
            presented.extend(value.map(|(_, value)| match member {
                "username" => format!("the user name {value:?}"),
                "password" => "a password".to_owned(),
                _ => self.name(value),
            }));
        }
        let path = path.unwrap_or(&request.path);
        format!("{} {path}{}", request.method, list(" with ", &presented))
    }

    fn answered(&self, response: &Response) -> String {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let member = |name: &str| body.get(name)?.as_str();
        let mut told: Vec<String> = ["error", "reason"]
            .iter()
            .filter_map(|name| Some(format!("{name} {}", member(name)?)))
            .collect();
        for (kind, name, cookie) in [
            (ACCESS, "access_token", "__Host-gatepass="),
            (REFRESH, "refresh_token", "__Host-gatepass-refresh="),
        ] {
            if let Some(token) = member(name) {
                told.push(self.issued(kind, token));
            }
            for (_, value) in response
                .headers
                .iter()
                .filter(|(name, _)| name == "set-cookie")
            {
                let token = value
                    .strip_prefix(cookie)
                    .and_then(|rest| rest.split(';').next());
                told.extend(token.map(|token| match token {
                    "" => format!("no {kind} by cookie any more"),
                    token => format!("{} by cookie", self.issued(kind, token)),
                }));
            }
        }
        format!("{}{}", response.status, list(": ", &told))
    }

    fn issued(&self, kind: &str, token: &str) -> String {
        let mut names = self.names.lock().unwrap();
        let number = names.values().filter(|name| name.starts_with(kind)).count() + 1;
        let name = names.entry(token.to_owned());
        name.or_insert_with(|| format!("{kind} {number}")).clone()
    }

    fn name(&self, token: &str) -> String {
        let names = self.names.lock().unwrap();
        let name = names.get(token).map(String::as_str);
        name.unwrap_or("a token that was never issued").to_owned()
    }
}

#[async_trait]
impl<D: Driver> Driver for Narrator<D> {
    async fn exchange(&self, request: Request, opened: Opened) -> Response {
        let asked = self.asked(&request);
        let response = self.driver.exchange(request, opened).await;
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        (self.tell)(&format!("  {asked} -> {}", self.answered(&response)));
        response
    }

    async fn pass_time(&self, time: Duration) {
        let (minutes, seconds) = (time.as_secs() / 60, time.as_secs() % 60);
        (self.tell)(&match seconds {
            0 => format!("  ... {minutes} min pass"),
            _ => format!("  ... {minutes} min {seconds} s pass"),
        });
        self.driver.pass_time(time).await;
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        (self.tell)(&match change {
            UserChange::Scope(scope) => {
                format!("  ... {name} has the scopes {scope:?} from now on")
            }
            UserChange::Deleted => format!("  ... {name} is deleted"),
        });
        self.driver.change_user(name, change).await;
    }

    async fn lose_sessions(&self) {
        (self.tell)("  ... the store loses all sessions");
        self.driver.lose_sessions().await;
    }
}

/// The members of a JSON object or a form whose values are strings.
fn members(body: &[u8]) -> Vec<(String, String)> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .collect(),
        _ => form_urlencoded::parse(body).into_owned().collect(),
    }
}

fn list(before: &str, words: &[String]) -> String {
    match words {
        [] => String::new(),
        words => format!("{before}{}", words.join(", ")),
    }
}
