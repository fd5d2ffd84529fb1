//! Requests with an API key.

use std::time::Duration;

use gatepass::{Identity, Scopes, StoreError};
use gatepass_tower::{head, response};
use gatepass_warp::AuthState;
use http::Request;
use rusqlite::{OptionalExtension, Row};
use warp::{Reply, http::StatusCode, reply::Response};

use crate::{caller::KeyClaims, database::Database, error::Failed, keys::hash_of};

/// How long a connection may last that a key has opened. A request is over by then.
const LIFETIME: Duration = Duration::from_secs(60);

const UNKNOWN: Failed = Failed::new(
    StatusCode::UNAUTHORIZED,
    "invalid_key",
    "this key was never given out, or is revoked",
);
const TWO: Failed = Failed::new(
    StatusCode::BAD_REQUEST,
    "invalid_request",
    "send an API key or an access token, not both",
);

/// The request, which its key's owner makes if it has a key. The gate around this has judged the
/// request before.
pub(crate) async fn admitted<B>(
    database: &Database,
    request: Request<B>,
) -> Result<Request<B>, Response> {
    let (mut parts, body) = request.into_parts();
    let Some(key) = parts.headers.get("x-api-key") else {
        return Ok(Request::from_parts(parts, body));
    };
    let key = key.to_str().unwrap_or_default().to_owned();
    let owner = owner_of(database, &key).await;
    let owner = owner.map_err(|error| Failed::from(error).into_response())?;
    let owner = owner.ok_or_else(|| UNKNOWN.into_response())?;
    let found = parts.extensions.get::<AuthState>();
    if found.is_some_and(|state| state.optional_pass().is_some()) {
        return Err(TWO.into_response());
    }
    let state = AuthState::find(found, "gatepass_warp::GateLayer", head(&parts))
        .and_then(|request| request.authenticated("api-key", &owner, LIFETIME))
        .map_err(|rejection| response(rejection.into_reply()).into_response())?;
    parts.extensions.insert(state);
    Ok(Request::from_parts(parts, body))
}

/// The owner of a key, with the scopes of the key that the owner has now.
async fn owner_of(database: &Database, key: &str) -> Result<Option<Identity>, StoreError> {
    type Found = (String, String, String, String);
    let hash = hash_of(key);
    let find = "SELECT k.owner, k.name, k.scopes, u.scopes
        FROM keys k JOIN users u ON u.name = k.owner WHERE k.hash = ?1";
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let found = database.ask(move |db| db.query_row(find, [hash], row).optional());
    let Some((owner, key, scopes, own)): Option<Found> = found.await? else {
        return Ok(None);
    };
    let identity = || -> Result<Identity, Box<dyn std::error::Error + Send + Sync>> {
        let scopes = Scopes::parse(&scopes)?.intersection(&Scopes::parse(&own)?);
        Ok(Identity::new(owner)?
            .scopes(scopes)
            .claims(&KeyClaims { key })?)
    };
    // The table has what was checked before.
    let identity =
        identity().map_err(|error| StoreError::unavailable(std::io::Error::other(error)));
    identity.map(Some)
}
