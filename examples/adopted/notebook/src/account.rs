//! Login, registration and the password.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use gatepass::{Error, Identity, LocalPath, Refusal, wire::Delivery};
use gatepass_actix::{Auth, ClientDevice, SameSite, User, issue};
use serde::Deserialize;

use crate::{
    failed::Failed,
    html::{self, Text},
    state::State,
    users::{Account, until_closed},
};

const SHORTEST_PASSWORD: usize = 8;
const WRONG: &str = "This is not your password.";

#[derive(Deserialize)]
pub(crate) struct Asked {
    /// The page to show after the login. Its type refuses a way to another host.
    return_to: Option<LocalPath>,
    reason: Option<String>,
}

pub(crate) async fn login_page(web::Query(asked): web::Query<Asked>) -> HttpResponse {
    let message = match asked.reason.as_deref() {
        None | Some("missing") => "",
        Some("bad_credentials" | "missing_parameter") => "The name or the password is wrong.",
        Some("too_many_attempts") => "Too many attempts. Wait a few minutes.",
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
        if message.is_empty() {
            String::new()
        } else {
            html::message(message)
        },
        Text(return_to),
    );
    html::ok("Log in", &form)
}

pub(crate) async fn register_page() -> HttpResponse {
    html::ok("Register", &register_form("", ""))
}

fn register_form(message: &str, name: &str) -> String {
    format!(
        r#"{message}<form method="post" action="/register">
<p><label>Name <input name="username" value="{}" required></label></p>
<p><label>Password <input name="password" type="password" required></label></p>
<button>Register</button></form>"#,
        Text(name)
    )
}

#[derive(Deserialize)]
pub(crate) struct NewUser {
    username: String,
    password: String,
}

/// Adds a user, and logs this browser in. [`SameSite`] keeps other sites from logging it in as a
/// user whom they know.
pub(crate) async fn register(
    state: web::Data<State>,
    _: SameSite,
    request: HttpRequest,
    web::Form(new): web::Form<NewUser>,
) -> Result<HttpResponse, Failed> {
    let name = new.username.trim();
    let refused = |status, message: &str| {
        let form = register_form(&html::message(message), name);
        Ok(html::answer(status, "Register", &form))
    };
    if name.is_empty() || name.len() > 40 {
        let message = "A name has between 1 and 40 bytes.";
        return refused(StatusCode::UNPROCESSABLE_ENTITY, message);
    }
    if new.password.chars().count() < SHORTEST_PASSWORD {
        let message = "A password has at least 8 characters.";
        return refused(StatusCode::UNPROCESSABLE_ENTITY, message);
    }
    let Some(id) = state.users.add(name, &new.password).await? else {
        return refused(StatusCode::CONFLICT, "This name is taken.");
    };
    let identity = Identity::new(id.to_string()).map_err(|error| Error::Identity(error.into()))?;
    let identity = until_closed(identity);
    let delivered = issue(&state.endpoints, identity, &request, Delivery::Cookies).await?;
    Ok(delivered.onto(html::see("/notes")))
}

pub(crate) async fn password_page(User(account): User<Account>) -> HttpResponse {
    html::ok("Password", &password_form(&account, ""))
}

fn password_form(account: &Account, message: &str) -> String {
    format!(
        r#"{}{message}<form method="post" action="/password">
<p><label>Present password <input name="current" type="password" required></label></p>
<p><label>New password <input name="new" type="password" required></label></p>
<button>Change</button></form>"#,
        html::menu(&account.name)
    )
}

#[derive(Deserialize)]
pub(crate) struct Passwords {
    current: String,
    new: String,
}

/// Changes the password, and logs all other browsers out. A wrong password counts like one at a
/// login.
pub(crate) async fn change_password(
    state: web::Data<State>,
    Auth(pass): Auth,
    User(account): User<Account>,
    ClientDevice(device): ClientDevice,
    web::Form(passwords): web::Form<Passwords>,
) -> Result<HttpResponse, Failed> {
    let refused = |status, message| {
        let form = password_form(&account, &html::message(message));
        Ok(html::answer(status, "Password", &form))
    };
    if passwords.new.chars().count() < SHORTEST_PASSWORD {
        let message = "A password has at least 8 characters.";
        return refused(StatusCode::UNPROCESSABLE_ENTITY, message);
    }
    let attempt = match state.authority.login_attempt(&account.name, &device).await {
        Ok(attempt) => attempt,
        Err(Error::Refused(Refusal::TooManyAttempts { .. })) => {
            let message = "Too many attempts. Wait a few minutes.";
            return refused(StatusCode::TOO_MANY_REQUESTS, message);
        }
        Err(error) => return Err(error.into()),
    };
    // The gate keeps an account for half a minute: ask for the hash that is there now.
    let now = state
        .users
        .find(pass.subject())
        .await?
        .ok_or(Failed::NotFound)?;
    if !state.users.verify(&now, &passwords.current).await? {
        attempt.failed();
        return refused(StatusCode::UNPROCESSABLE_ENTITY, WRONG);
    }
    attempt.succeeded().await?;
    let owner = state.authority.account(pass.subject());
    let changed =
        state
            .users
            .change_password(&now, &passwords.new, &state.sessions, (owner, &pass));
    if !changed.await? {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, WRONG);
    }
    // This node refuses the other browsers from the next request on.
    state.authority.verifier().catch_up().await?;
    Ok(html::see("/devices?done=password"))
}
