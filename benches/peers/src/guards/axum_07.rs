//! jwt-authorizer, which still uses axum 0.7. The layer of gatepass also works there.

use axum_07::{Router, routing::get};
use gatepass_axum::GateLayer;
use jwt_authorizer::{IntoLayer, JwtAuthorizer, JwtClaims, Validation};
use tokio::net::TcpListener;

use super::NO_REVOCATION;
use crate::{
    client::BODY,
    group::{Group, Guard, Ready, bearers, serve},
    tokens::{AUDIENCE, Claims, ISSUER, Kind, LEEWAY, PUBLIC, SECRET},
};

pub(crate) fn hs256() -> anyhow::Result<Group> {
    group(Kind::Hs256)
}

pub(crate) fn eddsa() -> anyhow::Result<Group> {
    group(Kind::EdDsa)
}

fn group(kind: Kind) -> anyhow::Result<Group> {
    let (address, tokens) = serve(move |ready| run(kind, ready))?;
    let headers = bearers(&tokens);
    let guard = |name, path, less| Guard {
        name,
        path,
        headers: headers.clone(),
        less,
    };
    Ok(Group {
        name: format!("axum 0.7, {}", kind.name()),
        address,
        guards: vec![
            guard("gatepass-tower", "/gatepass", ""),
            guard("jwt-authorizer", "/jwt-authorizer", NO_REVOCATION),
        ],
        headers,
        held: Vec::new(),
    })
}

async fn run(kind: Kind, ready: Ready<Vec<String>>) -> anyhow::Result<()> {
    let (authority, tokens) = kind.authority().await?;
    let builder = match kind {
        Kind::Hs256 => JwtAuthorizer::<Claims>::from_secret(SECRET),
        Kind::EdDsa => JwtAuthorizer::<Claims>::from_ed_pem_text(PUBLIC),
    };
    let validation = Validation::new()
        .iss(&[ISSUER])
        .aud(&[AUDIENCE])
        .leeway(LEEWAY);
    let authorizer = builder.validation(validation).build().await?;
    let theirs = Router::new().route("/jwt-authorizer", get(jwt_authorizer));
    let ours = Router::new().route("/gatepass", get(bare));
    let app = Router::new()
        .merge(theirs.route_layer(authorizer.into_layer()))
        .merge(ours.route_layer(GateLayer::new(&authority)))
        .route("/bare", get(bare));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    ready.send((listener.local_addr()?, tokens))?;
    Ok(axum_07::serve(listener, app).await?)
}

async fn bare() -> &'static str {
    BODY
}

async fn jwt_authorizer(_: JwtClaims<Claims>) -> &'static str {
    BODY
}
