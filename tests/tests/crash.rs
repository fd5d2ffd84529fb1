//! A server that is killed at random moments under load keeps every promise it has acknowledged.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod server;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gatepass::{Random, SystemRandom};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::server::Server;

/// How often the server is killed.
const KILLS: usize = 20;
/// How many clients work on it at a time.
const CLIENTS: usize = 8;

/// A login on one device, as its client knows it.
#[derive(Clone, Debug)]
struct Device {
    access: String,
    refresh: String,
    /// Refresh tokens that were spent, as a thief might have kept them.
    spent: Vec<String>,
    logout: Logout,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Logout {
    NotAsked,
    /// Asked for, and the server died before it answered: it may or may not have happened.
    Unanswered,
    Acknowledged,
}

impl Device {
    fn new(body: &Value) -> Self {
        let mut device = Self {
            access: String::new(),
            refresh: String::new(),
            spent: Vec::new(),
            logout: Logout::NotAsked,
        };
        device.take(body);
        device
    }

    fn take(&mut self, body: &Value) {
        self.access = body["access_token"].as_str().unwrap().to_owned();
        let refresh = body["refresh_token"].as_str().unwrap().to_owned();
        let spent = std::mem::replace(&mut self.refresh, refresh);
        self.spent.push(spent);
    }
}

/// A number below `bound`.
fn random(bound: u32) -> u32 {
    let mut bytes = [0; 4];
    SystemRandom.fill(&mut bytes).unwrap();
    u32::from_be_bytes(bytes) % bound
}

struct Api {
    client: Client,
    url: String,
}

/// The connection broke: the server is dead.
struct Died;

impl Api {
    /// Sends a request, and again if a busy disk made the server answer that it cannot tell.
    async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), Died> {
        loop {
            let request = self.client.post(format!("{}{path}", self.url)).json(body);
            match answer(request.send().await).await? {
                (503, _) => {}
                answer => return Ok(answer),
            }
        }
    }

    async fn me(&self, access: &str) -> Result<(u16, Value), Died> {
        let request = self
            .client
            .get(format!("{}/me", self.url))
            .bearer_auth(access);
        answer(request.send().await).await
    }

    async fn refresh(&self, token: &str) -> Result<(u16, Value), Died> {
        self.post("/auth/refresh", &json!({ "refresh_token": token }))
            .await
    }

    async fn logout(&self, token: &str) -> Result<(u16, Value), Died> {
        self.post("/auth/logout", &json!({ "refresh_token": token }))
            .await
    }
}

async fn answer(response: reqwest::Result<Response>) -> Result<(u16, Value), Died> {
    let response = response.map_err(|_| Died)?;
    let status = response.status().as_u16();
    let body = response.bytes().await.map_err(|_| Died)?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// Logs in, refreshes and logs out until the server dies. Whatever was acknowledged is in `devices`.
async fn work(api: Arc<Api>, devices: Arc<Mutex<Vec<Device>>>) {
    let login = json!({ "username": "alice", "password": "a password" });
    while let Ok((status, body)) = api.post("/auth/login", &login).await {
        assert_eq!(status, 200, "{body}");
        let mut device = Device::new(&body);
        let index = {
            let mut devices = devices.lock().unwrap();
            devices.push(device.clone());
            devices.len() - 1
        };
        for _ in 0..random(30) {
            let Ok((status, body)) = api.refresh(&device.refresh).await else {
                return;
            };
            assert_eq!(status, 200, "{body}");
            device.take(&body);
            devices.lock().unwrap()[index] = device.clone();
        }
        if random(2) == 0 {
            devices.lock().unwrap()[index].logout = Logout::Unanswered;
            let Ok((status, body)) = api.logout(&device.refresh).await else {
                return;
            };
            assert_eq!(status, 204, "{body}");
            devices.lock().unwrap()[index].logout = Logout::Acknowledged;
        }
    }
}

/// Everything that was acknowledged before is still true.
async fn check(api: &Api, devices: &Mutex<Vec<Device>>) {
    let before = devices.lock().unwrap().clone();
    for (index, mut device) in before.into_iter().enumerate() {
        let (access, _) = api.me(&device.access).await.ok().expect("a server");
        let (refreshed, body) = api.refresh(&device.refresh).await.ok().expect("a server");
        match device.logout {
            Logout::NotAsked => {
                assert_eq!(
                    (access, refreshed),
                    (200, 200),
                    "an acknowledged login was lost: {body}"
                );
            }
            Logout::Acknowledged => {
                assert_eq!((access, refreshed), (401, 401), "an ended session lives");
                assert_eq!(body["reason"], "session_ended");
                for spent in &device.spent[1..] {
                    let (status, _) = api.refresh(spent).await.ok().expect("a server");
                    assert_eq!(status, 401, "a spent token of an ended session works");
                }
            }
            Logout::Unanswered => assert_eq!(access, refreshed, "half a logout: {body}"),
        }
        if refreshed == 200 {
            device.take(&body);
            device.logout = Logout::NotAsked;
        } else {
            device.logout = Logout::Acknowledged;
        }
        devices.lock().unwrap()[index] = device;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_being_killed() {
    let directory = TempDir::new().unwrap();
    let devices = Arc::new(Mutex::new(Vec::new()));
    for kill in 0..=KILLS {
        let server = Server::start(directory.path()).await;
        let api = Arc::new(Api {
            client: Client::new(),
            url: server.url(),
        });
        check(&api, &devices).await;
        if kill == KILLS {
            break;
        }
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(work(Arc::clone(&api), Arc::clone(&devices)));
        }
        // Real time: what is under way at this moment is for the scheduler and the disk to decide.
        tokio::time::sleep(Duration::from_millis(u64::from(20 + random(400)))).await;
        server.kill();
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    }
    let devices = devices.lock().unwrap();
    let ended = devices
        .iter()
        .filter(|device| device.logout == Logout::Acknowledged)
        .count();
    let refreshes: usize = devices.iter().map(|device| device.spent.len() - 1).sum();
    println!(
        "{} logins, {refreshes} refreshes and {ended} logouts over {KILLS} kills",
        devices.len()
    );
    assert!(
        ended > 0 && refreshes > KILLS,
        "there was too little to lose"
    );
}
