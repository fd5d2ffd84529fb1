//! The endpoints that OAuth clients and resource servers use.

use serde_json::{Map, Value, json};

use crate::{
    authority::{authenticator::Credentials, oauth::Introspection},
    denylist::staleness::Staleness,
    env::{clock::Timestamp, internal_error::InternalError},
    error::Error,
    http::{head::RequestHead, reply::Reply},
    model::{
        authentication::Authentication, ids::ClientId, refusal::Refusal, scopes::Scopes,
        session::Session,
    },
    token::pass::Pass,
    verifier::requirements::Requirements,
    wire::{
        body::{BadRequest, Form, RequestBody},
        client::{Client, Presented},
        credentials,
        endpoints::Endpoints,
        refusal::ErrorFormat,
    },
};

/// Parameters of the token endpoint that the authenticator doesn't get as extra ones.
const TOKEN_PARAMETERS: [&str; 7] = [
    "grant_type",
    "username",
    "password",
    "scope",
    "client_id",
    "client_secret",
    "refresh_token",
];

/// The reason why a request of an OAuth client failed.
enum NotServed {
    Refused(Error),
    Bad(BadRequest),
    Other(Reply),
}

impl From<Error> for NotServed {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Refusal> for NotServed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.into())
    }
}

impl From<BadRequest> for NotServed {
    fn from(bad: BadRequest) -> Self {
        Self::Bad(bad)
    }
}

impl Endpoints {
    pub(super) async fn token(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        self.served(self.granted(head, body).await)
    }

    /// RFC 6749 §4.3.2 and §6. Never touches cookies.
    async fn granted(
        &self,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Result<Reply, NotServed> {
        let (client, form) = self.authenticated(head, body)?;
        let authority = &self.inner.authority;
        let grant_type = form.required("grant_type")?;
        let scopes = scopes(&form)?;
        let issued = match grant_type {
            "refresh_token" => {
                let token = form.required("refresh_token")?;
                let device = head.device();
                authority
                    .refresh_as(client.id(), token, scopes.as_ref(), Some(&device))
                    .await
            }
            "password" if self.offers_passwords() => {
                if !client.may_use_passwords() {
                    let description = "this client may not use this grant type";
                    let error = "unauthorized_client";
                    return Err(NotServed::Other(Reply::error(
                        400,
                        error,
                        description,
                        error,
                    )));
                }
                let (username, password) = (form.required("username")?, form.required("password")?);
                let credentials =
                    Credentials::new(username, password).with_extra(form.others(&TOKEN_PARAMETERS));
                authority
                    .login_as(client.id(), &credentials, head.device(), scopes.as_ref())
                    .await
            }
            _ => {
                let description = "this grant type is not offered here";
                let error = "unsupported_grant_type";
                return Err(NotServed::Other(Reply::error(
                    400,
                    error,
                    description,
                    error,
                )));
            }
        };
        Ok(self.granted_tokens(issued))
    }

    pub(super) async fn revoke(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        let revoked = async {
            let (client, form) = self.authenticated(head, body)?;
            // The token itself shows its kind, so the hint is not needed.
            let token = form.required("token")?;
            self.authority_for(head).revoke(client.id(), token).await?;
            Ok(Reply::empty(200))
        };
        self.served(revoked.await)
    }

    pub(super) async fn introspect(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        if let (Ok(Some(bearer)), Some(scopes)) = (
            credentials::in_header(head, self.browser_policy()),
            &self.inner.introspection_scopes,
        ) {
            let requirements = Requirements::new()
                .scopes(scopes.clone())
                .own_issuer()
                .staleness(Staleness::Strict);
            let verifier = self.inner.authority.verifier();
            if let Err(error) = verifier.verify(bearer, &requirements).await {
                return self.error_reply(&error, ErrorFormat::Resource);
            }
            let introspected = async {
                let form = body.form(head)?;
                self.introspected(&form).await
            };
            return self.served(introspected.await);
        }
        let introspected = async {
            let (client, form) = self.authenticated(head, body)?;
            if !client.is_confidential() {
                let refusal = Refusal::InvalidClient;
                self.refusals().client(&head.device(), &refusal);
                return Err(refusal.into());
            }
            self.introspected(&form).await
        };
        self.served(introspected.await)
    }

    async fn introspected(&self, form: &Form) -> Result<Reply, NotServed> {
        let token = form.required("token")?;
        let body = match self.inner.authority.introspect(token).await? {
            Introspection::Inactive => json!({ "active": false }),
            Introspection::AccessToken(pass) => self.active_access_token(&pass)?,
            Introspection::RefreshToken(session) => self.active_refresh_token(&session),
        };
        Ok(Reply::json(200, &body))
    }

    /// RFC 7662 §2.2.
    fn active_access_token(&self, pass: &Pass) -> Result<Value, Error> {
        let policy = self.inner.authority.verifier().policy();
        let standard = json!({
            "active": true,
            "token_type": "Bearer",
            "iss": policy.issuer,
            "aud": policy.audience,
            "sub": pass.subject().as_str(),
            "client_id": pass.client_id().map(ClientId::as_str),
            "scope": pass.scopes().as_str(),
            "iat": pass.issued_at().unix_secs(),
            "exp": pass.expires_at().unix_secs(),
            "jti": pass.token_id().to_string(),
            "sid": pass.session_id().map(|id| id.to_string()),
            "auth_time": pass.authenticated_at().map(Timestamp::unix_secs),
        });
        let custom = pass.claims::<Map<String, Value>>();
        let mut members =
            custom.map_err(|_| InternalError::new("custom claims that cannot be read"))?;
        if let Value::Object(standard) = standard {
            members.extend(standard);
        }
        members.extend(told(pass.authentication()));
        Ok(members.into())
    }

    fn active_refresh_token(&self, session: &Session) -> Value {
        let mut active = json!({
            "active": true,
            "iss": self.inner.authority.verifier().policy().issuer,
            "sub": session.subject().as_str(),
            "client_id": session.client.as_str(),
            "scope": session.identity.granted_scopes().as_str(),
            "iat": session.created_at.unix_secs(),
            // An exact time would reveal when the session was last refreshed.
            "exp": self.times_of(session).expires.unix_secs(),
            "sid": session.id.to_string(),
            "auth_time": session.authenticated_at.unix_secs(),
        });
        if let Some(members) = active.as_object_mut() {
            members.extend(told(session.identity.authentication()));
        }
        active
    }

    /// The client, authenticated by HTTP Basic or in the form, and the form (RFC 6749 §2.3.1). A
    /// client that doesn't identify itself is the application's own.
    fn authenticated(
        &self,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Result<(&Client, Form), NotServed> {
        let authenticated = self.authenticate(head, body);
        if let Err(NotServed::Refused(Error::Refused(refusal))) = &authenticated {
            self.refusals().client(&head.device(), refusal);
        }
        authenticated
    }

    fn authenticate(
        &self,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Result<(&Client, Form), NotServed> {
        let by_header = match Presented::basic(head)? {
            Some(presented) => Some(self.client_of(&presented)?),
            None => None,
        };
        let form = body.form(head)?;
        let (id, secret) = (form.get("client_id"), form.get("client_secret"));
        let client = match (by_header, id) {
            // Two ways at a time, or two clients, are ambiguous.
            (Some(_), _) if secret.is_some() => return Err(Refusal::Ambiguous.into()),
            (Some(client), Some(id)) if client.id().as_str() != id => {
                return Err(Refusal::Ambiguous.into());
            }
            (Some(client), _) => client,
            (None, Some(id)) => {
                let presented = Presented::in_body(id.to_owned(), secret.map(str::to_owned));
                self.client_of(&presented)?
            }
            (None, None) if secret.is_some() => return Err(Refusal::InvalidClient.into()),
            (None, None) => self.own_client().ok_or(Refusal::InvalidClient)?,
        };
        Ok((client, form))
    }

    fn client_of(&self, presented: &Presented) -> Result<&Client, Refusal> {
        let mut clients = self.inner.clients.iter();
        // An id that can be read in two ways may name two clients. The secret decides.
        let found =
            clients.find(|client| presented.names(client) && client.is_proved_by(presented));
        found.ok_or(Refusal::InvalidClient)
    }

    fn own_client(&self) -> Option<&Client> {
        self.inner.clients.first()
    }

    pub(super) fn offers_passwords(&self) -> bool {
        self.inner.authority.can_authenticate()
            && self.inner.clients.iter().any(Client::may_use_passwords)
    }

    fn served(&self, served: Result<Reply, NotServed>) -> Reply {
        match served {
            Ok(reply) | Err(NotServed::Other(reply)) => reply,
            Err(NotServed::Bad(bad)) => bad.into(),
            Err(NotServed::Refused(error)) => self.error_reply(&error, ErrorFormat::OAuth),
        }
    }
}

/// The claims about the user's authentication, if they are known (RFC 9470 §6.2).
fn told(authentication: &Authentication) -> impl Iterator<Item = (String, Value)> {
    let Authentication { amr, acr } = authentication;
    let amr = (!amr.is_empty()).then(|| ("amr".to_owned(), json!(amr)));
    let acr = acr.as_ref().map(|acr| ("acr".to_owned(), json!(acr)));
    amr.into_iter().chain(acr)
}

/// The requested scopes, if any. A text that isn't a valid scope was never granted.
fn scopes(form: &Form) -> Result<Option<Scopes>, Refusal> {
    let asked = form.get("scope").map(Scopes::parse).transpose();
    asked.map_err(|_| Refusal::ScopeNotGranted)
}
