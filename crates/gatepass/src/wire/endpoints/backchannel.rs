//! The endpoint to which OpenID Connect providers send logout tokens.

use crate::{
    http::{head::RequestHead, reply::Reply},
    wire::{body::RequestBody, endpoints::Endpoints, refusal::ErrorFormat},
};

impl Endpoints {
    /// OIDC Back-Channel Logout §2.5 and §2.8. It answers after the store has ended all sessions.
    pub(super) async fn backchannel_logout(
        &self,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Reply {
        let form = match body.form(head) {
            Ok(form) => form,
            Err(bad) => return bad.into(),
        };
        let token = match form.required("logout_token") {
            Ok(token) => token,
            Err(bad) => return bad.into(),
        };
        match self.authority_for(head).backchannel_logout(token).await {
            Ok(_) => Reply::empty(200),
            Err(error) => self.error_reply(&error, ErrorFormat::Logout),
        }
    }
}
