#![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::print_stdout, reason="scratch")]
use std::{sync::{Arc, atomic::{AtomicU64, Ordering}}, time::{Duration, Instant}};
use gatepass::*;
use gatepass_redis::RedisStore;
fn new_session(name: &str) -> NewSession {
    let subject = Subject::new(name).unwrap();
    let mut id = [0; 18];
    SystemRandom.fill(&mut id).unwrap();
    id[..2].copy_from_slice(&SessionId::subject_prefix(&subject));
    NewSession { id: SessionId::from_bytes(id), client: ClientId::new("web").unwrap(), grant: Grant::new(subject).scopes(Scopes::parse("profile").unwrap()), device: Device::default(),
        idle_ttl: Duration::from_secs(86400), absolute_ttl: Duration::from_secs(30*86400), access_ttl: Duration::from_secs(900), max_sessions: None }
}
#[tokio::main]
async fn main() {
    let url = std::env::var("GATEPASS_TEST_REDIS").unwrap();
    let store = RedisStore::connect(url.clone()).await.unwrap();
    let client = redis::Client::open(url).unwrap();
    let conn = client.get_multiplexed_async_connection_with_config(&redis::AsyncConnectionConfig::new().set_response_timeout(None)).await.unwrap();
    let script = redis::Script::new("if redis.call('HGET',KEYS[1],'generation') ~= ARGV[1] then return false end redis.call('HSET',KEYS[1],'generation',ARGV[2]) return 1");
    let mut c = conn.clone();
    let hash: String = redis::cmd("SCRIPT").arg("LOAD").arg(
"if redis.call('HGET',KEYS[1],'generation') ~= ARGV[1] then return false end redis.call('HSET',KEYS[1],'generation',ARGV[2]) return 1").query_async(&mut c).await.unwrap();
    drop(script);
    for round in 0..3 { for callers in [1_usize, 16, 64] {
        let mut rates = vec![];
        for which in std::env::var("ONLY").map_or(0..2, |o| { let o: i32 = o.parse().unwrap(); o..o+1 }) {
            let count = Arc::new(AtomicU64::new(0));
            let end = Instant::now() + Duration::from_secs(2);
            let mut tasks = tokio::task::JoinSet::new();
            for n in 0..callers {
                let (store, mut conn, count, hash) = (store.clone(), conn.clone(), count.clone(), hash.clone());
                tasks.spawn(async move {
                    if which == 0 {
                        let key = format!("bare:{n}:{round}");
                        let _: () = redis::cmd("HSET").arg(&key).arg("generation").arg(0).query_async(&mut conn).await.unwrap();
                        let mut g = 0_u64;
                        while Instant::now() < end {
                            let ok: i64 = redis::cmd("EVALSHA").arg(&hash).arg(1).arg(&key).arg(g).arg(g+1).query_async(&mut conn).await.unwrap();
                            assert_eq!(ok, 1); g += 1; count.fetch_add(1, Ordering::Relaxed);
                        }
                    } else {
                        let mut s = store.begin(new_session(&format!("user{n}"))).await.unwrap().session;
                        while Instant::now() < end {
                            s = store.advance(Advance{ id: s.id, client: s.client.clone(), from: s.generation, to: s.generation.next(), cause: AdvanceCause::Refresh, grant: None, idle_ttl: Duration::from_secs(86400), access_ttl: Duration::from_secs(900)}).await.unwrap().unwrap();
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            tasks.join_all().await;
            rates.push(count.load(Ordering::Relaxed) as f64 / 2.0);
        }
        if rates.len()==1 { println!("{callers}: {}", rates[0]); continue; }
        println!("{callers}: bare {:.0}/s store {:.0}/s ratio {:.2}", rates[0], rates[1], rates[1]/rates[0]);
    } }
}
