//! The client of the provider, by the crate `openidconnect`: the authorization code flow with PKCE,
//! `state` and `nonce`.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::Query,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass::{Timestamp, issuers::ProviderLogin};
use openidconnect::{
    AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, DiscoveryError,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, TokenResponse,
    core::{
        CoreAuthenticationFlow, CoreClient, CoreErrorResponseType, CoreIdToken, CoreIdTokenClaims,
        CoreProviderMetadata,
    },
};
use serde::Deserialize;
use tokio::{sync, time::Instant};

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Keeps what the callback needs in the browser that began the login. No other site can set it.
const COOKIE: &str = "__Host-login";
/// The shortest time between two searches for a new key, so that tokens that no key fits don't make
/// the shop ask the provider again and again.
const KEYS_COOLDOWN: Duration = Duration::from_secs(60);
/// The shortest time after a search that failed: the provider may be back in a moment.
const FAILURE_COOLDOWN: Duration = Duration::from_secs(5);

/// A provider at which users log in.
pub(crate) struct Provider {
    registration: Registration,
    /// With the provider's endpoints and keys, as it last told them.
    client: Mutex<Arc<Client>>,
    /// When the next search for keys may begin. A search holds it, and logins go on meanwhile.
    next_search: sync::Mutex<Option<Instant>>,
}

/// The client as the provider knows it.
struct Registration {
    http: reqwest::Client,
    issuer: IssuerUrl,
    id: ClientId,
    secret: ClientSecret,
    redirect: RedirectUrl,
}

/// The answer of the provider, which the browser brings.
#[derive(Deserialize)]
struct Callback {
    code: String,
    state: String,
}

/// A user for whom the provider vouches.
pub(crate) struct User {
    /// The session there, which a logout there ends.
    pub(crate) login: ProviderLogin,
    /// The methods of the authentication, such as `otp`.
    pub(crate) methods: Vec<String>,
    /// The class of the authentication, if the provider names it.
    pub(crate) class: Option<String>,
}

/// A login that has failed.
pub(crate) enum Failed {
    /// The browser has not begun it, or brings an answer again.
    Browser(&'static str),
    /// The provider can't be reached, or gives no good ID token.
    Provider(Box<dyn Error + Send + Sync>),
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Provider(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Browser(reason) => {
                tracing::info!(reason, "a login was refused");
                StatusCode::BAD_REQUEST
            }
            Self::Provider(error) => {
                let error: &(dyn Error + 'static) = &*error;
                tracing::error!(error, "the provider failed");
                StatusCode::BAD_GATEWAY
            }
        };
        (status, "Please log in again.").into_response()
    }
}

impl Registration {
    async fn discover(&self) -> Result<Client, DiscoveryError<reqwest::Error>> {
        let fetch = |request| fetch(self.http.clone(), request);
        let metadata = CoreProviderMetadata::discover_async(self.issuer.clone(), &fetch).await?;
        let (id, secret) = (self.id.clone(), self.secret.clone());
        Ok(
            CoreClient::from_provider_metadata(metadata, id, Some(secret))
                .set_redirect_uri(self.redirect.clone()),
        )
    }
}

impl Provider {
    /// Asks the provider `issuer` for its endpoints and keys. Browsers come back to `redirect`.
    pub(crate) async fn discover(
        issuer: &str,
        client: &str,
        secret: &str,
        redirect: String,
    ) -> Result<Self, Box<dyn Error>> {
        let registration = Registration {
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(Duration::from_secs(10))
                .build()?,
            issuer: IssuerUrl::new(issuer.to_owned())?,
            id: ClientId::new(client.to_owned()),
            secret: ClientSecret::new(secret.to_owned()),
            redirect: RedirectUrl::new(redirect)?,
        };
        let client = Arc::new(registration.discover().await?);
        Ok(Self {
            registration,
            client: Mutex::new(client),
            next_search: sync::Mutex::new(None),
        })
    }

    /// Sends the browser to the provider.
    pub(crate) async fn begin_login(&self) -> impl IntoResponse + use<> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let code = CoreAuthenticationFlow::AuthorizationCode;
        let client = self.client();
        let request = client.authorize_url(code, CsrfToken::new_random, Nonce::new_random);
        let (url, state, nonce) = request.set_pkce_challenge(challenge).url();
        let (state, nonce, verifier) = (state.secret(), nonce.secret(), verifier.secret());
        let cookie = format!(
            "{COOKIE}={state}.{nonce}.{verifier}; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        ([(header::SET_COOKIE, cookie)], Redirect::to(url.as_str()))
    }

    /// The user, if this browser began the login.
    pub(crate) async fn finish_login(&self, request: &Parts) -> Result<User, Failed> {
        let Ok(Query(callback)) = Query::<Callback>::try_from_uri(&request.uri) else {
            return Err(Failed::Browser("the provider has not logged the user in"));
        };
        let (nonce, verifier) = begun(&request.headers, &callback.state)?;
        let client = self.client();
        let exchange = client.exchange_code(AuthorizationCode::new(callback.code))?;
        let tokens = exchange
            .set_pkce_verifier(verifier)
            .request_async(&|request| fetch(self.registration.http.clone(), request))
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(answer)
                    if *answer.error() == CoreErrorResponseType::InvalidGrant =>
                {
                    Failed::Browser("the code is not good")
                }
                // Its source quotes the answer, in which tokens are.
                RequestTokenError::Parse(..) => "the answer to the code can't be read".into(),
                error => error.into(),
            })?;
        let token = tokens.id_token().ok_or("no ID token")?;
        let mut claims = token.claims(&client.id_token_verifier(), &nonce);
        if let Err(ClaimsVerificationError::SignatureVerification(_)) = claims {
            let client = self.renewed(&client).await?;
            claims = token.claims(&client.id_token_verifier(), &nonce);
        }
        match claims {
            Err(ClaimsVerificationError::InvalidNonce(_)) => {
                Err(Failed::Browser("the code is of another login"))
            }
            claims => user(token, claims?),
        }
    }

    fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A client with keys that are newer than those of `old`, if there may be any.
    async fn renewed(&self, old: &Arc<Client>) -> Result<Arc<Client>, Failed> {
        let mut next_search = self.next_search.lock().await;
        let client = self.client();
        if !Arc::ptr_eq(&client, old) || next_search.is_some_and(|next| Instant::now() < next) {
            return Ok(client);
        }
        // A browser that hangs up drops this future: that also counts as a failure.
        *next_search = Some(Instant::now() + FAILURE_COOLDOWN);
        let discovered = self.registration.discover().await;
        let pause = match discovered {
            Ok(_) => KEYS_COOLDOWN,
            Err(_) => FAILURE_COOLDOWN,
        };
        *next_search = Some(Instant::now() + pause);
        let client = Arc::new(discovered?);
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&client);
        Ok(client)
    }
}

/// The secrets that this browser keeps of the login to which `state` belongs.
fn begun(headers: &HeaderMap, state: &str) -> Result<(Nonce, PkceCodeVerifier), Failed> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut cookies = cookies.flat_map(|line| line.to_str().unwrap_or_default().split("; "));
    let kept = cookies.find_map(|cookie| cookie.strip_prefix(COOKIE)?.strip_prefix('='));
    let kept: Vec<_> = kept.unwrap_or_default().split('.').collect();
    match *kept {
        [own, nonce, verifier] if own == state => Ok((
            Nonce::new(nonce.to_owned()),
            PkceCodeVerifier::new(verifier.to_owned()),
        )),
        [_, _, _] => Err(Failed::Browser("the answer to another login")),
        _ => Err(Failed::Browser("no login began in this browser")),
    }
}

/// The user of a token that is verified.
fn user(token: &CoreIdToken, claims: &CoreIdTokenClaims) -> Result<User, Failed> {
    /// A claim that `openidconnect` doesn't know.
    #[derive(Deserialize)]
    struct Session {
        sid: Option<String>,
    }
    let token = token.to_string();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap_or_default())?;
    let payload: Session = serde_json::from_slice(&payload)?;
    let issued_at = Timestamp::from_unix_secs(claims.issue_time().timestamp());
    let (issuer, name) = (claims.issuer().as_str(), claims.subject().as_str());
    let mut login = ProviderLogin::new(issuer, name, issued_at)?;
    if let Some(sid) = payload.sid {
        login = login.in_session(sid)?;
    }
    // A user with a session at the provider may have typed the password there long ago.
    if let Some(time) = claims.auth_time() {
        login = login.authenticated_at(Timestamp::from_unix_secs(time.timestamp()));
    }
    let methods = claims.auth_method_refs().into_iter().flatten();
    Ok(User {
        login,
        methods: methods.map(|method| method.to_string()).collect(),
        class: claims.auth_context_ref().map(|class| class.to_string()),
    })
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

#[cfg(test)]
mod tests {
    use axum::{Json, Router};
    use futures_util::FutureExt;
    use serde_json::json;
    use tokio::{
        net::TcpListener,
        sync::{Notify, RwLock},
        time,
    };

    use super::*;

    #[tokio::test]
    async fn a_search_for_keys_delays_no_login_and_begins_again_soon_after_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let (up, asked) = (Arc::new(RwLock::new(true)), Arc::new(Notify::new()));
        let metadata = json!({
            "issuer": url, "authorization_endpoint": format!("{url}/login"),
            "jwks_uri": format!("{url}/jwks"), "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            // A member of the set of keys, which this answer is as well.
            "keys": [],
        });
        let (is_up, heard) = (Arc::clone(&up), Arc::clone(&asked));
        let answers = Router::new().fallback(move || {
            heard.notify_one();
            let (is_up, metadata) = (Arc::clone(&is_up), metadata.clone());
            async move {
                let answer = is_up.read().await.then_some(Json(metadata));
                answer.ok_or(StatusCode::SERVICE_UNAVAILABLE)
            }
        });
        tokio::spawn(async move { axum::serve(listener, answers).await });
        let redirect = "http://localhost/callback".to_owned();
        let provider = Provider::discover(&url, "shop", "secret", redirect).await;
        let provider = Arc::new(provider.unwrap());
        let old = provider.client();
        let after = async |seconds| {
            time::pause();
            time::advance(Duration::from_secs(seconds)).await;
            time::resume();
        };

        *up.write().await = false;
        assert!(provider.renewed(&old).await.is_err());
        *up.write().await = true;
        let same = provider.renewed(&old).await.ok().unwrap();
        assert!(Arc::ptr_eq(&same, &old));
        after(5).await;

        let hung = up.write().await;
        asked.notified().await;
        let (searching, from) = (Arc::clone(&provider), Arc::clone(&old));
        let search = tokio::spawn(async move { searching.renewed(&from).await.ok() });
        asked.notified().await;
        assert!(provider.begin_login().now_or_never().is_some());
        drop(hung);
        let new = search.await.unwrap().unwrap();
        assert!(!Arc::ptr_eq(&new, &old));
        // The next search after a success waits longer.
        after(59).await;
        let same = provider.renewed(&new).await.ok().unwrap();
        assert!(Arc::ptr_eq(&same, &new));
    }
}
