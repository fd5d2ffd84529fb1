//! The API keys of users. The service stores only their hashes.

pub(crate) mod admission;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass::{
    Scopes,
    store::{Random, SystemRandom},
};
use gatepass_warp::{Auth, AuthRejection};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use warp::{Reply, http::StatusCode, reply};

use crate::{database::Database, error::Failed};

/// The prefix of each key. People and scanners for leaked secrets recognise a key by it.
const PREFIX: &str = "parts_";

#[derive(Deserialize)]
pub(crate) struct NewKey {
    name: String,
    scopes: String,
}

#[derive(Serialize)]
struct Listed {
    id: i64,
    name: String,
    scopes: String,
}

/// Makes a key. Only this answer contains its text.
pub(crate) async fn create(
    database: Database,
    body: Result<NewKey, AuthRejection>,
    Auth(pass): Auth,
) -> Result<impl Reply, Failed> {
    const UNKNOWN: Failed = Failed::bad_request("the scopes can't be parsed");
    const TOO_MUCH: Failed = Failed::new(
        StatusCode::FORBIDDEN,
        "insufficient_scope",
        "a key can't do more than its owner",
    );
    let new = body?;
    let scopes = Scopes::parse(&new.scopes).map_err(|_| UNKNOWN)?;
    if !pass.scopes().contains_all(&scopes) {
        return Err(TOO_MUCH);
    }
    let key = random_key()?;
    let (hash, owner) = (hash_of(&key), pass.subject().to_string());
    let (name, list) = (new.name.clone(), scopes.to_string());
    let add = "INSERT INTO keys (hash, owner, name, scopes) VALUES (?1, ?2, ?3, ?4)";
    let add = move |db: &mut rusqlite::Connection| -> rusqlite::Result<_> {
        db.execute(add, params![hash, owner, name, list])?;
        Ok(db.last_insert_rowid())
    };
    let id = database.ask(add).await?;
    let body = json!({ "id": id, "name": new.name, "scopes": scopes.to_string(), "key": key });
    Ok(reply::with_status(reply::json(&body), StatusCode::CREATED))
}

pub(crate) async fn list(database: Database, Auth(pass): Auth) -> Result<impl Reply, Failed> {
    let owner = pass.subject().to_string();
    let keys = database.ask(move |db| {
        let mut own =
            db.prepare("SELECT id, name, scopes FROM keys WHERE owner = ?1 ORDER BY id")?;
        let keys = own.query_map([owner], |row| {
            Ok(Listed {
                id: row.get(0)?,
                name: row.get(1)?,
                scopes: row.get(2)?,
            })
        })?;
        keys.collect::<rusqlite::Result<Vec<_>>>()
    });
    Ok(reply::json(&keys.await?))
}

pub(crate) async fn revoke(
    id: i64,
    database: Database,
    Auth(pass): Auth,
) -> Result<impl Reply, Failed> {
    let owner = pass.subject().to_string();
    let revoke = "DELETE FROM keys WHERE id = ?1 AND owner = ?2";
    let revoked = database.ask(move |db| db.execute(revoke, params![id, owner]));
    match revoked.await? {
        0 => Err(Failed::not_found()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

fn random_key() -> Result<String, Failed> {
    const FAILED: Failed = Failed::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "server_error",
        "the server failed",
    );
    let mut random = [0; 32];
    SystemRandom.fill(&mut random).map_err(|_| FAILED)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// A key is random enough that its hash needs no salt and little work.
fn hash_of(key: &str) -> Vec<u8> {
    Sha256::digest(key).to_vec()
}
