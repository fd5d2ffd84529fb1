//! actix-web-httpauth, which only finds the credentials, with jsonwebtoken as its validator.

use std::sync::Arc;

use actix_web::{
    App, Error, HttpMessage, HttpServer,
    dev::ServiceRequest,
    error::ErrorUnauthorized,
    web::{self, ReqData},
};
use actix_web_httpauth::{extractors::bearer::BearerAuth, middleware::HttpAuthentication};
use gatepass_actix::{Auth, Gate};
use jsonwebtoken::{DecodingKey, Validation, decode};

use super::NO_REVOCATION;
use crate::{
    client::BODY,
    group::{Group, Guard, Ready, bearers, serve},
    tokens::{Claims, Kind},
};

pub(crate) fn hs256() -> anyhow::Result<Group> {
    group(Kind::Hs256)
}

pub(crate) fn eddsa() -> anyhow::Result<Group> {
    group(Kind::EdDsa)
}

fn group(kind: Kind) -> anyhow::Result<Group> {
    // `serve` needs futures that run without actix-web's system.
    let (address, tokens) = serve(move |ready| async move {
        std::thread::spawn(move || actix_web::rt::System::new().block_on(run(kind, ready)))
            .join()
            .map_err(|_| anyhow::anyhow!("actix-web panicked"))?
    })?;
    let headers = bearers(&tokens);
    let guard = |name, path, less| Guard {
        name,
        path,
        headers: headers.clone(),
        less,
    };
    Ok(Group {
        name: format!("actix-web 4, {}", kind.name()),
        address,
        guards: vec![
            guard("gatepass-actix", "/gatepass", ""),
            guard(
                "actix-web-httpauth, jsonwebtoken 12",
                "/httpauth",
                NO_REVOCATION,
            ),
        ],
        headers,
        held: Vec::new(),
    })
}

async fn run(kind: Kind, ready: Ready<Vec<String>>) -> anyhow::Result<()> {
    let (authority, tokens) = kind.authority().await?;
    let (gate, keys) = (Gate::new(&authority), Arc::new(kind.by_hand()?));
    let server = HttpServer::new(move || {
        let keys = Arc::clone(&keys);
        let theirs = HttpAuthentication::bearer(move |request, bearer| {
            let verified = validate(&keys, request, &bearer);
            async move { verified }
        });
        App::new()
            .route("/bare", web::get().to(bare))
            .service(
                web::resource("/gatepass")
                    .route(web::get().to(gatepass))
                    .wrap(gate.clone()),
            )
            .service(
                web::resource("/httpauth")
                    .route(web::get().to(httpauth))
                    .wrap(theirs),
            )
    });
    let server = server.workers(1).bind("127.0.0.1:0")?;
    let address = server.addrs().first().copied();
    let address = address.ok_or_else(|| anyhow::anyhow!("no address"))?;
    let running = server.run();
    ready.send((address, tokens))?;
    Ok(running.await?)
}

fn validate(
    (key, validation): &(DecodingKey, Validation),
    request: ServiceRequest,
    bearer: &BearerAuth,
) -> Result<ServiceRequest, (Error, ServiceRequest)> {
    match decode::<Claims>(bearer.token(), key, validation) {
        Ok(verified) => {
            request.extensions_mut().insert(verified.claims);
            Ok(request)
        }
        Err(error) => Err((ErrorUnauthorized(error), request)),
    }
}

async fn bare() -> &'static str {
    BODY
}

async fn gatepass(_: Auth) -> &'static str {
    BODY
}

async fn httpauth(_: ReqData<Claims>) -> &'static str {
    BODY
}
