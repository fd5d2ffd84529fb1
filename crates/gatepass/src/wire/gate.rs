//! The gate, which judges each request before the handler.

use std::sync::{Arc, LazyLock};

use crate::{
    authority::authority::Authority,
    error::Error,
    http::{head::RequestHead, reply::Reply},
    model::{device::Device, local_path::LocalPath, refusal::Refusal},
    token::pass::Pass,
    verifier::{requirements::Requirements, verifier::Verifier},
    wire::{
        auth_state::{AuthRejection, AuthState},
        credentials::{self, Source},
        login_page,
        outgoing::Outgoing,
        refreshed_cookies::{self, RefreshedCookies},
        refusal::ErrorFormat,
        sliding::Sliding,
        users::{AnyUser, AnyUsers, Users},
    },
};

/// A gate in front of routes: a verifier, and the requirements of the routes. Adapters call it for
/// each request. It is cheap to clone.
///
/// ```
/// use gatepass::{Authority, Requirements, Scopes, wire::{Gate, Reply, RequestHead}};
///
/// fn admins(authority: &Authority) -> Result<Gate, gatepass::InvalidScope> {
///     Ok(Gate::new(authority).require(Requirements::new().scopes(Scopes::parse("admin")?)))
/// }
///
/// /// The reply to a request that the gate refuses.
/// async fn answer(gate: &Gate, head: &RequestHead<'_>) -> Option<Reply> {
///     let refused = gate.judge(head).await.err()?;
///     Some(refused.into_reply().for_method(head.method()))
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Gate {
    verifier: Verifier,
    /// `None` until the first call of `require`.
    requirements: Option<Arc<Requirements>>,
    /// `None` if the gate refreshes no cookies.
    refresher: Option<Authority>,
    /// `None` if the gate renews no tokens.
    renewer: Option<Authority>,
    /// `None` if the gate accepts no tokens of an old system.
    adopter: Option<Authority>,
    /// `None` if the gate redirects no browsers.
    login_page: Option<LocalPath>,
    /// `None` if the gate loads no users.
    users: Option<Arc<dyn AnyUsers>>,
}

impl Gate {
    /// A gate that lets a request through if `verifier` accepts its access token. Pass a
    /// [`Verifier`], or an [`Authority`], which has one.
    pub fn new(verifier: impl Into<Verifier>) -> Self {
        Self {
            verifier: verifier.into(),
            requirements: None,
            refresher: None,
            renewer: None,
            adopter: None,
            login_page: None,
            users: None,
        }
    }

    /// Requires more of each request than a valid access token: for example, scopes, a recent
    /// authentication, or fresher revocation data. The requirements of several calls add up
    /// ([`Requirements::and`]). For example, if a call after `optional` requires more, the gate no
    /// longer lets requests without a user through.
    pub fn require(mut self, requirements: Requirements) -> Self {
        let requirements = match self.requirements {
            // A gate without requirements is not optional. The first call may make it so.
            None => requirements,
            Some(before) => Arc::unwrap_or_clone(before).and(requirements),
        };
        self.requirements = Some(Arc::new(requirements));
        self
    }

    /// Refreshes a browser's cookies. If the access cookie has expired or is missing, and the
    /// refresh cookie is valid, the gate serves the request and the response sets both cookies. For
    /// example, a page without JavaScript stays logged in.
    ///
    /// * The gate never refreshes bearer tokens. If the transport has no cookies, this setting has
    ///   no effect.
    /// * The gate judges where the request comes from before it refreshes (CSRF).
    /// * Parallel requests all succeed: the session rotates once, as with any refresh.
    /// * When the head of the response leaves, the gate asks the store. The response sets the
    ///   cookies only if the session is still live and has no newer refresh token. For example, if
    ///   a user logs out while a slow download is prepared, the download sets no cookies.
    /// * If gatepass refuses the refresh, the gate answers with that refusal, such as
    ///   `session_ended`. An optional gate lets the request through without a user. If the store
    ///   fails, the answer is 503. The browser keeps its cookies in each case. If the request fails
    ///   for another reason after the refresh, the answer sets the new cookies.
    ///
    /// If you nest gates, let each of them refresh, because each judges the request's original
    /// cookies. `authority` must have the same issuer and audience as the gate's verifier.
    /// Otherwise, each request that needs a refresh gets 500.
    ///
    /// The gate also refreshes an access cookie that an unknown key signed. For example, you have
    /// removed the key while the browser was closed. It also refreshes an access cookie after the
    /// session's rights have changed ([`Authority::change`]).
    pub fn auto_refresh(mut self, authority: &Authority) -> Self {
        self.refresher = Some(authority.clone());
        self
    }

    /// Renews access tokens while clients use them, for clients that keep one token and no refresh
    /// token. If half of the lifetime of a request's token is over, the response carries a new
    /// token of the same session.
    ///
    /// * For a token in a header, the new token is in the response header that you name with
    ///   [`renewed_token_header`](crate::AuthorityBuilder::renewed_token_header). If you name none,
    ///   the gate doesn't renew such tokens. For a token in gatepass's access cookie, the new token
    ///   is in that cookie, unless the request also has a refresh cookie.
    /// * The rules of [`Authority::renew`] apply. The scopes and the authentication of the token
    ///   stay, gatepass reads the user again, and the session's absolute end stays.
    /// * gatepass asks the store and renews the token when the head of the response leaves. For
    ///   example, if a user logs out while a slow download is prepared, the download carries no
    ///   token.
    /// * If many requests have the same token, one response carries a new one. If that response is
    ///   lost, a request half a minute later gets another. gatepass writes a session at most once
    ///   per half lifetime, or once on each of several nodes that renew it at the same moment.
    /// * If gatepass can't renew the token, or the store fails, the response stays unchanged.
    ///
    /// A thief of such a token can keep the session alive until its absolute end, like the owner.
    /// [`docs::threats`](crate::docs::threats) compares this with refresh tokens. Begin such
    /// sessions with [`Identity::access_only`](crate::Identity::access_only).
    ///
    /// `authority` must have the same issuer and audience as the gate's verifier. Otherwise, each
    /// request whose token could be renewed gets 500.
    ///
    /// ```
    /// use gatepass::{Authority, wire::Gate};
    ///
    /// fn api(authority: &Authority) -> Gate {
    ///     Gate::new(authority).auto_renew(authority)
    /// }
    /// ```
    pub fn auto_renew(mut self, authority: &Authority) -> Self {
        self.renewer = Some(authority.clone());
        self
    }

    /// Also accepts the tokens of the old system that `authority` [adopts](crate::Adopt), until the
    /// date of the move. If it adopts none, this setting has no effect.
    ///
    /// * An old token counts only if the request has no token of gatepass. This means that the
    ///   token in the header isn't gatepass's, or that a browser has none of gatepass's cookies.
    ///   The gate still refuses an access token that has expired or was revoked.
    /// * A request with an old token in a header gets a [`Pass`] without a session, whose
    ///   [`foreign_issuer`](Pass::foreign_issuer) is the name of the old system. This continues
    ///   until the client exchanges the token. So a client that knows nothing of gatepass needs no
    ///   change.
    /// * The gate exchanges an old token in the old system's cookie at once. It serves the request,
    ///   and the response sets gatepass's cookies as after a [refresh](Self::auto_refresh). If the
    ///   transport has no cookies, the gate treats the token like one in a header.
    /// * The gate judges where a request with the old cookie comes from (CSRF).
    /// * If your code that knows the old tokens fails, the answer is 503.
    ///
    /// `authority` must have the same issuer and audience as the gate's verifier. Otherwise, each
    /// request with an old token gets 500.
    ///
    /// ```
    /// use gatepass::{Authority, wire::Gate};
    ///
    /// fn pages(authority: &Authority) -> Gate {
    ///     Gate::new(authority).auto_refresh(authority).adopt(authority)
    /// }
    /// ```
    pub fn adopt(mut self, authority: &Authority) -> Self {
        self.adopter = authority.adopts().then(|| authority.clone());
        self
    }

    /// Redirects a browser to a login page in place of a 401, if it asks for a page. Other
    /// requests, such as a `fetch` of a script, get the 401.
    ///
    /// The redirect is 303, for example to `page?return_to=/orders&reason=expired`. `return_to` is
    /// the path that the browser asked for. It is missing if the browser can't ask for it again,
    /// for example after a form.
    ///
    /// Your page must parse `return_to` as a [`LocalPath`] before it sends the user there, because
    /// an attacker can also write a link to your login page. Send the user there only after a
    /// login, and not because a session seems to be live: the gate could send the browser straight
    /// back. A request for the login page itself gets the 401.
    ///
    /// ```
    /// use gatepass::{Authority, InvalidLocalPath, wire::Gate};
    ///
    /// fn pages(authority: &Authority) -> Result<Gate, InvalidLocalPath> {
    ///     Ok(Gate::new(authority).auto_refresh(authority).login_page("/login".parse()?))
    /// }
    /// ```
    pub fn login_page(mut self, page: LocalPath) -> Self {
        self.login_page = Some(page);
        self
    }

    /// Loads the application's own record of the user of each request that the gate lets through,
    /// for the extractor `User<T>`. [`Users`] has the rules and an example.
    pub fn users<T: Send + Sync + 'static>(mut self, users: &Users<T>) -> Self {
        self.users = Some(Arc::new(users.clone()));
        self
    }

    /// Judges a request: finds its access token, and verifies it with the requirements of this
    /// gate. An adapter puts the result into the request's extensions, or sends the rejection's
    /// reply.
    ///
    /// If the requirements are [`optional`](Requirements::optional), the gate lets a request
    /// without credentials through, with an [`AuthState`] without a pass. It treats a request with
    /// a bad cookie in the same way, since a browser sends cookies by itself. It refuses a bad
    /// bearer token.
    ///
    /// If they are [`open`](Requirements::open), the gate lets every request through without a
    /// pass.
    ///
    /// # Errors
    ///
    /// The rejection has the errors of [`Verifier::verify`]. It also has [`Refusal::Missing`],
    /// [`Refusal::Ambiguous`] or [`Refusal::CrossSite`] if there isn't exactly one token that the
    /// request may use. If the gate refreshes, it also has the errors of [`Authority::refresh`].
    pub async fn judge(&self, head: &RequestHead<'_>) -> Result<AuthState, AuthRejection> {
        if self.requirements().is_open() {
            return Ok(self.unjudged());
        }
        let (source, token) = credentials::of_gated(head, self.verifier.browser_policy());
        let verified = match token {
            Ok(Some(token)) => {
                let settles = |refusal: &Refusal| self.settles(refusal, head);
                let verified = self
                    .verifier
                    .verify_unless(token, self.requirements(), settles);
                verified.await
            }
            Ok(None) => Err(Refusal::Missing.into()),
            Err(refusal) => Err(self.verifier.report(refusal)),
        };
        if let Err(Error::Refused(refusal)) = &verified {
            if let Some(authority) = self.refreshes(refusal, head) {
                return self.refresh(authority, head).await;
            }
            if let Some(old) = self.old_token(refusal, head) {
                return self.adopted(old, head, (source, refusal)).await;
            }
        }
        let verified = self.with_user(verified).await;
        self.let_through(head, source, verified, None)
    }

    /// Judges a request without waiting, if the node's revocations are fresh enough.
    ///
    /// `None` means that the gate must wait, for example for the store: call [`judge`](Self::judge)
    /// then. For example, a route asks for [`Staleness::Strict`](crate::Staleness::Strict), the
    /// gate refreshes the tokens, or the node has lost its store for longer than `max_staleness`.
    /// An adapter that tries this first needs no future for nearly all requests.
    ///
    /// ```
    /// use gatepass::wire::{AuthRejection, AuthState, Gate, RequestHead};
    ///
    /// async fn judge(gate: &Gate, head: &RequestHead<'_>) -> Result<AuthState, AuthRejection> {
    ///     match gate.try_judge(head) {
    ///         Some(judged) => judged,
    ///         None => gate.judge(head).await,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The inner result has the errors of [`judge`](Self::judge).
    #[must_use]
    pub fn try_judge(&self, head: &RequestHead<'_>) -> Option<Result<AuthState, AuthRejection>> {
        if self.requirements().is_open() {
            return Some(Ok(self.unjudged()));
        }
        let (source, token) = credentials::of_gated(head, self.verifier.browser_policy());
        let settles = |refusal: &Refusal| self.settles(refusal, head);
        let verified = match token {
            Ok(Some(token)) => {
                let verifier = &self.verifier;
                verifier.try_verify_unless(token, self.requirements(), settles)?
            }
            Ok(None) => Err(Refusal::Missing.into()),
            Err(refusal) => Err(self.verifier.report(refusal)),
        };
        if matches!(&verified, Err(Error::Refused(refusal)) if settles(refusal)) {
            return None;
        }
        let verified = match (verified, &self.users) {
            (Ok(pass), Some(users)) => {
                let user = users.kept(&pass, self.verifier.monotonic())?;
                Ok((pass, Some(user)))
            }
            (verified, _) => verified.map(|pass| (pass, None)),
        };
        Some(self.let_through(head, source, verified, None))
    }

    /// The pass with the record of its user, if the gate loads users.
    async fn with_user(&self, verified: Result<Pass, Error>) -> Verified {
        let pass = verified?;
        let Some(users) = &self.users else {
            return Ok((pass, None));
        };
        let now = self.verifier.monotonic();
        let user = match users.kept(&pass, now) {
            Some(user) => user,
            None => users.load(&pass, now).await?,
        };
        Ok((pass, Some(user)))
    }

    /// Whether the gate looks for another token after this refusal.
    fn settles(&self, refusal: &Refusal, head: &RequestHead<'_>) -> bool {
        self.refreshes(refusal, head).is_some() || self.old_token(refusal, head).is_some()
    }

    /// The token of an old system in place of one of ours, or the reason why the request may not
    /// use it. `None` if there is no such token, or if the gate doesn't accept it.
    fn old_token<'h>(
        &self,
        refusal: &Refusal,
        head: &RequestHead<'h>,
    ) -> Option<Result<OldToken<'_, 'h>, Refusal>> {
        let authority = self.adopter.as_ref()?;
        let may_be_old = *refusal == Refusal::Missing || refusal.is_of_no_token_of_ours();
        if !may_be_old || !authority.adopts_now() {
            return None;
        }
        let found = credentials::old_token(head, self.verifier.browser_policy());
        let found = found.transpose()?;
        Some(found.map(|(source, token)| OldToken {
            authority,
            source,
            token,
        }))
    }

    /// Judges a request by a token of an old system. If the old system doesn't know the token, the
    /// gate refuses the request for the original reason, `refused`.
    async fn adopted(
        &self,
        old: Result<OldToken<'_, '_>, Refusal>,
        head: &RequestHead<'_>,
        refused: (Source, &Refusal),
    ) -> Result<AuthState, AuthRejection> {
        let old = match old {
            Ok(old) => old,
            Err(refusal) => {
                let error = self.verifier.report(refusal);
                return self.let_through(head, Source::Cookie, Err(error), None);
            }
        };
        let sets_cookies = self.verifier.browser_policy().transport.has_cookies();
        if old.source == Source::Cookie && sets_cookies {
            let exchanged = RefreshedCookies::adopt(old.authority, &self.verifier, head, old.token);
            match exchanged.await {
                Ok(Some(exchanged)) => return self.serve_with(exchanged, head).await,
                Ok(None) => {}
                Err(error) => return self.let_through(head, old.source, Err(error), None),
            }
        } else {
            let accepted = old.accepted(&self.verifier, self.requirements()).await;
            if let Some(verified) = accepted.transpose() {
                let verified = self.with_user(verified).await;
                return self.let_through(head, old.source, verified, None);
            }
        }
        let (source, refusal) = refused;
        let error = match refusal {
            Refusal::Missing => refusal.clone().into(),
            _ => self.verifier.report(refusal.clone()),
        };
        self.let_through(head, source, Err(error), None)
    }

    /// The authority that refreshes the tokens of a request, if it has a refresh cookie and a
    /// refresh can help.
    fn refreshes(&self, refusal: &Refusal, head: &RequestHead<'_>) -> Option<&Authority> {
        let authority = self.refresher.as_ref()?;
        let stale = matches!(
            refusal,
            Refusal::Missing | Refusal::Expired | Refusal::StaleGrant | Refusal::UnknownKey
        );
        // A request with a bearer token has no usable refresh cookie.
        let cookie = || credentials::refresh_cookie(head, self.verifier.browser_policy());
        (stale && cookie() != Ok(None)).then_some(authority)
    }

    async fn refresh(
        &self,
        authority: &Authority,
        head: &RequestHead<'_>,
    ) -> Result<AuthState, AuthRejection> {
        match RefreshedCookies::begin(authority, &self.verifier, head).await {
            Ok(begun) => self.serve_with(begun, head).await,
            Err(error) => self.let_through(head, Source::Cookie, Err(error), None),
        }
    }

    /// Judges a request by its new access token.
    async fn serve_with(
        &self,
        refreshed: RefreshedCookies,
        head: &RequestHead<'_>,
    ) -> Result<AuthState, AuthRejection> {
        let refreshed = Arc::new(refreshed);
        let access = refreshed.access_token();
        let verified = self.verifier.verify(access, self.requirements()).await;
        let verified = self.with_user(verified).await;
        let judged = self.let_through(head, Source::Cookie, verified, Some(Arc::clone(&refreshed)));
        match judged {
            // The session has rotated, and the request fails for another reason.
            Err(rejection) if refreshed.may_be_set().await => {
                Err(rejection.with_cookies(refreshed.cookies()))
            }
            judged => judged,
        }
    }

    fn let_through(
        &self,
        head: &RequestHead<'_>,
        source: Source,
        verified: Verified,
        refreshed: Option<Arc<RefreshedCookies>>,
    ) -> Result<AuthState, AuthRejection> {
        let optional = self.requirements().is_optional();
        let (outcome, user) = match verified {
            Ok((pass, user)) => (Ok(pass), user),
            Err(Error::Refused(refusal)) if optional && is_anonymous(source, &refusal) => {
                (Err(refusal), None)
            }
            Err(error) => return Err(self.rejection(head, error)),
        };
        let sliding = match (&self.renewer, &outcome) {
            // A token that was just refreshed needs no renewal.
            (Some(authority), Ok(pass)) if refreshed.is_none() => {
                let sliding = Sliding::of(authority, &self.verifier, head, source, pass);
                sliding.map_err(|error| self.rejection(head, error.into()))?
            }
            _ => None,
        };
        let requirements = self.requirements.clone();
        let outgoing = Outgoing::new(&self.verifier, refreshed, sliding);
        let state = AuthState::new(outcome, &self.verifier, requirements, outgoing);
        Ok(state.loaded(user))
    }

    /// The state of a request whose credentials don't matter.
    fn unjudged(&self) -> AuthState {
        let requirements = self.requirements.clone();
        let outgoing = Outgoing::new(&self.verifier, None, None);
        AuthState::new(
            Err(Refusal::Missing),
            &self.verifier,
            requirements,
            outgoing,
        )
    }

    fn rejection(&self, head: &RequestHead<'_>, error: Error) -> AuthRejection {
        let space = self.verifier.protection_space(Some(self.requirements()));
        let reply = Reply::of_error(&error, space, ErrorFormat::Resource);
        let page = self.login_page.as_ref();
        let redirect = page.and_then(|page| login_page::redirect(page, head, &error, &reply));
        let reply = redirect.unwrap_or_else(|| self.verifier.in_own_format(head, reply));
        AuthRejection::new(error, reply)
    }

    fn requirements(&self) -> &Requirements {
        static NONE: LazyLock<Requirements> = LazyLock::new(Requirements::new);
        self.requirements.as_deref().unwrap_or_else(|| &NONE)
    }

    /// Whether the gate reads more of a request than its path and its headers. It may need the
    /// query for the way back from a login page, and the address for the log of refreshes. An
    /// application's own error format may read everything. The warp adapter asks this, because
    /// copying these parts costs more.
    #[must_use]
    pub fn reads_whole_head(&self) -> bool {
        let custom = self.verifier.policy().errors.is_custom();
        let asks = self.refresher.is_some() || self.adopter.is_some();
        custom || asks || self.login_page.is_some()
    }
}

impl Verifier {
    /// The known facts about the device of a request, for
    /// [`Authority::issue`](crate::Authority::issue). The address is the client's, even behind
    /// [trusted proxies](crate::TrustedProxies).
    #[must_use]
    pub fn device(&self, head: &RequestHead<'_>) -> Device {
        self.located(head).device()
    }

    /// The head, with the client's address in place of a proxy's.
    pub(super) fn located<'h>(&self, head: &RequestHead<'h>) -> RequestHead<'h> {
        let head = head.clone();
        match &self.policy().proxies {
            Some(proxies) => head.behind(proxies),
            None => {
                self.hidden_addresses()
                    .request(head.peer(), || head.forwarding_header());
                head
            }
        }
    }

    /// The reply of a gate that refuses a request because of `error`.
    #[must_use]
    pub fn error_reply(&self, error: &Error) -> Reply {
        Reply::of_error(error, self.protection_space(None), ErrorFormat::Resource)
    }

    /// The reply in the application's own error format, if it has one.
    pub(super) fn in_own_format(&self, head: &RequestHead<'_>, reply: Reply) -> Reply {
        self.policy().errors.apply(head, reply)
    }

    /// The place of the token, and the result of its verification.
    pub(super) async fn authorized(
        &self,
        head: &RequestHead<'_>,
        requirements: &Requirements,
    ) -> (Source, Result<Pass, Error>) {
        match self.presented(head) {
            (source, Ok(token)) => (source, self.verify(token, requirements).await),
            (source, Err(error)) => (source, Err(error)),
        }
    }

    /// The access token of a request, before any check, and its place.
    pub(super) fn presented<'h>(&self, head: &RequestHead<'h>) -> (Source, Result<&'h str, Error>) {
        let (source, token) = credentials::access_token(head, self.browser_policy());
        let token = match token {
            Ok(token) => token.ok_or(Refusal::Missing.into()),
            Err(refusal) => Err(self.report(refusal)),
        };
        (source, token)
    }

    fn report(&self, refusal: Refusal) -> Error {
        self.refusals().token(None, &refusal);
        refusal.into()
    }
}

/// A text that may be a token of an old system, and the authority that can judge it.
struct OldToken<'g, 'h> {
    authority: &'g Authority,
    source: Source,
    token: &'h str,
}

impl OldToken<'_, '_> {
    /// The pass of the token, if it meets the requirements. `None` if it isn't a token of the old
    /// system.
    async fn accepted(
        &self,
        verifier: &Verifier,
        requirements: &Requirements,
    ) -> Result<Option<Pass>, Error> {
        refreshed_cookies::check_authority(self.authority, verifier)?;
        let authority = self.authority;
        authority
            .accept_old(self.token, verifier, requirements)
            .await
    }
}

/// A pass, with the record of its user if the gate loads users, or the error.
type Verified = Result<(Pass, Option<AnyUser>), Error>;

/// Whether a refused request counts as one without credentials.
fn is_anonymous(source: Source, refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Missing => true,
        // The cookie may be valid, but the request asks for too much, or comes from another site.
        Refusal::CrossSite
        | Refusal::InsufficientScope { .. }
        | Refusal::AuthenticationTooOld { .. }
        | Refusal::AuthenticationTooWeak { .. } => false,
        _ => source == Source::Cookie,
    }
}
