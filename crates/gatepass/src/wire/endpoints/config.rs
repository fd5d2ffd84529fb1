//! The configuration of the endpoints.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    authority::authority::Authority,
    config::BuildError,
    model::{
        local_path::{LocalPath, is_plain},
        origin,
        scopes::Scopes,
    },
    verifier::protected_resource::PublishedResource,
    wire::{
        client::Client,
        endpoints::{Endpoint, Endpoints, Forms, Inner},
    },
};

/// Configures [`Endpoints`]. [`Endpoints::builder`] makes it.
///
/// ```
/// use gatepass::{Authority, wire::{Client, Endpoint, Endpoints}};
///
/// # fn example(authority: Authority, secret: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let gateway = Client::confidential("gateway".try_into()?, secret);
/// let endpoints = Endpoints::builder(authority)
///     .mount("/account")
///     .without(Endpoint::Login) // the application has a login of its own
///     .path(Endpoint::Token, "/token")
///     .client(gateway)
///     .introspection()
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct EndpointsBuilder {
    authority: Authority,
    mount: String,
    paths: HashMap<Endpoint, String>,
    without: HashSet<Endpoint>,
    forms: Option<Forms>,
    base_url: Option<String>,
    own_client: Client,
    clients: Vec<Client>,
    resume: bool,
    renew: bool,
    waits: bool,
    introspection: bool,
    introspection_scopes: Option<Scopes>,
}

impl Endpoints {
    /// The default endpoints of `authority`, below `/auth`. See [`builder`](Self::builder) for
    /// OAuth clients, other paths, and the endpoints that are off by default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use gatepass::{Authority, MasterSecret, MemoryStore, wire::Endpoints};
    ///
    /// let secret = MasterSecret::generate()?;
    /// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
    ///     .build()
    ///     .await?;
    /// let endpoints = Endpoints::new(authority);
    /// assert!(endpoints.serves("/auth/refresh"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        EndpointsBuilder::new(authority).checked()
    }

    /// Starts to configure the endpoints of `authority`.
    pub fn builder(authority: Authority) -> EndpointsBuilder {
        EndpointsBuilder::new(authority)
    }
}

impl EndpointsBuilder {
    pub(super) fn new(authority: Authority) -> Self {
        Self {
            mount: "/auth".to_owned(),
            paths: HashMap::new(),
            without: HashSet::new(),
            forms: None,
            base_url: None,
            own_client: Client::public(authority.client_id().clone()),
            clients: Vec::new(),
            resume: false,
            renew: false,
            waits: false,
            introspection: false,
            introspection_scopes: None,
            authority,
        }
    }

    /// Mounts the endpoints below `path`. Default `/auth`. With `/`, they are at the root.
    pub fn mount(mut self, path: impl Into<String>) -> Self {
        self.mount = path.into();
        self
    }

    /// Leaves an endpoint out. For example, [`Endpoint::Login`] if your application has its own
    /// login route, which calls the [`Authority`].
    ///
    /// Its path is then 404 like any unknown path, and the metadata and the OpenAPI document don't
    /// name it. Nothing else changes.
    pub fn without(mut self, endpoint: Endpoint) -> Self {
        self.without.insert(endpoint);
        self
    }

    /// Leaves out all endpoints except these. For example, an application with its own login and
    /// API takes only the list of sessions:
    ///
    /// ```
    /// use gatepass::{Authority, wire::{Endpoint, Endpoints, EndpointsBuilder}};
    ///
    /// fn configured(authority: Authority) -> EndpointsBuilder {
    ///     Endpoints::builder(authority).only([Endpoint::Sessions, Endpoint::Session])
    /// }
    /// ```
    pub fn only(self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let kept = HashSet::<_>::from_iter(endpoints);
        let others = Endpoint::ALL.into_iter();
        let others = others.filter(|endpoint| !kept.contains(endpoint));
        others.fold(self, Self::without)
    }

    /// Mounts an endpoint at this path, instead of below the [mount point](Self::mount). For
    /// example, `/token` for [`Endpoint::Token`], or `/api/devices/{id}` for [`Endpoint::Session`],
    /// whose path must end with `/{id}`.
    ///
    /// In actix-web and warp, one of your pages may have the same path if its route comes before
    /// the endpoints: for example, `GET /login` beside `POST /login`. You can't move
    /// [`Endpoint::Metadata`] and [`Endpoint::ResourceMetadata`], because RFC 8414 and RFC 9728 fix
    /// their paths.
    pub fn path(mut self, endpoint: Endpoint, path: impl Into<String>) -> Self {
        self.paths.insert(endpoint, path.into());
        self
    }

    /// Accepts forms at login and logout, for pages without JavaScript. Off by default.
    ///
    /// A login form is `application/x-www-form-urlencoded` and has `username` and `password`. It
    /// may have `return_to`, the path to show after the login. The authenticator gets all other
    /// fields in [`Credentials::extra`](crate::Credentials::extra). gatepass checks where the form
    /// comes from (login CSRF), and answers with a redirect (303):
    ///
    /// | a form | leads to |
    /// |---|---|
    /// | that logs in | `return_to`, or `home`; the redirect sets the cookies |
    /// | that is refused | `page?reason=bad_credentials&return_to=/orders` |
    /// | that logs out | `page`; the redirect clears the cookies |
    ///
    /// gatepass refuses a form of another site with 403. A failure of the server is a 5xx, as at
    /// all endpoints. The transport must have cookies.
    ///
    /// ```
    /// use gatepass::{Authority, InvalidLocalPath, wire::{Endpoints, EndpointsBuilder}};
    ///
    /// fn configured(authority: Authority) -> Result<EndpointsBuilder, InvalidLocalPath> {
    ///     Ok(Endpoints::builder(authority).forms("/login".parse()?, "/".parse()?))
    /// }
    /// ```
    pub fn forms(mut self, page: LocalPath, home: LocalPath) -> Self {
        self.forms = Some(Forms { page, home });
        self
    }

    /// Sets the URL at which clients reach the service, for the metadata (RFC 8414). For example,
    /// `https://shop.example`, or with the path under which a proxy serves it. The default is the
    /// issuer's scheme and host, if the issuer is a URL. Without a URL, there is no metadata.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Registers an OAuth client in addition to the application's own.
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// Lets the application's own client, which has no secret, log users in at the token endpoint
    /// with their passwords (RFC 6749 §4.3). For other clients, see [`Client::password_grant`]. Off
    /// by default, because the client learns the passwords, and RFC 9700 §2.4 forbids this grant.
    pub fn password_grant(mut self) -> Self {
        self.own_client = self.own_client.password_grant();
        self
    }

    /// Mounts `POST /auth/resume`, the automatic login: see [`Authority::resume`].
    pub fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// Mounts `POST /auth/renew`, for clients that keep no refresh token: see [`Authority::renew`].
    pub fn renew(mut self) -> Self {
        self.renew = true;
        self
    }

    /// Lets clients wait until all nodes enforce a logout. The answer to `POST
    /// /auth/logout-all?wait=enforced` then comes when
    /// [`Ending::enforced`](crate::Ending::enforced) returns. Off by default, because such a
    /// request can take up to `max_staleness`. If it is off, such a request gets 400.
    pub fn wait_for_enforcement(mut self) -> Self {
        self.waits = true;
        self
    }

    /// Mounts `POST /auth/introspect` (RFC 7662) for the confidential clients.
    pub fn introspection(mut self) -> Self {
        self.introspection = true;
        self
    }

    /// Mounts `POST /auth/introspect` (RFC 7662) for confidential clients, and for requests with an
    /// access token that has these scopes. With an empty set, only the clients may use it: every
    /// user's token has all scopes of an empty set.
    pub fn introspection_with(mut self, scopes: Scopes) -> Self {
        self.introspection_scopes = Some(scopes).filter(|scopes| !scopes.is_empty());
        self.introspection()
    }

    /// The endpoints.
    ///
    /// # Errors
    ///
    /// [`BuildError::Mount`] if the mount point isn't a plain path, [`BuildError::EndpointPath`] if
    /// the path of an endpoint isn't valid or is there twice, [`BuildError::BaseUrl`],
    /// [`BuildError::DuplicateClient`], and [`BuildError::FormsWithoutCookies`].
    pub fn build(mut self) -> Result<Endpoints, BuildError> {
        if self.mount == "/" {
            self.mount.clear();
        } else if !is_plain(&self.mount) {
            return Err(BuildError::Mount);
        }
        let mut own = self.paths.iter();
        if let Some((_, path)) = own.find(|(endpoint, path)| !is_path_of(**endpoint, path)) {
            return Err(BuildError::EndpointPath(path.clone()));
        }
        let mut taken = HashSet::new();
        let mounted = self.mounted();
        if let Some((_, twice)) = mounted.iter().find(|(_, path)| !taken.insert(path)) {
            return Err(BuildError::EndpointPath(twice.clone()));
        }
        let policy = self.authority.verifier().browser_policy();
        if self.forms.is_some() && !policy.transport.has_cookies() {
            return Err(BuildError::FormsWithoutCookies);
        }
        if let Some(url) = self.base_url.take() {
            self.base_url = Some(checked_base_url(url).ok_or(BuildError::BaseUrl)?);
        }
        let clients = [&self.own_client].into_iter().chain(&self.clients);
        let mut seen = HashSet::new();
        if let Some(twice) = clients.map(Client::id).find(|id| !seen.insert(*id)) {
            return Err(BuildError::DuplicateClient(twice.clone()));
        }
        Ok(self.checked())
    }

    /// The endpoints to mount, with their paths.
    fn mounted(&self) -> Vec<(Endpoint, String)> {
        let is_mounted = |endpoint: &Endpoint| match endpoint {
            Endpoint::Login | Endpoint::Reauthenticate => self.authority.can_authenticate(),
            Endpoint::Resume => self.resume,
            Endpoint::Renew => self.renew,
            Endpoint::Introspect => self.introspection,
            Endpoint::Adopt => self.authority.adopts(),
            Endpoint::BackchannelLogout => self.authority.takes_logouts(),
            Endpoint::Metadata => self.known_base_url().is_some(),
            Endpoint::ResourceMetadata => self.resource().is_some(),
            _ => true,
        };
        let path = |endpoint: Endpoint| match self.paths.get(&endpoint) {
            Some(path) => path.clone(),
            None if endpoint == Endpoint::ResourceMetadata => {
                let resource = self.resource();
                resource.map_or_else(String::new, |resource| resource.metadata_path().to_owned())
            }
            None if endpoint.is_well_known() => endpoint.path().to_owned(),
            None => format!("{}{}", self.mount, endpoint.path()),
        };
        let wanted = Endpoint::ALL.into_iter();
        let wanted = wanted.filter(|endpoint| !self.without.contains(endpoint));
        let mounted = wanted.filter(is_mounted);
        mounted.map(|endpoint| (endpoint, path(endpoint))).collect()
    }

    fn resource(&self) -> Option<&PublishedResource> {
        self.authority.verifier().policy().resource.as_deref()
    }

    fn known_base_url(&self) -> Option<String> {
        let issuer = self.authority.verifier().policy().issuer.as_str();
        let origin = || Some(origin::split(issuer)?.0.to_owned());
        self.base_url.clone().or_else(origin)
    }

    /// The endpoints of a valid configuration.
    fn checked(self) -> Endpoints {
        let (mounted, base_url) = (self.mounted(), self.known_base_url());
        let clients = [self.own_client].into_iter().chain(self.clients);
        Endpoints {
            inner: Arc::new(Inner {
                authority: self.authority,
                mounted,
                forms: self.forms,
                waits: self.waits,
                introspection_scopes: self.introspection_scopes,
                clients: clients.collect(),
                base_url,
            }),
        }
    }
}

/// Whether `endpoint` can be at `path`. The path of a session ends with its id, and RFCs fix the
/// paths of the metadata.
fn is_path_of(endpoint: Endpoint, path: &str) -> bool {
    match endpoint {
        Endpoint::Metadata => path == endpoint.path(),
        Endpoint::ResourceMetadata => false,
        Endpoint::Session => path.strip_suffix("/{id}").is_some_and(is_plain),
        _ => is_plain(path),
    }
}

/// Checks `url`, and removes the slash at its end.
fn checked_base_url(url: String) -> Option<String> {
    let url = url.trim_end_matches('/');
    let (_, path) = origin::split(url)?;
    (path.is_empty() || is_plain(path)).then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_scheme_host_and_maybe_a_path() {
        for (url, checked) in [
            ("https://shop.example", Some("https://shop.example")),
            ("https://shop.example/", Some("https://shop.example")),
            (
                "https://shop.example/api/v1/",
                Some("https://shop.example/api/v1"),
            ),
            ("http://127.0.0.1:3000", Some("http://127.0.0.1:3000")),
            ("shop.example", None),
            ("https://", None),
            ("ftp://shop.example", None),
            ("https://shop.example?a", None),
            ("https://shop.example/a?b", None),
            ("https://shop.example/a#b", None),
            ("https://user@shop.example", None),
            ("https://shop.example//a", None),
            ("https://shop.example/a/../b", None),
        ] {
            assert_eq!(
                checked_base_url(url.to_owned()).as_deref(),
                checked,
                "{url}"
            );
        }
    }

    #[test]
    fn an_issuer_that_is_no_url_has_no_origin() {
        assert_eq!(
            origin::split("https://shop.example/tenant"),
            Some(("https://shop.example", "/tenant"))
        );
        for issuer in ["shop", "urn:shop", "https:shop", "mailto:a@b"] {
            assert_eq!(origin::split(issuer), None, "{issuer}");
        }
    }
}
