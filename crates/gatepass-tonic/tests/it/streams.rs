//! Calls that stream, and calls that take long.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use gatepass::{Authority, Identity, MasterSecret, MemoryStore, Requirements, Staleness};
use gatepass_testkit::{StoreFault, TestStore};
use gatepass_tonic::gate;
use http::{HeaderMap, uri::PathAndQuery};
use tokio::sync::mpsc;
use tonic::{
    Code, Request, Response, Status, client::Grpc, metadata::MetadataMap, transport::Channel,
};
use tonic_prost::ProstCodec;

use crate::served::{Served, login, subject};
use test_support::tonic::calls::{bearer, reason};

type Codec = ProstCodec<String, String>;

fn request<M>(message: M, metadata: &HeaderMap) -> Request<M> {
    let mut request = Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(metadata.clone());
    request
}

async fn client(served: &Served) -> Grpc<Channel> {
    let mut client = Grpc::new(served.channel.clone());
    client.ready().await.unwrap();
    client
}

fn path(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}

/// The answers to a call of each kind. A call that takes a stream sends three messages.
async fn of_each_kind(served: &Served, metadata: &HeaderMap) -> [Result<Vec<String>, Status>; 3] {
    let three = || stream::iter(["a", "b", "c"].map(str::to_owned));
    let gathered = client(served)
        .await
        .client_streaming(
            request(three(), metadata),
            path("/Probe/Gather"),
            Codec::default(),
        )
        .await
        .map(|answer| vec![answer.into_inner()]);
    let scattered = client(served)
        .await
        .server_streaming(
            request(String::new(), metadata),
            path("/Probe/Scatter"),
            Codec::default(),
        )
        .await
        .map(Response::into_inner);
    let echoed = client(served)
        .await
        .streaming(
            request(three(), metadata),
            path("/Probe/Echo"),
            Codec::default(),
        )
        .await
        .map(Response::into_inner);
    let mut answers = Vec::new();
    for messages in [scattered, echoed] {
        answers.push(match messages {
            Ok(messages) => messages.try_collect().await,
            Err(status) => Err(status),
        });
    }
    let [scattered, echoed] = answers.try_into().unwrap();
    [gathered, scattered, echoed]
}

#[tokio::test]
async fn streams_are_guarded_as_other_calls_are() {
    let (authority, served) = served().await;
    for answer in of_each_kind(&served, &HeaderMap::new()).await {
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(reason(&status), Some("missing"));
        assert!(status.metadata().contains_key("www-authenticate"));
    }
    assert_eq!(served.probe.reached(), 0);

    let token = bearer(&login(&authority, Identity::of(subject("alice"))).await);
    let [gathered, scattered, echoed] = of_each_kind(&served, &token).await;
    assert_eq!(gathered.unwrap(), ["alice: 3"]);
    assert_eq!(scattered.unwrap(), ["alice"; 3]);
    assert_eq!(echoed.unwrap(), ["alice: a", "alice: b", "alice: c"]);
    assert_eq!(served.connections(), 1, "a refusal closes no connection");
}

#[tokio::test]
async fn a_stream_that_is_under_way_when_its_session_ends_goes_on_and_the_next_call_is_refused() {
    let (authority, served) = served().await;
    let token = login(&authority, Identity::of(subject("alice"))).await;
    let metadata = bearer(&token);
    let (sender, mut messages) = mpsc::unbounded_channel();
    let messages = stream::poll_fn(move |cx| messages.poll_recv(cx));
    let mut echo = client(&served)
        .await
        .streaming(
            request(messages, &metadata),
            path("/Probe/Echo"),
            Codec::default(),
        )
        .await
        .unwrap()
        .into_inner();
    sender.send("before".to_owned()).unwrap();
    assert_eq!(echo.next().await.unwrap().unwrap(), "alice: before");

    authority.logout(&token).await.unwrap();
    sender.send("after".to_owned()).unwrap();
    assert_eq!(echo.next().await.unwrap().unwrap(), "alice: after");
    for answer in of_each_kind(&served, &metadata).await {
        assert_eq!(reason(&answer.unwrap_err()), Some("revoked"));
    }
    drop(sender);
    assert!(echo.next().await.is_none(), "it ends as it would have");
}

#[tokio::test]
async fn a_client_that_never_stops_sending_is_refused_at_once() {
    let (_, served) = served().await;
    let endless = stream::repeat("more".to_owned());
    let refused = client(&served)
        .await
        .client_streaming(
            request(endless, &HeaderMap::new()),
            path("/Probe/Gather"),
            Codec::default(),
        )
        .await;
    let status = refused.map(Response::<String>::into_inner).unwrap_err();
    assert_eq!(reason(&status), Some("missing"));
}

#[tokio::test]
async fn a_deadline_is_kept_by_a_service_and_by_a_gate_that_waits() {
    let store = TestStore::new(MemoryStore::new());
    let faults = store.clone();
    let secret = MasterSecret::generate().unwrap();
    let authority = Authority::builder("https://issuer.test", "api", secret, store)
        .store_timeout(Duration::from_secs(60))
        .build()
        .await
        .unwrap();
    let token = bearer(&login(&authority, Identity::of(subject("alice"))).await);
    let hanging = async |served: &Served, method: &'static str| {
        let mut call = request(String::new(), &token);
        call.set_timeout(Duration::from_millis(50));
        let answer = client(served)
            .await
            .unary(call, path(method), Codec::default())
            .await;
        answer.map(Response::<String>::into_inner).unwrap_err()
    };
    let gate = gate(&authority);
    let served = Served::start(gate.clone()).await;
    let in_service = hanging(&served, "/Probe/Never").await;

    faults.inject_everywhere(StoreFault::Hang);
    let served =
        Served::start(gate.require(Requirements::new().staleness(Staleness::Strict))).await;
    let in_guard = hanging(&served, "/Probe/Unary").await;
    assert_eq!(served.probe.reached(), 0);
    for status in [in_service, in_guard] {
        let code = status.code();
        assert!(
            matches!(code, Code::Cancelled | Code::DeadlineExceeded),
            "{status:?}"
        );
        assert_eq!(reason(&status), None, "no call was refused");
    }
}

async fn served() -> (Authority, Served) {
    let secret = MasterSecret::generate().unwrap();
    let authority = Authority::builder("https://issuer.test", "api", secret, MemoryStore::new())
        .build()
        .await
        .unwrap();
    let served = Served::start(gate(&authority)).await;
    (authority, served)
}
