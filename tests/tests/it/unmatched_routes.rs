//! The answers of the examples to requests for unknown paths or with unknown methods. They are the
//! same in all frameworks, and come before any gate.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, thread, time::Duration};

use actix_web::{HttpServer, rt::System};
use clap::Parser;
use example_app::{App, Settings};
use gatepass::{MasterSecret, store::StoreErrorKind};
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::{ManualClock, StoreFault, TestStore};
use reqwest::{Client, Method};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};

/// Method, path, status, methods in `Allow`, reason. The clients have no token.
const ROWS: &[(&str, &str, u16, &str, &str)] = &[
    ("GET", "/nowhere", 404, "", ""),
    ("POST", "/nowhere", 404, "", ""),
    ("GET", "/me/", 404, "", ""),
    ("GET", "/auth/nowhere", 404, "", ""),
    ("POST", "/", 405, "GET HEAD", ""),
    ("POST", "/assets/page.js", 405, "GET HEAD", ""),
    ("GET", "/assets/nothing.js", 404, "", ""),
    ("POST", "/demo/config", 405, "GET HEAD", ""),
    ("GET", "/demo/steal", 405, "POST", ""),
    ("GET", "/demo/peer", 404, "", ""),
    ("DELETE", "/health", 405, "GET HEAD", ""),
    ("POST", "/ready", 405, "GET HEAD", ""),
    ("POST", "/openapi.json", 405, "GET HEAD", ""),
    ("POST", "/me", 405, "GET HEAD DELETE", ""),
    ("GET", "/me/password", 405, "PUT", ""),
    ("PUT", "/admin", 405, "GET HEAD", ""),
    ("POST", "/strict", 405, "GET HEAD", ""),
    ("PATCH", "/maybe", 405, "GET HEAD", ""),
    ("POST", "/account", 405, "GET HEAD", ""),
    ("GET", "/profile", 405, "POST", ""),
    ("HEAD", "/profile", 405, "POST", ""),
    ("DELETE", "/transfer", 405, "POST", ""),
    ("PUT", "/auth/login", 405, "POST", "method_not_allowed"),
    ("POST", "/demo/steal", 401, "", "missing"),
    ("POST", "/demo/replay", 401, "", "missing"),
    ("GET", "/demo/demote", 405, "POST", ""),
    ("POST", "/demo/demote", 401, "", "missing"),
    ("POST", "/demo/promote", 401, "", "missing"),
    ("GET", "/me", 401, "", "missing"),
    ("DELETE", "/me", 401, "", "missing"),
    ("PUT", "/me/password", 401, "", "missing"),
    ("GET", "/admin", 401, "", "missing"),
    ("GET", "/strict", 401, "", "missing"),
    ("POST", "/profile", 401, "", "missing"),
    ("POST", "/transfer", 401, "", "missing"),
    ("DELETE", "/auth/sessions", 401, "", "missing"),
];

/// The paths that also answer `HEAD`.
const HEADS: &[(&str, u16)] = &[
    ("/", 200),
    ("/assets/page.js", 200),
    ("/demo/config", 200),
    ("/health", 200),
    ("/ready", 200),
    ("/openapi.json", 200),
    ("/maybe", 200),
    ("/me", 401),
    ("/admin", 401),
    ("/strict", 401),
    ("/auth/login", 405),
    ("/auth/sessions", 401),
    ("/.well-known/jwks.json", 200),
    ("/.well-known/oauth-authorization-server", 200),
];

#[tokio::test]
async fn paths_and_methods_come_before_the_gate_in_every_framework() {
    let servers = Servers::start().await;
    for (method, path, status, allow, reason) in ROWS {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answers = servers.answers(&method, path).await;
        for (name, answer) in &answers {
            let case = format!("{name}: {method} {path}: {answer:?}");
            assert_eq!(answer.status, *status, "{case}");
            let allowed = answer.headers.get("allow").map(String::as_str);
            let mut allowed: Vec<_> = allowed.unwrap_or_default().split([',', ' ']).collect();
            allowed.retain(|method| !method.is_empty());
            assert_eq!(allowed.join(" "), *allow, "{case}");
            if reason.is_empty() {
                assert_eq!(answer.body, "", "{case}");
            } else if method != Method::HEAD {
                assert!(answer.body.contains(&format!(r#""{reason}""#)), "{case}");
            }
            assert_eq!(alike(answer), alike(&answers["axum"]), "{case}");
        }
    }
}

#[tokio::test]
async fn a_head_is_that_of_the_get_in_every_framework() {
    let servers = Servers::start().await;
    for (path, status) in HEADS {
        let gets = servers.answers(&Method::GET, path).await;
        for (name, mut head) in servers.answers(&Method::HEAD, path).await {
            let get = &gets[name];
            assert_eq!(
                (head.status, get.status),
                (*status, *status),
                "{name} {path}"
            );
            assert_eq!(head.body, "", "{name} {path}");
            // The length of an empty body is optional, and hyper omits it.
            if get.body.is_empty() {
                let length = get.headers.get("content-length").unwrap();
                head.headers
                    .insert("content-length".to_owned(), length.clone());
            }
            assert_eq!(head.headers, get.headers, "{name} {path}");
        }
    }
}

#[tokio::test]
async fn a_node_that_cannot_judge_says_so_to_probes_in_every_framework() {
    let servers = Servers::start().await;
    servers
        .faults
        .inject_everywhere(StoreFault::Fail(StoreErrorKind::Unavailable));
    servers.clock.advance(Duration::from_secs(60));
    for (path, status) in [("/ready", 503), ("/health", 200), ("/maybe", 200)] {
        for (name, answer) in servers.answers(&Method::GET, path).await {
            assert_eq!(answer.status, status, "{name} {path}");
        }
    }
}

/// The headers without two differences: one framework writes blanks in the list of methods, and not
/// all send the length 0 for a `HEAD`.
fn alike(answer: &Answer) -> BTreeMap<&str, &str> {
    let headers = answer.headers.iter();
    let headers = headers.map(|(name, value)| match name.as_str() {
        "allow" => (name.as_str(), ""),
        _ => (name.as_str(), value.as_str()),
    });
    headers
        .filter(|header| *header != ("content-length", "0"))
        .collect()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    /// Without headers that differ between requests, and without the headers of the frameworks' own
    /// CORS.
    headers: BTreeMap<String, String>,
    body: String,
}

/// The example in each framework, on its own port. All servers end with the test.
struct Servers {
    addresses: [(&'static str, SocketAddr); 3],
    client: Client,
    clock: ManualClock,
    faults: TestStore,
    _directory: TempDir,
    _tasks: JoinSet<()>,
}

impl Servers {
    async fn start() -> Self {
        let settings = Settings::parse_from(["example", "--store", "memory:"]);
        let secret = MasterSecret::generate().unwrap();
        let clock = ManualClock::new();
        let directory = TempDir::new().unwrap();
        // Not a store in memory: it has to be asked about each token, and is always ready.
        let store = SqliteStore::builder(directory.path().join("sessions.db"));
        let store = TestStore::new(store.clock(clock.clone()).open().unwrap());
        let faults = store.clone();
        let app = App::with_store(&settings, secret, Arc::new(store), clock.clone());
        let app = app.await.unwrap();
        let mut tasks = JoinSet::new();

        let (axum, axum_at) = listener().await;
        let router = example_axum::router(&app);
        tasks.spawn(async move { axum::serve(axum, router).await.unwrap() });

        let (warp, warp_at) = listener().await;
        let service = example_warp::service(&app, example_warp::routes(&app));
        let served = example_warp::serve(warp, service, std::future::pending());
        tasks.spawn(async move { served.await.unwrap() });

        let (actix, actix_at) = listener().await;
        let actix = actix.into_std().unwrap();
        thread::spawn(move || {
            let server = HttpServer::new(move || example_actix::application(&app));
            let server = server.workers(1).disable_signals().listen(actix).unwrap();
            System::new().block_on(server.run()).unwrap();
        });
        Self {
            addresses: [
                ("axum", axum_at),
                ("warp", warp_at),
                ("actix-web", actix_at),
            ],
            client: Client::new(),
            clock,
            faults,
            _directory: directory,
            _tasks: tasks,
        }
    }

    async fn answers(&self, method: &Method, path: &str) -> BTreeMap<&'static str, Answer> {
        let mut answers = BTreeMap::new();
        for (name, address) in self.addresses {
            let url = format!("http://{address}{path}");
            let request = self.client.request(method.clone(), url);
            let response = request.send().await.unwrap();
            let headers = response.headers().iter();
            let headers = headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .filter(|(name, _)| {
                    !["date", "x-request-id", "vary"].contains(&name.as_str())
                        && !name.starts_with("access-control-")
                });
            let answer = Answer {
                status: response.status().as_u16(),
                headers: headers.collect(),
                body: response.text().await.unwrap(),
            };
            answers.insert(name, answer);
        }
        answers
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
