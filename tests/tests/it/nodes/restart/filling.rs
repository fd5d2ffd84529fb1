//! Fills a log with each server's own tools, because ending so many sessions would take minutes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatepass_tests::nodes::{Backend, Site};
use rusqlite::Connection as Sqlite;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::nodes::own::Own;

/// Adds revocations of so many sessions. The sessions don't exist.
pub(crate) async fn fill(site: &Site, own: Option<&Own>, number: usize) {
    let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(600);
    let until = until.as_millis();
    match site.backend() {
        Backend::Sqlite => {
            let database = Sqlite::open(site.file()).unwrap();
            database.busy_timeout(Duration::from_secs(60)).unwrap();
            let fill = format!(
                "WITH RECURSIVE numbers (number) AS (
                     SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {number}
                 )
                 INSERT INTO gatepass_revocations (session, until)
                     SELECT randomblob(18), {until} FROM numbers"
            );
            database.execute_batch(&fill).unwrap();
        }
        Backend::Postgres | Backend::PgBouncer => {
            let mut conn = PgConnection::connect(site.url()).await.unwrap();
            let fill = format!(
                "INSERT INTO {}.revocations (session, until)
                     SELECT substr(sha256(number::text::bytea), 1, 18), {until}
                     FROM generate_series(1, {number}) AS number",
                site.name()
            );
            let filled = sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut conn);
            filled.await.unwrap();
        }
        Backend::Redis | Backend::RedisCluster => {
            let own = own.unwrap();
            let log = own.ask_redis(&["keys", &format!("*{}*log", site.name())]);
            let log = log.lines().next().unwrap();
            let fill = "local last = redis.call('HINCRBY', KEYS[1], 'number', ARGV[1])
                 for number = last - ARGV[1] + 1, last do
                     local session = redis.sha1hex(number):sub(1, 36)
                     redis.call('XADD', KEYS[2], number .. '-0', 'until', ARGV[2], 'session', session)
                 end";
            let meta = log.strip_suffix("log").unwrap().to_owned() + "meta";
            let (number, until) = (number.to_string(), until.to_string());
            own.ask_redis(&["eval", fill, "2", &meta, log, &number, &until]);
        }
    }
}
