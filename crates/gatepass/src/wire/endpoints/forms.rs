//! Logins and logouts with the forms of pages without JavaScript.

use crate::{
    authority::authenticator::Credentials,
    error::Error,
    http::{head::RequestHead, reply::Reply},
    model::local_path::LocalPath,
    wire::{
        body::{BadRequest, RequestBody, is_of_type},
        cookie,
        endpoints::{Endpoints, Forms, delivery::Delivery},
        login_page,
    },
};

/// The media type of forms.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The field with the path to show after the login.
const RETURN_TO: &str = "return_to";

impl Endpoints {
    /// The pages to which forms lead, if the request is a form and the endpoints accept forms.
    pub(super) fn form_of(&self, head: &RequestHead<'_>) -> Option<&Forms> {
        let forms = self.inner.forms.as_ref();
        forms.filter(|_| is_of_type(head.field("content-type"), FORM))
    }

    /// The answer to a login with a form.
    pub(super) async fn login_by_form(
        &self,
        forms: &Forms,
        head: &RequestHead<'_>,
        body: RequestBody<'_>,
    ) -> Reply {
        // A page of another site must not log a browser in as another user.
        if let Err(refusal) = cookie::check(head, self.browser_policy()) {
            return self.login_refused(&refusal, head);
        }
        let form = match body.form(head) {
            Ok(form) => form,
            Err(bad) => return bad.into(),
        };
        let way_back = form.get(RETURN_TO);
        let way_back: Option<LocalPath> = way_back.and_then(|path| path.parse().ok());
        let credentials = || -> Result<Credentials, BadRequest> {
            let username = form.required("username")?.to_owned();
            let password = form.get("password").map(str::to_owned);
            let others = form.others(&["username", "password", RETURN_TO]);
            let credentials = Credentials::of_body(username, password, others);
            credentials.ok_or(BadRequest::Parameter("password"))
        };
        let reason = match credentials() {
            Ok(credentials) => match self.log_in(&credentials, Delivery::Cookies, head).await {
                Ok(delivered) => {
                    let to = way_back.as_ref().unwrap_or(&forms.home);
                    return delivered.onto(Reply::see_other(to.as_str()));
                }
                Err(Error::Refused(refusal)) => refusal.reason(),
                Err(error) => return self.login_error(&error),
            },
            // The user has left a field empty.
            Err(bad) => bad.reason(),
        };
        Reply::see_other(&login_page::location(
            &forms.page,
            reason,
            way_back.as_ref(),
        ))
    }
}
