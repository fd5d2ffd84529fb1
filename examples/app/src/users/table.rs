//! The operations that the users need of a database, implemented once for each kind of database.

use gatepass::{Scopes, StoreError, async_trait, store::EndSessions};

/// A user as the table has it.
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

    /// Puts `rows` in place of all that there are, for all readers at once. If `if_empty` is set,
    /// it does nothing where there are some. Nodes that start together do it one after the other.
    async fn fill(&self, rows: Vec<Row>, if_empty: bool) -> Result<(), StoreError>;

    /// The names of the demo users that there are.
    async fn demo_names(&self) -> Result<Vec<String>, StoreError>;

    /// Gives a user other scopes, and says whether there is such a user.
    async fn set_scope(&self, name: &str, scope: &Scopes) -> Result<bool, StoreError>;

    /// Whether the sessions are in the same database, so that the methods below end some of them in
    /// their own transactions. Otherwise they end none.
    fn ends_sessions(&self) -> bool;

    /// Gives a user the hash of a new password, which is not public, and ends `others`. Says
    /// whether there was such a user with the hash `old`. If there was none, it does nothing.
    async fn set_hash(
        &self,
        name: &str,
        old: &str,
        new: &str,
        others: EndSessions,
    ) -> Result<bool, StoreError>;

    /// Deletes a user, and ends `all`. Says whether there was one. If there was none, it does
    /// nothing.
    async fn delete(&self, name: &str, all: EndSessions) -> Result<bool, StoreError>;
}
