//! The issuer that the tools trust, as an OpenID Connect provider: its logins, and its tokens other
//! than access tokens.

use std::{error::Error as StdError, fmt, sync::Arc};

use async_trait::async_trait;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ed25519_dalek::{Signer, SigningKey};
use gatepass::{
    AuthenticationError, Authenticator, Clock, Credentials, Device, Identity, Session, StoreError,
    Subject, UserUpdate,
    issuers::ProviderLogin,
    store::{Issuer, StoreErrorKind},
};
use serde_json::{Map, Value, json};

use super::shop::Customers;

pub(super) const LOGIN: &str = "https://login.test";
/// The client id of the tools at the provider.
pub(super) const CLIENT: &str = "tools-web";

/// The provider.
#[derive(Clone)]
pub(super) struct Provider {
    /// Its key, and an impostor's key.
    keys: [SigningKey; 2],
    /// The id of its key.
    key_id: String,
    clock: Arc<dyn Clock>,
}

/// The provider's user that the tools can't look up for now.
const LOST: &str = "lost";

impl Provider {
    /// A provider with these Ed25519 keys, in PKCS #8 and Base64.
    pub(super) fn new(
        keys: [&str; 2],
        key_id: &str,
        clock: impl Clock,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        // RFC 8410 §7: the secret is at the end.
        let parsed = |key: &str| {
            let der = STANDARD.decode(key)?;
            let secret = der.last_chunk().ok_or("the key is too short")?;
            Ok::<_, Box<dyn StdError + Send + Sync>>(SigningKey::from_bytes(secret))
        };
        let [own, other] = keys;
        Ok(Self {
            keys: [parsed(own)?, parsed(other)?],
            key_id: key_id.to_owned(),
            clock: Arc::new(clock),
        })
    }

    /// Logins of the provider's users at the tools.
    pub(super) fn logins(&self) -> Logins {
        Logins(Arc::clone(&self.clock))
    }

    /// Tokens that are valid now, by name.
    pub(super) fn logout_tokens(&self) -> Value {
        let [own, other] = &self.keys;
        let logout = |changes: &Value| self.token(own, "logout+jwt", changes);
        let none = json!({});
        let other_user = |name: &str| logout(&json!({ "sub": name }));
        json!({
            "good": logout(&none),
            "of_session": logout(&json!({ "sub": null, "sid": "one" })),
            "of_stranger": other_user("stranger"),
            "of_lost": other_user(LOST),
            "forged": self.token(other, "logout+jwt", &none),
            "id_token": self.token(own, "JWT", &json!({ "events": null, "nonce": "n-0S6_WzA2Mj" })),
            "with_nonce": logout(&json!({ "nonce": "n-0S6_WzA2Mj" })),
            "without_event": logout(&json!({ "events": {} })),
            "for_another_client": logout(&json!({ "aud": "another-client" })),
            "for_two_clients": logout(&json!({ "aud": [CLIENT, "another-client"] })),
            "without_id": logout(&json!({ "jti": null })),
            "without_user": logout(&json!({ "sub": null })),
        })
    }

    /// A good logout token with these changes to its claims. `null` removes a claim.
    fn token(&self, key: &SigningKey, typ: &str, changes: &Value) -> String {
        let now = self.clock.now().unix_secs();
        let good = json!({
            "iss": LOGIN,
            "sub": "alice",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 120,
            "jti": "a-logout",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        let claims = [&good, changes].into_iter().filter_map(Value::as_object);
        let claims = claims
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone()));
        let mut claims = Map::from_iter(claims);
        claims.retain(|_, value| !value.is_null());
        let header = json!({ "alg": "EdDSA", "kid": self.key_id, "typ": typ });
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(header), part(claims.into()));
        let signature = key.sign(signed.as_bytes()).to_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

/// Logs the users of [`USERS`](super::USERS) in as if the provider had done it. A real application
/// uses an ID token. The member `sid` is the user's session at the provider.
pub(super) struct Logins(Arc<dyn Clock>);

#[async_trait]
impl Authenticator for Logins {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        device: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let user = Customers.authenticate(credentials, device).await?;
        let user = user.subject().as_str();
        let mut login = ProviderLogin::new(LOGIN, user, self.0.now())?;
        if let Some(sid) = credentials.extra::<String>("sid") {
            login = login.in_session(sid)?;
        }
        Ok(Identity::new(own_name(user))?.logged_in_by(login))
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        Ok(UserUpdate::Unchanged)
    }
}

/// The tools' name for a user of the provider.
fn own_name(user: &str) -> String {
    format!("sso/{user}")
}

/// The tools' subject for a user of the provider.
pub(super) async fn subject_of(_: Issuer, user: Subject) -> Result<Option<Subject>, StoreError> {
    match user.as_str() {
        LOST => Err(StoreError::new(StoreErrorKind::Unavailable)),
        user => Ok(Subject::new(own_name(user)).ok()),
    }
}
