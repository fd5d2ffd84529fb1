//! Users log in with a password, and show a passkey (WebAuthn) before they move money: a step-up.
//! The page gives the options of these routes to
//! `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`, calls
//! `navigator.credentials.create` or `get`, and sends `toJSON()` of the result.
//! `cargo run -p example-recipes --bin passkey_step_up`.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::post,
};
use gatepass::{Pass, SessionId, Subject, wire::Endpoints};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, GateLayer, Identity, MasterSecret,
    MemoryStore, Requirements, reauthenticated, routes,
};
use serde_json::Value;
use webauthn_rp::{
    AuthenticatedCredential, NonDiscoverableAuthentication64,
    NonDiscoverableAuthenticationServerState, NonDiscoverableCredentialRequestOptions,
    PublicKeyCredentialCreationOptions, Registration, RegistrationServerState,
    bin::{Decode, Encode},
    request::{
        AsciiDomain, Credentials as _, PublicKeyCredentialDescriptor, RpId,
        UserVerificationRequirement,
        auth::{AllowedCredentials, AuthenticationVerificationOptions},
        register::{
            PublicKeyCredentialUserEntity, RegistrationVerificationOptions, USER_HANDLE_MAX_LEN,
            UserHandle64, Username,
        },
    },
    response::{
        AuthTransports, CredentialId,
        register::{CompressedPubKey, DynamicState, StaticState},
    },
};

/// The class of authentications that can't be phished (OpenID Connect Extended Authentication
/// Profile).
const PHISHING_RESISTANT: &str = "phr";
const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);

struct Bank {
    endpoints: Endpoints,
    /// The scheme, host and port of its pages.
    origin: String,
    /// The host, to which passkeys belong.
    domain: RpId,
    memory: Mutex<Memory>,
}

/// In production, the passkeys are in your database, and what is under way in a cache that expires.
#[derive(Default)]
struct Memory {
    passkeys: HashMap<Subject, Passkey>,
    registrations: HashMap<SessionId, (RegistrationServerState<USER_HANDLE_MAX_LEN>, UserHandle64)>,
    step_ups: HashMap<SessionId, NonDiscoverableAuthenticationServerState>,
}

/// The passkey of a user, as a database keeps it.
struct Passkey {
    id: Vec<u8>,
    user: UserHandle64,
    key: Vec<u8>,
    transports: AuthTransports,
    counter: DynamicState,
}

impl Bank {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A password must not replace a passkey: a thief of it would then have both.
    fn check_may_register(&self, pass: &Pass) -> Result<(), Refused> {
        let has_one = self.memory().passkeys.contains_key(pass.subject());
        match has_one && pass.acr() != Some(PHISHING_RESISTANT) {
            true => Err(Refused),
            false => Ok(()),
        }
    }

    fn origins(&self) -> [&str; 1] {
        [&self.origin]
    }
}

/// The one session that an answer of an authenticator is good for.
fn session(pass: &Pass) -> Result<SessionId, Refused> {
    Ok(pass.session_id().ok_or("a token without a session")?)
}

/// An answer of an authenticator that isn't good, or one that no page has asked for.
struct Refused;

impl<E: Into<Box<dyn Error>>> From<E> for Refused {
    fn from(_: E) -> Self {
        Self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, "This passkey is not accepted.").into_response()
    }
}

/// The options for a new passkey.
async fn registration(
    State(bank): State<Arc<Bank>>,
    Auth(pass): Auth,
) -> Result<Json<Value>, Refused> {
    bank.check_may_register(&pass)?;
    let user = UserHandle64::new();
    let entity = PublicKeyCredentialUserEntity {
        name: Username::try_from(pass.subject().as_str())?,
        id: &user,
        display_name: None,
    };
    let options = PublicKeyCredentialCreationOptions::passkey(&bank.domain, entity, Vec::new());
    let (begun, options) = options.start_ceremony()?;
    let options = serde_json::to_value(&options)?;
    bank.memory()
        .registrations
        .insert(session(&pass)?, (begun, user));
    Ok(Json(options))
}

/// Keeps a new passkey of the user.
async fn register(
    State(bank): State<Arc<Bank>>,
    Auth(pass): Auth,
    answer: Bytes,
) -> Result<StatusCode, Refused> {
    bank.check_may_register(&pass)?;
    let begun = bank.memory().registrations.remove(&session(&pass)?);
    let (begun, user) = begun.ok_or("no registration is under way")?;
    let answer = Registration::from_json_relaxed(&answer)?;
    let mut options = RegistrationVerificationOptions::<&str, &str>::default();
    let origins = bank.origins();
    options.allowed_origins = &origins;
    let passkey = begun.verify(&bank.domain, &answer, &options)?;
    let passkey = Passkey {
        id: passkey.id().as_ref().to_vec(),
        user,
        key: passkey.static_state().encode()?,
        transports: passkey.transports(),
        counter: passkey.dynamic_state(),
    };
    bank.memory()
        .passkeys
        .insert(pass.subject().clone(), passkey);
    Ok(StatusCode::CREATED)
}

/// The options for a step-up.
async fn challenge(
    State(bank): State<Arc<Bank>>,
    Auth(pass): Auth,
) -> Result<Json<Value>, Refused> {
    let mut memory = bank.memory();
    let passkey = memory
        .passkeys
        .get(pass.subject())
        .ok_or("a user without a passkey")?;
    let mut allowed = AllowedCredentials::with_capacity(1);
    let id = CredentialId::<Vec<u8>>::decode(passkey.id.clone())?;
    let transports = passkey.transports;
    allowed.push(PublicKeyCredentialDescriptor { id, transports }.into());
    let mut options =
        NonDiscoverableCredentialRequestOptions::second_factor(&bank.domain, allowed)?;
    // The user shows the finger or the PIN, and not only the device.
    options.options().user_verification = UserVerificationRequirement::Required;
    let (begun, options) = options.start_ceremony()?;
    let options = serde_json::to_value(&options)?;
    memory.step_ups.insert(session(&pass)?, begun);
    Ok(Json(options))
}

/// Answers with new tokens, which say that the user has shown a passkey.
async fn step_up(
    State(bank): State<Arc<Bank>>,
    Auth(pass): Auth,
    parts: Parts,
    answer: Bytes,
) -> Result<Response, Refused> {
    let identity = verified(&bank, &pass, &answer)?;
    let tokens = reauthenticated(&bank.endpoints, &pass, identity, &parts).await;
    Ok(tokens.into_response())
}

/// The identity of the user, who has shown a passkey.
fn verified(bank: &Bank, pass: &Pass, answer: &[u8]) -> Result<Identity, Refused> {
    let mut memory = bank.memory();
    // A challenge is good for one answer.
    let begun = memory
        .step_ups
        .remove(&session(pass)?)
        .ok_or("no step-up is under way")?;
    let passkey = memory
        .passkeys
        .get_mut(pass.subject())
        .ok_or("a user without a passkey")?;
    let id = CredentialId::<&[u8]>::decode(&passkey.id)?;
    let key = StaticState::<CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>>::decode(
        &passkey.key,
    )?;
    let mut shown = AuthenticatedCredential::new(id, &passkey.user, key, passkey.counter)?;
    let answer = NonDiscoverableAuthentication64::from_json_relaxed(answer)?;
    let mut options = AuthenticationVerificationOptions::<&str, &str>::default();
    let origins = bank.origins();
    options.allowed_origins = &origins;
    begun.verify(&bank.domain, &answer, &mut shown, &options)?;
    // The counter reveals a copied authenticator.
    passkey.counter = shown.dynamic_state();
    let identity = Identity::of(pass.subject().clone()).amr(["pop", "user", "mfa"])?;
    Ok(identity.acr(PHISHING_RESISTANT)?)
}

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?.amr(["pwd"])?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

async fn transfer(Auth(pass): Auth) -> String {
    format!("the money of {} is on its way", pass.subject())
}

/// The bank, whose pages are at `https://domain`, or at a port of this machine.
fn app(authority: &Authority, domain: &str, origin: &str) -> Result<Router, Box<dyn Error>> {
    let bank = Arc::new(Bank {
        endpoints: Endpoints::new(authority.clone()),
        origin: origin.to_owned(),
        domain: RpId::Domain(AsciiDomain::try_from(domain.to_owned())?),
        memory: Mutex::default(),
    });
    let gate = GateLayer::new(authority);
    // A thief of an older token must not add a passkey of their own.
    let recent = gate
        .clone()
        .require(Requirements::new().max_age(FIVE_MINUTES));
    let strong = Requirements::new()
        .acr([PHISHING_RESISTANT])?
        .max_age(FIVE_MINUTES);
    Ok(Router::new()
        .route(
            "/passkeys/options",
            post(registration).route_layer(recent.clone()),
        )
        .route("/passkeys", post(register).route_layer(recent))
        .route(
            "/step-up/options",
            post(challenge).route_layer(gate.clone()),
        )
        .route("/step-up", post(step_up).route_layer(gate.clone()))
        .route(
            "/transfer",
            post(transfer).route_layer(gate.require(strong)),
        )
        .with_state(Arc::clone(&bank))
        .merge(routes(bank.endpoints.clone())))
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

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{HeaderMap, Request},
    };
    use gatepass_testkit::TestService;
    use http_body_util::BodyExt;
    use passkey_authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
    use passkey_client::{Client, DefaultClientData};
    use passkey_crypto::AvailableBackend;
    use passkey_types::ctap2::{Aaguid, Ctap2Error};
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::json;
    use tower::ServiceExt;

    use super::*;

    const ORIGIN: &str = "https://bank.example";

    /// The user's finger on the authenticator.
    struct Finger;

    #[gatepass::async_trait]
    impl UserValidationMethod for Finger {
        type PasskeyItem = passkey_types::Passkey;

        async fn check_user<'a>(
            &self,
            _: UiHint<'a, Self::PasskeyItem>,
            presence: bool,
            verification: bool,
        ) -> Result<UserCheck, Ctap2Error> {
            Ok(UserCheck {
                presence,
                verification,
            })
        }

        fn is_presence_enabled(&self) -> bool {
            true
        }

        fn is_verification_enabled(&self) -> Option<bool> {
            Some(true)
        }
    }

    async fn send(app: &Router, bearer: &str, path: &str, body: Value) -> (u16, HeaderMap, Value) {
        let request = Request::post(path)
            .header("authorization", bearer)
            .header("content-type", "application/json");
        let response = app
            .clone()
            .oneshot(request.body(Body::from(body.to_string())).unwrap());
        let response = response.await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            headers,
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    /// As a page hands options to the browser, and the browser's answer on.
    fn as_json<T: DeserializeOwned>(value: impl Serialize) -> T {
        let value = serde_json::to_value(value).unwrap();
        serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
    }

    #[tokio::test]
    async fn money_moves_only_after_the_user_has_shown_a_passkey() {
        let service = TestService::start().await;
        let app = app(service.authority(), "bank.example", ORIGIN).unwrap();
        let origin = reqwest::Url::parse(ORIGIN).unwrap();
        let passkeys = HashMap::<Vec<u8>, passkey_types::Passkey>::new();
        let authenticator =
            Authenticator::new(Aaguid::new_empty(), passkeys, Finger, AvailableBackend);
        let mut browser = Client::new(authenticator);
        let alice = service.logged_in("alice").await;
        let bearer = alice.bearer();
        let post = async |path, body| send(&app, bearer, path, body).await;

        let (status, headers, _) = post("/transfer", Value::Null).await;
        assert_eq!(status, 401);
        let challenge = headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains(r#"acr_values="phr""#), "{challenge}");
        assert_eq!(
            post("/step-up/options", Value::Null).await.0,
            400,
            "no passkey yet"
        );

        let (_, _, options) = post("/passkeys/options", Value::Null).await;
        let created = browser.register(
            &origin,
            as_json(json!({ "publicKey": options })),
            DefaultClientData,
        );
        let created = created.await.unwrap();
        assert_eq!(post("/passkeys", as_json(&created)).await.0, 201);
        assert_eq!(post("/passkeys", as_json(&created)).await.0, 400, "again");

        // A thief of the password gets no passkey in place of hers.
        let thief = service.logged_in("alice").await;
        let asked = send(&app, thief.bearer(), "/passkeys/options", Value::Null);
        assert_eq!(asked.await.0, 400);

        let mut shown = async || -> Value {
            let (_, _, options) = post("/step-up/options", Value::Null).await;
            let shown = browser.authenticate(
                &origin,
                as_json(json!({ "publicKey": options })),
                DefaultClientData,
            );
            as_json(shown.await.unwrap())
        };
        // The answer to a challenge of before spends the present one.
        let first = shown().await;
        let second = shown().await;
        assert_eq!(post("/step-up", first.clone()).await.0, 400);
        assert_eq!(
            post("/step-up", second).await.0,
            400,
            "the challenge is spent"
        );
        // Another session of hers has not asked for the third one.
        let third = shown().await;
        let phone = service.logged_in("alice").await;
        assert_eq!(
            send(&app, phone.bearer(), "/step-up", third.clone())
                .await
                .0,
            400
        );

        let (status, _, tokens) = post("/step-up", third.clone()).await;
        assert_eq!(status, 200, "{tokens}");
        assert_eq!(post("/step-up", third).await.0, 400, "again");
        let strong = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        assert_eq!(send(&app, &strong, "/transfer", Value::Null).await.0, 200);
        // The token from before says what it always said.
        assert_eq!(post("/transfer", Value::Null).await.0, 401);
        service
            .clock()
            .advance(FIVE_MINUTES + Duration::from_secs(1));
        assert_eq!(send(&app, &strong, "/transfer", json!({})).await.0, 401);
    }

    #[tokio::test]
    async fn an_old_login_adds_no_passkey() {
        let service = TestService::start().await;
        let app = app(service.authority(), "bank.example", ORIGIN).unwrap();
        let alice = service.logged_in("alice").await;
        service
            .clock()
            .advance(FIVE_MINUTES + Duration::from_secs(1));
        let (status, headers, _) =
            send(&app, alice.bearer(), "/passkeys/options", Value::Null).await;
        assert_eq!(status, 401);
        let challenge = headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains(r#"max_age="300""#), "{challenge}");
    }
}
