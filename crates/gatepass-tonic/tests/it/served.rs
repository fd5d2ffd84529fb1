//! The probe behind a gate, served on a socket of its own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::StreamExt;
use gatepass::{Authority, Device, Identity, Subject};
use gatepass_tonic::GateLayer;
use http::HeaderMap;
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{
    Status,
    service::LayerExt,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

use test_support::tonic::{calls::unary, probe::Probe};

/// A client's connection to the probe.
pub(crate) struct Served {
    pub(crate) channel: Channel,
    pub(crate) probe: Probe,
    connections: Arc<AtomicUsize>,
    /// Aborted when it is dropped.
    _server: JoinSet<()>,
}

impl Served {
    /// Serves the probe behind `gate`.
    pub(crate) async fn start(gate: GateLayer) -> Self {
        let probe = Probe::default();
        let guarded = gate.named_layer(probe.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let incoming = TcpIncoming::from(listener).inspect(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let mut server = JoinSet::new();
        server.spawn(async move {
            Server::builder()
                .add_service(guarded)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
        Self {
            channel: endpoint.connect().await.unwrap(),
            probe,
            connections,
            _server: server,
        }
    }

    /// How often the client has connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Asks the probe who is logged in.
    pub(crate) async fn unary(&self, metadata: HeaderMap) -> Result<String, Status> {
        let answer = unary(self.channel.clone(), "/Probe/Unary", metadata).await;
        answer.map(tonic::Response::into_inner)
    }
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

/// The access token of a new session.
pub(crate) async fn login(authority: &Authority, identity: Identity) -> String {
    let issued = authority.issue(identity, Device::default()).await.unwrap();
    issued.access_token.as_str().to_owned()
}
