//! The database operations that the users need. Each kind of database implements them once.

use gatepass::{Scopes, StoreError, async_trait, store::EndSessions};

/// A row of the table.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) hash: String,
    pub(super) scope: String,
    /// Whether the password is public.
    pub(super) demo: bool,
}

/// The table of users.
#[async_trait]
pub(super) trait Table: Send + Sync {
    /// The user of this name.
    async fn find(&self, name: &str) -> Result<Option<Row>, StoreError>;

    /// Whether there are no users yet.
    async fn is_empty(&self) -> Result<bool, StoreError>;

    /// Replaces all rows with `rows`, for all readers at once. If `if_empty` is set, does nothing
    /// if there are any rows. Nodes that start together do this one after the other.
    async fn fill(&self, rows: Vec<Row>, if_empty: bool) -> Result<(), StoreError>;

    /// The names of the demo users in the table.
    async fn demo_names(&self) -> Result<Vec<String>, StoreError>;

    /// Gives a user other scopes. Returns whether the user exists.
    async fn set_scope(&self, name: &str, scope: &Scopes) -> Result<bool, StoreError>;

    /// Whether the sessions are in the same database. If so, the methods below end sessions in
    /// their own transactions. Otherwise they end none.
    fn ends_sessions(&self) -> bool;

    /// Gives a user the hash of a new password, which is not public, and ends `others`. Returns
    /// whether there was such a user with the hash `old`. If not, does nothing.
    async fn set_hash(
        &self,
        name: &str,
        old: &str,
        new: &str,
        others: EndSessions,
    ) -> Result<bool, StoreError>;

    /// Deletes a user, and ends `all`. Returns whether the user existed. If not, does nothing.
    async fn delete(&self, name: &str, all: EndSessions) -> Result<bool, StoreError>;
}
