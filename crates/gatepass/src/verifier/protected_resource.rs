//! The description of a service as a protected resource of OAuth (RFC 9728).

use serde_json::{Map, Value, json};

use crate::{
    config::BuildError,
    issuers::url::is_fetchable,
    model::{ids::Issuer, local_path::is_plain, origin, scopes::Scopes},
};

/// The path before which the path of a resource is inserted (RFC 9728 §3.1).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The description of a service as a protected resource of OAuth: its URL, and who issues access
/// tokens for it (RFC 9728).
///
/// A client that is refused finds the URL of the description in the challenge
/// (`resource_metadata`), and the authorization servers in the description. So you configure an MCP
/// client with your server's URL alone. Pass the description to
/// [`VerifierBuilder::protected_resource`](crate::VerifierBuilder::protected_resource) or
/// [`AuthorityBuilder::protected_resource`](crate::AuthorityBuilder::protected_resource).
///
/// | member | is |
/// |---|---|
/// | `resource` | the URL; clients ask for tokens with this audience (RFC 8707) |
/// | `authorization_servers` | by default the trusted [issuers](crate::issuers::Issuers), and last the service itself if it has [endpoints](crate::wire::Endpoints) with a token endpoint |
/// | `scopes_supported` | the [scopes](Self::scopes), if you name some |
/// | `bearer_methods_supported` | `["header"]` |
/// | `resource_name`, `resource_documentation` | the [name](Self::name) and the [page](Self::documentation), if you set them |
///
/// There is no `jwks_uri`: it would name keys of the resource, which signs nothing. An
/// authorization server publishes its keys in its own metadata.
///
/// ```
/// use gatepass::{
///     BuildError, MemoryStore, ProtectedResource, Scopes, Verifier,
///     issuers::{Issuers, TrustedIssuer},
/// };
///
/// async fn verifier(issuers: Issuers, tools: Scopes) -> Result<Verifier, BuildError> {
///     let url = "https://mcp.example/mcp";
///     let login = TrustedIssuer::new("https://login.example", url);
///     Verifier::of_issuers(url, issuers.trust(login), MemoryStore::new())
///         .protected_resource(ProtectedResource::new(url).scopes(tools))
///         .build()
///         .await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProtectedResource {
    url: String,
    authorization_servers: Vec<String>,
    scopes: Scopes,
    name: Option<String>,
    documentation: Option<String>,
}

impl ProtectedResource {
    /// The resource at `url`, as clients reach it: `https`, or `http` on this machine. For example,
    /// `https://mcp.example/mcp`. It has no slash at the end, no query and no fragment.
    ///
    /// The description is at `https://mcp.example/.well-known/oauth-protected-resource/mcp`. If a
    /// proxy forwards only some of your host's paths to the service, let it forward this path as
    /// well.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            authorization_servers: Vec::new(),
            scopes: Scopes::default(),
            name: None,
            documentation: None,
        }
    }

    /// Names an authorization server by its issuer, in place of the default ones. Call it once for
    /// each. The service must also trust the tokens of that server: by
    /// [`Issuers`](crate::issuers::Issuers), or because you build the verifier for that issuer.
    ///
    /// For example, a verifier of tokens that another service of yours issues names that service.
    pub fn authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.authorization_servers.push(issuer.into());
        self
    }

    /// The scopes that clients may ask for. Default: the description names none.
    ///
    /// A client that gets no scopes in a challenge asks its user for all of these. So leave out the
    /// scopes that few clients need.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// The name of the service, for people.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The URL of a page for developers who use the service.
    pub fn documentation(mut self, url: impl Into<String>) -> Self {
        self.documentation = Some(url.into());
        self
    }

    /// Checks the configuration. `trusted` are the trusted issuers beside this service.
    pub(super) fn check<'i>(
        self,
        trusted: impl Iterator<Item = &'i Issuer>,
    ) -> Result<PublishedResource, BuildError> {
        let wrong = |what, value: &str, must| BuildError::ProtectedResource {
            what,
            value: value.to_owned(),
            must,
        };
        let split = origin::split(&self.url).filter(|_| is_fetchable(&self.url));
        let (origin, path) = match split {
            Some((origin, path)) if path.is_empty() || is_plain(path) => (origin, path),
            _ => {
                return Err(wrong(
                    "protected resource",
                    &self.url,
                    "must be a URL such as https://mcp.example/mcp: https (or http://localhost), \
                     a host in lower case, and no slash at the end",
                ));
            }
        };
        let mut servers = self.authorization_servers.iter();
        if let Some(server) = servers.find(|server| !is_authorization_server(server)) {
            return Err(wrong(
                "authorization server",
                server,
                "must be an issuer such as https://login.example: https (or http://localhost), \
                 without query and fragment",
            ));
        }
        let documentation = self.documentation.as_deref();
        if let Some(page) = documentation.filter(|page| !is_fetchable(page)) {
            return Err(wrong(
                "documentation of the protected resource",
                page,
                "must be a URL that begins with https:// (or http://localhost)",
            ));
        }
        let default = trusted.map(Issuer::as_str);
        let default = default.filter(|issuer| is_authorization_server(issuer));
        Ok(PublishedResource {
            metadata_url: format!("{origin}{WELL_KNOWN}{path}"),
            origin_length: origin.len(),
            default_servers: default.map(str::to_owned).collect(),
            described: self,
        })
    }
}

/// A protected resource whose configuration is good.
#[derive(Debug)]
pub(crate) struct PublishedResource {
    described: ProtectedResource,
    metadata_url: String,
    origin_length: usize,
    default_servers: Vec<String>,
}

impl PublishedResource {
    /// The URL of the description, for challenges (RFC 9728 §5.1).
    pub(crate) fn metadata_url(&self) -> &str {
        &self.metadata_url
    }

    /// The path of the description.
    pub(crate) fn metadata_path(&self) -> &str {
        let path = self.metadata_url.get(self.origin_length..);
        path.unwrap_or_default()
    }

    /// The description, as JSON (RFC 9728 §2). `own` is this service, if it is an authorization
    /// server itself. It leaves out members without elements (RFC 9728 §3.2).
    pub(crate) fn document(&self, own: Option<&Issuer>) -> String {
        let ProtectedResource {
            url,
            authorization_servers,
            scopes,
            name,
            documentation,
        } = &self.described;
        let own = own.map(Issuer::as_str);
        let own = own.filter(|issuer| is_authorization_server(issuer));
        // The service itself comes last: many clients take the first server, and the service can't
        // log users in for them.
        let default = self.default_servers.iter().map(String::as_str).chain(own);
        let servers: Vec<&str> = match authorization_servers.as_slice() {
            [] => default.collect(),
            chosen => chosen.iter().map(String::as_str).collect(),
        };
        let scopes: Vec<&str> = scopes.iter().collect();
        let members = [
            ("resource", Some(json!(url))),
            ("authorization_servers", some(&servers)),
            ("scopes_supported", some(&scopes)),
            ("bearer_methods_supported", some(&["header"])),
            ("resource_name", name.as_deref().map(Value::from)),
            (
                "resource_documentation",
                documentation.as_deref().map(Value::from),
            ),
        ];
        let members = members.into_iter();
        let there = members.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(there.collect::<Map<_, _>>()).to_string()
    }
}

fn some(list: &[&str]) -> Option<Value> {
    (!list.is_empty()).then(|| json!(list))
}

/// Whether clients can find an authorization server by this issuer (RFC 8414 §2).
fn is_authorization_server(issuer: &str) -> bool {
    is_fetchable(issuer) && !issuer.contains('?')
}
