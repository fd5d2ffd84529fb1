//! A server that is killed at random moments under load keeps every acknowledged change.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gatepass::store::{Random, SystemRandom};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::server::{
    Server,
    api::{Answer, Api, Died},
};

/// How often a server is killed.
const KILLS: usize = 50;
/// The number of clients at the same time.
const CLIENTS: usize = 8;
/// The number of servers that share the file.
const SERVERS: usize = 2;
/// Each refresh writes, and no login ends another session. A login in progress counts as an attempt
/// when its server is killed, so attempts have no limit here.
const SETTINGS: [&str; 5] = [
    "--overlap",
    "0s",
    "--max-sessions",
    "0",
    "--no-login-throttle",
];

/// A login on one device, as the client knows it.
#[derive(Clone, Debug)]
struct Device {
    access: String,
    refresh: String,
    /// Spent refresh tokens, which a thief might have kept.
    spent: Vec<String>,
    logout: Logout,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Logout {
    NotAsked,
    /// The server died before it answered the logout. The logout may have happened.
    Unanswered,
    Acknowledged,
    /// Acknowledged, and confirmed after a server was killed.
    Found,
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

/// A random number below `bound`.
fn random(bound: usize) -> usize {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes).unwrap();
    usize::from_be_bytes(bytes) % bound
}

/// Repeats a request while a busy disk makes the server answer 503.
async fn insist<F: Future<Output = Answer>>(ask: impl Fn() -> F) -> Answer {
    loop {
        match ask().await? {
            (503, _) => {}
            answer => return Ok(answer),
        }
    }
}

/// Logs in, refreshes and logs out until a server dies. Notes everything that a server acknowledges
/// in `devices`.
async fn work(apis: Vec<Api>, devices: Arc<Mutex<Vec<Device>>>) -> Died {
    let api = || &apis[random(SERVERS)];
    loop {
        let (status, body) = match insist(|| api().login()).await {
            Ok(answer) => answer,
            Err(died) => return died,
        };
        assert_eq!(status, 200, "{body}");
        let mut device = Device::new(&body);
        let index = {
            let mut devices = devices.lock().unwrap();
            devices.push(device.clone());
            devices.len() - 1
        };
        for _ in 0..random(30) {
            let (status, body) = match insist(|| api().refresh(&device.refresh)).await {
                Ok(answer) => answer,
                Err(died) => return died,
            };
            assert_eq!(status, 200, "{body}");
            device.take(&body);
            devices.lock().unwrap()[index] = device.clone();
        }
        if random(2) == 0 {
            devices.lock().unwrap()[index].logout = Logout::Unanswered;
            let (status, body) = match insist(|| api().logout(&device.refresh)).await {
                Ok(answer) => answer,
                Err(died) => return died,
            };
            assert_eq!(status, 204, "{body}");
            devices.lock().unwrap()[index].logout = Logout::Acknowledged;
        }
    }
}

/// Checks everything that was acknowledged before, on each server. Checks sessions that are known
/// to have ended only the `last` time.
async fn check(apis: &[Api], devices: &Mutex<Vec<Device>>, last: bool) {
    let before = devices.lock().unwrap().clone();
    for (index, mut device) in before.into_iter().enumerate() {
        if device.logout == Logout::Found && !last {
            continue;
        }
        let api = &apis[index % apis.len()];
        // With a strict check, because a server that survived may learn of the others' changes a
        // little later.
        let (access, _) = insist(|| api.strict(&device.access)).await.unwrap();
        let (refreshed, body) = insist(|| api.refresh(&device.refresh)).await.unwrap();
        match device.logout {
            Logout::NotAsked => {
                assert_eq!(
                    (access, refreshed),
                    (200, 200),
                    "an acknowledged login was lost: {body}"
                );
            }
            Logout::Acknowledged | Logout::Found => {
                assert_eq!((access, refreshed), (401, 401), "an ended session lives");
                assert_eq!(body["reason"], "session_ended");
            }
            Logout::Unanswered => assert_eq!(access, refreshed, "half a logout: {body}"),
        }
        if refreshed == 200 {
            device.take(&body);
            device.logout = Logout::NotAsked;
        } else {
            for spent in &device.spent[1..] {
                let (status, _) = insist(|| api.refresh(spent)).await.unwrap();
                assert_eq!(status, 401, "a spent token of an ended session works");
            }
            device.logout = Logout::Found;
        }
        devices.lock().unwrap()[index] = device;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_being_killed() {
    let directory = TempDir::new().unwrap();
    let devices = Arc::new(Mutex::new(Vec::new()));
    let mut servers = Vec::new();
    let mut kills = 0;
    loop {
        while servers.len() < SERVERS {
            servers.push(Server::start_with(directory.path(), &SETTINGS).await);
        }
        let apis = Vec::from_iter(servers.iter().map(Server::api));
        check(&apis, &devices, kills >= KILLS).await;
        if kills >= KILLS {
            break;
        }
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(work(apis.clone(), Arc::clone(&devices)));
        }
        // Real time: the scheduler and the disk decide which operations are in progress at this
        // moment.
        let moment = u64::try_from(20 + random(300)).unwrap();
        tokio::time::sleep(Duration::from_millis(moment)).await;
        // In turn, all servers die, or one survives and must clean up.
        let survivors = kills / SERVERS % 2;
        for server in servers.drain(survivors..) {
            server.kill();
            kills += 1;
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    }
    let devices = devices.lock().unwrap();
    let ended = devices
        .iter()
        .filter(|device| device.logout == Logout::Found)
        .count();
    println!(
        "{} logins and {ended} logouts over {kills} kills",
        devices.len()
    );
    assert!(
        ended > 0 && devices.len() > KILLS,
        "there was too little to lose"
    );
}
