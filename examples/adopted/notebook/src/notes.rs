//! The notes of a user.

use actix_web::{HttpResponse, http::StatusCode, web};
use gatepass_actix::{MaybeAuth, User};
use rusqlite::params;
use serde::Deserialize;

use crate::{
    failed::Failed,
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
) -> Result<HttpResponse, Failed> {
    Ok(html::ok("Notes", &notes(&state, &account, "").await?))
}

#[derive(Deserialize)]
pub(crate) struct Note {
    text: String,
}

pub(crate) async fn post(
    state: web::Data<State>,
    User(account): User<Account>,
    web::Form(note): web::Form<Note>,
) -> Result<HttpResponse, Failed> {
    if note.text.trim().is_empty() {
        let message = html::message("Write something.");
        let main = notes(&state, &account, &message).await?;
        return Ok(html::answer(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Notes",
            &main,
        ));
    }
    let (author, add) = (
        account.id,
        "INSERT INTO notes (author, text) VALUES (?1, ?2)",
    );
    let added = state
        .database
        .ask(move |db| db.execute(add, params![author, note.text]));
    added.await?;
    Ok(html::see("/notes"))
}

async fn notes(state: &State, account: &Account, message: &str) -> Result<String, Failed> {
    let author = account.id;
    let notes = state.database.ask(move |db| {
        let mut own = db.prepare("SELECT text FROM notes WHERE author = ?1 ORDER BY id DESC")?;
        let texts = own.query_map([author], |row| row.get(0))?;
        texts.collect::<rusqlite::Result<Vec<String>>>()
    });
    let notes = notes.await?;
    let items = notes.iter().map(|note| format!("<li>{}</li>", Text(note)));
    Ok(format!(
        r#"{}{message}<form method="post" action="/notes">
<p><label>Note <input name="text" required></label></p><button>Post</button></form>
<ul>{}</ul>"#,
        html::menu(&account.name),
        items.collect::<String>()
    ))
}
