//! Log in through an OpenID Connect provider, such as Keycloak or Auth0: the authorization code
//! flow with PKCE, `state` and `nonce`. A logout at the provider ends the session here. Register
//! `http://localhost:3000/callback` there, and run `cargo run -p example-recipes --bin oidc_login
//! -- https://sso.example/realms/staff SECRET`.

use std::{env, error::Error, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass::{
    Identity, Subject, Timestamp,
    issuers::{Issuers, ProviderLogin, TrustedIssuer},
    wire::{Delivery, Endpoints},
};
use gatepass_axum::{
    Auth, Authority, GateLayer, LocalPath, MasterSecret, MemoryStore, Transport, issue, routes,
};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, TokenResponse,
    core::{
        CoreAuthenticationFlow, CoreClient, CoreIdToken, CoreIdTokenClaims, CoreProviderMetadata,
    },
};
use serde::Deserialize;
use serde_json::Value;

type Failure = Box<dyn Error + Send + Sync>;

/// The client as which the shop is registered at the provider.
const CLIENT: &str = "shop-web";
/// Keeps what the callback needs in the browser that began the login. No other site can set it.
const COOKIE: &str = "__Host-login";

struct Shop {
    endpoints: Endpoints,
    http: reqwest::Client,
    provider: CoreClient<
        EndpointSet,
        EndpointNotSet,
        EndpointNotSet,
        EndpointNotSet,
        EndpointMaybeSet,
        EndpointMaybeSet,
    >,
}

/// Sends the requests of `openidconnect`.
async fn fetch(
    http: reqwest::Client,
    request: HttpRequest,
) -> Result<HttpResponse, reqwest::Error> {
    let answer = http.execute(request.try_into()?).await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = HttpResponse::new(answer.bytes().await?.to_vec());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

async fn log_in(State(shop): State<Arc<Shop>>) -> impl IntoResponse {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let code = CoreAuthenticationFlow::AuthorizationCode;
    let request = (shop.provider).authorize_url(code, CsrfToken::new_random, Nonce::new_random);
    let (url, state, nonce) = request.set_pkce_challenge(challenge).url();
    let kept = [state.secret(), nonce.secret(), verifier.secret()]
        .map(String::as_str)
        .join(".");
    let cookie = format!("{COOKIE}={kept}; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax");
    ([(header::SET_COOKIE, cookie)], Redirect::to(url.as_str()))
}

#[derive(Deserialize)]
struct Callback {
    code: String,
    state: String,
}

async fn callback(
    State(shop): State<Arc<Shop>>,
    Query(callback): Query<Callback>,
    parts: Parts,
) -> Response {
    match finish(&shop, callback, &parts).await {
        Ok(identity) => match issue(&shop.endpoints, identity, &parts, Delivery::Cookies).await {
            Ok(tokens) => (tokens, Redirect::to("/")).into_response(),
            Err(refused) => refused.into_response(),
        },
        // Another browser, a code that was used before, a provider that can't be reached, or a new
        // key of it: the keys are read at the start. In production, log the error, and discover the
        // provider again if a signature is by an unknown key.
        Err(_) => (StatusCode::BAD_REQUEST, "Please log in again.").into_response(),
    }
}

/// The identity that the provider vouches for, to the browser that began the login.
async fn finish(shop: &Shop, callback: Callback, parts: &Parts) -> Result<Identity, Failure> {
    let cookies = parts.headers.get_all(header::COOKIE).iter();
    let mut cookies = cookies.flat_map(|line| line.to_str().unwrap_or_default().split("; "));
    let kept = cookies.find_map(|cookie| cookie.strip_prefix(COOKIE)?.strip_prefix('='));
    let kept: Vec<_> = kept
        .unwrap_or_default()
        .split('.')
        .map(str::to_owned)
        .collect();
    let [state, nonce, verifier] =
        <[String; 3]>::try_from(kept).map_err(|_| "no login began here")?;
    if state != callback.state {
        return Err("the answer to another login".into());
    }
    let exchange = shop
        .provider
        .exchange_code(AuthorizationCode::new(callback.code))?;
    let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(verifier));
    let tokens = exchange
        .request_async(&|request| fetch(shop.http.clone(), request))
        .await?;
    let token = tokens.id_token().ok_or("no ID token")?;
    let claims = token.claims(&shop.provider.id_token_verifier(), &Nonce::new(nonce))?;
    identity(token, claims)
}

/// A user of the provider has its own subject here, which no other user can have.
fn subject(user: &str) -> Option<Subject> {
    Subject::new(format!("sso/{user}")).ok()
}

fn identity(token: &CoreIdToken, claims: &CoreIdTokenClaims) -> Result<Identity, Failure> {
    let issued_at = Timestamp::from_unix_secs(claims.issue_time().timestamp());
    let (issuer, user) = (claims.issuer().as_str(), claims.subject().as_str());
    let mut login = ProviderLogin::new(issuer, user, issued_at)?;
    // A claim that openidconnect doesn't know. The signature is verified by now.
    let payload = token.to_string();
    let payload = URL_SAFE_NO_PAD.decode(payload.split('.').nth(1).unwrap_or_default())?;
    let payload: Value = serde_json::from_slice(&payload)?;
    if let Some(sid) = payload.get("sid").and_then(Value::as_str) {
        login = login.in_session(sid)?;
    }
    let methods = claims.auth_method_refs().into_iter().flatten();
    let identity = Identity::of(subject(user).ok_or("a user without a name")?);
    let identity = identity
        .logged_in_by(login)
        .amr(methods.map(|method| method.as_str()))?;
    Ok(match claims.auth_context_ref() {
        Some(class) => identity.acr(class.as_str())?,
        None => identity,
    })
}

async fn home(Auth(pass): Auth) -> String {
    format!("the orders of {}", pass.subject())
}

/// The shop at the URL `own`, whose users log in at the provider `issuer`.
async fn app(own: &str, issuer: &str, secret: &str) -> Result<Router, Failure> {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()?;
    let url = IssuerUrl::new(issuer.to_owned())?;
    let metadata =
        CoreProviderMetadata::discover_async(url, &|request| fetch(http.clone(), request)).await?;
    let client = (
        ClientId::new(CLIENT.to_owned()),
        ClientSecret::new(secret.to_owned()),
    );
    let provider = CoreClient::from_provider_metadata(metadata, client.0, Some(client.1))
        .set_redirect_uri(RedirectUrl::new(format!("{own}/callback"))?);

    let sso = TrustedIssuer::for_logins(issuer, CLIENT);
    let authority = Authority::builder(own, "shop", MasterSecret::generate()?, MemoryStore::new())
        .transport(Transport::Cookie)
        .issuers(Issuers::with_reqwest()?.trust(sso))
        .backchannel_logout(async |_issuer, user| Ok(subject(user.as_str())))
        .build()
        .await?;
    let endpoints = Endpoints::new(authority.clone());
    let gate = GateLayer::new(&authority).login_page("/login".parse::<LocalPath>()?);
    let shop = Arc::new(Shop {
        endpoints: endpoints.clone(),
        http,
        provider,
    });
    Ok(Router::new()
        .route("/", get(home).route_layer(gate))
        .route("/login", get(log_in))
        .route("/callback", get(callback))
        .with_state(shop)
        .merge(routes(endpoints)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [issuer, secret] =
        <[String; 2]>::try_from(arguments).map_err(|_| "name issuer and secret")?;
    let app = app("http://localhost:3000", &issuer, &secret).await;
    example_recipes::serve(app.map_err(|error| error.to_string())?).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reqwest::Url;
    use test_support::provider::Provider;
    use tokio::net::TcpListener;

    use super::*;

    /// A browser of one user. It keeps the cookies of all ports of this machine together, as
    /// browsers do, and follows no redirect by itself.
    struct Browser {
        http: reqwest::Client,
        cookies: BTreeMap<String, String>,
        /// Whether it doesn't go to the end of a login.
        stops: bool,
    }

    /// The page at which a browser arrives, and where it was sent on the way.
    struct Page {
        status: u16,
        text: String,
        way: Vec<Url>,
    }

    impl Browser {
        fn new() -> Self {
            let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
            Self {
                http: http.no_proxy().build().unwrap(),
                cookies: BTreeMap::new(),
                stops: false,
            }
        }

        async fn get(&mut self, url: impl AsRef<str>) -> Page {
            self.go(url.as_ref().parse().unwrap(), None).await
        }

        /// Asks for a page, or posts a form to it, and follows redirects.
        async fn go(&mut self, mut url: Url, mut form: Option<&str>) -> Page {
            let mut way = Vec::new();
            loop {
                way.push(url.clone());
                if self.stops && url.path() == "/callback" {
                    let (status, text) = (0, String::new());
                    return Page { status, text, way };
                }
                let request = match form.take() {
                    None => self.http.get(url.clone()),
                    Some(form) => (self.http.post(url.clone()).body(form.to_owned()))
                        .header("content-type", "application/x-www-form-urlencoded"),
                };
                let cookies = self
                    .cookies
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"));
                let request = request.header("cookie", Vec::from_iter(cookies).join("; "));
                let response = request.header("accept", "text/html").send().await.unwrap();
                for cookie in response.headers().get_all("set-cookie") {
                    let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
                    let (name, value) = cookie.split_once('=').unwrap();
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
                let Some(to) = response.headers().get("location") else {
                    let status = response.status().as_u16();
                    let text = response.text().await.unwrap();
                    return Page { status, text, way };
                };
                url = url.join(to.to_str().unwrap()).unwrap();
            }
        }

        /// Asks for the orders, logs in at the provider as alice, and consents.
        async fn log_in(&mut self, shop: &str) -> Page {
            let page = self.get(shop).await;
            let login = page.way.last().unwrap().clone();
            assert!(login.path().starts_with("/interaction/"), "{login}");
            let page = self
                .go(login, Some("prompt=login&login=alice&password=wonderland"))
                .await;
            let consent = page.way.last().unwrap().clone();
            self.go(consent, Some("prompt=consent")).await
        }

        /// Logs out at the provider, on its own page.
        async fn log_out(&mut self, provider: &Provider) {
            let page = self.get(format!("{}/session/end", provider.issuer())).await;
            let (_, token) = page.text.split_once(r#"name="xsrf" value=""#).unwrap();
            let form = format!("logout=yes&xsrf={}", token.split('"').next().unwrap());
            let confirm = format!("{}/session/end/confirm", provider.issuer());
            let page = self.go(confirm.parse().unwrap(), Some(&form)).await;
            assert_eq!(page.status, 200, "{}", page.text);
        }
    }

    /// The shop and its provider, over real sockets.
    async fn open() -> (String, Provider) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let provider = Provider::start(&own, "/callback", "/auth/backchannel-logout").await;
        let app = app(&own, provider.issuer(), Provider::SECRET)
            .await
            .unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (own, provider)
    }

    #[tokio::test]
    async fn a_user_logs_in_at_the_provider_and_a_logout_there_ends_the_session() {
        let (shop, provider) = open().await;
        let (mut laptop, mut phone) = (Browser::new(), Browser::new());
        for browser in [&mut laptop, &mut phone] {
            let page = browser.log_in(&shop).await;
            assert_eq!((page.status, &*page.text), (200, "the orders of sso/alice"));
        }
        laptop.log_out(&provider).await;
        // The provider asks for the password again.
        let page = laptop.get(&shop).await;
        let login = page.way.last().unwrap();
        assert!(login.path().starts_with("/interaction/"), "{login}");
        // It was not a logout of the other device.
        assert_eq!(phone.get(&shop).await.text, "the orders of sso/alice");
    }

    #[tokio::test]
    async fn a_login_is_for_the_browser_that_began_it_and_once() {
        let (shop, _provider) = open().await;
        let (mut alice, mut mallory) = (Browser::new(), Browser::new());
        alice.stops = true;
        let page = alice.log_in(&shop).await;
        let callback = page.way.last().unwrap();
        alice.stops = false;
        let forged = |name: &str| {
            let mut url = callback.clone();
            let pairs = callback.query_pairs();
            let pairs = pairs.map(|(own, value)| match own == name {
                true => (own, "x".into()),
                false => (own, value),
            });
            url.query_pairs_mut().clear().extend_pairs(pairs);
            url
        };
        // Mallory has a login of his own under way.
        mallory.get(&shop).await;
        assert_eq!(mallory.get(callback).await.status, 400);
        assert_eq!(Browser::new().get(callback).await.status, 400);
        for name in ["state", "code"] {
            assert_eq!(alice.get(forged(name)).await.status, 400, "{name}");
        }
        assert!(!alice.cookies.contains_key("__Host-gatepass"));
        assert_eq!(alice.get(callback).await.text, "the orders of sso/alice");
        // The code is spent.
        assert_eq!(alice.get(callback).await.status, 400);
    }
}
