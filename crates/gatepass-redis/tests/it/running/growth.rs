//! The store keeps only what it needs, and its calls cost the same however much it holds.

use super::*;

#[tokio::test]
async fn what_has_expired_goes_and_what_lives_stays() {
    for urls in [support::redis(), support::cluster()] {
        let namespace = unique("grown");
        let clock = ManualClock::new();
        let store = support::at(&urls)
            .namespace(&namespace)
            .clock(clock.clone());
        let store = store.open().await.unwrap();
        let mut live = Vec::new();
        for day in 0..10 {
            for number in 0..10_u8 {
                let session = begin(&store, &format!("user {number}")).await;
                store
                    .revoke_token(token_of(&session, number))
                    .await
                    .unwrap();
                if number == 0 {
                    live.push(session);
                } else if number % 2 == 0 {
                    end(&store, &session).await;
                }
            }
            clock.advance(IDLE_TTL / 2);
            for session in &mut live {
                *session = store.advance(advance_of(session)).await.unwrap().unwrap();
            }
            if day % 5 == 4 {
                while store.purge(Timestamp::MAX, 100).await.unwrap().more {}
            }
        }
        clock.advance(IDLE_TTL - Duration::from_secs(1));
        while store.purge(Timestamp::MAX, 100).await.unwrap().more {}
        for session in &mut live {
            let (stored, _) = store.load(session.id).await.unwrap();
            assert_eq!(stored.as_ref(), Some(&*session));
        }
        assert_eq!(pull_all(&store, None).await.0, []);
        // An account goes when its sessions must have expired, even if they ended before.
        clock.advance(ABSOLUTE_TTL + Revocation::RETENTION_MARGIN);
        let purged = store.purge(Timestamp::MAX, 100).await.unwrap();
        assert!(purged.removed >= live.len());
        // An empty stream remembers its last number.
        let mut left = support::keys(&urls, &namespace).await;
        left.retain(|(_, key)| !key.ends_with("}meta") && !key.ends_with("}log"));
        assert_eq!(left, []);
    }
}

#[tokio::test]
async fn everything_expires_by_itself_and_nothing_before_its_time() {
    const DAY: Duration = Duration::from_secs(86_400);
    let namespace = unique("expiring");
    let clock = ManualClock::new();
    let store = support::at(support::redis()).namespace(&namespace);
    let store = store.clock(clock.clone()).open().await.unwrap();
    let session = begin(&store, "alice").await;
    store.revoke_token(token_of(&session, 1)).await.unwrap();
    let other = begin(&store, "alice").await;
    end(&store, &other).await;
    begin(&store, "alice").await;
    let expiries = async || {
        let mut expiries = Vec::new();
        for (url, key) in support::keys(&support::redis(), &namespace).await {
            if key.ends_with("}meta") {
                continue;
            }
            let expiry: i64 = ask(&url, &["PEXPIRETIME", &key]).await.unwrap();
            assert!(expiry > 0, "{key} does not expire");
            expiries.push((key, expiry));
        }
        expiries
    };
    let before = expiries().await;
    // Three sessions, the indexes `purge` and `begun`, the account, its live and its ended
    // sessions, the index of accounts, the tokens of the session and of the account, the log, and
    // the log's purge index.
    assert_eq!(before.len(), 13, "{before:?}");
    for (key, _) in &before {
        let lives: i64 = ask(&support::redis(), &["PTTL", key]).await.unwrap();
        let least = ACCESS_TTL + Revocation::RETENTION_MARGIN + DAY - Duration::from_secs(60);
        assert!(
            Duration::from_millis(u64::try_from(lives).unwrap()) > least,
            "{key}"
        );
    }
    // If the clock steps ahead and back, no key expires earlier.
    clock.advance(DAY * 7);
    store.revoke_token(token_of(&session, 2)).await.unwrap();
    end(&store, &session).await;
    clock.step_wall_back(DAY * 7);
    let after = expiries().await;
    for (key, expiry) in before {
        let (_, now) = after.iter().find(|(other, _)| *other == key).unwrap();
        assert!(*now >= expiry, "{key}");
    }
}

/// If no purge runs for long, the keys of sessions expire by their time to live.
#[tokio::test]
async fn a_session_that_expired_by_itself_leaves_nothing_behind() {
    let (urls, namespace) = (support::redis(), unique("left"));
    let clock = ManualClock::new();
    let store = support::at(&urls).namespace(&namespace);
    let store = store.clock(clock.clone()).open().await.unwrap();
    let mut lasting = Vec::new();
    for number in 0..100 {
        let session = begin(&store, &format!("user {}", number % 3)).await;
        if number == 99 {
            lasting.push(session);
            break;
        }
        for (url, key) in support::keys(&urls, &namespace).await {
            if key.contains("}session:") {
                let _: i64 = ask(&url, &["DEL", &key]).await.unwrap();
            }
        }
        clock.advance(Duration::from_secs(1));
    }
    clock.advance(IDLE_TTL - Duration::from_secs(1));
    while store.purge(Timestamp::MAX, 100).await.unwrap().more {}
    let mut places = 0;
    for (url, key) in support::keys(&urls, &namespace).await {
        if key.ends_with("}begun") {
            places += ask::<i64>(&url, &["ZCARD", &key]).await.unwrap();
        }
    }
    assert_eq!(places, 1);
    let (mut all, mut next) = (Vec::new(), None);
    loop {
        let part = store.scan(&SessionFilter::new(), next.as_ref(), 1000).await;
        let part = part.unwrap();
        all.extend(part.sessions);
        next = part.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(all, lasting);
}

#[tokio::test]
async fn a_session_whose_idle_lifetime_was_shortened_is_purged_earlier() {
    let clock = ManualClock::new();
    let store = support::at(support::redis()).clock(clock.clone());
    let store = store.open().await.unwrap();
    let session = begin(&store, "alice").await;
    clock.advance(Duration::from_secs(1));
    let mut shorter = advance_of(&session);
    shorter.idle_ttl = Duration::from_secs(60);
    let advanced = store.advance(shorter).await.unwrap().unwrap();
    assert!(advanced.purge_at() < session.purge_at());
    clock.advance(ACCESS_TTL + Revocation::RETENTION_MARGIN);
    assert_eq!(store.purge(Timestamp::MAX, 10).await.unwrap().removed, 1);
}

/// How many commands the server has run, including those in scripts, without those of this
/// question.
async fn commands(redis: &Redis) -> u64 {
    let stats: String = ask(&redis.url(), &["INFO", "commandstats"]).await.unwrap();
    let calls = stats.lines().filter(|line| {
        let own = [
            "info", "auth", "hello", "client", "select", "ping", "config",
        ];
        let name = line.strip_prefix("cmdstat_").unwrap_or_default();
        !own.iter().any(|own| name.starts_with(own)) && !name.is_empty()
    });
    let calls = calls.map(|line| {
        let (_, calls) = line.split_once("calls=").unwrap();
        calls.split(',').next().unwrap().parse::<u64>().unwrap()
    });
    calls.sum()
}

#[tokio::test]
async fn the_end_of_all_sessions_costs_the_same_however_many_there_are() {
    let directory = directory();
    let redis = Redis::start(&directory, Durability::None).unwrap();
    let store = support::at(redis.url()).open().await.unwrap();
    let mut costs = Vec::new();
    for (name, sessions) in [("alice", 1), ("bob", 400), ("carol", 3)] {
        let mut last = None;
        for _ in 0..sessions {
            last = Some(begin(&store, name).await);
        }
        // The second time, the call replaces an entry.
        for _ in 0..2 {
            let kept = begin(&store, name).await;
            let before = commands(&redis).await;
            let target = EndSessions::AllOfBut(account(name), kept.id);
            let ended = store.end(target, EndReason::LogoutAll).await.unwrap();
            costs.push((name, commands(&redis).await - before));
            assert!(ended.is_some());
        }
        let (over, _) = store.load(last.unwrap().id).await.unwrap();
        assert!(over.unwrap().ended.is_some());
    }
    // The very first call also sends the script.
    let (first, second) = (costs[2].1, costs[3].1);
    assert!(first <= 30, "{costs:?}");
    assert_eq!([costs[4].1, costs[5].1], [first, second], "{costs:?}");
}

#[tokio::test]
async fn room_for_a_session_costs_the_same_however_many_there_are() {
    const MAX: u32 = 5;
    let directory = directory();
    let redis = Redis::start(&directory, Durability::None).unwrap();
    let clock = ManualClock::new();
    let store = support::at(redis.url()).clock(clock.clone());
    let store = store.open().await.unwrap();
    let limited = |name| {
        let mut new = new_session(name);
        new.max_sessions = NonZeroU32::new(MAX);
        new
    };
    store.begin(limited("carol")).await.unwrap();
    for (name, sessions) in [("alice", 10), ("bob", 1000)] {
        for _ in 0..sessions {
            begin(&store, name).await;
        }
        let before = commands(&redis).await;
        let begun = store.begin(limited(name)).await.unwrap();
        let cost = commands(&redis).await - before;
        assert!(cost <= 40, "{cost} for {sessions}");
        assert!(begun.ended.is_some());
        assert_eq!(list(&store, name).await.len(), 5);
    }
    // The call also doesn't look one by one at expired sessions that no purge has removed yet.
    for _ in 0..1000 {
        begin(&store, "dave").await;
    }
    clock.advance(IDLE_TTL);
    let before = commands(&redis).await;
    let begun = store.begin(limited("dave")).await.unwrap();
    let cost = commands(&redis).await - before;
    assert!(cost <= 200, "{cost}");
    assert_eq!(begun.ended, None);
}

#[tokio::test]
async fn each_account_has_one_entry_in_the_log_for_all_its_ends() {
    let store = support::at(support::redis()).open().await.unwrap();
    let mut last = None;
    for _ in 0..5 {
        for _ in 0..3 {
            begin(&store, "alice").await;
        }
        let target = EndSessions::AllOf(account("alice"));
        last = store.end(target, EndReason::LogoutAll).await.unwrap();
    }
    assert_eq!(pull_all(&store, None).await.0, [last.unwrap()]);
}

/// Refreshes sessions of `name`, so that `number` are due for the purge but none can be removed.
async fn look_at_in_vain(store: &RedisStore, clock: &ManualClock, name: &str, number: usize) {
    let mut sessions = Vec::new();
    for _ in 0..number {
        sessions.push(begin(store, name).await);
    }
    clock.advance(IDLE_TTL / 2);
    for session in sessions {
        store.advance(advance_of(&session)).await.unwrap().unwrap();
    }
    clock.advance(IDLE_TTL / 2 + Revocation::RETENTION_MARGIN);
}

#[tokio::test]
async fn the_log_is_purged_although_there_are_sessions_to_look_at() {
    let clock = ManualClock::new();
    let store = support::at(support::redis()).clock(clock.clone());
    let store = store.open().await.unwrap();
    let session = begin(&store, "alice").await;
    end(&store, &session).await;
    look_at_in_vain(&store, &clock, "alice", 8).await;
    // Removes first the session, then its entry.
    assert_eq!(store.purge(Timestamp::MAX, 1).await.unwrap().removed, 1);
    assert_eq!(store.purge(Timestamp::MAX, 1).await.unwrap().removed, 1);
    assert_eq!(pull_all(&store, None).await.0, []);
}

#[tokio::test]
async fn no_partition_is_purged_after_all_others_for_ever() {
    const PARTITIONS: u8 = 16;
    let clock = ManualClock::new();
    let store = support::at(support::redis()).clock(clock.clone());
    let store = store.open().await.unwrap();
    let partition = |name: &str| account(name).prefix()[0] % PARTITIONS;
    let of = |wanted| {
        let mut names = (0..).map(|number| format!("user {number}"));
        names.find(|name| partition(name) == wanted).unwrap()
    };
    begin(&store, &of(PARTITIONS - 1)).await;
    look_at_in_vain(&store, &clock, &of(0), 8 * usize::from(PARTITIONS)).await;
    let mut removed = 0;
    for _ in 0..PARTITIONS {
        removed += store.purge(Timestamp::MAX, 1).await.unwrap().removed;
    }
    assert_eq!(removed, 1);
}

#[tokio::test]
async fn attempts_of_a_flood_expire_as_soon_as_they_are_forgotten() {
    let namespace = unique("flood");
    let store = support::at(support::redis()).namespace(&namespace);
    let store = store.open().await.unwrap();
    attempt_with_names(&store, 20).await;
    let mut keys = support::keys(&support::redis(), &namespace).await;
    keys.retain(|(_, key)| key.contains("}attempt:"));
    assert_eq!(keys.len(), 60);
    for (url, key) in keys {
        let left: i64 = ask(&url, &["PTTL", &key]).await.unwrap();
        assert!((1..=300_000).contains(&left), "{key}: {left}");
    }
}
