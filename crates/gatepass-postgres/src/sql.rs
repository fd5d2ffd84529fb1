//! Statements and their arguments, for both protocols.

use sqlx::{
    AssertSqlSafe, Postgres,
    postgres::{PgArguments, PgConnection, PgRow},
    query::Query,
};

use crate::{error::Failure, protocol::Protocol};

/// A statement. In its text, `@` means the store's schema, `$1` means the first argument, and `{=}`
/// means PostgreSQL's own operator `=`.
///
/// The pool and its `search_path` belong to the application. Another role may create functions,
/// operators and types in a schema of that path, and PostgreSQL prefers one that fits the arguments
/// better (CVE-2018-1058). So every statement names the schema of everything that it uses:
/// `pg_catalog.count(*)`, `a {=} b`, `$1::pg_catalog.text`. Names from the grammar need none:
/// `coalesce`, `greatest`, `extract`, `bigint`, `boolean`. `IN`, `BETWEEN`, `LIKE`, `CASE a WHEN`
/// and `IS DISTINCT FROM` look for an operator in the path, so statements don't use them.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    text: &'static str,
    arguments: Vec<Argument>,
}

#[derive(Clone, Debug)]
enum Argument {
    Int(Option<i64>),
    Bool(bool),
    Text(Option<String>),
    Bytes(Vec<u8>),
}

impl Statement {
    pub(crate) fn new(text: &'static str) -> Self {
        Self {
            text,
            arguments: Vec::new(),
        }
    }

    pub(crate) fn int(self, value: impl Into<Option<i64>>) -> Self {
        self.with(Argument::Int(value.into()))
    }

    pub(crate) fn bool(self, value: bool) -> Self {
        self.with(Argument::Bool(value))
    }

    pub(crate) fn text(self, value: impl Into<String>) -> Self {
        self.with(Argument::Text(Some(value.into())))
    }

    pub(crate) fn text_or_null(self, value: Option<String>) -> Self {
        self.with(Argument::Text(value))
    }

    pub(crate) fn bytes(self, value: &[u8]) -> Self {
        self.with(Argument::Bytes(value.to_vec()))
    }

    fn with(mut self, argument: Argument) -> Self {
        self.arguments.push(argument);
        self
    }

    pub(crate) async fn rows(
        self,
        conn: &mut PgConnection,
        schema: &str,
        protocol: Protocol,
    ) -> Result<Vec<PgRow>, Failure> {
        let text = AssertSqlSafe(self.render(schema, protocol));
        let rows = match protocol {
            Protocol::Extended => {
                let query = sqlx::query::<Postgres>(text);
                let bound = self.arguments.into_iter().fold(query, Argument::bind);
                bound.fetch_all(conn).await?
            }
            Protocol::Simple => sqlx::raw_sql(text).fetch_all(conn).await?,
        };
        Ok(rows)
    }

    /// The text to send.
    pub(crate) fn render(&self, schema: &str, protocol: Protocol) -> String {
        let mut sent = String::with_capacity(self.text.len() + 64);
        let mut rest = self.text;
        while let Some(at) = rest.find(['@', '$', '{']) {
            let (before, found) = rest.split_at(at);
            sent.push_str(before);
            if let Some(after) = found.strip_prefix('@') {
                // The builder has checked that this is an identifier that needs no quotes.
                sent.push_str(schema);
                sent.push('.');
                rest = after;
                continue;
            }
            if let Some(operator) = found.strip_prefix('{') {
                let (operator, after) = operator.split_once('}').unwrap_or((operator, ""));
                sent.push_str("OPERATOR(pg_catalog.");
                sent.push_str(operator);
                sent.push(')');
                rest = after;
                continue;
            }
            let digits = found.trim_start_matches('$');
            let end = digits
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(digits.len());
            let (number, after) = digits.split_at(end);
            let argument = number
                .parse::<usize>()
                .ok()
                .and_then(|number| self.arguments.get(number.checked_sub(1)?));
            match (protocol, argument) {
                (Protocol::Simple, Some(argument)) => sent.push_str(&argument.literal()),
                _ => {
                    sent.push('$');
                    sent.push_str(number);
                }
            }
            rest = after;
        }
        sent.push_str(rest);
        sent
    }
}

impl Argument {
    fn bind(
        query: Query<'_, Postgres, PgArguments>,
        argument: Self,
    ) -> Query<'_, Postgres, PgArguments> {
        match argument {
            Self::Int(value) => query.bind(value),
            Self::Bool(value) => query.bind(value),
            Self::Text(value) => query.bind(value),
            Self::Bytes(value) => query.bind(value),
        }
    }

    /// The argument as a part of the text. It writes any content as digits, so that there is
    /// nothing to quote, and no setting of the server changes its meaning.
    fn literal(&self) -> String {
        match self {
            Self::Int(Some(value)) => format!("({value})::bigint"),
            Self::Int(None) => "NULL::bigint".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Text(Some(value)) => {
                format!(
                    "pg_catalog.convert_from(pg_catalog.decode('{}', 'hex'), 'UTF8')",
                    hex(value.as_bytes())
                )
            }
            Self::Text(None) => "NULL::pg_catalog.text".to_owned(),
            Self::Bytes(value) => format!("pg_catalog.decode('{}', 'hex')", hex(value)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_and_the_places_of_arguments_are_filled_in() {
        let statement = Statement::new("SELECT $2, $1 FROM @sessions, @meta WHERE a {=} $1")
            .int(-7)
            .text("';--");
        assert_eq!(
            statement.render("shop", Protocol::Extended),
            "SELECT $2, $1 FROM shop.sessions, shop.meta WHERE a OPERATOR(pg_catalog.=) $1"
        );
        assert_eq!(
            statement.render("shop", Protocol::Simple),
            "SELECT pg_catalog.convert_from(pg_catalog.decode('273b2d2d', 'hex'), 'UTF8'), \
             (-7)::bigint FROM shop.sessions, shop.meta WHERE a OPERATOR(pg_catalog.=) (-7)::bigint"
        );
    }

    #[test]
    fn no_content_of_an_argument_reaches_the_text_but_as_digits() {
        for content in ["'", "\\", "$1", "@", "é", "\u{0}", "'); DROP SCHEMA x; --"] {
            let statement = Statement::new("SELECT $1").text(content);
            let sent = statement.render("shop", Protocol::Simple);
            let inner = sent
                .strip_prefix("SELECT pg_catalog.convert_from(pg_catalog.decode('")
                .and_then(|rest| rest.strip_suffix("', 'hex'), 'UTF8')"))
                .unwrap();
            assert!(inner.chars().all(|c| c.is_ascii_hexdigit()), "{sent}");
        }
    }
}
