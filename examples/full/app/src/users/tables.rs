//! Opens the table of users in each kind of database.

use anyhow::Context;

use crate::{
    location::Database,
    store::Store,
    users::{postgres::PostgresTable, sqlite::SqliteTable, table::Table},
};

/// Opens the table, and creates it if necessary. `sessions` is the store in the same database, if
/// any.
pub(super) async fn open(
    database: &Database,
    sessions: Option<&Store>,
) -> anyhow::Result<Box<dyn Table>> {
    Ok(match database {
        Database::Sqlite(path) => {
            let sessions = match sessions {
                Some(Store::Sqlite(store)) => Some(store.clone()),
                _ => None,
            };
            let table = SqliteTable::open(Some(path), sessions);
            Box::new(table.with_context(|| format!("cannot open {path:?} for the users"))?)
        }
        Database::Memory => Box::new(SqliteTable::open(None, None)?),
        Database::Postgres(url) => {
            let sessions = match sessions {
                Some(Store::Postgres(store)) => Some(store.clone()),
                _ => None,
            };
            Box::new(PostgresTable::open(url, sessions).await?)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gatepass::{
        Scopes,
        store::{AccountId, EndSessions},
    };
    use tokio::{sync::Barrier, task::JoinSet};

    use super::*;
    use crate::{testing::databases, users::table::Row};

    fn row(name: &str, demo: bool) -> Row {
        Row {
            name: name.to_owned(),
            hash: format!("hash of {name}"),
            scope: "profile".to_owned(),
            demo,
        }
    }

    async fn tables() -> (tempfile::TempDir, Vec<Box<dyn Table>>) {
        let (directory, databases) = databases().await;
        let mut tables = Vec::new();
        for database in databases.iter().map(String::as_str).chain(["memory"]) {
            tables.push(open(&database.parse().unwrap(), None).await.unwrap());
        }
        (directory, tables)
    }

    #[tokio::test]
    async fn a_user_is_found_by_its_very_name() {
        let (_directory, tables) = tables().await;
        for table in tables {
            let names = ["alice", "Alice", "O'Hara", "ä", " "];
            let rows = names.map(|name| row(name, false)).into();
            table.fill(rows, false).await.unwrap();
            for name in names {
                let found = table.find(name).await.unwrap().unwrap();
                assert_eq!((found.name, found.demo), (name.to_owned(), false));
                assert_eq!(found.hash, format!("hash of {name}"));
            }
            for nobody in [
                "",
                "ALICE",
                "alice ",
                "al\0ice",
                "alice\0",
                "' OR 1=1 --",
                "%",
            ] {
                assert!(table.find(nobody).await.unwrap().is_none(), "{nobody:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_changed_is_changed_for_one_user() {
        let (_directory, tables) = tables().await;
        for table in tables {
            let rows = vec![row("alice", true), row("bob", true)];
            table.fill(rows, false).await.unwrap();
            let admin = Scopes::parse("admin").unwrap();
            assert!(table.set_scope("alice", &admin).await.unwrap());
            assert!(!table.set_scope("carol", &admin).await.unwrap());
            let scope = async |name| table.find(name).await.unwrap().unwrap().scope;
            assert_eq!(scope("alice").await, "admin");
            assert_eq!(scope("bob").await, "profile");

            // The sessions are elsewhere.
            assert!(!table.ends_sessions());
            let none = EndSessions::AllOf(AccountId::from_bytes([0; 16]));
            let set = async |name, old| table.set_hash(name, old, "new", none.clone()).await;
            assert!(!set("alice", "hash of bob").await.unwrap());
            assert!(!set("carol", "hash of carol").await.unwrap());
            assert_eq!(table.demo_names().await.unwrap(), ["alice", "bob"]);
            assert!(set("alice", "hash of alice").await.unwrap());
            let hash = async |name| table.find(name).await.unwrap().unwrap().hash;
            assert_eq!(hash("alice").await, "new");
            assert_eq!(hash("bob").await, "hash of bob");
            assert_eq!(table.demo_names().await.unwrap(), ["bob"]);

            assert!(table.delete("alice", none.clone()).await.unwrap());
            assert!(!table.delete("alice", none.clone()).await.unwrap());
            assert_eq!(table.demo_names().await.unwrap(), ["bob"]);
        }
    }

    #[tokio::test]
    async fn the_users_are_replaced_as_a_whole_or_only_where_there_are_none() {
        let (_directory, tables) = tables().await;
        for table in tables {
            assert!(table.is_empty().await.unwrap());
            table.fill(vec![row("root", true)], true).await.unwrap();
            table.fill(vec![row("bob", true)], true).await.unwrap();
            assert_eq!(table.demo_names().await.unwrap(), ["root"]);

            let twice = vec![row("bob", true), row("bob", true)];
            assert!(table.fill(twice, false).await.is_err());
            assert_eq!(table.demo_names().await.unwrap(), ["root"]);

            table.fill(vec![row("carol", false)], false).await.unwrap();
            assert!(table.demo_names().await.unwrap().is_empty());
            assert!(table.find("root").await.unwrap().is_none());
            assert!(!table.is_empty().await.unwrap());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nodes_that_start_together_agree_on_the_users() {
        const NODES: usize = 16;
        let (_directory, databases) = databases().await;
        for (database, if_empty) in databases.iter().flat_map(|one| [(one, true), (one, false)]) {
            let together = Arc::new(Barrier::new(NODES));
            let mut nodes = JoinSet::new();
            for node in 0..NODES {
                let (database, together) = (database.parse().unwrap(), Arc::clone(&together));
                nodes.spawn(async move {
                    together.wait().await;
                    let table = open(&database, None).await.unwrap();
                    let rows = vec![row(&format!("of {node}"), true), row("shared", false)];
                    together.wait().await;
                    table.fill(rows, if_empty).await.unwrap();
                    table.demo_names().await.unwrap()
                });
            }
            let seen = nodes.join_all().await;
            assert!(seen.iter().all(|names| names.len() == 1), "{seen:?}");
            if if_empty {
                assert!(seen.iter().all(|names| *names == seen[0]), "{seen:?}");
            }
        }
    }
}
