//! Users log in through an OpenID Connect provider, such as Keycloak or Auth0, and a logout there
//! ends the session here. Register `http://localhost:3000/callback` at the provider. Then run
//! `ISSUER=https://sso.example CLIENT_SECRET=… cargo run -p example-recipes --bin oidc_login`.

mod provider;
#[cfg(test)]
mod tests;

use std::{env, error::Error, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::request::Parts,
    response::{IntoResponse, Redirect},
    routing::get,
};
use gatepass::{
    Subject,
    issuers::{Issuers, TrustedIssuer},
    wire::Delivery,
};
use gatepass_axum::{
    Auth, Authority, Endpoints, GateLayer, Identity, LocalPath, MasterSecret, MemoryStore,
    Transport, issue, routes,
};
use provider::{Failed, Provider};

/// The client as which the shop is registered at the provider.
const CLIENT: &str = "shop-web";

type Shop = (Endpoints, Arc<Provider>);

/// A user of the provider has its own subject here, which no other user can have.
fn subject(user: &str) -> Option<Subject> {
    Subject::new(format!("sso/{user}")).ok()
}

/// Begins the session of a user who comes back from the provider.
async fn callback(State(shop): State<Shop>, parts: Parts) -> Result<impl IntoResponse, Failed> {
    let (endpoints, provider) = shop;
    let user = provider.finish_login(&parts).await?;
    let subject = subject(user.login.subject().as_str()).ok_or("a name that is too long")?;
    let identity = Identity::of(subject).logged_in_by(user.login);
    let mut identity = identity.amr(user.methods)?;
    if let Some(class) = user.class {
        identity = identity.acr(class)?;
    }
    let tokens = issue(&endpoints, identity, &parts, Delivery::Cookies).await;
    Ok(tokens.map(|tokens| (tokens, Redirect::to("/"))))
}

/// The shop at the URL `own`, whose users log in at the provider `issuer`.
async fn app(own: &str, issuer: &str, secret: &str) -> Result<Router, Box<dyn Error>> {
    let provider = Provider::discover(issuer, CLIENT, secret, format!("{own}/callback")).await?;
    let authority = Authority::builder(own, "shop", MasterSecret::generate()?, MemoryStore::new())
        .transport(Transport::Cookie)
        .issuers(Issuers::with_reqwest()?.trust(TrustedIssuer::for_logins(issuer, CLIENT)))
        .backchannel_logout(async |_issuer, user| Ok(subject(user.as_str())))
        .build()
        .await?;
    let endpoints = Endpoints::new(authority.clone());
    let gate = GateLayer::new(&authority).auto_refresh(&authority);
    let gate = gate.login_page("/login".parse::<LocalPath>()?);
    let home = async |Auth(pass): Auth| format!("the orders of {}", pass.subject());
    let log_in = async |State((_, provider)): State<Shop>| provider.begin_login().await;
    Ok(Router::new()
        .route("/", get(home).route_layer(gate))
        .route("/login", get(log_in))
        .route("/callback", get(callback))
        .with_state((endpoints.clone(), Arc::new(provider)))
        .merge(routes(endpoints)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (issuer, secret) = (env::var("ISSUER")?, env::var("CLIENT_SECRET")?);
    example_recipes::serve(app("http://localhost:3000", &issuer, &secret).await?).await
}
