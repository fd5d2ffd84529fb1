//! Login, registration and the password.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use gatepass::{Error, Identity, LocalPath, wire::Delivery};
use gatepass_actix::{Auth, ClientDevice, SameSite, User, issue};
use serde::Deserialize;

use crate::{
    failed::{Failed, TOO_MANY_ATTEMPTS},
    form::Form,
    html::{self, Text},
    state::State,
    users::{Account, until_closed},
};

const WRONG: &str = "This is not your password.";

#[derive(Deserialize)]
pub(crate) struct Asked {
    /// The page to show after the login. The type refuses paths to another host.
    return_to: Option<LocalPath>,
    reason: Option<String>,
}

pub(crate) async fn login_page(web::Query(asked): web::Query<Asked>) -> HttpResponse {
    let message = match asked.reason.as_deref() {
        None | Some("missing") => "",
        Some("bad_credentials" | "missing_parameter") => "The name or the password is wrong.",
        Some("too_many_attempts") => TOO_MANY_ATTEMPTS,
        Some(_) => "You are logged out.",
    };
    let return_to = asked.return_to.as_ref().map_or("/notes", LocalPath::as_str);
    let form = format!(
        r#"{}<form method="post" action="/login">
<p><label>Name <input name="username" required></label></p>
<p><label>Password <input name="password" type="password" required></label></p>
<p><label><input name="remember_me" type="checkbox" value="yes"> Remember me</label></p>
<input name="return_to" type="hidden" value="{}"><button>Log in</button></form>
<p><a href="/register">Register</a></p>"#,
        html::message(message),
        Text(return_to),
    );
    html::ok("Log in", &form)
}

pub(crate) async fn register_page() -> HttpResponse {
    html::ok("Register", &register_form("", ""))
}

fn register_form(message: &str, name: &str) -> String {
    format!(
        r#"{}<form method="post" action="/register">
<p><label>Name <input name="username" value="{}" required></label></p>
<p><label>Password <input name="password" type="password" required></label></p>
<button>Register</button></form>"#,
        html::message(message),
        Text(name)
    )
}

/// The fault of a name that a user has chosen.
fn fault_of_name(name: &str) -> Option<&'static str> {
    let is_good = (1..=40).contains(&name.len());
    (!is_good).then_some("A name has between 1 and 40 bytes.")
}

/// The fault of a password that a user has chosen.
fn fault_of_password(password: &str) -> Option<&'static str> {
    let is_good = password.chars().count() >= 8;
    (!is_good).then_some("A password has at least 8 characters.")
}

#[derive(Deserialize)]
pub(crate) struct NewUser {
    username: String,
    password: String,
}

/// Adds a user, and logs this browser in. [`SameSite`] stops another site that wants to log the
/// browser in as a user of its choice.
pub(crate) async fn register(
    state: web::Data<State>,
    _: SameSite,
    request: HttpRequest,
    Form(new): Form<NewUser>,
) -> Result<HttpResponse, Failed> {
    let name = new.username.trim();
    let refused = |status, message: &str| {
        let form = register_form(message, name);
        Ok(html::answer(status, "Register", &form))
    };
    if let Some(fault) = fault_of_name(name).or_else(|| fault_of_password(&new.password)) {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, fault);
    }
    let added = state.users.add(name, &new.password).await;
    let Some(id) = added.map_err(|error| state.failed(error, &request))? else {
        return refused(StatusCode::CONFLICT, "This name is taken.");
    };
    let identity = Identity::new(id.to_string())
        .map_err(|error| state.failed(Error::Identity(error.into()), &request))?;
    let identity = until_closed(identity);
    let delivered = issue(&state.endpoints, identity, &request, Delivery::Cookies).await?;
    Ok(delivered.onto(html::see("/notes")))
}

pub(crate) async fn password_page(User(account): User<Account>) -> HttpResponse {
    html::ok("Password", &password_form(&account, ""))
}

fn password_form(account: &Account, message: &str) -> String {
    format!(
        r#"{}{}<form method="post" action="/password">
<p><label>Present password <input name="current" type="password" required></label></p>
<p><label>New password <input name="new" type="password" required></label></p>
<button>Change</button></form>"#,
        html::menu(&account.name),
        html::message(message)
    )
}

#[derive(Deserialize)]
pub(crate) struct Passwords {
    current: String,
    new: String,
}

/// Changes the password, and logs out all other browsers. A wrong current password counts as a
/// failed login.
pub(crate) async fn change_password(
    state: web::Data<State>,
    Auth(pass): Auth,
    User(account): User<Account>,
    ClientDevice(device): ClientDevice,
    request: HttpRequest,
    Form(passwords): Form<Passwords>,
) -> Result<HttpResponse, Failed> {
    let refused = |message| {
        let form = password_form(&account, message);
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Ok(html::answer(status, "Password", &form))
    };
    if let Some(fault) = fault_of_password(&passwords.new) {
        return refused(fault);
    }
    let attempt = state.authority.login_attempt(&account.name, &device).await;
    let attempt = attempt.map_err(|error| state.failed(error, &request))?;
    // The gate keeps an account for half a minute, so read the current hash.
    let checked = state.users.check(pass.subject(), &passwords.current).await;
    let counted = match &checked {
        Ok(Some(_)) => attempt.succeeded().await,
        Ok(None) => {
            attempt.failed();
            return refused(WRONG);
        }
        // Nothing was compared, so it was no wrong password.
        Err(_) => attempt.cancelled().await,
    };
    let checked = checked.map_err(|error| state.failed(error, &request))?;
    counted.map_err(|error| state.failed(error, &request))?;
    let now = checked.ok_or(Failed::NotFound)?;
    let owner = state.authority.account(pass.subject());
    let changed =
        state
            .users
            .change_password(&now, &passwords.new, &state.sessions, (owner, &pass));
    let changed = changed.await;
    if !changed.map_err(|error| state.failed(error, &request))? {
        return refused(WRONG);
    }
    // This node refuses the other browsers from the next request on.
    let caught_up = state.authority.verifier().catch_up().await;
    caught_up.map_err(|error| state.failed(error, &request))?;
    Ok(html::see("/devices?done=password"))
}
