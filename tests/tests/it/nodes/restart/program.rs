//! The example's own program, from outside.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};

use gatepass_servers::Durability;
use gatepass_tests::nodes::Backend;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{OTHERS, filling};
use crate::{
    nodes::own::Own,
    server::{Server, api::Api},
};

/// Number of sessions to end before and after the others. Each login hashes a password.
const ENDED: usize = 5;

/// A secret in the format of `openssl rand -hex`.
const SECRET: &[u8] = &[b'7'; 128];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_starts_among_100_000_revocations_honours_none_of_them() {
    let own = Own::start(Backend::Redis, Durability::None);
    let site = own.site().named("gatepass");
    let directory = TempDir::new().unwrap();
    let secret = directory.path().join("secret");
    let own_alone = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&secret);
    own_alone.unwrap().write_all(SECRET).unwrap();
    let secret = secret.to_str().unwrap();
    let arguments = ["--store", site.url(), "--user-store", "memory"];
    let arguments = [&arguments[..], &["--secret-file", secret]].concat();
    let busy = Server::start_with(directory.path(), &arguments).await;
    let mut ended = Vec::new();
    end_some(&busy.api(), &mut ended).await;
    filling::fill(&site, Some(&own), OTHERS).await;
    end_some(&busy.api(), &mut ended).await;

    let load = tokio::spawn(refresh_for_ever(busy.api()));
    let fresh = Server::start_with(directory.path(), &arguments).await;
    let mut asked = JoinSet::new();
    for access in &ended {
        let (api, access) = (fresh.api(), access.clone());
        asked.spawn(async move { api.me(&access).await.unwrap() });
    }
    for (status, body) in asked.join_all().await {
        assert_eq!((status, &body["reason"]), (401, &"revoked".into()));
    }
    assert!(!load.is_finished());
    load.abort();
}

async fn login(api: &Api) -> Value {
    let (status, body) = api.login().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

fn text<'a>(body: &'a Value, member: &str) -> &'a str {
    body[member].as_str().unwrap()
}

async fn end_some(api: &Api, ended: &mut Vec<String>) {
    for _ in 0..ENDED {
        let body = login(api).await;
        let (status, _) = api.logout(text(&body, "refresh_token")).await.unwrap();
        assert_eq!(status, 204);
        ended.push(text(&body, "access_token").to_owned());
    }
}

async fn refresh_for_ever(api: Api) {
    let mut body = login(&api).await;
    loop {
        let (status, next) = api.refresh(text(&body, "refresh_token")).await.unwrap();
        // While the server loads the added log, it may be too busy.
        if status == 200 {
            body = next;
        } else {
            assert_eq!(status, 503, "{next}");
        }
    }
}
