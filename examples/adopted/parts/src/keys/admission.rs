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

/// Maximum lifetime of a connection that a key has opened. An ordinary request takes less.
const LIFETIME: Duration = Duration::from_secs(60);

/// Admits the owner of a valid key. A request without a key continues with the gate's decision.
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

/// The owner of a key. The owner's scopes limit the scopes of the key.
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
    // The service checked these values before it stored them.
    let identity =
        identity().map_err(|error| StoreError::unavailable(std::io::Error::other(error)));
    identity.map(Some)
}
