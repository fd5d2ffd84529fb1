//! Login, refresh, and the other endpoints that keep a session going.

use serde_json::json;

use crate::{
    authority::{authenticator::Credentials, issued::Issued, resuming::Resumed},
    env::internal_error::InternalError,
    error::Error,
    http::{head::RequestHead, reply::Reply},
    model::{identity::Identity, ids::SessionId, refusal::Refusal, transport::Transport},
    observe::Attempt,
    token::pass::Pass,
    wire::{
        auth_state::AuthRejection,
        body::{BadRequest, Members, RequestBody},
        cookie::{self, Kind},
        credentials::{self, Source},
        endpoints::{
            Endpoints,
            delivery::{Delivered, Delivery},
        },
        refusal::ErrorFormat,
    },
};

impl Endpoints {
    /// Issues the tokens of a login that your application has handled itself, for example by OpenID
    /// Connect or a passkey.
    ///
    /// Answer like the login endpoint ([`Delivered::into_reply`]), or put the tokens into your own
    /// response, such as a redirect. Before you call this, your code must make sure that the user
    /// wants to log in (CSRF): for example, it compares the `state` of OpenID Connect.
    ///
    /// With [`Delivery::Cookies`], gatepass ends the session whose cookies the request has, because
    /// the new cookies replace them.
    ///
    /// ```
    /// use gatepass::{Identity, wire::{AuthRejection, Delivery, Endpoints, RequestHead}};
    ///
    /// /// The header fields of a redirect that logs in.
    /// async fn log_in(
    ///     endpoints: &Endpoints,
    ///     identity: Identity,
    ///     head: &RequestHead<'_>,
    /// ) -> Result<Vec<(&'static str, String)>, AuthRejection> {
    ///     let delivered = endpoints.issue(identity, head, Delivery::Cookies).await?;
    ///     Ok(delivered.headers().map(|(name, value)| (name, value.to_owned())).collect())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The rejection has the errors of [`Authority::issue`](crate::Authority::issue). If the
    /// transport has no cookies, [`Delivery::Cookies`] is a mistake in your code: 500, and a line
    /// in the log.
    pub async fn issue(
        &self,
        identity: Identity,
        head: &RequestHead<'_>,
        delivery: Delivery,
    ) -> Result<Delivered, AuthRejection> {
        let issued = self.issued_in(identity, head, delivery).await;
        issued.map_err(|error| self.rejection(error, head))
    }

    /// Logs a user in with credentials, for your own login route: [`Authority::login`] with the
    /// delivery of the tokens. The rules of the login endpoint apply: gatepass counts attempts, and
    /// a page of another site can't log a browser in as another user.
    ///
    /// ```
    /// use gatepass::{Credentials, wire::{AuthRejection, Delivery, Endpoints, RequestHead}};
    ///
    /// /// The body of a login in the format of your API.
    /// async fn log_in(
    ///     endpoints: &Endpoints,
    ///     head: &RequestHead<'_>,
    ///     email: &str,
    ///     password: &str,
    /// ) -> Result<serde_json::Value, AuthRejection> {
    ///     let credentials = Credentials::new(email, password);
    ///     let delivered = endpoints.login(&credentials, head, Delivery::Body).await?;
    ///     Ok(serde_json::json!({ "token": delivered.issued().access_token.as_str() }))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The rejection has the errors of [`Authority::login`], and [`Refusal::CrossSite`].
    ///
    /// [`Authority::login`]: crate::Authority::login
    pub async fn login(
        &self,
        credentials: &Credentials,
        head: &RequestHead<'_>,
        delivery: Delivery,
    ) -> Result<Delivered, AuthRejection> {
        let located = &self.inner.authority.verifier().located(head);
        let begun = async {
            self.check_delivery(delivery)?;
            if let Err(refusal) = self.may_get(delivery, located) {
                self.refusals().login(&located.device(), None, &refusal);
                return Err(refusal.into());
            }
            self.log_in(credentials, delivery, located).await
        };
        let begun: Result<_, Error> = begun.await;
        begun.map_err(|error| self.rejection(error, head))
    }

    /// Refreshes a session, for your own response. Your route decides what the client sees. If you
    /// pass no `token`, gatepass takes the refresh cookie.
    ///
    /// The new tokens go where the old one came from: into cookies, or into the body.
    ///
    /// ```
    /// use gatepass::wire::{AuthRejection, Endpoints, RequestHead};
    ///
    /// /// The body of a response in the format of your API.
    /// async fn refresh(
    ///     endpoints: &Endpoints,
    ///     head: &RequestHead<'_>,
    ///     presented: &str,
    /// ) -> Result<serde_json::Value, AuthRejection> {
    ///     let delivered = endpoints.refresh(head, Some(presented)).await?;
    ///     let issued = delivered.issued();
    ///     Ok(serde_json::json!({
    ///         "token": issued.access_token.as_str(),
    ///         "renewBy": issued.refresh_token.as_str(),
    ///     }))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The rejection has the errors of [`Authority::refresh`](crate::Authority::refresh), and
    /// [`Refusal::Missing`] if there is no refresh token.
    pub async fn refresh(
        &self,
        head: &RequestHead<'_>,
        token: Option<&str>,
    ) -> Result<Delivered, AuthRejection> {
        let head = &self.inner.authority.verifier().located(head);
        let found = match token {
            Some(token) => Ok(Some((Source::Bearer, token))),
            None => credentials::refresh_cookie(head, self.browser_policy())
                .map(|token| token.map(|token| (Source::Cookie, token))),
        };
        let refreshed = async {
            let (source, token) = match found.and_then(|found| found.ok_or(Refusal::Missing)) {
                Ok(found) => found,
                Err(refusal) => {
                    self.report_refresh(&refusal, head);
                    return Err(refusal.into());
                }
            };
            let (authority, device) = (&self.inner.authority, head.device());
            let client = authority.client_id();
            let refreshed = authority.refresh_as(client, token, None, Some(&device));
            self.deliver(refreshed.await?, Delivery::as_it_came(source))
        };
        let refreshed: Result<_, Error> = refreshed.await;
        refreshed.map_err(|error| self.rejection(error, head))
    }

    /// The complete answer after a call to the [`Authority`](crate::Authority) has failed, in the
    /// format of the login endpoint or [your own]. A refusal is a 4xx. A failure of the server is a
    /// 5xx without details.
    ///
    /// ```
    /// use gatepass::{Authority, Pass, wire::{AuthRejection, Endpoints, RequestHead}};
    ///
    /// async fn log_out_everywhere(
    ///     (authority, endpoints): (&Authority, &Endpoints),
    ///     pass: &Pass,
    ///     head: &RequestHead<'_>,
    /// ) -> Result<(), AuthRejection> {
    ///     let ended = authority.logout_all(pass.subject()).await;
    ///     ended.map_err(|error| endpoints.rejection(error, head))?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// [your own]: crate::AuthorityBuilder::error_response
    pub fn rejection(&self, error: Error, head: &RequestHead<'_>) -> AuthRejection {
        let reply = self.login_error(&error);
        AuthRejection::new(error, self.in_own_format(head, reply))
    }

    async fn issued_in(
        &self,
        identity: Identity,
        head: &RequestHead<'_>,
        delivery: Delivery,
    ) -> Result<Delivered, Error> {
        let head = &self.inner.authority.verifier().located(head);
        self.check_delivery(delivery)?;
        if delivery == Delivery::Cookies
            && let Err(refusal) = cookie::check_host(head, self.browser_policy())
        {
            self.refusals().login(&head.device(), None, &refusal);
            return Err(refusal.into());
        }
        let (authority, longest) = (&self.inner.authority, self.longest_token(delivery));
        let client = authority.client_id();
        let issued = authority.issue_fitting(client, identity, head.device(), longest);
        self.begun(issued.await, delivery, head).await
    }

    /// Checks that the transport has cookies if the tokens go into cookies. The application has
    /// chosen both.
    fn check_delivery(&self, delivery: Delivery) -> Result<(), InternalError> {
        let policy = self.browser_policy();
        match delivery == Delivery::Cookies && !policy.transport.has_cookies() {
            true => Err(InternalError::new(
                "Delivery::Cookies needs a transport with cookies",
            )),
            false => Ok(()),
        }
    }

    /// Issues new tokens after your application has authenticated the user again, for example by a
    /// passkey or OpenID Connect. See
    /// [`Authority::reauthenticated`](crate::Authority::reauthenticated).
    ///
    /// `pass` is the pass that a gate has found in this request. New tokens go where the request
    /// had its token. For example, the answer to a request with cookies sets only cookies. Before
    /// you call this, your code must make sure that it asked this user, in this browser, to
    /// authenticate: for example, it compares the challenge of the passkey.
    ///
    /// ```
    /// use gatepass::{Identity, Pass, wire::{AuthRejection, Endpoints, Reply, RequestHead}};
    ///
    /// /// After a passkey was verified: the answer of the endpoint for a password.
    /// async fn by_passkey(
    ///     endpoints: &Endpoints,
    ///     pass: &Pass,
    ///     identity: Identity,
    ///     head: &RequestHead<'_>,
    /// ) -> Result<Reply, AuthRejection> {
    ///     Ok(endpoints.reauthenticated(pass, identity, head).await?.into_reply())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The rejection has the errors of
    /// [`Authority::reauthenticated`](crate::Authority::reauthenticated).
    pub async fn reauthenticated(
        &self,
        pass: &Pass,
        identity: Identity,
        head: &RequestHead<'_>,
    ) -> Result<Delivered, AuthRejection> {
        let head = &self.inner.authority.verifier().located(head);
        let stepped_up = self.stepped_up(pass, identity, head).await;
        stepped_up.map_err(|error| self.rejection(error, head))
    }

    async fn stepped_up(
        &self,
        pass: &Pass,
        identity: Identity,
        head: &RequestHead<'_>,
    ) -> Result<Delivered, Error> {
        let policy = self.browser_policy();
        let delivery = match credentials::in_header(head, policy)? {
            Some(_) => Delivery::Body,
            None if policy.transport.has_cookies() => Delivery::Cookies,
            None => {
                // The token came in the application's own cookie, which no script may read.
                let error = InternalError::new("Delivery::Cookies needs a transport with cookies");
                return Err(error.into());
            }
        };
        let (authority, device) = (&self.inner.authority, head.device());
        let issued = authority.reauthenticated(pass, identity, &device);
        self.deliver(issued.await?, delivery)
    }

    pub(super) async fn answer_login(
        &self,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Reply {
        if let Some(forms) = self.form_of(head) {
            return self.login_by_form(forms, head, body).await;
        }
        // A page of another site must not log a browser in as another user. If every login gets
        // cookies, check this before reading the body.
        let usual = self.usual_delivery();
        if let Err(refusal) = self.may_get(usual, head) {
            return self.login_refused(&refusal, head);
        }
        let asked = body
            .json_object(head)
            .and_then(|members| self.asked(members));
        let (credentials, delivery) = match asked {
            Ok(asked) => asked,
            Err(bad) => return bad.into(),
        };
        if let Err(refusal) = self.may_get(delivery, head) {
            return self.login_refused(&refusal, head);
        }
        let begun = self.log_in(&credentials, delivery, head).await;
        self.login_reply(begun)
    }

    /// Logs a user in with credentials.
    pub(super) async fn log_in(
        &self,
        credentials: &Credentials,
        delivery: Delivery,
        head: &RequestHead<'_>,
    ) -> Result<Delivered, Error> {
        let (authority, longest) = (&self.inner.authority, self.longest_token(delivery));
        let client = authority.client_id();
        let login = authority.login_fitting(client, credentials, head.device(), None, longest);
        self.begun(login.await, delivery, head).await
    }

    fn login_reply(&self, begun: Result<Delivered, Error>) -> Reply {
        match begun {
            Ok(delivered) => delivered.into_reply(),
            Err(error) => self.login_error(&error),
        }
    }

    pub(super) fn login_error(&self, error: &Error) -> Reply {
        self.error_reply(error, ErrorFormat::Login)
    }

    /// The answer to a login that was refused before a look at the credentials.
    pub(super) fn login_refused(&self, refusal: &Refusal, head: &RequestHead<'_>) -> Reply {
        self.refusals().login(&head.device(), None, refusal);
        self.error_reply(&Error::Refused(refusal.clone()), ErrorFormat::Login)
    }

    /// The tokens of a login. If the login replaces cookies, their session ends. Otherwise, it
    /// would go on, and no browser could log out of it.
    async fn begun(
        &self,
        issued: Result<Issued, Error>,
        delivery: Delivery,
        head: &RequestHead<'_>,
    ) -> Result<Delivered, Error> {
        let delivered = self.deliver(issued?, delivery)?;
        if delivery == Delivery::Cookies {
            self.end_replaced(head, None).await;
            // A later logout could not distinguish the old system's session from another user's.
            if let Ok(Some(token)) = credentials::old_cookie(head, self.browser_policy()) {
                let _ = self.authority_for(head).end_replaced(token, None).await;
            }
        }
        Ok(delivered)
    }

    /// Ends the sessions whose cookies come with a login. Each cookie must be authentic, and the
    /// request must be allowed to use it. The rules of a logout by cookie apply: for example, the
    /// session may belong to another user, and the tokens may have expired.
    ///
    /// The login has already succeeded. If the store fails to end a session, the login stays valid,
    /// and gatepass logs the failure.
    ///
    /// `spared` is a session that must not end.
    pub(super) async fn end_replaced(&self, head: &RequestHead<'_>, spared: Option<SessionId>) {
        let (authority, mut ended) = (self.authority_for(head), spared);
        for kind in Kind::ALL {
            if let Ok(Some(token)) = cookie::token(kind, head, self.browser_policy())
                && let Ok(session) = authority.end_replaced(token, ended).await
            {
                ended = ended.or(session);
            }
        }
    }

    /// The credentials of a login, and the delivery that the client asks for.
    fn asked(&self, mut members: Members) -> Result<(Credentials, Delivery), BadRequest> {
        let username = members.take_text("username")?;
        let password = members.take_optional_text("password")?;
        let delivery = self.asked_delivery(&mut members)?;
        let credentials = Credentials::of_body(username, password, members.rest());
        Ok((credentials.ok_or(BadRequest::Member("password"))?, delivery))
    }

    /// The delivery that the client asks for.
    pub(super) fn asked_delivery(&self, members: &mut Members) -> Result<Delivery, BadRequest> {
        Ok(match self.browser_policy().transport {
            Transport::Both => match members.take_optional_text("transport")?.as_deref() {
                Some("cookie") => Delivery::Cookies,
                Some("bearer") | None => Delivery::Body,
                Some(_) => return Err(BadRequest::Member("transport")),
            },
            Transport::Bearer | Transport::Cookie => self.usual_delivery(),
        })
    }

    pub(super) fn may_get(
        &self,
        delivery: Delivery,
        head: &RequestHead<'_>,
    ) -> Result<(), Refusal> {
        match delivery {
            Delivery::Body => Ok(()),
            Delivery::Cookies => cookie::check(head, self.browser_policy()),
        }
    }

    pub(super) async fn reauthenticate(
        &self,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Reply {
        let (source, owner) = self.owner(head).await;
        let pass = match owner {
            Ok(pass) => pass,
            Err(error) => return self.error_reply(&error, ErrorFormat::Resource),
        };
        let credentials = body.json_object(head).and_then(|mut members| {
            let password = members.take_optional_text("password")?;
            // The token says whose credentials they are.
            let subject = pass.subject().as_str();
            let credentials = Credentials::of_body(subject, password, members.rest());
            credentials.ok_or(BadRequest::Member("password"))
        });
        let credentials = match credentials {
            Ok(credentials) => credentials,
            Err(bad) => return bad.into(),
        };
        let authority = &self.inner.authority;
        let device = head.device();
        let issued = authority.reauthenticate(&pass, &credentials, &device).await;
        self.tokens(issued, Delivery::as_it_came(source))
    }

    pub(super) async fn answer_refresh(
        &self,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Reply {
        let (source, token) = match self.refresh_token(head, body) {
            Ok(Ok(found)) => found,
            Ok(Err(bad)) => return bad.into(),
            Err(refusal) => return self.refresh_refused(&refusal, head),
        };
        let (authority, device) = (&self.inner.authority, head.device());
        let client = authority.client_id();
        let refreshed = authority.refresh_as(client, &token, None, Some(&device));
        self.tokens(refreshed.await, Delivery::as_it_came(source))
    }

    /// The answer to a refresh request that doesn't have exactly one token that it may use. If the
    /// client sends none at all, there is no line in the log, as at a gate.
    fn refresh_refused(&self, refusal: &Refusal, head: &RequestHead<'_>) -> Reply {
        self.report_refresh(refusal, head);
        self.error_reply(&Error::Refused(refusal.clone()), ErrorFormat::Login)
    }

    fn report_refresh(&self, refusal: &Refusal, head: &RequestHead<'_>) {
        if *refusal != Refusal::Missing {
            let device = head.device();
            let attempt = Attempt {
                device: Some(&device),
                ..Attempt::default()
            };
            self.refusals().refresh(&attempt, refusal);
        }
    }

    pub(super) async fn resume(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        let (source, access) = credentials::access_token(head, self.browser_policy());
        let access = match access {
            Ok(Some(access)) => access,
            Ok(None) => return self.error_reply(&Refusal::Missing.into(), ErrorFormat::Login),
            Err(refusal) => {
                self.refusals().token(None, &refusal);
                return self.error_reply(&refusal.into(), ErrorFormat::Login);
            }
        };
        let authority = &self.inner.authority;
        let judged = match authority.judge_for_resuming(access).await {
            Ok(judged) => judged,
            Err(error) => return self.error_reply(&error, ErrorFormat::Login),
        };
        let refresh = match self.refresh_token(head, body) {
            Ok(Ok((_, refresh))) => refresh,
            Ok(Err(bad)) => return bad.into(),
            Err(refusal) => return self.refresh_refused(&refusal, head),
        };
        let device = head.device();
        match authority
            .resume_judged(judged, &refresh, Some(&device))
            .await
        {
            Ok(Resumed::Valid(pass)) => {
                let now = self.inner.authority.verifier().now();
                let body = json!({
                    "expires_in": pass.expires_at().since(now).as_secs(),
                    "expires_at": pass.expires_at().to_string(),
                    "scope": pass.scopes().as_str(),
                    "session_id": pass.session_id().map(|id| id.to_string()),
                    "server_time": now.unix_secs(),
                });
                Reply::json(200, &body)
            }
            Ok(Resumed::Issued(issued)) => self.tokens(Ok(issued), Delivery::as_it_came(source)),
            Err(error) => self.error_reply(&error, ErrorFormat::Login),
        }
    }

    pub(super) async fn renew(&self, head: &RequestHead<'_>) -> Reply {
        let authority = &self.inner.authority;
        let (source, token) = authority.verifier().presented(head);
        let renewed = async {
            let renewed = authority.renew(token?).await?;
            self.renewed(&renewed, source)
        };
        let renewed: Result<_, Error> = renewed.await;
        renewed.unwrap_or_else(|error| self.error_reply(&error, ErrorFormat::Resource))
    }

    /// The refresh token, and its place: the member of the body or, if there is none, the cookie.
    fn refresh_token(
        &self,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Result<Result<(Source, String), BadRequest>, Refusal> {
        let policy = self.browser_policy();
        let in_body = if body.is_empty() && policy.transport.has_cookies() {
            Ok(None)
        } else {
            body.json_object(head)
                .and_then(|mut members| members.take_optional_text("refresh_token"))
        };
        match in_body {
            Ok(Some(token)) => Ok(Ok((Source::Bearer, token))),
            Ok(None) => match credentials::refresh_cookie(head, policy)? {
                Some(token) => Ok(Ok((Source::Cookie, token.to_owned()))),
                None if body.is_empty() => Err(Refusal::Missing),
                None => Ok(Err(BadRequest::Member("refresh_token"))),
            },
            Err(bad) => Ok(Err(bad)),
        }
    }
}
