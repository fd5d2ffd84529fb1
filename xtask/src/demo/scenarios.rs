//! What the demo plays, each scenario with sessions of its own.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, Expected, Method, Request},
    example::Server,
    progress::step,
};

/// How long after its use a refresh token still gets the same answer.
pub(super) const OVERLAP: Duration = Duration::from_secs(1);

pub(super) const ALICE: (&str, &str) = ("alice", "a demo password for alice");
pub(super) const BOB: (&str, &str) = ("bob", "a demo password for bob");

pub(super) const OK: Expected = answered(200);
const DONE: Expected = answered(204);

/// The users that the server is given.
pub(super) fn users() -> Value {
    json!([user(ALICE), user(BOB)])
}

/// One user, as the file of users has it.
pub(super) fn user((username, password): (&str, &str)) -> Value {
    json!({"username": username, "password": password, "scope": "profile"})
}

/// Plays everything; an error means that the rest could not be played.
pub(super) fn play(server: &mut Server, client: &mut Client) -> anyhow::Result<()> {
    step("demo", "a session, from login to logout");
    one_session(client)?;
    step("demo", "a wrong password");
    wrong_password(client)?;
    step("demo", "logout everywhere");
    logout_everywhere(client)?;
    step("demo", "a stolen refresh token");
    theft(client)?;
    step("demo", "restarts");
    restarts(server, client)
}

fn one_session(client: &mut Client) -> anyhow::Result<()> {
    get(
        client,
        "nobody is not let in",
        "/me",
        None,
        refused("missing"),
    )?;
    let first = login(client, ALICE)?;
    me(client, "she is let in", &first, OK)?;
    get(
        client,
        "her scope does not reach everywhere",
        "/admin",
        Some(&first.access),
        Expected {
            status: 403,
            reason: Some("insufficient_scope"),
        },
    )?;
    let second = refresh(client, "she refreshes", &first)?;
    me(client, "the new token is good", &second, OK)?;
    logout(client, "/auth/logout", &second)?;
    is_over(client, "after it", &second)
}

fn wrong_password(client: &mut Client) -> anyhow::Result<()> {
    let expected = refused("bad_credentials");
    let wrong = credentials(client, "a wrong password", (ALICE.0, BOB.1), expected)?;
    let unknown = credentials(client, "an unknown user", ("mallory", BOB.1), expected)?;
    let same = wrong.is_same_as(&unknown);
    let got = if same { "the same" } else { "different" };
    client.judge("the two answers", same, got, "the same");
    Ok(())
}

fn logout_everywhere(client: &mut Client) -> anyhow::Result<()> {
    let phone = login(client, ALICE)?;
    let laptop = login(client, ALICE)?;
    let bob = login(client, BOB)?;
    logout(client, "/auth/logout-all", &laptop)?;
    is_over(client, "on the laptop", &laptop)?;
    is_over(client, "on the phone", &phone)?;
    me(client, "another user's session goes on", &bob, OK)?;
    Ok(())
}

fn theft(client: &mut Client) -> anyhow::Result<()> {
    let stolen = login(client, BOB)?;
    let owner = refresh(client, "the owner refreshes", &stolen)?;

    outlast_overlap();
    spend(
        client,
        "the thief comes with the old one",
        &stolen,
        refused("reused"),
    )?;
    is_over(client, "for the owner too", &owner)?;
    let again = login(client, BOB)?;
    me(client, "a new login is not concerned", &again, OK)?;
    Ok(())
}

fn restarts(server: &mut Server, client: &mut Client) -> anyhow::Result<()> {
    let ended = login(client, ALICE)?;
    let mut live = login(client, ALICE)?;
    logout(client, "/auth/logout", &ended)?;

    let status = server.terminate()?;
    client.judge(
        "SIGTERM",
        status.success(),
        &status.to_string(),
        "exit status: 0",
    );
    server.start(|| client.is_ready())?;
    live = survives(client, &ended, &live)?;

    let late = login(client, ALICE)?;
    logout(client, "/auth/logout", &late)?;
    step("demo", "SIGKILL right after a logout");
    server.kill();
    server.start(|| client.is_ready())?;
    is_over(client, "the last logout was kept", &late)?;
    survives(client, &ended, &live)?;
    Ok(())
}

/// A restart gives no ended session back, and takes no live one away.
fn survives(client: &mut Client, ended: &Tokens, live: &Tokens) -> anyhow::Result<Tokens> {
    me(client, "an access token from before is good", live, OK)?;
    outlast_overlap();
    let next = refresh(client, "a session from before refreshes", live)?;
    me(client, "and goes on", &next, OK)?;
    is_over(client, "a session ended before stays so", ended)?;
    Ok(next)
}

/// Waits until a session that has just rotated can do so again, and its spent token is one of a
/// thief.
///
/// This is real time in a real process. A slower machine may wait longer, which changes nothing.
pub(super) fn outlast_overlap() {
    thread::sleep(OVERLAP + Duration::from_millis(500));
}

pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Tokens {
    pub(super) fn of(answer: &Answer) -> anyhow::Result<Self> {
        Ok(Self {
            access: answer.token("access_token")?,
            refresh: answer.token("refresh_token")?,
        })
    }
}

pub(super) fn login(client: &mut Client, user: (&str, &str)) -> anyhow::Result<Tokens> {
    let answer = credentials(client, &format!("{} logs in", user.0), user, OK)?;
    Tokens::of(&answer)
}

pub(super) fn refresh(client: &mut Client, what: &str, tokens: &Tokens) -> anyhow::Result<Tokens> {
    let next = Tokens::of(&spend(client, what, tokens, OK)?)?;
    let other = next.access != tokens.access && next.refresh != tokens.refresh;
    let got = if other { "both new" } else { "an old one" };
    client.judge("the tokens", other, got, "both new");
    Ok(next)
}

/// Ended: neither token gets anything any more.
pub(super) fn is_over(client: &mut Client, what: &str, tokens: &Tokens) -> anyhow::Result<()> {
    me(
        client,
        &format!("{what}, no access"),
        tokens,
        refused("revoked"),
    )?;
    spend(
        client,
        &format!("{what}, no refresh"),
        tokens,
        refused("session_ended"),
    )?;
    Ok(())
}

fn credentials(
    client: &mut Client,
    what: &str,
    (username, password): (&str, &str),
    expected: Expected,
) -> anyhow::Result<Answer> {
    let body = json!({"username": username, "password": password});
    post(client, what, "/auth/login", None, Some(body), expected)
}

pub(super) fn spend(
    client: &mut Client,
    what: &str,
    tokens: &Tokens,
    expected: Expected,
) -> anyhow::Result<Answer> {
    let body = json!({"refresh_token": tokens.refresh});
    post(client, what, "/auth/refresh", None, Some(body), expected)
}

pub(super) fn logout(client: &mut Client, path: &str, tokens: &Tokens) -> anyhow::Result<Answer> {
    post(client, "logout", path, Some(&tokens.access), None, DONE)
}

pub(super) fn me(
    client: &mut Client,
    what: &str,
    tokens: &Tokens,
    expected: Expected,
) -> anyhow::Result<Answer> {
    get(client, what, "/me", Some(&tokens.access), expected)
}

pub(super) fn get(
    client: &mut Client,
    what: &str,
    path: &str,
    access: Option<&str>,
    expected: Expected,
) -> anyhow::Result<Answer> {
    let request = Request {
        method: Method::Get,
        path,
        access,
        body: None,
    };
    client.expect(what, &request, expected)
}

pub(super) fn post(
    client: &mut Client,
    what: &str,
    path: &str,
    access: Option<&str>,
    body: Option<Value>,
    expected: Expected,
) -> anyhow::Result<Answer> {
    let request = Request {
        method: Method::Post,
        path,
        access,
        body,
    };
    client.expect(what, &request, expected)
}

const fn answered(status: u16) -> Expected {
    Expected {
        status,
        reason: None,
    }
}

pub(super) const fn refused(reason: &'static str) -> Expected {
    Expected {
        status: 401,
        reason: Some(reason),
    }
}
