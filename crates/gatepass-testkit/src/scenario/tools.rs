//! The tools: a service that issues no tokens and trusts another issuer, as an MCP server does.

use std::time::Duration;

use async_trait::async_trait;
use gatepass::{
    Authority, AuthorityBuilder, Clock, Error, KeySet, MasterSecret, MemoryStore, Pass,
    ProtectedResource, Scopes,
    issuers::{FetchError, FetchRequest, Fetched, Fetcher, Issuers, TrustedIssuer},
    keys::{KeyError, SigningKey},
    wire::{Endpoint, Endpoints, ResourceMetadata},
};
use serde_json::{Value, json};

use super::{
    Request, Scenario,
    provider::{self, CLIENT, LOGIN, Provider},
    shop::Customers,
    wording,
};

/// The tools: a third application, whose users log in at another service. It describes itself as a
/// protected resource, and takes logout tokens of the issuer that it trusts. A driver mounts its
/// [`metadata`](Self::metadata), its [`endpoints`](Self::endpoints), the endpoints of its
/// [`logins`](Self::logins), and these routes:
///
/// | route | requires | answers |
/// |---|---|---|
/// | `GET /tools/me` | an access token | 200, [`me`](Self::me) |
/// | `GET /tools/reports` | scope `admin` | 200, the same |
/// | `GET /tools/admin` | an access token; the extractor wants the scope `admin` | 200, the same |
/// | `GET /tools/own` | an access token of the [own issuer](gatepass::Requirements::own_issuer) | 200, the same |
/// | `POST /tools/logout` | an access token | 204, after [`log_out`](Self::log_out) |
/// | `GET /tools/logout-tokens` | nothing: no gate | 200, [`logout_tokens`](Self::logout_tokens) |
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tools {
    /// Its authority, for gates.
    pub authority: Authority,
    /// Its description.
    pub metadata: ResourceMetadata,
    /// Its own endpoints, for sessions that begin with a login at the trusted issuer.
    pub endpoints: Endpoints,
    /// The endpoints of three issuers: the trusted one, the same with tokens for another service,
    /// and an impostor.
    pub logins: [Endpoints; 3],
    provider: Provider,
}

const TOOLS: &str = "https://tools.test/mcp";

/// Two Ed25519 keys: the key of RFC 8410, section 10.3, and another one.
const KEYS: [&str; 2] = [
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
    "MC4CAQAwBQYDK2VwBCIEIEA/cKGVyrlSd5HNmrNIV3sD9ZHfVmOTNiYlzMwpFAgi",
];

impl Tools {
    /// Starts the tools and their issuers with the users of [`USERS`](super::USERS) and stores in
    /// memory.
    ///
    /// # Errors
    ///
    /// If the machine lacks something, for example random numbers.
    pub async fn start(
        clock: impl Clock + Clone,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let login = async |audience: &'static str, key: &str, mount: &'static str| {
            let keys = KeySet::signing(signing_key(key)?);
            let (secret, store) = (MasterSecret::generate()?, of_clock(&clock));
            let login = Authority::builder(LOGIN, audience, secret, store)
                .keys(keys)
                .authenticator(Customers)
                .clock(clock.clone());
            let login = login.build().await?;
            let endpoints = Endpoints::builder(login.clone())
                .mount(mount)
                .without(Endpoint::Jwks)
                .without(Endpoint::Metadata);
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((login, endpoints.build()?))
        };
        let [own, other] = KEYS;
        let (trusted, endpoints) = login(TOOLS, own, "/logins/trusted").await?;
        let (_, elsewhere) = login("https://other.test", own, "/logins/elsewhere").await?;
        let (_, impostor) = login(TOOLS, other, "/logins/impostor").await?;
        let provider = Provider::new(KEYS, signing_key(own)?.verifying_key().id(), clock.clone())?;
        let authority = tools(trusted, clock.clone())?
            .authenticator(provider.logins())
            .backchannel_logout(provider::subject_of)
            .build()
            .await?;
        let own = Endpoints::builder(authority.clone())
            .mount("/tools/auth")
            .only([
                Endpoint::Login,
                Endpoint::Refresh,
                Endpoint::BackchannelLogout,
            ]);
        Ok(Self {
            metadata: ResourceMetadata::new(&authority)?,
            authority,
            endpoints: own.build()?,
            provider,
            logins: [endpoints, elsewhere, impostor],
        })
    }

    /// The claims that a handler learns about a user.
    #[must_use]
    pub fn me(pass: &Pass) -> Value {
        json!({
            "subject": pass.subject().as_str(),
            "issuer": pass.foreign_issuer().map(|issuer| issuer.as_str()),
            "client_id": pass.client_id().map(|client| client.as_str()),
            "scope": pass.scopes().as_str(),
            "session_id": pass.session_id().map(|id| id.to_string()),
        })
    }

    /// Tokens that the trusted issuer could sign now about its user `alice`, by name. Some are good
    /// logout tokens, and the endpoint refuses the others.
    #[must_use]
    pub fn logout_tokens(&self) -> Value {
        self.provider.logout_tokens()
    }

    /// Revokes the user's token.
    ///
    /// # Errors
    ///
    /// None: the store is in memory.
    pub async fn log_out(&self, pass: &Pass) -> Result<(), Error> {
        self.authority.revoke_token(pass).await.map(drop)
    }
}

fn signing_key(key: &str) -> Result<SigningKey, KeyError> {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    SigningKey::from_any_pem(pem.as_bytes())
}

fn of_clock(clock: &(impl Clock + Clone)) -> MemoryStore {
    MemoryStore::with_clock(clock.clone())
}

/// The tools, which trust `login`.
fn tools(
    login: Authority,
    clock: impl Clock + Clone,
) -> Result<AuthorityBuilder, Box<dyn std::error::Error + Send + Sync>> {
    let trusted = TrustedIssuer::new(LOGIN, TOOLS)
        .login_client(CLIENT)
        .jwks_url("https://login.test/jwks");
    let resource = ProtectedResource::new(TOOLS).scopes(Scopes::parse("profile admin")?);
    let (secret, store) = (MasterSecret::generate()?, of_clock(&clock));
    let authority = Authority::builder("https://tools.test", "tools", secret, store)
        .issuers(Issuers::new(Published(login)).trust(trusted))
        .protected_resource(resource.name("Tools"))
        .clock(clock);
    Ok(authority)
}

/// The keys of an issuer, without a network.
struct Published(Authority);

#[async_trait]
impl Fetcher for Published {
    async fn fetch(&self, _: FetchRequest) -> Result<Fetched, FetchError> {
        Ok(Fetched::document(self.0.verifier().jwks(), None))
    }
}

pub(super) fn me() -> Request {
    Request::get("/tools/me")
}

/// A challenge of the tools with these parameters between its realm and its metadata URL.
fn challenge(parameters: &str) -> String {
    let metadata = "https://tools.test/.well-known/oauth-protected-resource/mcp";
    format!(r#"Bearer realm="https://tools.test"{parameters}, resource_metadata="{metadata}""#)
}

impl Scenario {
    /// A user of [`USERS`](super::USERS) logs in at one of the [`logins`](Tools::logins).
    pub(super) fn logged_in_at(self, login: &str, name: &str) -> Self {
        let password = format!("{name}'s password");
        let path = format!("/logins/{login}/login");
        let login = Request::post(path).json(&json!({ "username": name, "password": password }));
        self.send(login, 200).keep("/access_token", "access")
    }

    pub(super) fn refused_by_tools(
        self,
        request: Request,
        reason: &'static str,
        text: &str,
    ) -> Self {
        let text = format!(r#", error="invalid_token", error_description="{text}""#);
        self.send(request, 401)
            .json("/reason", reason)
            .header("www-authenticate", challenge(&text))
            .header("cache-control", "no-store")
    }
}

/// A client gets from the URL of a resource to a token for it (RFC 9728).
#[must_use]
pub fn a_client_finds_out_who_issues_tokens_for_a_resource() -> Scenario {
    let path = "/.well-known/oauth-protected-resource/mcp";
    Scenario::new("a_client_finds_out_who_issues_tokens_for_a_resource")
        .send(me(), 401)
        .json("/reason", "missing")
        .header("www-authenticate", challenge(""))
        .send(Request::get("/tools/reports"), 401)
        .header("www-authenticate", challenge(r#", scope="admin""#))
        .send(Request::get(path), 200)
        .header("content-type", "application/json")
        .header("cache-control", "public, max-age=300")
        .header("access-control-allow-origin", "*")
        .json(
            "",
            json!({
                "resource": TOOLS,
                "authorization_servers": [LOGIN],
                "scopes_supported": ["admin", "profile"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Tools",
            }),
        )
        .keep_header("etag", "same")
        .send(Request::get(path).header("if-none-match", "{same}"), 304)
        .empty()
        .send(Request::method("HEAD", path), 200)
        .empty()
        .send(Request::post(path), 405)
        .allows("GET, HEAD")
        .json("/reason", "method_not_allowed")
        .logged_in_at("trusted", "alice")
        .send(me().bearer("{access}"), 200)
}

/// The handler learns who the user is, and that another issuer vouches for the user.
#[must_use]
pub fn a_token_of_a_trusted_issuer_passes_the_gate() -> Scenario {
    Scenario::new("a_token_of_a_trusted_issuer_passes_the_gate")
        .logged_in_at("trusted", "alice")
        .send(me().bearer("{access}"), 200)
        .json(
            "",
            json!({
                "subject": "alice",
                "issuer": LOGIN,
                "client_id": "default",
                "scope": "profile",
                "session_id": null,
            }),
        )
        .refused_by_tools(
            Request::get("/tools/own").bearer("{access}"),
            "wrong_issuer",
            "the token is from another issuer",
        )
}

/// The gate applies the rules of the service's own tokens.
#[must_use]
pub fn scopes_of_a_trusted_issuer_are_judged() -> Scenario {
    let lacks = r#", error="insufficient_scope", error_description="the token lacks a scope", scope="admin""#;
    let scenario = Scenario::new("scopes_of_a_trusted_issuer_are_judged");
    ["/tools/reports", "/tools/admin"]
        .into_iter()
        .fold(scenario, |scenario, path| {
            scenario
                .logged_in_at("trusted", "alice")
                .send(Request::get(path).bearer("{access}"), 403)
                .json("/reason", "insufficient_scope")
                .header("www-authenticate", challenge(lacks))
                .logged_in_at("trusted", "root")
                .send(Request::get(path).bearer("{access}"), 200)
                .json("/subject", "root")
        })
}

/// A token for another service, a token of an impostor, and a token of an untrusted issuer.
#[must_use]
pub fn tokens_of_others_are_refused() -> Scenario {
    let no_key = "the token names no key that is trusted here";
    Scenario::new("tokens_of_others_are_refused")
        .logged_in_at("elsewhere", "alice")
        .refused_by_tools(
            me().bearer("{access}"),
            "wrong_audience",
            "the token is for another audience",
        )
        .logged_in_at("impostor", "alice")
        .refused_by_tools(me().bearer("{access}"), "unknown_key", no_key)
        .send(wording::login("alice", "alice's password"), 200)
        .keep("/access_token", "access")
        .refused_by_tools(me().bearer("{access}"), "unknown_key", no_key)
        .logged_in_at("trusted", "alice")
        .refused_by_tools(
            me().bearer("{access}A"),
            "bad_signature",
            "the signature of the token is not valid",
        )
        // The main application doesn't accept the trusted issuer's tokens either.
        .send(Request::get("/me").bearer("{access}"), 401)
        .json("/reason", "unknown_key")
}

/// The clocks may differ by half a minute.
#[must_use]
pub fn a_token_of_a_trusted_issuer_expires() -> Scenario {
    Scenario::new("a_token_of_a_trusted_issuer_expires")
        .logged_in_at("trusted", "alice")
        .pass(Duration::from_secs(15 * 60 + 29))
        .send(me().bearer("{access}"), 200)
        .pass(Duration::from_secs(1))
        .refused_by_tools(me().bearer("{access}"), "expired", "the token has expired")
}

/// Only the tools revoke it. The issuer's session continues.
#[must_use]
pub fn a_logout_revokes_the_token_of_a_trusted_issuer() -> Scenario {
    let logout = || Request::post("/tools/logout").bearer("{access}");
    let (revoked, text) = ("revoked", "the token has been revoked");
    Scenario::new("a_logout_revokes_the_token_of_a_trusted_issuer")
        .logged_in_at("trusted", "alice")
        .keep("/refresh_token", "refresh")
        .send(logout(), 204)
        .empty()
        .refused_by_tools(me().bearer("{access}"), revoked, text)
        .refused_by_tools(logout(), revoked, text)
        .send(
            Request::post("/logins/trusted/refresh").json(&json!({ "refresh_token": "{refresh}" })),
            200,
        )
        .keep("/access_token", "access")
        .send(me().bearer("{access}"), 200)
}
