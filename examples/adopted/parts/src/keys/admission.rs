//! Requests with an API key.

use std::time::Duration;

use gatepass::{Identity, Refusal, Scopes, StoreError};
use gatepass_warp::{AuthRejection, AuthState, OwnedRequestHead};
use rusqlite::{OptionalExtension, Row};

use crate::{
    caller::{KEYS, KeyClaims},
    database::Database,
    keys::hash_of,
};

/// How long a connection may last that a key has opened. A request is over by then.
const LIFETIME: Duration = Duration::from_secs(60);

/// Admits the owner of a good key. A request without one goes on as the gate has judged it.
pub(crate) async fn admit(
    database: Database,
    state: AuthState,
    head: OwnedRequestHead,
) -> Result<AuthState, AuthRejection> {
    let head = head.view();
    let Some(key) = head.header("x-api-key") else {
        return Ok(state);
    };
    let request = state.of(head.clone());
    if request.optional_pass().is_some() {
        return Err(request.rejection(Refusal::Ambiguous).into());
    }
    let owner = owner_of(&database, key).await;
    let owner = owner.map_err(|error| request.rejection(error))?;
    let owner = owner.ok_or_else(|| request.rejection(Refusal::Revoked))?;
    Ok(request.authenticated(KEYS, &owner, LIFETIME)?)
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
