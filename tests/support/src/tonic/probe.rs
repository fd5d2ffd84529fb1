//! A service with a method of each kind of stream. It counts the calls that reach its methods.

use std::{
    collections::HashMap,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use ::http;
use ::tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    codegen::Service,
    server::{
        ClientStreamingService, Grpc, NamedService, ServerStreamingService, StreamingService,
        UnaryService,
    },
};
use ::tonic_prost::ProstCodec;
use futures_util::{Stream, StreamExt, stream};
use gatepass_tonic::RequestAuth;

type Boxed<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
type Messages = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// `/Probe/Unary`, `/Probe/Gather`, `/Probe/Scatter` and `/Probe/Echo` need a user, and answer with
/// the user's name. `/Probe/Tenant` needs custom claims. `/Probe/Never` never answers.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    reached: Arc<AtomicUsize>,
}

impl Probe {
    /// The number of calls that reached a method.
    pub fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    fn who<M>(&self, request: &Request<M>) -> Result<String, Status> {
        self.reached.fetch_add(1, Ordering::SeqCst);
        Ok(request.pass()?.subject().to_string())
    }
}

impl NamedService for Probe {
    const NAME: &'static str = "Probe";
}

impl Service<http::Request<Body>> for Probe {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let probe = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok(match request.uri().path() {
                "/Probe/Unary" => grpc.unary(Unary(probe), request).await,
                "/Probe/Tenant" => grpc.unary(Tenant, request).await,
                "/Probe/Never" => grpc.unary(Never, request).await,
                "/Probe/Gather" => grpc.client_streaming(Gather(probe), request).await,
                "/Probe/Scatter" => grpc.server_streaming(Scatter(probe), request).await,
                "/Probe/Echo" => grpc.streaming(Echo(probe), request).await,
                _ => Status::new(Code::Unimplemented, "").into_http(),
            })
        })
    }
}

struct Unary(Probe);

impl UnaryService<String> for Unary {
    type Response = String;
    type Future = Boxed<String>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let who = self.0.who(&request);
        Box::pin(async move { Ok(Response::new(who?)) })
    }
}

struct Tenant;

impl UnaryService<String> for Tenant {
    type Response = String;
    type Future = Boxed<String>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let claims = request.claims::<HashMap<String, u32>>();
        Box::pin(async move { Ok(Response::new(claims?["tenant"].to_string())) })
    }
}

struct Never;

impl UnaryService<String> for Never {
    type Response = String;
    type Future = Boxed<String>;

    fn call(&mut self, _: Request<String>) -> Self::Future {
        Box::pin(std::future::pending())
    }
}

/// Answers with the caller, and with the number of messages.
struct Gather(Probe);

impl ClientStreamingService<String> for Gather {
    type Response = String;
    type Future = Boxed<String>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        let who = self.0.who(&request);
        Box::pin(async move {
            let who = who?;
            let mut messages = request.into_inner();
            let mut count = 0;
            while messages.message().await?.is_some() {
                count += 1;
            }
            Ok(Response::new(format!("{who}: {count}")))
        })
    }
}

/// Answers with the caller's name three times.
struct Scatter(Probe);

impl ServerStreamingService<String> for Scatter {
    type Response = String;
    type ResponseStream = Messages;
    type Future = Boxed<Messages>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let who = self.0.who(&request);
        Box::pin(async move {
            let names = vec![Ok(who?); 3];
            Ok(Response::new(stream::iter(names).boxed()))
        })
    }
}

/// Answers each message when it arrives, together with the caller's name.
struct Echo(Probe);

impl StreamingService<String> for Echo {
    type Response = String;
    type ResponseStream = Messages;
    type Future = Boxed<Messages>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        let who = self.0.who(&request);
        Box::pin(async move {
            let who = who?;
            let messages = request.into_inner();
            let echo = messages.map(move |message| Ok(format!("{who}: {}", message?)));
            Ok(Response::new(echo.boxed()))
        })
    }
}
