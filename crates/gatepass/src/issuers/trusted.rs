//! A trusted issuer, and the rules for its tokens.

use std::time::Duration;

use crate::{
    config::{BuildError, check_duration},
    issuers::{discovery::Metadata, url::is_fetchable},
    keys::algorithm::Algorithm,
    model::ids::{Audience, ClientId, Issuer},
    token::foreign::ForeignRules,
};

/// Another issuer whose access tokens your service accepts, for example your company's Keycloak or
/// an Auth0 tenant.
///
/// gatepass accepts its tokens if one of its keys signed them, if they are for your audience, and
/// if they are access tokens. Every subject and every scope in them counts: you trust the issuer
/// for both. See [`docs::issuers`](crate::docs::issuers) for what to configure at each product.
///
/// ```
/// use gatepass::issuers::TrustedIssuer;
///
/// // The keys are found through https://example.eu.auth0.com/.well-known/openid-configuration.
/// let auth0 = TrustedIssuer::new("https://example.eu.auth0.com/", "https://api.shop.example");
/// // Or say where they are.
/// let partner = TrustedIssuer::new("https://login.partner.example", "shop-api")
///     .jwks_url("https://login.partner.example/keys.json");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TrustedIssuer {
    issuer: String,
    audiences: Vec<String>,
    clients: Vec<String>,
    login_clients: Vec<String>,
    tenants: Vec<String>,
    algorithms: Vec<Algorithm>,
    source: Source,
    max_lifetime: Duration,
    only_at_jwt: bool,
}

/// The place of an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Metadata(Metadata),
    Jwks(String),
}

/// The place of a tenant's id in the issuer of a product with tenants.
const TENANT: &str = "{tenantid}";

impl TrustedIssuer {
    /// Trusts `issuer` for tokens whose `aud` is `audience`. The text must be the `iss` of its
    /// tokens, with or without a slash at the end as they have it.
    ///
    /// gatepass finds the keys by OpenID Connect Discovery, unless you call
    /// [`jwks_url`](Self::jwks_url) or [`oauth_metadata`](Self::oauth_metadata).
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self::with(issuer.into(), vec![audience.into()], Vec::new())
    }

    /// Trusts `issuer` for tokens of these clients that have no `aud`, as Amazon Cognito issues
    /// them. If a token has an `aud`, it must be one that you name by [`audience`](Self::audience).
    ///
    /// ```
    /// use gatepass::issuers::TrustedIssuer;
    ///
    /// let pool = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI";
    /// let cognito = TrustedIssuer::of_clients(pool, ["7fbp3mq2vh5kd0example"]);
    /// ```
    pub fn of_clients<C: Into<String>>(
        issuer: impl Into<String>,
        clients: impl IntoIterator<Item = C>,
    ) -> Self {
        let clients = clients.into_iter().map(Into::into).collect();
        Self::with(issuer.into(), Vec::new(), clients)
    }

    /// Trusts `issuer` as the OpenID Connect provider at which your service is registered as
    /// `client_id`, and accepts none of its access tokens. The provider can report logouts: see
    /// [`backchannel_logout`](crate::AuthorityBuilder::backchannel_logout).
    ///
    /// ```
    /// use gatepass::issuers::TrustedIssuer;
    ///
    /// let sso = TrustedIssuer::for_logins("https://sso.shop.example/realms/staff", "shop-web");
    /// ```
    pub fn for_logins(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self::with(issuer.into(), Vec::new(), Vec::new()).login_client(client_id)
    }

    fn with(issuer: String, audiences: Vec<String>, clients: Vec<String>) -> Self {
        Self {
            issuer,
            audiences,
            clients,
            login_clients: Vec::new(),
            tenants: Vec::new(),
            algorithms: Algorithm::ALL
                .into_iter()
                .filter(|algorithm| !algorithm.is_symmetric())
                .collect(),
            source: Source::Metadata(Metadata::OpenId),
            max_lifetime: Duration::from_secs(86_400),
            only_at_jwt: false,
        }
    }

    /// Also accepts tokens whose `aud` is `audience`.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Also accepts logout tokens for `client_id`, which is your service's client at the issuer for
    /// the logins of its users. See [`for_logins`](Self::for_logins).
    pub fn login_client(mut self, client_id: impl Into<String>) -> Self {
        self.login_clients.push(client_id.into());
        self
    }

    /// Takes the keys from this URL (`https`, or `http` on this machine) instead of looking the URL
    /// up in the issuer's metadata.
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.source = Source::Jwks(url.into());
        self
    }

    /// Looks the URL of the keys up in the metadata of RFC 8414
    /// (`/.well-known/oauth-authorization-server`), for an issuer without OpenID Connect metadata.
    pub fn oauth_metadata(mut self) -> Self {
        self.source = Source::Metadata(Metadata::OAuth);
        self
    }

    /// Accepts only these algorithms. Default: all asymmetric ones that gatepass has. gatepass uses
    /// a key without an `alg` with the first of them that fits it: by default RS256, ES256, ES384
    /// or EdDSA.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Accepts tokens of these tenants, for a product that has one issuer for each. The issuer must
    /// contain `{tenantid}`.
    ///
    /// ```
    /// use gatepass::issuers::TrustedIssuer;
    ///
    /// let entra = TrustedIssuer::new("https://login.microsoftonline.com/{tenantid}/v2.0", "api://shop")
    ///     .jwks_url("https://login.microsoftonline.com/common/discovery/v2.0/keys")
    ///     .tenants(["8f2cb5a8-4b3e-4d44-9f6d-2f5ab1a1c0de", "0d4c7a52-63d1-4e6f-8c5e-1a2b3c4d5e6f"]);
    /// ```
    pub fn tenants<T: Into<String>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.tenants = tenants.into_iter().map(Into::into).collect();
        self
    }

    /// The longest time after its `iat` that a token is good, even if its `exp` is later. Default
    /// 24 h, between 1 min and 31 days.
    ///
    /// gatepass keeps the revocation of a subject for this long, since it doesn't know which of the
    /// subject's tokens there are.
    pub fn max_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// Accepts only tokens of the type `at+jwt`, which marks access tokens (RFC 9068). Call it if
    /// the issuer writes this type: then no other JWT of the issuer can pass for an access token.
    /// Default: gatepass also accepts `JWT` or no type.
    pub fn only_at_jwt(mut self) -> Self {
        self.only_at_jwt = true;
        self
    }

    pub(super) fn has_login_client(&self) -> bool {
        !self.login_clients.is_empty()
    }

    /// Checks the configuration.
    pub(super) fn check(self) -> Result<Trusted, BuildError> {
        let wrong = |must| BuildError::TrustedIssuer {
            issuer: self.issuer.clone(),
            must,
        };
        let has_tenants = self.issuer.contains(TENANT);
        if has_tenants == self.tenants.is_empty() {
            return Err(wrong(
                "must contain {tenantid} if you name tenants, and only then",
            ));
        }
        let is_tenant = |tenant: &String| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !tenant.is_empty() && tenant.bytes().all(plain)
        };
        if !self.tenants.iter().all(is_tenant) {
            return Err(wrong("must have tenants of letters, digits and hyphens"));
        }
        let name = |name: String| {
            Issuer::new(name)
                .map_err(|_| wrong("must be 1 to 255 bytes of text without control characters"))
        };
        let names = if has_tenants {
            let tenants = self.tenants.iter();
            let names = tenants.map(|tenant| name(self.issuer.replace(TENANT, tenant)));
            names.collect::<Result<Vec<_>, _>>()?
        } else {
            vec![name(self.issuer.clone())?]
        };
        let fits = |audience: &String| Audience::new(audience.as_str()).is_ok();
        let is_client = |client: &String| ClientId::new(client.as_str()).is_ok();
        let mut clients = self.clients.iter().chain(&self.login_clients);
        if !self.audiences.iter().all(fits) || !clients.all(is_client) {
            return Err(wrong("must have audiences and clients of 1 to 255 bytes"));
        }
        if self.audiences.is_empty() && self.clients.is_empty() && self.login_clients.is_empty() {
            return Err(wrong("must have an audience or a client"));
        }
        if self.algorithms.is_empty() || self.algorithms.iter().any(|one| one.is_symmetric()) {
            return Err(wrong(
                "must have at least one algorithm, and only asymmetric ones: a service that verifies by a \
                 secret can also sign",
            ));
        }
        match &self.source {
            Source::Jwks(url) if is_fetchable(url) => {}
            Source::Jwks(_) => {
                return Err(wrong(
                    "must have a jwks_url that begins with https:// (or http://localhost)",
                ));
            }
            Source::Metadata(_) if has_tenants => {
                return Err(wrong("must have a jwks_url, since it has tenants"));
            }
            Source::Metadata(_) if is_fetchable(&self.issuer) && !self.issuer.contains('?') => {}
            Source::Metadata(_) => {
                return Err(wrong(
                    "must be a URL that begins with https:// (or http://localhost), or have a \
                     jwks_url",
                ));
            }
        }
        let (least, most) = (Duration::from_secs(60), Duration::from_secs(31 * 86_400));
        check_duration(
            "longest lifetime of a trusted issuer's tokens",
            self.max_lifetime,
            least,
            most,
            "between 1 minute and 31 days",
        )?;
        Ok(Trusted {
            label: self.issuer,
            names,
            source: self.source,
            algorithms: self.algorithms,
            rules: ForeignRules {
                audiences: self.audiences,
                clients: self.clients,
                login_clients: self.login_clients,
                max_lifetime: self.max_lifetime,
                only_at_jwt: self.only_at_jwt,
            },
        })
    }
}

/// A trusted issuer whose configuration is good.
#[derive(Debug)]
pub(super) struct Trusted {
    /// The issuer as it was configured, for the log and for its metadata.
    pub(super) label: String,
    /// Each `iss` that its tokens may have.
    pub(super) names: Vec<Issuer>,
    pub(super) source: Source,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) rules: ForeignRules,
}
