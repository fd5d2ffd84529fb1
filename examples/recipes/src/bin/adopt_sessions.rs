//! A move from Django's table of sessions that logs out no browser: the first page that a browser
//! asks for sets gatepass's cookies. `cargo run -p example-recipes --bin adopt_sessions`.
//!
//! For axum-login with tower-sessions, look `id` up in its table in the same way, and read the user
//! from the member `axum-login.data` of the record, which is `MessagePack`.

use std::{
    error::Error,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::read::ZlibDecoder;
use gatepass::{Adopt, OldToken, OldTokens, Timestamp, Transport};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, GateLayer, Identity, MasterSecret, MemoryStore,
    async_trait,
};
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Django's database, and its `SECRET_KEY`.
struct Django {
    database: Arc<Mutex<Connection>>,
    secret_key: String,
}

impl Django {
    /// The data of a session that has not expired.
    fn session(&self, key: &str) -> Result<Option<Value>, rusqlite::Error> {
        let sql = "SELECT session_data FROM django_session
                   WHERE session_key = ?1 AND expire_date > datetime('now')";
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let data = database
            .query_row(sql, [key], |row| row.get(0))
            .optional()?;
        Ok(data.and_then(|data: String| read(&data)))
    }

    /// The hash of the password of a user who may log in.
    fn password(&self, user: &str) -> Result<Option<String>, rusqlite::Error> {
        let sql = "SELECT password FROM auth_user WHERE id = ?1 AND is_active";
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        database.query_row(sql, [user], |row| row.get(0)).optional()
    }

    /// Whether the session began with this password: a new one ends Django's sessions.
    fn is_of(&self, password: &str, auth_hash: &str) -> bool {
        let salt = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";
        let key = Sha256::digest(format!("{salt}{}", self.secret_key));
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else {
            return false;
        };
        mac.update(password.as_bytes());
        let expected = mac.finalize().into_bytes();
        auth_hash
            == expected
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
    }
}

/// The JSON in `session_data`: base64url, compressed if it begins with a dot, and signed behind it.
fn read(data: &str) -> Option<Value> {
    let (body, _) = data.split_once(':')?;
    let bytes = URL_SAFE_NO_PAD.decode(body.trim_start_matches('.')).ok()?;
    if !body.starts_with('.') {
        return serde_json::from_slice(&bytes).ok();
    }
    let mut json = String::new();
    ZlibDecoder::new(&*bytes)
        .take(65_536)
        .read_to_string(&mut json)
        .ok()?;
    serde_json::from_str(&json).ok()
}

#[async_trait]
impl OldTokens for Django {
    async fn identify(&self, key: &str) -> Result<Option<OldToken>, AuthenticationError> {
        // In production, ask the database off the async threads, or by an async driver.
        let session = self
            .session(key)
            .map_err(AuthenticationError::unavailable)?;
        let text = |name: &str| Some(session.as_ref()?.get(name)?.as_str()?.to_owned());
        let (Some(user), Some(hash)) = (text("_auth_user_id"), text("_auth_user_hash")) else {
            return Ok(None);
        };
        let password = self
            .password(&user)
            .map_err(AuthenticationError::unavailable)?;
        match password {
            Some(password) if self.is_of(&password, &hash) => {
                Ok(Some(OldToken::new(Identity::new(user)?)))
            }
            _ => Ok(None),
        }
    }
}

fn app(authority: &Authority) -> Router {
    let gate = GateLayer::new(authority)
        .auto_refresh(authority)
        .adopt(authority);
    let me = async |Auth(pass): Auth| format!("user {}", pass.subject());
    Router::new().route("/me", get(me).route_layer(gate))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (database, secret_key) = (
        Connection::open("db.sqlite3")?,
        std::env::var("SECRET_KEY")?,
    );
    let database = Arc::new(Mutex::new(database));
    let until = Timestamp::from_unix_secs(1_830_000_000); // a day in December 2027
    let adopt = Adopt::new(
        "old:django",
        until,
        Django {
            database,
            secret_key,
        },
    );
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new())
        .transport(Transport::Cookie)
        .adopt(adopt.cookie("sessionid"));
    example_recipes::serve(app(&authority.build().await?)).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use gatepass_testkit::TestService;
    use tower::ServiceExt;

    use super::*;

    /// As Django 5.2 has written them for `alice`, but for the date.
    const ROWS: &str = "
        CREATE TABLE auth_user (id INTEGER PRIMARY KEY, password TEXT, is_active BOOL);
        CREATE TABLE django_session (session_key TEXT PRIMARY KEY, session_data TEXT, expire_date TEXT);
        INSERT INTO auth_user VALUES (1, 'pbkdf2_sha256$1000000$S7ZVBg7MWMGfyLjwFpz3KT$6GQ1PH1DAM4fal0O7Hm0IjCkyGTbR0qB8RVFXDV5fug=', TRUE);
        INSERT INTO django_session VALUES ('mnb9ejqkzahqqccw408osjb21i8r4emg', '.eJxVjMsKwyAQAP_FcxEVH7HH3vsNsu6uNW0xEJNT6L8XIYf2OjPMIRLsW0175zXNJK5Ci8svy4AvbkPQE9pjkbi0bZ2zHIk8bZf3hfh9O9u_QYVexzawKco4q5DJW9YWOE4KM1Lk6BX44By6HFUORscJrMumWFMYvXWaxOcL4Ss30Q:1xY1nx:jKrsdX_XvAPlTf-7MXVBGLjaqwXdWRCjLPjkiH15OL4', '9999-12-14 13:52:29.555209')";

    #[tokio::test]
    async fn a_browser_that_django_has_logged_in_moves_over() {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(ROWS).unwrap();
        let database = Arc::new(Mutex::new(database));
        let django = Django {
            database: Arc::clone(&database),
            secret_key: "django-insecure-recipe".into(),
        };
        let adopt = Adopt::new("old:django", Timestamp::MAX, django).cookie("sessionid");
        let service =
            TestService::configured(|builder| builder.transport(Transport::Cookie).adopt(adopt))
                .await;
        let visit = async |cookies: &str| {
            let request = Request::get("/me")
                .header("cookie", cookies)
                .body(Body::empty());
            let response = app(service.authority())
                .oneshot(request.unwrap())
                .await
                .unwrap();
            let set = response.headers().get_all("set-cookie").iter();
            let set = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
            (response.status().as_u16(), Vec::from_iter(set).join("; "))
        };
        let old = "sessionid=mnb9ejqkzahqqccw408osjb21i8r4emg";
        let (status, own) = visit(old).await;
        assert_eq!((status, own.split("; ").count()), (200, 2));
        assert_eq!(visit(&format!("{old}; {own}")).await, (200, String::new()));
        assert_eq!(visit("sessionid=guessed").await.0, 401);

        // A new password ends the sessions of the old one.
        let changed = "UPDATE auth_user SET password = 'another'";
        database.lock().unwrap().execute(changed, []).unwrap();
        assert_eq!(visit(old).await.0, 401);
    }
}
