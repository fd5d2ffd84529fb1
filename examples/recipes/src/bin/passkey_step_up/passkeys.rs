//! The passkeys of users, by the crate `webauthn_rp`, and the routes that register them.
//!
//! A page gives the options to `PublicKeyCredential.parseCreationOptionsFromJSON` or
//! `parseRequestOptionsFromJSON`, calls `navigator.credentials.create` or `get`, and sends
//! `toJSON()` of the result.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use gatepass::{Pass, SessionId, Subject};
use gatepass_axum::Auth;
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

/// The passkeys of all users.
pub(crate) struct Passkeys {
    /// The host, to which passkeys belong.
    domain: RpId,
    /// The scheme, host and port of its pages.
    origin: String,
    /// The class of the sessions in which the user has shown a passkey.
    class: &'static str,
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

/// An answer of an authenticator that isn't good, or one that no page has asked for.
pub(crate) struct Refused;

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

impl Passkeys {
    /// Those of the pages at `origin`. A session has `class` after its user has shown a passkey.
    pub(crate) fn new(
        domain: &str,
        origin: &str,
        class: &'static str,
    ) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            domain: RpId::Domain(AsciiDomain::try_from(domain.to_owned())?),
            origin: origin.to_owned(),
            class,
            memory: Mutex::default(),
        })
    }

    /// The routes that register a passkey.
    pub(crate) fn registration(self: Arc<Self>) -> Router {
        let options =
            async |State(own): State<Arc<Self>>, Auth(pass): Auth| own.begin_registration(&pass);
        let register = async |State(own): State<Arc<Self>>, Auth(pass): Auth, answer: Bytes| {
            own.register(&pass, &answer)
        };
        Router::new()
            .route("/passkeys/options", post(options))
            .route("/passkeys", post(register))
            .with_state(self)
    }

    /// The options for a new passkey.
    fn begin_registration(&self, pass: &Pass) -> Result<Json<Value>, Refused> {
        let mut memory = self.memory();
        self.check_may_register(&memory, pass)?;
        let user = UserHandle64::new();
        let entity = PublicKeyCredentialUserEntity {
            name: Username::try_from(pass.subject().as_str())?,
            id: &user,
            display_name: None,
        };
        let options = PublicKeyCredentialCreationOptions::passkey(&self.domain, entity, Vec::new());
        let (begun, options) = options.start_ceremony()?;
        let options = serde_json::to_value(&options)?;
        memory.registrations.insert(session(pass)?, (begun, user));
        Ok(Json(options))
    }

    /// Keeps a new passkey of the user.
    fn register(&self, pass: &Pass, answer: &[u8]) -> Result<StatusCode, Refused> {
        let mut memory = self.memory();
        self.check_may_register(&memory, pass)?;
        let begun = memory.registrations.remove(&session(pass)?);
        let (begun, user) = begun.ok_or("no registration is under way")?;
        let answer = Registration::from_json_relaxed(answer)?;
        let origins = [&*self.origin];
        let options = RegistrationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            ..Default::default()
        };
        let passkey = begun.verify(&self.domain, &answer, &options)?;
        let passkey = Passkey {
            id: passkey.id().as_ref().to_vec(),
            user,
            key: passkey.static_state().encode()?,
            transports: passkey.transports(),
            counter: passkey.dynamic_state(),
        };
        memory.passkeys.insert(pass.subject().clone(), passkey);
        Ok(StatusCode::CREATED)
    }

    /// A password must not replace a passkey: a thief of it would then have both.
    fn check_may_register(&self, memory: &Memory, pass: &Pass) -> Result<(), Refused> {
        let has_one = memory.passkeys.contains_key(pass.subject());
        match has_one && pass.acr() != Some(self.class) {
            true => Err(Refused),
            false => Ok(()),
        }
    }

    /// The options for a step-up.
    pub(crate) fn challenge(&self, pass: &Pass) -> Result<Json<Value>, Refused> {
        let mut memory = self.memory();
        let passkey = memory.passkeys.get(pass.subject());
        let passkey = passkey.ok_or("a user without a passkey")?;
        let mut allowed = AllowedCredentials::with_capacity(1);
        let id = CredentialId::<Vec<u8>>::decode(passkey.id.clone())?;
        let transports = passkey.transports;
        allowed.push(PublicKeyCredentialDescriptor { id, transports }.into());
        let mut options =
            NonDiscoverableCredentialRequestOptions::second_factor(&self.domain, allowed)?;
        // The user shows the finger or the PIN, and not only the device.
        options.options().user_verification = UserVerificationRequirement::Required;
        let (begun, options) = options.start_ceremony()?;
        let options = serde_json::to_value(&options)?;
        memory.step_ups.insert(session(pass)?, begun);
        Ok(Json(options))
    }

    /// Checks that the user has shown a passkey, for the last challenge of this session.
    pub(crate) fn verify(&self, pass: &Pass, answer: &[u8]) -> Result<(), Refused> {
        let mut memory = self.memory();
        // A challenge is good for one answer.
        let begun = memory.step_ups.remove(&session(pass)?);
        let begun = begun.ok_or("no step-up is under way")?;
        let passkey = memory.passkeys.get_mut(pass.subject());
        let passkey = passkey.ok_or("a user without a passkey")?;
        let id = CredentialId::<&[u8]>::decode(&passkey.id)?;
        let key = StaticState::<CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>>::decode(
            &passkey.key,
        )?;
        let mut shown = AuthenticatedCredential::new(id, &passkey.user, key, passkey.counter)?;
        let answer = NonDiscoverableAuthentication64::from_json_relaxed(answer)?;
        let origins = [&*self.origin];
        let options = AuthenticationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            ..Default::default()
        };
        begun.verify(&self.domain, &answer, &mut shown, &options)?;
        // The counter reveals a copied authenticator.
        passkey.counter = shown.dynamic_state();
        Ok(())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one session that an answer of an authenticator is good for.
fn session(pass: &Pass) -> Result<SessionId, Refused> {
    Ok(pass.session_id().ok_or("a token without a session")?)
}
