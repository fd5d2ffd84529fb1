//! Users log in with a password, and show a passkey (WebAuthn) before they move money: a step-up.
//! `cargo run -p example-recipes --bin passkey_step_up`.

mod passkeys;
#[cfg(test)]
mod tests;

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    Router, body::Bytes, extract::State, http::request::Parts, response::IntoResponse,
    routing::post,
};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, Requirements, reauthenticated, routes,
};
use passkeys::{Passkeys, Refused};

/// The class of authentications that can't be phished (OpenID Connect EAP ACR Values 1.0).
const PHISHING_RESISTANT: &str = "phr";
const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);

type Bank = (Endpoints, Arc<Passkeys>);

/// Answers with new tokens, which say that the user has shown a passkey.
async fn step_up(
    State((endpoints, passkeys)): State<Bank>,
    Auth(pass): Auth,
    parts: Parts,
    answer: Bytes,
) -> Result<impl IntoResponse, Refused> {
    passkeys.verify(&pass, &answer)?;
    let identity = Identity::of(pass.subject().clone()).acr(PHISHING_RESISTANT)?;
    let identity = identity.amr(["pop", "user", "mfa"])?;
    Ok(reauthenticated(&endpoints, &pass, identity, &parts).await)
}

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?.amr(["pwd"])?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

/// The bank, whose pages are at `https://domain`, or at a port of this machine.
fn app(authority: &Authority, domain: &str, origin: &str) -> Result<Router, Box<dyn Error>> {
    let passkeys = Arc::new(Passkeys::new(domain, origin, PHISHING_RESISTANT)?);
    let registration = Arc::clone(&passkeys).registration();
    let challenge =
        async |State((_, passkeys)): State<Bank>, Auth(pass): Auth| passkeys.challenge(&pass);
    let transfer = async |Auth(pass): Auth| format!("the money of {} moves", pass.subject());
    let endpoints = Endpoints::new(authority.clone());
    let gate = GateLayer::new(authority);
    // A thief of an older token must not add a passkey of their own.
    let recent = Requirements::new().max_age(FIVE_MINUTES);
    let strong = recent.clone().acr([PHISHING_RESISTANT])?;
    let transfer = post(transfer).route_layer(gate.clone().require(strong));
    Ok(Router::new()
        .route("/step-up/options", post(challenge))
        .route("/step-up", post(step_up))
        .with_state((endpoints.clone(), passkeys))
        .route_layer(gate.clone())
        .route("/transfer", transfer)
        .merge(registration.route_layer(gate.require(recent)))
        .merge(routes(endpoints)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("http://localhost:3000", "bank", secret, MemoryStore::new())
        .authenticator(login)
        .build()
        .await?;
    example_recipes::serve(app(&authority, "localhost", "http://localhost:3000")?).await
}
