//! The methods.

use std::pin::Pin;

use example_app::App;
use futures_util::{
    Stream, StreamExt,
    stream::{self, Iter},
};
use gatepass::{Authority, Pass, RequiredScopes};
use gatepass_tonic::{RequestAuth, status};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataValue};

use crate::proto::{Identity, Line, Session, Visitor, account_server::Account};

/// The scopes of an administrator's token.
struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin"];
}

pub(crate) struct Service {
    authority: Authority,
}

impl Service {
    pub(crate) fn new(app: &App) -> Self {
        Self {
            authority: app.authority.clone(),
        }
    }
}

#[tonic::async_trait]
impl Account for Service {
    async fn me(&self, request: Request<()>) -> Result<Response<Identity>, Status> {
        Ok(Response::new(identity(request.pass()?)))
    }

    async fn profile(&self, request: Request<()>) -> Result<Response<Identity>, Status> {
        Ok(Response::new(identity(request.pass()?)))
    }

    async fn admin(&self, request: Request<()>) -> Result<Response<Identity>, Status> {
        Ok(Response::new(identity(request.pass_with::<Admin>()?)))
    }

    async fn transfer(&self, request: Request<()>) -> Result<Response<Identity>, Status> {
        Ok(Response::new(identity(request.pass()?)))
    }

    /// Sets its own `Cache-Control`, so the gate adds none.
    async fn strict(&self, request: Request<()>) -> Result<Response<Identity>, Status> {
        let mut answer = Response::new(identity(request.pass()?));
        let no_store = MetadataValue::from_static("no-store");
        answer.metadata_mut().insert("cache-control", no_store);
        Ok(answer)
    }

    async fn maybe(&self, request: Request<()>) -> Result<Response<Visitor>, Status> {
        let pass = request.optional_pass()?;
        let subject = pass.map(|pass| pass.subject().to_string());
        Ok(Response::new(Visitor { subject }))
    }

    async fn health(&self, _: Request<()>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }

    type SessionsStream = Iter<std::vec::IntoIter<Result<Session, Status>>>;

    async fn sessions(
        &self,
        request: Request<()>,
    ) -> Result<Response<Self::SessionsStream>, Status> {
        let pass = request.pass()?;
        let sessions = self.authority.sessions(pass.subject(), None).await;
        let page = sessions.map_err(|error| status(self.authority.verifier(), &error))?;
        let messages = page.sessions.into_iter().map(|session| {
            Ok(Session {
                id: session.id.to_string(),
                device: session.identity.device_label().map(str::to_owned),
                created_at: session.created_at.to_string(),
                current: Some(session.id) == pass.session_id(),
            })
        });
        Ok(Response::new(stream::iter(Vec::from_iter(messages))))
    }

    type TicksStream = Lines;

    async fn ticks(&self, request: Request<()>) -> Result<Response<Lines>, Status> {
        let connection = request.connection()?;
        let ticks = example_app::ticks().map(|tick| Ok(line(tick)));
        Ok(Response::new(Box::pin(connection.stream(ticks))))
    }

    type TalkStream = Lines;

    async fn talk(&self, request: Request<Streaming<Line>>) -> Result<Response<Lines>, Status> {
        let connection = request.connection()?;
        let answering = connection.clone();
        let answers = request.into_inner().then(move |asked| {
            let connection = answering.clone();
            async move { Ok(line(example_app::talk(&connection, &asked?.text).await)) }
        });
        Ok(Response::new(Box::pin(connection.stream(answers))))
    }
}

/// A stream that ends with its session.
type Lines = Pin<Box<dyn Stream<Item = Result<Line, Status>> + Send>>;

fn line(text: impl Into<String>) -> Line {
    Line { text: text.into() }
}

fn identity(pass: &Pass) -> Identity {
    Identity {
        subject: pass.subject().to_string(),
        session_id: pass
            .session_id()
            .map(|id| id.to_string())
            .unwrap_or_default(),
        scope: pass.scopes().as_str().to_owned(),
        expires_at: pass.expires_at().to_string(),
    }
}
