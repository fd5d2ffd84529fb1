//! How new tokens get to the client: in the body, or in cookies.

use serde_json::{Value, json};

use crate::{
    authority::issued::{Issued, Renewed},
    error::Error,
    model::{identity::IdentityError, transport::Transport},
    wire::{
        cookie::{self, Kind},
        credentials::Source,
        endpoints::Endpoints,
        refusal::ErrorFormat,
        reply::Reply,
    },
};

/// How a client wants its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one or the other")]
pub enum Delivery {
    /// In the body, for clients that keep them themselves.
    Body,
    /// In cookies, for browsers; the body has no tokens then.
    Cookies,
}

impl Delivery {
    /// The delivery that goes with where the token was. If the token came by cookie, the answer
    /// goes by cookie alone: a script that cannot read the cookie must not get tokens from the
    /// body.
    pub(super) fn as_it_came(source: Source) -> Self {
        match source {
            Source::Bearer => Self::Body,
            Source::Cookie => Self::Cookies,
        }
    }
}

impl Endpoints {
    /// How logins are answered where the request does not say.
    pub(super) fn usual_delivery(&self) -> Delivery {
        match self.browser_policy().transport {
            Transport::Bearer | Transport::Both => Delivery::Body,
            Transport::Cookie => Delivery::Cookies,
        }
    }

    /// The answer with new tokens, or why there are none.
    pub(super) fn tokens(
        &self,
        issued: Result<Issued, Error>,
        delivery: Delivery,
        format: ErrorFormat,
    ) -> Reply {
        let delivered = issued.and_then(|issued| self.delivered(&issued, delivery));
        delivered.unwrap_or_else(|error| self.error_reply(&error, format))
    }

    /// Longest access token in bytes that can be delivered so, if cookies bound it.
    pub(super) fn longest_token(&self, delivery: Delivery) -> Option<usize> {
        match delivery {
            Delivery::Body => None,
            Delivery::Cookies => Some(cookie::longest_token(Kind::Access, self.browser_policy())),
        }
    }

    /// The answer with new tokens.
    pub(super) fn delivered(&self, issued: &Issued, delivery: Delivery) -> Result<Reply, Error> {
        match delivery {
            Delivery::Body => Ok(tokens_in_body(issued)),
            Delivery::Cookies => self.tokens_in_cookies(issued),
        }
    }

    fn tokens_in_cookies(&self, issued: &Issued) -> Result<Reply, Error> {
        let reply = Reply::json(200, &without_tokens(issued));
        let cookies = cookie::pair(issued, self.browser_policy())?;
        Ok(cookies
            .into_iter()
            .fold(reply, |reply, cookie| reply.header("set-cookie", cookie)))
    }

    /// The answer with a renewed access token.
    pub(super) fn renewed(&self, renewed: &Renewed, source: Source) -> Result<Reply, Error> {
        let body = json!({
            "expires_in": renewed.expires_at.since(renewed.server_time).as_secs(),
            "scope": renewed.scopes.as_str(),
            "session_id": renewed.session_id.to_string(),
            "refresh_at": renewed.refresh_at.unix_secs(),
            "server_time": renewed.server_time.unix_secs(),
        });
        let token = renewed.access_token.as_str();
        match source {
            Source::Bearer => Ok(with_tokens(body, token, None)),
            Source::Cookie => {
                let life = renewed.useful_until.since(renewed.server_time);
                let cookie = cookie::set(Kind::Access, token, life, self.browser_policy());
                let cookie = cookie.map_err(|_| IdentityError::TooLargeForCookie)?;
                Ok(Reply::json(200, &body).header("set-cookie", cookie))
            }
        }
    }

    /// `reply`, with which a browser forgets its cookies.
    pub(super) fn clearing(&self, reply: Reply) -> Reply {
        Kind::ALL.into_iter().fold(reply, |reply, kind| {
            reply.header("set-cookie", cookie::clear(kind, self.browser_policy()))
        })
    }
}

/// The answer of RFC 6749 §5.1, with what a client needs to refresh in time even if its clock is
/// wrong.
fn tokens_in_body(issued: &Issued) -> Reply {
    let (access, refresh) = (issued.access_token.as_str(), issued.refresh_token.as_str());
    with_tokens(without_tokens(issued), access, Some(refresh))
}

fn with_tokens(mut body: Value, access: &str, refresh: Option<&str>) -> Reply {
    if let Value::Object(members) = &mut body {
        members.insert("access_token".into(), access.into());
        members.insert("token_type".into(), "Bearer".into());
        if let Some(refresh) = refresh {
            members.insert("refresh_token".into(), refresh.into());
        }
    }
    Reply::json(200, &body).header("pragma", "no-cache")
}

fn without_tokens(issued: &Issued) -> Value {
    json!({
        "expires_in": issued.expires_at.since(issued.server_time).as_secs(),
        "scope": issued.scopes.as_str(),
        "session_id": issued.session_id.to_string(),
        "refresh_at": issued.refresh_at.unix_secs(),
        "server_time": issued.server_time.unix_secs(),
    })
}
