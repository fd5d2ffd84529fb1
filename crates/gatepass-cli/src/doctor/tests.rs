use std::time::Duration;

use gatepass::{
    Timestamp,
    store::{Heartbeat, Heartbeats, NodeId},
};

use super::*;

fn nodes(change: impl Fn(&mut Heartbeat)) -> Examination {
    let now = Timestamp::from_unix_secs(1_795_000_000);
    let nodes = [1, 2].map(|number| {
        let (issuer, audience) = ("shop".try_into().unwrap(), "api".try_into().unwrap());
        let id = NodeId::from_bytes([number; 16]);
        let mut beat = Heartbeat::new(id, issuer, audience, now);
        beat.secrets = vec!["fingerprint".to_owned()];
        beat.interval = Duration::from_secs(5);
        beat.max_staleness = Duration::from_secs(2);
        beat.leeway = Duration::from_secs(30);
        beat.lag = Some(Duration::from_millis(120));
        if number == 2 {
            change(&mut beat);
        }
        gatepass::store::RecordedHeartbeat::new(beat, now)
    });
    Examination::new(Vec::new(), Some(Heartbeats::new(now, nodes.into())))
}

#[test]
fn a_healthy_service_is_told_in_words_and_in_json() {
    let report = Report::new("Redis", &nodes(|_| {}), false);
    assert!(report.is_healthy());
    let text = report.to_string();
    assert!(text.starts_with("Redis, 2 live nodes\n"), "{text}");
    assert!(text.ends_with("lag 120 ms\nhealthy\n"), "{text}");
    let json = report.json();
    assert_eq!(json["healthy"], true);
    assert_eq!(json["nodes"][1]["state"], "live");
    assert_eq!(json["findings"], serde_json::json!([]));
}

#[test]
fn the_worst_finding_comes_first_and_a_note_is_no_fault() {
    let changed = nodes(|beat| {
        beat.secrets = vec!["another".to_owned()];
        "9.9.9".clone_into(&mut beat.version);
    });
    let report = Report::new("Redis", &changed, false);
    assert!(!report.is_healthy());
    let json = report.json();
    assert_eq!(json["findings"][0]["code"], "other_secret");
    assert_eq!(json["findings"][1]["severity"], "note");
    let note = nodes(|beat| "9.9.9".clone_into(&mut beat.version));
    assert!(Report::new("Redis", &note, false).is_healthy());
}

#[test]
fn services_that_share_a_store_on_purpose_are_healthy() {
    let two = nodes(|beat| beat.issuer = "bank".try_into().unwrap());
    assert!(!Report::new("Redis", &two, false).is_healthy());
    let report = Report::new("Redis", &two, true);
    assert!(report.is_healthy());
    assert_eq!(report.json()["findings"][0]["severity"], "note");
}
