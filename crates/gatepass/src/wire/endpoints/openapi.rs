//! The OpenAPI document of the endpoints.

use serde_json::{Map, Value, json};

use crate::wire::endpoints::{Endpoint, Endpoints};

/// The whole document, with paths below the mount point. It is written by hand rather than derived
/// from types, because there are few bodies and RFCs explain them. A test compares it with the
/// endpoints.
const DOCUMENT: &str = include_str!("openapi.json");

impl Endpoints {
    /// The mounted endpoints, as an OpenAPI 3.1 document in JSON. Use it for Swagger UI and for
    /// client generators. The password flow of Swagger UI logs users in if the [password
    /// grant](super::EndpointsBuilder::password_grant) is on.
    ///
    /// Serve it at any path, on its own or merged into your application's document.
    ///
    /// ```
    /// # fn example(endpoints: gatepass::wire::Endpoints) {
    /// let document: serde_json::Value = serde_json::from_str(&endpoints.openapi()).unwrap_or_default();
    /// assert_eq!(document["openapi"], "3.1.0");
    /// # }
    /// ```
    #[must_use]
    pub fn openapi(&self) -> String {
        // A test checks that it is JSON.
        let mut document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
        if let Some(base) = &self.inner.base_url
            && let Some(members) = document.as_object_mut()
        {
            members.insert("servers".into(), json!([{ "url": base }]));
        }
        if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
            self.keep_mounted(paths);
            if !self.inner.waits
                && let Some(path) = self.path(Endpoint::LogoutAll)
                && let Some(logout_all) = paths.get_mut(path)
                && let Some(Value::Object(operation)) = logout_all.get_mut("post")
            {
                operation.remove("parameters");
            }
        }
        self.keep_offered(&mut document);
        document.to_string()
    }

    fn keep_mounted(&self, paths: &mut Map<String, Value>) {
        let mounted = self.mounted().filter_map(|endpoint| {
            let described = paths.remove(endpoint.path())?;
            Some((self.path(endpoint)?.to_owned(), described))
        });
        *paths = mounted.collect();
    }

    /// Removes the ways to authenticate that the service doesn't offer, in all places.
    fn keep_offered(&self, document: &mut Value) {
        let cookies = self.browser_policy().transport.has_cookies();
        let offered = |scheme: &str| match scheme {
            "accessCookie" | "refreshCookie" => cookies,
            "password" => self.offers_passwords() && self.is_mounted(Endpoint::Token),
            _ => true,
        };
        let token_url = self.path(Endpoint::Token).unwrap_or_default();
        if let Some(Value::Object(schemes)) = document.pointer_mut("/components/securitySchemes") {
            schemes.retain(|scheme, _| offered(scheme));
            if let Some(flow) = schemes
                .get_mut("password")
                .and_then(|scheme| scheme.pointer_mut("/flows/password"))
            {
                *flow = json!({ "tokenUrl": token_url, "refreshUrl": token_url, "scopes": {} });
            }
        }
        let keep = |security: &mut Value| {
            if let Value::Array(ways) = security {
                ways.retain(|way| {
                    let schemes = way.as_object();
                    schemes.is_none_or(|schemes| schemes.keys().all(|scheme| offered(scheme)))
                });
            }
        };
        if let Some(security) = document.get_mut("security") {
            keep(security);
        }
        let paths = document.get_mut("paths").and_then(Value::as_object_mut);
        let operations = paths
            .into_iter()
            .flat_map(Map::values_mut)
            .filter_map(Value::as_object_mut)
            .flat_map(Map::values_mut);
        operations
            .filter_map(|operation| operation.get_mut("security"))
            .for_each(keep);
    }
}
