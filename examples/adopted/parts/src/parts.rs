//! The parts in stock. The handlers don't know how the caller was authenticated.

use gatepass_warp::{AuthRejection, Scoped};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use warp::{Reply, reply};

use crate::{
    caller::{Caller, Read, Write},
    database::Database,
    error::Failed,
};

#[derive(Serialize)]
struct Part {
    name: String,
    stock: u32,
    changed_by: String,
}

#[derive(Deserialize)]
pub(crate) struct Stock {
    stock: u32,
}

pub(crate) async fn list(database: Database, _: Scoped<Read>) -> Result<impl Reply, Failed> {
    let parts = database.ask(|db| {
        let mut all = db.prepare("SELECT name, stock, changed_by FROM parts ORDER BY name")?;
        let parts = all.query_map([], |row| {
            Ok(Part {
                name: row.get(0)?,
                stock: row.get(1)?,
                changed_by: row.get(2)?,
            })
        })?;
        parts.collect::<rusqlite::Result<Vec<_>>>()
    });
    Ok(reply::json(&parts.await?))
}

pub(crate) async fn set(
    name: String,
    database: Database,
    body: Result<Stock, AuthRejection>,
    (caller, _): (Caller, Scoped<Write>),
) -> Result<impl Reply, Failed> {
    let Stock { stock } = body?;
    let changed_by = caller.described();
    let part = Part {
        name,
        stock,
        changed_by,
    };
    let set = "INSERT INTO parts VALUES (?1, ?2, ?3) ON CONFLICT (name)
        DO UPDATE SET stock = excluded.stock, changed_by = excluded.changed_by";
    let set = move |db: &mut rusqlite::Connection| -> rusqlite::Result<_> {
        db.execute(set, params![part.name, part.stock, part.changed_by])?;
        Ok(part)
    };
    Ok(reply::json(&database.ask(set).await?))
}

pub(crate) async fn whoami(caller: Caller) -> impl Reply {
    reply::json(&caller)
}
