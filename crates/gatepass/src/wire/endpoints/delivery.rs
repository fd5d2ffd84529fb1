//! The delivery of new tokens to the client: in the body, or in cookies.

use std::fmt;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    authority::issued::{Issued, RefreshToken, Renewed},
    error::Error,
    http::reply::Reply,
    model::transport::Transport,
    wire::{
        cookie::{self, Kind},
        credentials::Source,
        endpoints::Endpoints,
        outgoing::ResponseHeaders,
        refusal::ErrorFormat,
    },
};

/// The way in which a client gets its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one or the other")]
pub enum Delivery {
    /// In the body, for clients that keep them themselves.
    Body,
    /// In cookies, for browsers. The body then has no tokens.
    Cookies,
}

impl Delivery {
    /// The delivery for a request whose token was at `source`. If the token came in a cookie, the
    /// new tokens go only into cookies, because a script that cannot read the cookie must not get
    /// tokens from the body.
    pub(super) fn as_it_came(source: Source) -> Self {
        match source {
            Source::Bearer => Self::Body,
            Source::Cookie => Self::Cookies,
        }
    }
}

/// New tokens for the client, as the answer of an endpoint or in your own response.
/// [`Endpoints::issue`], [`Endpoints::login`], [`Endpoints::refresh`] and
/// [`Endpoints::reauthenticated`] return it.
#[must_use = "the client gets its tokens only if you answer with this value"]
pub struct Delivered {
    issued: Issued,
    /// The values of `Set-Cookie`. Empty if the tokens go into the body.
    cookies: Vec<Zeroizing<String>>,
}

impl Delivered {
    /// The tokens and their times. If the tokens go into cookies, keep them out of the body.
    #[must_use]
    pub fn issued(&self) -> &Issued {
        &self.issued
    }

    /// The header fields of your response: `Cache-Control: no-store`, and a `Set-Cookie` for each
    /// cookie. Replace your own `Cache-Control`, and keep your own cookies.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let cookies = self.cookies.iter();
        let cookies = cookies.map(|cookie| ("set-cookie", cookie.as_str()));
        [("cache-control", "no-store")].into_iter().chain(cookies)
    }

    /// Adds the header fields to your response. `Cache-Control: no-store` replaces your own, and
    /// your own cookies stay.
    pub fn apply(&self, response: &mut impl ResponseHeaders) {
        response.replace("cache-control", "no-store");
        for cookie in &self.cookies {
            response.append("set-cookie", cookie);
        }
    }

    /// The answer of the endpoints. Its body has the times of the tokens, and also the tokens
    /// unless they go into cookies.
    #[must_use]
    pub fn into_reply(self) -> Reply {
        if self.cookies.is_empty() {
            tokens_in_body(&self.issued, with_times(&self.issued))
        } else {
            let body = with_times(&self.issued);
            self.onto(Reply::json(200, &body))
        }
    }

    /// `reply` with the cookies. The reply must be one that no cache keeps.
    pub(super) fn onto(self, reply: Reply) -> Reply {
        let cookies = self.cookies.iter();
        cookies.fold(reply, |reply, cookie| {
            reply.header("set-cookie", cookie.as_str())
        })
    }
}

/// Leaves out the cookies, which hold tokens.
impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered")
            .field("issued", &self.issued)
            .finish_non_exhaustive()
    }
}

impl Endpoints {
    /// The delivery of a login, unless the request asks for another.
    pub(super) fn usual_delivery(&self) -> Delivery {
        match self.browser_policy().transport {
            Transport::Bearer | Transport::Both => Delivery::Body,
            Transport::Cookie => Delivery::Cookies,
        }
    }

    /// New tokens with this delivery.
    pub(super) fn deliver(&self, issued: Issued, delivery: Delivery) -> Result<Delivered, Error> {
        let cookies = match delivery {
            Delivery::Body => Vec::new(),
            Delivery::Cookies => {
                let cookies = cookie::all(&issued, self.browser_policy())?;
                cookies.into_iter().map(Zeroizing::new).collect()
            }
        };
        Ok(Delivered { issued, cookies })
    }

    /// The answer with new tokens, or with the error.
    pub(super) fn tokens(&self, issued: Result<Issued, Error>, delivery: Delivery) -> Reply {
        let delivered = issued.and_then(|issued| self.deliver(issued, delivery));
        match delivered {
            Ok(delivered) => delivered.into_reply(),
            Err(error) => self.error_reply(&error, ErrorFormat::Login),
        }
    }

    /// The answer of the token endpoint, with tokens or the error. It has no times as text, because
    /// libraries such as Authlib use `expires_at` for a number that they write themselves.
    pub(super) fn granted_tokens(&self, issued: Result<Issued, Error>) -> Reply {
        match issued {
            Ok(issued) => tokens_in_body(&issued, without_tokens(&issued)),
            Err(error) => self.error_reply(&error, ErrorFormat::OAuth),
        }
    }

    /// Longest access token in bytes for this delivery. `None` if there is no limit by cookies.
    pub(super) fn longest_token(&self, delivery: Delivery) -> Option<usize> {
        match delivery {
            Delivery::Body => None,
            Delivery::Cookies => Some(cookie::longest_token(Kind::Access, self.browser_policy())),
        }
    }

    /// The answer with a renewed access token.
    pub(super) fn renewed(&self, renewed: &Renewed, source: Source) -> Result<Reply, Error> {
        let body = json!({
            "expires_in": renewed.expires_at.since(renewed.server_time).as_secs(),
            "expires_at": renewed.expires_at.to_string(),
            "scope": renewed.scopes.as_str(),
            "session_id": renewed.session_id.to_string(),
            "refresh_at": renewed.refresh_at.unix_secs(),
            "server_time": renewed.server_time.unix_secs(),
        });
        let token = renewed.access_token.as_str();
        match source {
            Source::Bearer => Ok(with_tokens(body, token, None)),
            Source::Cookie => {
                let cookie = cookie::of_renewed(renewed, self.browser_policy())?;
                Ok(Reply::json(200, &body).header("set-cookie", cookie))
            }
        }
    }

    /// `reply`, which also makes a browser delete its cookies.
    pub(super) fn clearing(&self, reply: Reply) -> Reply {
        Kind::ALL.into_iter().fold(reply, |reply, kind| {
            reply.header("set-cookie", cookie::clear(kind, self.browser_policy()))
        })
    }
}

/// The answer of RFC 6749 §5.1.
fn tokens_in_body(issued: &Issued, body: Value) -> Reply {
    let refresh = Some(&issued.refresh_token).filter(|token| !token.is_empty());
    let refresh = refresh.map(RefreshToken::as_str);
    with_tokens(body, issued.access_token.as_str(), refresh)
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

/// Like [`without_tokens`], with the expiry times as text, for people and programs.
fn with_times(issued: &Issued) -> Value {
    let mut body = without_tokens(issued);
    if let Value::Object(members) = &mut body {
        members.insert("expires_at".into(), issued.expires_at.to_string().into());
        if !issued.refresh_token.is_empty() {
            let refresh_expires_at = issued.refresh_expires_at.to_string();
            members.insert("refresh_expires_at".into(), refresh_expires_at.into());
        }
    }
    body
}

/// All members except the tokens. They include the times that a client needs to refresh in time
/// even if its clock is wrong.
fn without_tokens(issued: &Issued) -> Value {
    json!({
        "expires_in": issued.expires_at.since(issued.server_time).as_secs(),
        "scope": issued.scopes.as_str(),
        "session_id": issued.session_id.to_string(),
        "refresh_at": issued.refresh_at.unix_secs(),
        "server_time": issued.server_time.unix_secs(),
    })
}
