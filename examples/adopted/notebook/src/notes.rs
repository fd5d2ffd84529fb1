//! The notes of a user.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use gatepass::StoreError;
use gatepass_actix::{MaybeAuth, User};
use rusqlite::params;
use serde::Deserialize;

use crate::{
    failed::Failed,
    form::Form,
    html::{self, Text},
    state::State,
    users::Account,
};

pub(crate) async fn home(MaybeAuth(pass): MaybeAuth) -> HttpResponse {
    html::ok(
        "Notebook",
        match pass {
            Some(_) => r#"<p>Go on with <a href="/notes">your notes</a>.</p>"#,
            None => r#"<p><a href="/login">Log in</a> or <a href="/register">register</a>.</p>"#,
        },
    )
}

pub(crate) async fn page(
    state: web::Data<State>,
    User(account): User<Account>,
    request: HttpRequest,
) -> Result<HttpResponse, Failed> {
    let notes = notes(&state, &account, "").await;
    let notes = notes.map_err(|error| state.failed(error, &request))?;
    Ok(html::ok("Notes", &notes))
}

#[derive(Deserialize)]
pub(crate) struct Note {
    text: String,
}

pub(crate) async fn post(
    state: web::Data<State>,
    User(account): User<Account>,
    request: HttpRequest,
    Form(note): Form<Note>,
) -> Result<HttpResponse, Failed> {
    if note.text.trim().is_empty() {
        let notes = notes(&state, &account, "Write something.").await;
        let notes = notes.map_err(|error| state.failed(error, &request))?;
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(html::answer(status, "Notes", &notes));
    }
    let (author, add) = (
        account.id,
        "INSERT INTO notes (author, text) VALUES (?1, ?2)",
    );
    let added = state
        .database
        .ask(move |db| db.execute(add, params![author, note.text]));
    added.await.map_err(|error| state.failed(error, &request))?;
    Ok(html::see("/notes"))
}

async fn notes(state: &State, account: &Account, message: &str) -> Result<String, StoreError> {
    let author = account.id;
    let notes = state.database.ask(move |db| {
        let mut own = db.prepare("SELECT text FROM notes WHERE author = ?1 ORDER BY id DESC")?;
        let texts = own.query_map([author], |row| row.get(0))?;
        texts.collect::<rusqlite::Result<Vec<String>>>()
    });
    let notes = notes.await?;
    let items = notes.iter().map(|note| format!("<li>{}</li>", Text(note)));
    Ok(format!(
        r#"{}{}<form method="post" action="/notes">
<p><label>Note <input name="text" required></label></p><button>Post</button></form>
<ul>{}</ul>"#,
        html::menu(&account.name),
        html::message(message),
        items.collect::<String>()
    ))
}
