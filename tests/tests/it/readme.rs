//! The code in the READMEs is the code in `tests/readme` and in the smallest examples. It logs a
//! user in, and knows the user of a request.
#![allow(
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "these are a reader's programs, and generated code"
)]

use std::{
    io::Write,
    net::SocketAddr,
    process::{Child, Command},
    thread,
    time::Duration,
};

use gatepass::{
    Authority, Device, Error, Identity, KeySet, MasterSecret, Refusal, Requirements, Staleness,
    keys::SigningKey,
};
use gatepass_postgres::PostgresStore;
use gatepass_tests::sockets::cut_off_after;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tonic::{client::Grpc, codegen::http::uri::PathAndQuery, transport::Endpoint};
use tonic_prost::ProstCodec;

/// A file's `serve` over the authority of the first file. Both are pasted into one place, as
/// readers do.
macro_rules! served {
    ($module:ident, $file:literal) => {
        mod $module {
            include!("../../readme/authority.rs");
            include!($file);

            pub(crate) async fn start(listener: TcpListener, file: String) {
                let secret = super::secret();
                let secret = secret.path().to_str().unwrap();
                let authority = authority(secret, &file).await.unwrap();
                serve(listener, authority).await.unwrap();
            }
        }
    };
}

served!(in_axum, "../../readme/axum.rs");
served!(in_actix, "../../readme/actix.rs");
served!(in_warp, "../../readme/warp.rs");

/// A file with a master secret. Only its owner may read it.
fn secret() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&[7; 64]).unwrap();
    file
}

/// A page and its programs. The page's doc test compiles them, but must not run them.
struct Page {
    text: &'static str,
    hello: &'static str,
    /// The page's language tag for the smallest example.
    mark: &'static str,
    others: &'static [&'static str],
}

const FRONT: Page = Page {
    text: include_str!("../../../README.md"),
    hello: include_str!("../../../examples/hello-axum/src/main.rs"),
    mark: "rust,no_run",
    others: &[],
};

const PAGES: [Page; 5] = [
    FRONT,
    Page {
        text: include_str!("../../../crates/gatepass-axum/README.md"),
        hello: FRONT.hello,
        mark: "rust,no_run",
        others: &[
            include_str!("../../readme/authority.rs"),
            include_str!("../../readme/axum.rs"),
        ],
    },
    Page {
        text: include_str!("../../../crates/gatepass-actix/README.md"),
        hello: include_str!("../../../examples/hello-actix/src/main.rs"),
        mark: "rust,no_run",
        others: &[include_str!("../../readme/actix.rs")],
    },
    Page {
        text: include_str!("../../../crates/gatepass-warp/README.md"),
        hello: include_str!("../../../examples/hello-warp/src/main.rs"),
        mark: "rust,no_run",
        others: &[include_str!("../../readme/warp.rs")],
    },
    Page {
        text: include_str!("../../../crates/gatepass-tonic/README.md"),
        hello: include_str!("../../../examples/hello-tonic/src/main.rs"),
        // A doc test can't use code that was generated from a `.proto`.
        mark: "rust,ignore",
        others: &[],
    },
];

const ON_SERVICES_THAT_VERIFY: &str = include_str!("../../../crates/gatepass-postgres/README.md");

/// The code of a smallest example, without the documentation at its head.
fn program(source: &str) -> &str {
    let (_, program) = source.split_once("\n\n").unwrap();
    program
}

#[test]
fn the_readmes_show_the_code_that_is_run() {
    for page in PAGES {
        let hello = format!("```{}\n{}```\n", page.mark, program(page.hello));
        let (before, _) = page.text.split_once(&hello).expect(&hello);
        assert!(!before.contains("```rust"), "it comes first");
        for file in page.others {
            let block = format!("```rust\n{file}```\n");
            assert!(page.text.contains(&block), "not on the page:\n{block}");
        }
        assert_eq!(page.text.matches("```rust").count(), 1 + page.others.len());
    }
    let verifier = include_str!("../../readme/verifier.rs");
    let block = format!("```rust\n{verifier}```\n");
    assert!(ON_SERVICES_THAT_VERIFY.contains(&block));
}

#[test]
fn the_front_page_is_short() {
    assert!(FRONT.text.lines().count() <= 150);
    for page in &PAGES[..4] {
        let lines = program(page.hello).lines().count();
        assert!(lines <= 38, "{lines} lines:\n{}", page.hello);
    }
    assert!(program(FRONT.hello).lines().count() <= 35);
}

/// A running smallest example.
struct Hello {
    service: Service,
    process: Child,
    address: SocketAddr,
}

impl Hello {
    /// Starts the example, and waits until it listens.
    async fn start(path: &str, port: u16) -> Self {
        let service = Service::new();
        // An address of this process alone, because a free port may be taken a moment later.
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let address = SocketAddr::from(([127, high | 128, middle, low], port));
        let process = Command::new(path)
            .current_dir(service.directory.path())
            .env("LISTEN", address.to_string())
            .spawn();
        let mut hello = Self {
            service,
            process: process.unwrap(),
            address,
        };
        let mut is_up = false;
        while !is_up {
            sleep(Duration::from_millis(20)).await;
            is_up = TcpStream::connect(address).await.is_ok();
            // Another program may answer there, if it listens on every address.
            let ended = hello.process.try_wait().unwrap();
            assert_eq!(ended, None, "{path} does not start at {address}");
        }
        hello
    }

    async fn knows_alice(&self) {
        self.service.knows_alice(self.address).await;
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_least_example_in_axum_knows_who_has_logged_in() {
    let hello = Hello::start(env!("CARGO_BIN_EXE_hello-axum-under-test"), 11_270).await;
    hello.knows_alice().await;
    hello.service.lists_the_address(hello.address).await;
}

#[tokio::test]
async fn the_least_example_in_actix_web_knows_who_has_logged_in() {
    let hello = Hello::start(env!("CARGO_BIN_EXE_hello-actix-under-test"), 11_271).await;
    hello.knows_alice().await;
    hello.service.lists_the_address(hello.address).await;
}

#[tokio::test]
async fn the_least_example_in_warp_knows_who_has_logged_in() {
    let hello = Hello::start(env!("CARGO_BIN_EXE_hello-warp-under-test"), 11_272).await;
    hello.knows_alice().await;
    hello.service.lists_the_address(hello.address).await;
}

#[tokio::test]
async fn readme_code_for_axum_knows_who_has_logged_in() {
    let service = Service::new();
    let (listener, address) = listener().await;
    let mut server = JoinSet::new();
    server.spawn(in_axum::start(listener, service.file()));
    service.knows_alice(address).await;
    service.lists_the_address(address).await;
    assert_eq!(cut_off_after(address, HALF_A_HEAD).await, LIMIT);
}

#[tokio::test]
async fn readme_code_for_actix_web_knows_who_has_logged_in() {
    let service = Service::new();
    let (listener, address) = listener().await;
    let listener = listener.into_std().unwrap();
    let file = service.file();
    // The task ends with the test.
    thread::spawn(|| actix_web::rt::System::new().block_on(in_actix::start(listener, file)));
    service.knows_alice(address).await;
}

#[tokio::test]
async fn readme_code_for_warp_knows_who_has_logged_in() {
    let service = Service::new();
    let (listener, address) = listener().await;
    let mut server = JoinSet::new();
    server.spawn(in_warp::start(listener, service.file()));
    service.knows_alice(address).await;
    service.lists_the_address(address).await;
    assert_eq!(cut_off_after(address, HALF_A_HEAD).await, LIMIT);
}

#[tokio::test]
async fn the_least_example_in_tonic_knows_who_has_logged_in() {
    let hello = Hello::start(env!("CARGO_BIN_EXE_hello-tonic-under-test"), 11_273).await;
    hello.service.lists_the_address(hello.address).await;
    let bearer = hello.service.log_in(hello.address).await;
    let endpoint: Endpoint = format!("http://{}", hello.address).parse().unwrap();
    let mut client = Grpc::new(endpoint.connect().await.unwrap());
    let mut me = async |bearer: Option<&str>| {
        let mut request = tonic::Request::new(());
        if let Some(bearer) = bearer {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", bearer.parse().unwrap());
        }
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static("/shop.Shop/Me");
        client
            .unary(request, path, ProstCodec::<(), String>::default())
            .await
    };
    let answer = me(Some(&bearer)).await.unwrap();
    assert_eq!(answer.into_inner(), "you are alice");
    let refused = me(None).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}

mod verifying {
    include!("../../readme/verifier.rs");

    pub(crate) async fn start(jwks: &str, database: &str) -> Verifier {
        verifier(jwks, database).await.unwrap()
    }
}

#[tokio::test]
async fn readme_code_for_services_that_only_verify_learns_of_a_logout() {
    let database = std::env::var("GATEPASS_TEST_POSTGRES");
    let database = database.expect("run `cargo xtask servers`, and do what it prints");
    let store = PostgresStore::connect(database.as_str()).await.unwrap();
    let secret = MasterSecret::from_bytes(&[7; 64]).unwrap();
    let key = SigningKey::from_any_pem(include_bytes!("../../support/keys/ed25519.pem")).unwrap();
    let authority = Authority::builder("https://shop.example", "shop-api", secret, store)
        .keys(KeySet::signing(key))
        .build();
    let authority = authority.await.unwrap();
    let directory = TempDir::new().unwrap();
    let jwks = directory.path().join("jwks.json");
    std::fs::write(&jwks, authority.verifier().jwks()).unwrap();

    let verifier = verifying::start(jwks.to_str().unwrap(), &database).await;
    let alice = Identity::new("alice").unwrap();
    let issued = authority.issue(alice, Device::default()).await.unwrap();
    let token = issued.access_token.as_str();
    let pass = verifier.verify(token, &Requirements::new()).await.unwrap();
    assert_eq!(pass.subject().as_str(), "alice");
    authority.logout(token).await.unwrap();
    let strict = Requirements::new().staleness(Staleness::Within(Duration::ZERO));
    let refused = verifier.verify(token, &strict).await.unwrap_err();
    assert!(
        matches!(refused, Error::Refused(Refusal::Revoked)),
        "{refused}"
    );
}

/// How long a client may take for the head of a request, as on the page.
const LIMIT: Duration = Duration::from_secs(30);
const HALF_A_HEAD: &[u8] = b"GET /me HTTP/1.1\r\nhost: loc";

/// A directory for the database, and a client.
struct Service {
    client: Client,
    directory: TempDir,
}

impl Service {
    fn new() -> Self {
        Self {
            client: Client::new(),
            directory: TempDir::new().unwrap(),
        }
    }

    fn file(&self) -> String {
        let file = self.directory.path().join("gatepass.db");
        file.to_str().unwrap().to_owned()
    }

    async fn knows_alice(&self, address: SocketAddr) {
        let bearer = self.log_in(address).await;
        let me = || self.client.get(format!("http://{address}/me"));
        let answer = me().header("authorization", bearer).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "you are alice");
        assert_eq!(me().send().await.unwrap().status(), 401);
    }

    async fn lists_the_address(&self, address: SocketAddr) {
        let bearer = self.log_in(address).await;
        let sessions = self.client.get(format!("http://{address}/auth/sessions"));
        let sessions = sessions.header("authorization", bearer).send();
        let sessions: Value = sessions.await.unwrap().json().await.unwrap();
        assert_eq!(sessions["sessions"][0]["address"], "127.0.0.1");
    }

    async fn log_in(&self, address: SocketAddr) -> String {
        let request = self.client.post(format!("http://{address}/auth/login"));
        let request = request.json(&json!({ "username": "alice", "password": "wonderland" }));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        format!("Bearer {}", answer["access_token"].as_str().unwrap())
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
