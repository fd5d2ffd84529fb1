//! Each refusal and each failure on the wire, and the answers of the endpoints to odd requests.
mod browser;
mod csrf;
mod endpoints;
mod error_response;
mod gate;
mod oauth;
mod openapi;
mod places;
mod proxies;
mod refusals;
mod resource_metadata;
mod sessions;
mod sliding;
mod stepping_up;
mod users;

use std::{collections::BTreeSet, time::Duration};

use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Error, Identity,
    IdentityError, InternalError, Issued, MasterSecret, MemoryStore, Refusal, Requirements, Scopes,
    Session, StoreError, Subject,
    store::{Issuer, StoreErrorKind},
    wire::{
        Endpoints, ErrorFormat, Gate, HeaderField, Problem, Reply, RequestBody, RequestHead,
        ResponseHeaders,
    },
};
use gatepass_testkit::{ManualClock, StoreFault, TestStore};
use serde_json::{Value, json};

const REALM: &str = "https://shop.example";

const MARKER: &str = "postgres://shop:hunter2@db/shop";

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    let mut values = reply.headers().filter(|(own, _)| *own == name);
    let value = values.next().map(|(_, value)| value);
    assert!(values.next().is_none(), "{name} twice");
    value
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(reply.body()).unwrap()
}

fn assert_well_formed(case: &str, reply: &Reply) {
    for (name, value) in reply.headers() {
        assert!(
            value.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{case}: {name}: {value:?}"
        );
        assert!(
            name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'-')),
            "{case}: {name:?}"
        );
    }
    assert_eq!(header(reply, "cache-control"), Some("no-store"), "{case}");
    // A reply to HEAD keeps the type of the body that it leaves out.
    if !case.starts_with("HEAD ") {
        let typed = header(reply, "content-type");
        let expected = (!reply.body().is_empty()).then_some("application/json");
        assert_eq!(typed, expected, "{case}");
    }
}

/// The headers of a handler's response.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(&'static str, String)>);

impl Fields {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let own = self.0.iter().filter(|(own, _)| *own == name);
        own.map(|(_, value)| value.as_str()).collect()
    }
}

impl ResponseHeaders for Fields {
    fn values<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s [u8]> {
        let own = self.0.iter().filter(move |(own, _)| *own == name);
        own.map(|(_, value)| value.as_bytes())
    }

    fn replace(&mut self, name: &'static str, value: &str) {
        self.0.retain(|(own, _)| *own != name);
        self.append(name, value);
    }

    fn append(&mut self, name: &'static str, value: &str) {
        self.0.push((name, value.to_owned()));
    }
}
