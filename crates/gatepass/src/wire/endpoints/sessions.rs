//! Logout, and the list of sessions.

use serde_json::{Value, json};

use crate::{
    error::Error,
    http::{head::RequestHead, reply::Reply},
    model::{
        ids::{SessionId, SessionNumber},
        refusal::Refusal,
        session::Session,
    },
    token::pass::Pass,
    wire::{
        body::{BadRequest, Form, RequestBody},
        cookie::{self, Kind},
        credentials::{self, Source},
        endpoints::{Endpoint, Endpoints, session_id},
        refusal::ErrorFormat,
    },
};

impl Endpoints {
    pub(super) async fn logout(&self, head: &RequestHead<'_>, body: RequestBody<'_>) -> Reply {
        if let (Some(forms), Ok(None)) = (
            self.form_of(head),
            credentials::in_header(head, self.browser_policy()),
        ) {
            let ended = self.logout_by_cookie(head).await;
            return match ended {
                Ok(()) => self.clearing(Reply::see_other(forms.page.as_str())),
                Err(Error::Refused(
                    // There is no session, or it is over.
                    Refusal::Missing
                    | Refusal::Revoked
                    | Refusal::SessionEnded
                    | Refusal::UnknownSession,
                )) => Reply::see_other(forms.page.as_str()),
                Err(error) => self.error_reply(&error, ErrorFormat::Resource),
            };
        }
        let (source, ended) = match credentials::in_header(head, self.browser_policy()) {
            Err(refusal) => {
                self.refusals().token(None, &refusal);
                (Source::Bearer, Err(refusal.into()))
            }
            Ok(Some(token)) => (Source::Bearer, self.logout_by_token(token, head).await),
            Ok(None) if body.is_empty() => (Source::Cookie, self.logout_by_cookie(head).await),
            Ok(None) => {
                let token = body
                    .json_object(head)
                    .and_then(|mut members| members.take_optional_text("refresh_token"));
                match token {
                    Ok(Some(token)) => (Source::Bearer, self.logout_by_token(&token, head).await),
                    Ok(None) => (Source::Cookie, self.logout_by_cookie(head).await),
                    Err(bad) => return bad.into(),
                }
            }
        };
        self.ended(source, ended)
    }

    async fn logout_by_token(&self, token: &str, head: &RequestHead<'_>) -> Result<(), Error> {
        self.authority_for(head).logout(token).await.map(drop)
    }

    /// Ends the session of the cookies. One of the two cookies is enough, so that no user stays
    /// logged in because a browser has lost or garbled the other. A late answer may have replaced
    /// one cookie, so that the two belong to different sessions. Both sessions then end, so that no
    /// session of the browser goes on.
    async fn logout_by_cookie(&self, head: &RequestHead<'_>) -> Result<(), Error> {
        let (policy, authority) = (self.browser_policy(), self.authority_for(head));
        let mut refused = Refusal::Missing;
        let mut ended = Vec::new();
        for kind in [Kind::Refresh, Kind::Access] {
            match cookie::token(kind, head, policy) {
                Ok(None) => {}
                Ok(Some(token)) => match authority.logout_unless(token, &ended).await {
                    Ok((session, _)) => ended.push(session),
                    Err(Error::Refused(refusal)) => refused = refusal,
                    Err(error) => return Err(error),
                },
                Err(refusal) => {
                    self.refusals().token(None, &refusal);
                    if refusal == Refusal::CrossSite {
                        return Err(refusal.into());
                    }
                    refused = refusal;
                }
            }
        }
        // Otherwise a gate would log the browser in again, with the token of the old system.
        match credentials::old_cookie(head, policy) {
            Ok(None) => {}
            Ok(Some(token)) => match authority.logout_unless(token, &ended).await {
                Ok((session, _)) => ended.push(session),
                // The old system's token is no longer valid.
                Err(Error::Refused(_)) => {}
                Err(error) => return Err(error),
            },
            Err(refusal) => {
                self.refusals().token(None, &refusal);
                if refusal == Refusal::CrossSite {
                    return Err(refusal.into());
                }
            }
        }
        if ended.is_empty() {
            return Err(refused.into());
        }
        Ok(())
    }

    pub(super) async fn logout_all(&self, head: &RequestHead<'_>) -> Reply {
        let (source, owner) = self.owner(head).await;
        let owner = match owner {
            Ok(owner) => owner,
            Err(error) => return self.ended(source, Err(error)),
        };
        let waits = match self.waits(head) {
            Ok(waits) => waits,
            Err(bad) => return bad.into(),
        };
        match self.authority_for(head).logout_all(owner.subject()).await {
            Ok(ending) => {
                if waits {
                    ending.enforced().await;
                }
                self.ended(source, Ok(()))
            }
            Err(error) => self.ended(source, Err(error)),
        }
    }

    pub(super) async fn sessions(&self, head: &RequestHead<'_>) -> Reply {
        let pass = match self.owner(head).await {
            (_, Ok(pass)) => pass,
            (_, Err(error)) => return self.error_reply(&error, ErrorFormat::Resource),
        };
        let after = match after(head) {
            Ok(after) => after,
            Err(bad) => return bad.into(),
        };
        let listed = async {
            let page = self.inner.authority.sessions(pass.subject(), after).await?;
            let sessions = page.sessions.iter();
            let sessions = Vec::from_iter(sessions.map(|session| self.listed(session, &pass)));
            let next = page.next.map(|number| number.to_string());
            Ok(json!({ "sessions": sessions, "next": next }))
        };
        match listed.await {
            Ok(listed) => Reply::json(200, &listed),
            Err(error) => self.error_reply(&error, ErrorFormat::Resource),
        }
    }

    pub(super) async fn end_others(&self, head: &RequestHead<'_>) -> Reply {
        let (_, owner) = self.owner(head).await;
        let ended = async { self.authority_for(head).logout_others(&owner?).await };
        match ended.await {
            Ok(_) => Reply::empty(204),
            Err(error) => self.error_reply(&error, ErrorFormat::Resource),
        }
    }

    pub(super) async fn end_one(&self, head: &RequestHead<'_>) -> Reply {
        let (_, owner) = self.owner(head).await;
        let own = self.path(Endpoint::Session).unwrap_or_default();
        let id = session_id(own, head.path()).unwrap_or_default();
        let ended = async {
            let pass = owner?;
            // A text that isn't a session id names no session.
            let Ok(id) = id.parse::<SessionId>() else {
                return Ok(None);
            };
            self.authority_for(head)
                .end_session_of(pass.subject(), id)
                .await
        };
        match ended.await {
            Ok(Some(_)) => Reply::empty(204),
            Ok(None) => Reply::error(404, "not_found", "you have no such session", "not_found"),
            Err(error) => self.error_reply(&error, ErrorFormat::Resource),
        }
    }

    /// Whether the client wants to wait until all nodes enforce the logout. If the service doesn't
    /// offer this, the request fails. Otherwise, the client would believe that all nodes already
    /// enforce the logout.
    fn waits(&self, head: &RequestHead<'_>) -> Result<bool, BadRequest> {
        let query = Form::parse(head.raw_query().as_bytes())?;
        match query.get("wait") {
            None => Ok(false),
            Some("enforced") if self.inner.waits => Ok(true),
            Some("enforced") => Err(BadRequest::NoWait),
            Some(_) => Err(BadRequest::UnknownWait),
        }
    }

    /// The answer to a logout. It deletes the browser's cookies only if their own session has
    /// ended.
    fn ended(&self, source: Source, ended: Result<(), Error>) -> Reply {
        match (ended, source) {
            (Ok(()), Source::Bearer) => Reply::empty(204),
            (Ok(()), Source::Cookie) => self.clearing(Reply::empty(204)),
            (Err(error), _) => self.error_reply(&error, ErrorFormat::Resource),
        }
    }

    fn listed(&self, session: &Session, pass: &Pass) -> Value {
        let current = Some(session.id) == pass.session_id();
        let mut listed = json!({
            "id": session.id.to_string(),
            "created_at": session.created_at.to_string(),
            "device": session.identity.device_label(),
            "user_agent": session.device.user_agent,
            "address": session.device.address,
            "current": current,
        });
        // Shows the user that the session is an impersonation, and not on one of the user's
        // devices.
        if let (Some(actor), Some(members)) = (session.identity.actor(), listed.as_object_mut()) {
            members.insert("actor".into(), actor.as_str().into());
        }
        // A thief with a copy of the tokens is in the current session, and must not learn when the
        // owner refreshes it. The owner is using it now, and needs neither time.
        if !current && let Some(members) = listed.as_object_mut() {
            let times = self.times_of(session);
            members.insert("last_seen_at".into(), times.last_seen.to_string().into());
            members.insert("expires_at".into(), times.expires.to_string().into());
        }
        listed
    }
}

/// The place in the query after which the requested page of the list begins. `None` for the first
/// page.
fn after(head: &RequestHead<'_>) -> Result<Option<SessionNumber>, BadRequest> {
    let query = Form::parse(head.raw_query().as_bytes())?;
    let after = query.get("after");
    let after = after.map(str::parse);
    after
        .transpose()
        .map_err(|_| BadRequest::UnknownPlace("after"))
}
