//! The metadata of an issuer, which says where its keys are.

use serde_json::Value;

use crate::{
    issuers::url::{is_fetchable, is_local},
    model::json::strict_object,
};

/// The document that says where the keys of an issuer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metadata {
    /// OpenID Connect Discovery 1.0 §4.
    OpenId,
    /// RFC 8414 §3.
    OAuth,
}

impl Metadata {
    /// The URL of the metadata of `issuer`.
    pub(super) fn url(self, issuer: &str) -> String {
        let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
        match self {
            Self::OpenId => format!("{issuer}/.well-known/openid-configuration"),
            Self::OAuth => {
                // Between the host and the path.
                let scheme = issuer.find("://").map_or(0, |at| at + 3);
                let (_, rest) = issuer.split_at(scheme);
                let path = rest.find('/').map_or(issuer.len(), |at| scheme + at);
                let (origin, path) = issuer.split_at(path);
                format!("{origin}/.well-known/oauth-authorization-server{path}")
            }
        }
    }
}

/// The URL of the keys in the metadata of `issuer`, or the fault of the metadata.
pub(super) fn jwks_url(metadata: &[u8], issuer: &str) -> Result<String, &'static str> {
    let metadata = strict_object(metadata).ok_or("the metadata is not a JSON object")?;
    let text = |name| metadata.get(name).and_then(Value::as_str);
    // Otherwise one issuer could speak for another (RFC 8414 §3.3).
    if text("issuer") != Some(issuer) {
        return Err("the metadata names another issuer than the configured one");
    }
    let url = text("jwks_uri").ok_or("the metadata has no jwks_uri")?;
    if !is_fetchable(url) {
        return Err("the jwks_uri in the metadata is not an https URL");
    }
    // A server elsewhere must not name a URL on this machine.
    if is_local(url) && !is_local(issuer) {
        return Err("the jwks_uri in the metadata is on this machine, and the issuer is not");
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_where_the_standards_say() {
        for (issuer, openid, oauth) in [
            (
                "https://login.example",
                "https://login.example/.well-known/openid-configuration",
                "https://login.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://login.example/",
                "https://login.example/.well-known/openid-configuration",
                "https://login.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://login.example/realms/shop",
                "https://login.example/realms/shop/.well-known/openid-configuration",
                "https://login.example/.well-known/oauth-authorization-server/realms/shop",
            ),
        ] {
            assert_eq!(Metadata::OpenId.url(issuer), openid);
            assert_eq!(Metadata::OAuth.url(issuer), oauth);
        }
    }

    #[test]
    fn metadata_must_be_of_the_issuer_and_name_a_safe_url() {
        let of = |issuer: &str, url: &str| {
            let metadata = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{url}"}}"#);
            jwks_url(metadata.as_bytes(), "https://login.example/")
        };
        let good = "https://keys.example/jwks";
        assert_eq!(of("https://login.example/", good).unwrap(), good);
        for issuer in ["https://login.example", "https://LOGIN.example/", ""] {
            assert!(of(issuer, good).is_err(), "{issuer}");
        }
        for url in [
            "http://keys.example/jwks",
            "http://localhost/jwks",
            "",
            "file:///jwks",
        ] {
            assert!(of("https://login.example/", url).is_err(), "{url}");
        }
        let local = br#"{"issuer":"http://localhost:1","jwks_uri":"http://localhost:2/jwks"}"#;
        assert!(jwks_url(local, "http://localhost:1").is_ok());
        for broken in [
            &b"[]"[..],
            b"",
            b"{}",
            br#"{"issuer":"https://login.example/"}"#,
            br#"{"issuer":["https://login.example/"],"jwks_uri":"https://keys.example/jwks"}"#,
            br#"{"issuer":"https://evil.example/","issuer":"https://login.example/","jwks_uri":"https://keys.example/jwks"}"#,
        ] {
            assert!(jwks_url(broken, "https://login.example/").is_err());
        }
    }
}
