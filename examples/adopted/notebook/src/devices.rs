//! The devices on which the user is logged in.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use gatepass::{Error, Session, Subject, store::SessionNumber};
use gatepass_actix::{Auth, User};
use serde::Deserialize;

use crate::{
    failed::Failed,
    html::{self, Text},
    state::State,
    users::Account,
};

#[derive(Deserialize)]
pub(crate) struct Done {
    done: Option<String>,
}

pub(crate) async fn page(
    state: web::Data<State>,
    Auth(pass): Auth,
    User(account): User<Account>,
    web::Query(Done { done }): web::Query<Done>,
    request: HttpRequest,
) -> Result<HttpResponse, Failed> {
    let message = match done.as_deref() {
        Some("password") => "Your password is changed, and all other devices are logged out.",
        Some("ended") => "The device is logged out.",
        _ => "",
    };
    let now = state.clock.now();
    let sessions = sessions(&state, pass.subject()).await;
    let sessions = sessions.map_err(|error| state.failed(error, &request))?;
    let items = sessions.iter().map(|session| {
        let name = session.device.user_agent.as_deref().unwrap_or("unknown");
        let end = if Some(session.id) == pass.session_id() {
            "<strong>this device</strong>".to_owned()
        } else {
            let id = session.id;
            let unseen = unseen(now.since(session.last_seen_at));
            format!(
                r#"{unseen}<form method="post" action="/devices/{id}/end"><button>Log out</button></form>"#
            )
        };
        format!("<li>{} {end}</li>", Text(name))
    });
    let items: String = items.collect();
    let main = format!(
        r#"{}{}<ul>{items}</ul>
<form method="post" action="/devices/end-all"><button>Log out everywhere</button></form>"#,
        html::menu(&account.name),
        html::message(message),
    );
    Ok(html::ok("Devices", &main))
}

/// All sessions, from each page of the list.
async fn sessions(state: &State, subject: &Subject) -> Result<Vec<Session>, Error> {
    let mut sessions = Vec::new();
    let mut next: Option<SessionNumber> = None;
    loop {
        let page = state.authority.sessions(subject, next).await?;
        sessions.extend(page.sessions);
        next = page.next;
        if next.is_none() {
            return Ok(sessions);
        }
    }
}

/// Rounded to hours: a more exact time would tell a thief when to use a copied cookie.
fn unseen(time: Duration) -> String {
    match time.as_secs() / 3600 {
        0 => "seen in the last hour".to_owned(),
        hours => format!("seen {hours} hours ago"),
    }
}

pub(crate) async fn end(
    state: web::Data<State>,
    Auth(pass): Auth,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Failed> {
    let id = id.parse().map_err(|_| Failed::NotFound)?;
    let ended = state.authority.end_session_of(pass.subject(), id).await;
    let ended = ended.map_err(|error| state.failed(error, &request))?;
    ended.ok_or(Failed::NotFound)?;
    Ok(html::see("/devices?done=ended"))
}

pub(crate) async fn end_all(
    state: web::Data<State>,
    Auth(pass): Auth,
    request: HttpRequest,
) -> Result<HttpResponse, Failed> {
    let ended = state.authority.logout_all(pass.subject()).await;
    ended.map_err(|error| state.failed(error, &request))?;
    Ok(html::see("/login?reason=revoked"))
}
