//! Guards in axum 0.8: a hand-written one with jsonwebtoken, axum-jwt-auth and
//! tower-oauth2-resource-server.

use std::sync::Arc;

use anyhow::Context;
use axum::{
    Extension, Router,
    extract::{FromRef, FromRequestParts},
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
    routing::get,
};
use axum_jwt_auth::{Decoder, LocalDecoder};
use gatepass_axum::{Auth, GateLayer};
use jsonwebtoken::{DecodingKey, Validation, decode};
use tokio::net::TcpListener;
use tower_oauth2_resource_server::{
    server::OAuth2ResourceServer, tenant::TenantConfiguration, validation::ClaimsValidationSpec,
};

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
        name: format!("axum 0.8, {}", kind.name()),
        address,
        guards: vec![
            guard("gatepass-axum", "/gatepass", ""),
            guard("by hand: jsonwebtoken 12", "/by-hand", NO_REVOCATION),
            guard("axum-jwt-auth", "/axum-jwt-auth", NO_REVOCATION),
            guard(
                "tower-oauth2-resource-server",
                "/tower-oauth2",
                NO_REVOCATION,
            ),
        ],
        headers,
        held: Vec::new(),
    })
}

async fn run(kind: Kind, ready: Ready<Vec<String>>) -> anyhow::Result<()> {
    let (authority, tokens) = kind.authority().await?;
    let issued_elsewhere = resource_server(kind, &kind.jwks(&authority)?).await?;
    let app = Router::new()
        .route("/tower-oauth2", get(tower_oauth2))
        .route_layer(issued_elsewhere.into_layer());
    let gate = GateLayer::new(&authority);
    let app = app
        .merge(
            Router::new()
                .route("/gatepass", get(gatepass))
                .route_layer(gate),
        )
        .route("/by-hand", get(by_hand))
        .route("/axum-jwt-auth", get(axum_jwt_auth))
        .route("/bare", get(bare))
        .with_state(Keys::of(kind)?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    ready.send((listener.local_addr()?, tokens))?;
    Ok(axum::serve(listener, app).await?)
}

async fn bare() -> &'static str {
    BODY
}

async fn gatepass(Auth(_): Auth) -> &'static str {
    BODY
}

async fn by_hand(ByHand(_): ByHand) -> &'static str {
    BODY
}

async fn axum_jwt_auth(_: axum_jwt_auth::Claims<Claims>) -> &'static str {
    BODY
}

async fn tower_oauth2(_: Extension<Claims>) -> &'static str {
    BODY
}

#[derive(Clone)]
struct Keys {
    by_hand: Arc<(DecodingKey, Validation)>,
    decoder: Decoder<Claims>,
}

impl Keys {
    fn of(kind: Kind) -> anyhow::Result<Self> {
        Ok(Self {
            by_hand: Arc::new(kind.by_hand()?),
            decoder: Arc::new(local_decoder(kind)?),
        })
    }
}

impl FromRef<Keys> for Decoder<Claims> {
    fn from_ref(keys: &Keys) -> Self {
        Arc::clone(&keys.decoder)
    }
}

/// The extractor that an application writes without a crate for it.
struct ByHand(#[expect(dead_code, reason = "a handler would read it")] Claims);

impl FromRequestParts<Keys> for ByHand {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, keys: &Keys) -> Result<Self, StatusCode> {
        let header = parts.headers.get(AUTHORIZATION);
        let token = header
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(StatusCode::UNAUTHORIZED)?;
        let (key, validation) = &*keys.by_hand;
        match decode(token, key, validation) {
            Ok(verified) => Ok(Self(verified.claims)),
            Err(_) => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

fn local_decoder(kind: Kind) -> anyhow::Result<LocalDecoder> {
    use jsonwebtoken_10::{Algorithm, DecodingKey, Validation};
    let (algorithm, key) = match kind {
        Kind::Hs256 => (
            Algorithm::HS256,
            DecodingKey::from_secret(SECRET.as_bytes()),
        ),
        Kind::EdDsa => (
            Algorithm::EdDSA,
            DecodingKey::from_ed_pem(PUBLIC.as_bytes())?,
        ),
    };
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    validation.leeway = LEEWAY;
    let decoder = LocalDecoder::builder().keys(vec![key]);
    Ok(decoder.validation(validation).build()?)
}

async fn resource_server(kind: Kind, jwks: &str) -> anyhow::Result<OAuth2ResourceServer<Claims>> {
    use jsonwebtoken_11::Algorithm;
    let algorithm = match kind {
        Kind::Hs256 => Algorithm::HS256,
        Kind::EdDsa => Algorithm::EdDSA,
    };
    let validation = ClaimsValidationSpec::new()
        .iss(ISSUER)
        .aud(&vec![AUDIENCE.to_owned()])
        .exp(true);
    let tenant = TenantConfiguration::static_builder(jwks)
        .claims_validation(validation)
        .allowed_algorithms(&[algorithm])
        .build();
    let tenant = tenant.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let server = OAuth2ResourceServer::<Claims>::builder().add_tenant(tenant);
    let server = server
        .build()
        .await
        .map_err(|error| anyhow::anyhow!("{error:?}"));
    server.context("tower-oauth2-resource-server")
}
