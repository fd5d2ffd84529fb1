//! The public documents: the public keys, and the metadata of the endpoints.

use serde_json::{Map, Value, json};

use crate::{
    http::{head::RequestHead, reply::Reply},
    wire::{
        client::Client,
        endpoints::{Endpoint, Endpoints},
    },
};

impl Endpoints {
    pub(super) fn jwks(&self, head: &RequestHead<'_>) -> Reply {
        let jwks = self.inner.authority.verifier().jwks();
        Reply::document(jwks, head.field("if-none-match"))
    }

    pub(super) fn metadata(&self, head: &RequestHead<'_>) -> Reply {
        let base = self.inner.base_url.as_deref().unwrap_or_default();
        let document = Value::from(self.described(base)).to_string();
        Reply::document(document, head.field("if-none-match"))
    }

    pub(super) fn resource_metadata(&self, head: &RequestHead<'_>) -> Reply {
        let policy = self.inner.authority.verifier().policy();
        let is_server = self.is_mounted(Endpoint::Token) && self.is_mounted(Endpoint::Metadata);
        let own = is_server.then_some(&policy.issuer);
        let resource = policy.resource.as_deref();
        let document = resource.map(|resource| resource.document(own));
        Reply::document(document.unwrap_or_default(), head.field("if-none-match"))
    }

    /// RFC 8414 §2: exactly what is mounted.
    fn described(&self, base: &str) -> Map<String, Value> {
        let url = |endpoint| Some(format!("{base}{}", self.path(endpoint)?));
        let mut grant_types = vec!["refresh_token"];
        if self.offers_passwords() {
            grant_types.push("password");
        }
        let mut with_secret = Vec::new();
        if self.inner.clients.iter().any(Client::is_confidential) {
            with_secret = vec!["client_secret_basic", "client_secret_post"];
        }
        let methods = [&["none"], &with_secret[..]].concat();
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| {
            members.insert(name.to_owned(), value);
        };
        put(
            "issuer",
            json!(self.inner.authority.verifier().policy().issuer),
        );
        if let Some(url) = url(Endpoint::Token) {
            put("token_endpoint", json!(url));
            put("token_endpoint_auth_methods_supported", json!(methods));
            put("grant_types_supported", json!(grant_types));
        } else {
            // Without this member, a default of two grant types would apply (RFC 8414 §2).
            put("grant_types_supported", json!([]));
        }
        if let Some(url) = url(Endpoint::Revoke) {
            put("revocation_endpoint", json!(url));
            put("revocation_endpoint_auth_methods_supported", json!(methods));
        }
        if let Some(url) = url(Endpoint::Introspect) {
            put("introspection_endpoint", json!(url));
            // Types of access tokens count as methods here.
            let bearer = self.inner.introspection_scopes.as_ref().map(|_| "Bearer");
            with_secret.extend(bearer);
            // RFC 8414 §3.2 forbids members without elements.
            if !with_secret.is_empty() {
                put(
                    "introspection_endpoint_auth_methods_supported",
                    json!(with_secret),
                );
            }
        }
        if let Some(url) = url(Endpoint::Jwks) {
            put("jwks_uri", json!(url));
        }
        // There is no authorization endpoint.
        put("response_types_supported", json!([]));
        members
    }
}
