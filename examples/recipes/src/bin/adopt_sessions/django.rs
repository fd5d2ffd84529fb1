//! Sessions as Django keeps them in its database.

use std::{
    io::Read,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::read::ZlibDecoder;
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, Error, OptionalExtension};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Django's database, and its `SECRET_KEY`.
#[derive(Clone)]
pub(crate) struct Django {
    pub(crate) database: Arc<Mutex<Connection>>,
    pub(crate) secret_key: String,
}

/// The members of a session that a login has written.
#[derive(Deserialize)]
struct Session {
    #[serde(rename = "_auth_user_id")]
    user: String,
    #[serde(rename = "_auth_user_hash")]
    hash: String,
}

impl Django {
    pub(crate) fn open(path: impl AsRef<Path>, secret_key: String) -> Result<Self, Error> {
        let database = Arc::new(Mutex::new(Connection::open(path)?));
        Ok(Self {
            database,
            secret_key,
        })
    }

    /// The user of a session that has not expired, as long as the user is active and has the
    /// password of the login.
    pub(crate) fn user(&self, key: &str) -> Result<Option<String>, Error> {
        let sessions = "SELECT session_data FROM django_session
                        WHERE session_key = ?1 AND expire_date > datetime('now')";
        let Some(session) = self.ask(sessions, key)?.as_deref().and_then(read) else {
            return Ok(None);
        };
        let users = "SELECT password FROM auth_user WHERE id = ?1 AND is_active";
        let password = self.ask(users, &session.user)?;
        let same = password.is_some_and(|password| self.hash(&password) == Some(session.hash));
        Ok(same.then_some(session.user))
    }

    /// Whether the user with this id is there and active.
    pub(crate) fn is_active(&self, id: &str) -> Result<bool, Error> {
        let users = "SELECT password FROM auth_user WHERE id = ?1 AND is_active";
        Ok(self.ask(users, id)?.is_some())
    }

    fn ask(&self, sql: &str, id: &str) -> Result<Option<String>, Error> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        database.query_row(sql, [id], |row| row.get(0)).optional()
    }

    /// The hash of the password that Django keeps in a session. It differs after the user has
    /// chosen a new password: the session is over.
    fn hash(&self, password: &str) -> Option<String> {
        let salt = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";
        let key = Sha256::digest(format!("{salt}{}", self.secret_key));
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(password.as_bytes());
        let bytes = mac.finalize().into_bytes();
        Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The JSON in `session_data`: base64url, compressed if it begins with a dot, and signed behind it.
fn read(data: &str) -> Option<Session> {
    let (body, _) = data.split_once(':')?;
    let bytes = URL_SAFE_NO_PAD.decode(body.trim_start_matches('.')).ok()?;
    if !body.starts_with('.') {
        return serde_json::from_slice(&bytes).ok();
    }
    let json = ZlibDecoder::new(&*bytes).take(65_536);
    serde_json::from_reader(json).ok()
}
