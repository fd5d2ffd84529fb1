//! Ends sessions and changes their rights in the application's own transaction.
//!
//! The application begins the transaction over its own connection, and commits it or not. So the
//! code here must not end it or change its settings. Before it writes anything, `check` finds out
//! whether the transaction can be used. The statements of `check` succeed in every transaction,
//! because a statement that fails would abort it.

use gatepass::{
    Session, StoreError,
    store::{ChangeIdentity, EndReason, EndSessions, GrantEffect, Revocation, StoreErrorKind},
};
use sqlx::{Postgres, Transaction};

use crate::{
    error::Failure,
    link::Link,
    rights,
    row::cell,
    schema::{Home, may_write},
    sessions,
    sql::Statement,
    store::PostgresStore,
    teller,
};

/// The reason why a store did not act in your transaction.
///
/// Roll the transaction back, so that its other changes are not committed without this one. For
/// example, a commit of the new password alone would leave a thief logged in.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The transaction doesn't see all sessions: one that began after its first statement would
    /// stay alive. Begin it in another way.
    #[error(
        "the transaction is {found}: begin it with `BEGIN ISOLATION LEVEL READ COMMITTED`, which sees \
         the sessions that have begun since"
    )]
    Isolation {
        /// The isolation level of the transaction.
        found: String,
    },
    /// The transaction can't write. Begin it in another way, or at the primary.
    #[error(
        "the transaction only reads: begin it with `READ WRITE`, over a connection to the primary"
    )]
    ReadOnly,
    /// The transaction isn't in the store's database, or the store's schema no longer exists. Begin
    /// it over a connection to that database.
    #[error(
        "the transaction is in the database {found:?}, and the sessions are in the schema {schema} of the \
         database {expected:?}: begin it over a connection to that one"
    )]
    OtherDatabase {
        /// The database that the transaction is in.
        found: String,
        /// The database that the store has opened.
        expected: String,
        /// The schema of the store in it.
        schema: String,
    },
    /// The role has no right to write to the store's tables. An administrator must grant it.
    #[error(
        "the role {role:?} of the transaction may not write in the schema {schema}: run `GRANT USAGE ON \
         SCHEMA {schema} TO {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} \
         TO {role}` as its owner, or have the role execute {schema}.end_sessions_of instead"
    )]
    MayNotWrite {
        /// The current role of the transaction.
        role: String,
        /// The schema of the store.
        schema: String,
    },
    /// PostgreSQL failed or doesn't answer. If the kind of the error is
    /// [`Busy`](StoreErrorKind::Busy), another transaction was in the way: repeat yours from its
    /// beginning.
    #[error("the sessions could not be ended in this transaction")]
    Store(#[source] StoreError),
}

impl TransactionError {
    /// Whether another transaction was in the way, for example by a deadlock or a lock time-out. If
    /// so, the same transaction may succeed if you repeat it from its beginning.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Store(error) if error.kind() == StoreErrorKind::Busy)
    }
}

impl From<Failure> for TransactionError {
    fn from(failure: Failure) -> Self {
        Self::Store(failure.into())
    }
}

impl PostgresStore {
    /// Ends the sessions that `target` names in your own transaction. When it commits, the sessions
    /// have ended, and all nodes learn of it. If you roll it back, as a whole or to a savepoint
    /// before this call, nothing has ended.
    ///
    /// Returns the entry that it appended to the log, or `None` if the sessions had ended before or
    /// are unknown. Until the commit, no node enforces the end, and this one doesn't either. To
    /// enforce it here at once, call [`Verifier::catch_up`](gatepass::Verifier::catch_up) after the
    /// commit.
    ///
    /// ```no_run
    /// use gatepass::{Authority, Subject, store::{EndReason, EndSessions}};
    /// use gatepass_postgres::PostgresStore;
    ///
    /// /// Changes a password and logs the user out everywhere, both or neither.
    /// async fn change_password(
    ///     pool: &sqlx::PgPool,
    ///     store: &PostgresStore,
    ///     authority: &Authority,
    ///     user: &Subject,
    ///     password_hash: &str,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     let mut transaction = pool.begin().await?;
    ///     sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
    ///         .bind(user.as_str())
    ///         .bind(password_hash)
    ///         .execute(&mut *transaction)
    ///         .await?;
    ///     let all = EndSessions::AllOf(authority.account(user));
    ///     store.end_in(&mut transaction, all, EndReason::EndedByApplication).await?;
    ///     transaction.commit().await?;
    ///     authority.verifier().catch_up().await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// The transaction must be READ COMMITTED, which is PostgreSQL's default. It may go through
    /// PgBouncer. Its role needs the same rights to gatepass's tables as the store's role.
    ///
    /// The call takes a lock until the transaction ends. Meanwhile, logins of the same user and
    /// ends of its sessions wait. If `target` is one session, refreshes of that session wait. So
    /// commit soon, and make this call the last one before the commit. A transaction that ends the
    /// sessions of several users should do so in the order of their ids.
    ///
    /// The call has no time limit of its own. `lock_timeout` and `statement_timeout` of your
    /// transaction also apply to it. If you drop the future before it is ready, roll the
    /// transaction back.
    ///
    /// You can't prepare a transaction that has ended sessions (`PREPARE TRANSACTION`), because it
    /// notifies the other nodes. Don't turn `synchronous_commit` off in it after this call.
    ///
    /// # Errors
    ///
    /// [`TransactionError`], which says what to do. Unless it is
    /// [`Store`](TransactionError::Store), nothing was written, and the transaction is still
    /// usable.
    pub async fn end_in(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, TransactionError> {
        // The application ends the transaction.
        let mut open = true;
        let mut link = Link::new(transaction, &mut open, self.on_loan());
        check(&mut link, self.home()).await?;
        let ended = sessions::end_within(link.again(), target, reason).await?;
        if ended.is_some() {
            teller::notify_at_commit(link).await?;
        }
        Ok(ended)
    }
}

impl PostgresStore {
    /// Changes the rights of a session in your own transaction, as [`end_in`](Self::end_in) ends
    /// sessions. When it commits, the session has the new rights, and all nodes refuse older access
    /// tokens within `max_staleness`.
    ///
    /// Get the changes from [`Authority::changes_of`](gatepass::Authority::changes_of). `None`
    /// means that the session has ended or changed since: roll back, and begin again with that
    /// call.
    ///
    /// ```no_run
    /// use gatepass::{Authority, Change, Subject};
    /// use gatepass_postgres::PostgresStore;
    ///
    /// /// Takes the role of an editor away, in the application's table and in all sessions.
    /// async fn demote(
    ///     pool: &sqlx::PgPool,
    ///     store: &PostgresStore,
    ///     authority: &Authority,
    ///     user: &Subject,
    ///     demotion: &Change,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     'again: for _ in 0..10 {
    ///         let changes = authority.changes_of(user, demotion).await?;
    ///         let mut transaction = pool.begin().await?;
    ///         sqlx::query("DELETE FROM editors WHERE id = $1")
    ///             .bind(user.as_str())
    ///             .execute(&mut *transaction)
    ///             .await?;
    ///         for change in changes {
    ///             let changed = store.change_in(&mut transaction, change).await;
    ///             match changed {
    ///                 Ok(Some(_)) => {}
    ///                 Ok(None) => {
    ///                     transaction.rollback().await?;
    ///                     continue 'again; // the session has changed meanwhile
    ///                 }
    ///                 Err(error) if error.is_busy() => {
    ///                     transaction.rollback().await?;
    ///                     continue 'again; // another transaction was in the way
    ///                 }
    ///                 Err(error) => return Err(error.into()),
    ///             }
    ///         }
    ///         transaction.commit().await?;
    ///         // Committed. If this fails, each node still enforces it within `max_staleness`.
    ///         let _ = authority.verifier().catch_up().await;
    ///         return Ok(());
    ///     }
    ///     Err("the user's sessions were changing all the time: try again later".into())
    /// }
    /// ```
    ///
    /// It has the same rules and limits as `end_in`. The call locks the session's row until the
    /// transaction ends, so refreshes and the end of this session wait meanwhile.
    ///
    /// # Errors
    ///
    /// The errors of [`end_in`](Self::end_in).
    pub async fn change_in(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        change: ChangeIdentity,
    ) -> Result<Option<Session>, TransactionError> {
        // The application ends the transaction.
        let mut open = true;
        let mut link = Link::new(transaction, &mut open, self.on_loan());
        check(&mut link, self.home()).await?;
        let is_announced = change.effect != GrantEffect::None;
        let changed = rights::change_within(&mut link, change).await?;
        if is_announced && changed.is_some() {
            teller::notify_at_commit(link).await?;
        }
        Ok(changed)
    }
}

/// Checks that the transaction can be used. Changes nothing, and its statements fail only if the
/// transaction has failed before.
async fn check(link: &mut Link<'_>, home: &Home) -> Result<(), TransactionError> {
    let asked = Statement::new(concat!(
        "SELECT pg_catalog.current_setting('transaction_isolation') AS isolation,
             pg_catalog.current_setting('transaction_read_only') {=} 'on'::pg_catalog.text AS only_reads,
             pg_catalog.current_database()::pg_catalog.text AS database,
             current_user::pg_catalog.text AS role,
             pg_catalog.count(c.oid) {=} 4 AS complete,
             coalesce(pg_catalog.bool_and(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND ",
        may_write!("c.oid"),
        "), false) AS may
         FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid {=} c.relnamespace
         WHERE n.nspname {=} $1::pg_catalog.name AND c.relname {=} ANY (
             ARRAY['sessions', 'accounts', 'revocations', 'meta']::pg_catalog.name[])"
    ));
    let row = link.one(asked.text(&link.dialect().schema)).await?;
    let read = |name| cell::<bool>(&row, name).map_err(Failure::from);
    let say = |name| cell::<String>(&row, name).map_err(Failure::from);
    let isolation = say("isolation")?;
    // PostgreSQL treats READ UNCOMMITTED as READ COMMITTED.
    if !["read committed", "read uncommitted"].contains(&isolation.as_str()) {
        let found = isolation.to_uppercase();
        return Err(TransactionError::Isolation { found });
    }
    // Each transaction at a standby is also read-only.
    if read("only_reads")? {
        return Err(TransactionError::ReadOnly);
    }
    let schema = link.dialect().schema.clone();
    let found = say("database")?;
    let elsewhere = || TransactionError::OtherDatabase {
        found: found.clone(),
        expected: home.database.clone(),
        schema: schema.clone(),
    };
    if !read("complete")? || found != home.database {
        return Err(elsewhere());
    }
    if !read("may")? {
        let role = say("role")?;
        return Err(TransactionError::MayNotWrite { role, schema });
    }
    // For example, a database of the same name at another server.
    if Home::find(link).await? != *home {
        return Err(elsewhere());
    }
    Ok(())
}
