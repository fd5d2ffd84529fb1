//! Streams of tonic: from the server, and in both directions.

use example_tonic::proto::{Line, account_client::AccountClient};
use futures_util::stream;
use gatepass_tonic::REASON;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Request, Status, Streaming, metadata::MetadataValue, transport::Channel};

use super::*;

async fn client(site: &Site) -> AccountClient<Channel> {
    let endpoint = Channel::from_shared(format!("http://{}", site.address)).unwrap();
    AccountClient::new(endpoint.connect().await.unwrap())
}

fn with<M>(issued: &Issued, message: M) -> Request<M> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let bearer = MetadataValue::try_from(bearer).unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

/// The status at the end of a stream.
async fn end(lines: &mut Streaming<Line>) -> Status {
    let end = async {
        loop {
            match lines.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ends as if all were well"),
                Err(status) => return status,
            }
        }
    };
    timeout(PATIENCE, end).await.unwrap()
}

fn assert_ended(way: Way, status: &Status) {
    let code = match way {
        Way::LostStore => Code::Unavailable,
        _ => Code::Unauthenticated,
    };
    let reason = status.metadata().get(REASON).unwrap();
    let actual = (status.code(), reason.to_str().unwrap());
    assert_eq!(actual, (code, way.reason()), "{way:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_the_server_ends_with_the_status_of_a_refusal() {
    for way in Way::ALL {
        let site = Site::start(Framework::Tonic).await;
        let issued = site.login().await;
        let mut client = client(&site).await;
        let ticks = client.ticks(with(&issued, ())).await.unwrap();
        let mut ticks = ticks.into_inner();
        assert_eq!(ticks.message().await.unwrap().unwrap().text, "tick");
        site.end(way, &issued).await;
        assert_ended(way, &end(&mut ticks).await);
    }
}

/// A stream to which a test sends line by line.
fn lines() -> (
    mpsc::UnboundedSender<String>,
    impl stream::Stream<Item = Line> + Send,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let lines = stream::unfold(receiver, |mut receiver| async {
        let text = receiver.recv().await?;
        Some((Line { text }, receiver))
    });
    (sender, lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_in_both_directions_ends_in_both() {
    for way in Way::ALL {
        let site = Site::start(Framework::Tonic).await;
        let issued = site.login().await;
        let mut client = client(&site).await;
        let (say, lines) = lines();
        say.send("hello".to_owned()).unwrap();
        let answers = client.talk(with(&issued, lines)).await.unwrap();
        let mut answers = answers.into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().text, "hello");
        site.end(way, &issued).await;
        assert_ended(way, &end(&mut answers).await);
        // The server accepts no more lines.
        timeout(PATIENCE, say.closed()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_in_both_directions_is_renewed_by_a_token_of_its_session_and_no_other() {
    let site = Site::start(Framework::Tonic).await;
    let (issued, other) = (site.login().await, site.login().await);
    let mut client = client(&site).await;
    let (say, lines) = lines();
    let renew = |issued: &Issued| format!("renew {}", issued.access_token.as_str());
    say.send(renew(&other)).unwrap();
    let answers = client.talk(with(&issued, lines)).await.unwrap();
    let mut answers = answers.into_inner();
    let refused = answers.message().await.unwrap().unwrap();
    assert_eq!(refused.text, "refused ambiguous");
    let authority = &site.app().authority;
    let newer = authority
        .refresh(issued.refresh_token.as_str())
        .await
        .unwrap();
    say.send(renew(&newer)).unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "renewed");
    // The stream now belongs to the newer token.
    site.end(Way::Revocation, &issued).await;
    tokio::time::sleep(SECOND).await;
    say.send("hello".to_owned()).unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "hello");
    site.end(Way::Revocation, &newer).await;
    assert_ended(Way::Revocation, &end(&mut answers).await);
}
