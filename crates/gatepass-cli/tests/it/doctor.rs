//! The doctor, as scripts call it.
#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there fails the test, as it must"
)]

use std::{path::Path, process::Command, time::Duration};

use gatepass::{Authority, KeySet, MasterSecret, keys::SigningKey, store::SessionStore};
use gatepass_postgres::PostgresStore;
use gatepass_redis::RedisStore;
use gatepass_sqlite::SqliteStore;
use test_support::servers::{server, unique};

use crate::{directory, gatepass, text};

const SECRET: &[u8] = b"a master secret that nodes of these tests share";

/// A node with this secret, and with these keys if there are any.
async fn node(store: impl SessionStore, secret: &[u8], keys: Option<KeySet>) -> Authority {
    let secret = MasterSecret::from_bytes(secret).unwrap();
    let mut builder = Authority::builder("https://shop.example", "shop-api", secret, store)
        .heartbeat(Duration::from_secs(5))
        .share_store();
    if let Some(keys) = keys {
        builder = builder.keys(keys);
    }
    builder.build().await.unwrap()
}

/// The exit status, and what was printed.
fn doctor(directory: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = gatepass(directory, &[&["doctor"], args].concat(), "");
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    (output.status.code(), out.to_owned(), error.to_owned())
}

fn codes(json: &str) -> Vec<String> {
    let report: serde_json::Value = serde_json::from_str(json).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let codes = findings.iter().map(|one| one["code"].as_str().unwrap());
    codes.map(str::to_owned).collect()
}

#[tokio::test]
async fn nodes_that_agree_are_healthy_and_one_that_differs_is_named() {
    let directory = directory();
    let path = directory.path();
    let file = path.join("sessions.db");
    let url = format!("sqlite:{}", file.display());
    let store = SqliteStore::open(&file).unwrap();
    let _one = node(store.clone(), SECRET, None).await;
    let _two = node(store.clone(), SECRET, None).await;
    let (code, out, error) = doctor(path, &["--store", &url]);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("SQLite, 2 live nodes\n"), "{out}");
    assert!(out.ends_with("healthy\n"), "{out}");

    let key = SigningKey::hs256(&[7; 32]).unwrap();
    let other = node(store.clone(), SECRET, Some(KeySet::signing(key))).await;
    let (code, out, _) = doctor(path, &["--store", &url, "--json"]);
    assert_eq!(
        (code, codes(&out)),
        (Some(1), vec!["other_keys".to_owned()])
    );
    drop(other);
    let stranger = node(store.clone(), &[7; 32], None).await;
    let (code, out, _) = doctor(path, &["--store", &url]);
    assert_eq!(code, Some(1));
    assert!(out.contains("error [other_secret]: the node "), "{out}");
    assert!(out.contains("Give it the secret of the others"), "{out}");
    assert!(!out.contains("healthy"), "{out}");
    drop(stranger);
}

#[tokio::test]
async fn each_kind_of_store_is_examined_under_the_name_that_it_has() {
    let directory = directory();
    let (postgres, redis) = (
        server("GATEPASS_TEST_POSTGRES"),
        server("GATEPASS_TEST_REDIS"),
    );
    let name = unique("doctor");
    let store = PostgresStore::at(&postgres).schema(&name).open().await;
    let _in_postgres = node(store.unwrap(), SECRET, None).await;
    let store = RedisStore::at(&redis).namespace(&name).open().await;
    let _in_redis = node(store.unwrap(), SECRET, None).await;
    for (url, kind, expected) in [
        // The servers of the tests write nothing to disk.
        (
            &postgres,
            "PostgreSQL",
            vec!["fsync_off", "full_page_writes_off"],
        ),
        (&redis, "Redis", vec!["not_durable"]),
    ] {
        let (code, out, error) = doctor(
            directory.path(),
            &["--store", url, "--name", &name, "--json"],
        );
        assert_eq!((code, error.as_str()), (Some(1), ""), "{out}");
        assert_eq!(codes(&out), expected, "{out}");
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["store"], kind);
        assert_eq!(report["nodes"][0]["state"], "live");
        let nowhere = ["--store", url.as_str(), "--name", "nowhere", "--json"];
        let (code, out, _) = doctor(directory.path(), &nowhere);
        assert_eq!(code, Some(1));
        assert!(codes(&out).contains(&"no_store".to_owned()), "{out}");
        let password = url.split([':', '@']).nth(2).unwrap();
        assert!(!out.contains(password), "{out}");
    }
}

#[test]
fn a_store_that_cannot_be_reached_is_a_finding_and_no_password_is_shown() {
    let directory = directory();
    for url in [
        "postgres://shop:hunter2@127.0.0.1:1/shop",
        "redis://shop:hunter2@127.0.0.1:1",
        "postgres://shop:hunter2@x@127.0.0.1/shop",
        "sqlite:missing.db",
    ] {
        for args in [&["--store", url][..], &["--store", url, "--json"]] {
            let (code, out, error) = doctor(directory.path(), args);
            assert_eq!(code, Some(1), "{url}");
            assert!(out.contains("store_unavailable"), "{out}");
            assert!(!format!("{out}{error}").contains("hunter2"), "{out}{error}");
        }
    }
    assert!(!directory.path().join("missing.db").exists());
}

#[test]
fn a_wrong_call_is_another_exit_status_and_no_password_is_shown() {
    let directory = directory();
    for args in [
        &["--store", "mysql://shop:hunter2@db/shop"][..],
        &["--store", "shop:hunter2@db"],
        &[],
    ] {
        let (code, out, error) = doctor(directory.path(), args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(error.contains("--store"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    // The variable keeps a password out of the list of processes and the help.
    let help = Command::new(env!("CARGO_BIN_EXE_gatepass"))
        .args(["doctor", "--help"])
        .env("GATEPASS_STORE", "redis://:hunter2@127.0.0.1:1")
        .output()
        .unwrap();
    let help = text(&help.stdout).to_owned();
    assert!(
        help.contains("GATEPASS_STORE") && !help.contains("hunter2"),
        "{help}"
    );
}
