//! Five systems that services build by hand, each told in a few lines and then done here.
//!
//! They are the scenarios `seed_…` of the conformance suite, played with real time, files and
//! restarts.

use std::{thread, time::Duration};

use serde_json::json;

use super::scenarios::{
    ALICE, BOB, OK, Tokens, get, is_over, login, logout, me, outlast_overlap, post, refresh,
    refused, spend, user,
};
use crate::{
    client::{Answer, Client, Expected, Method, Request},
    example::Server,
    progress::step,
};

/// Lifetimes that a demo can wait for: an access token's, and an unused session's. The waits below
/// leave more than half a second on either side of each.
const SHORT: [&str; 6] = ["--access-ttl", "5s", "--idle-ttl", "7s", "--leeway", "0s"];

/// Plays all five. The server runs with its usual lifetimes at first, and is restarted with short
/// ones.
pub(super) fn play(server: &mut Server, client: &mut Client) -> anyhow::Result<()> {
    println!(
        "\nFive systems that services build by hand: what they did (there), and what is done here."
    );
    token_endpoint(client)?;
    let deleted = allow_list(client)?;
    server.terminate()?;
    server.configure(&SHORT, &json!([user(ALICE)]))?;
    server.start(|| client.is_ready())?;
    user_is_gone(client, &deleted)?;
    expiry_and_logging(server, client)?;
    session_renewal(client)?;
    auto_login(client)
}

fn story(name: &str, there: &str, here: &str) {
    step("demo", name);
    println!("  there   {there}\n  here    {here}");
}

fn token_endpoint(client: &mut Client) -> anyhow::Result<()> {
    story(
        "seed_token_endpoint: user name and password for a token",
        "the password went into the URL and its logs, the key stood in the source; no refresh, no logout.",
        "the form of RFC 6749 §4.3, which any OAuth client speaks; refresh and revocation beside it.",
    );
    let asked = |password| {
        [
            ("grant_type", "password"),
            ("username", ALICE.0),
            ("password", password),
        ]
    };
    form(
        client,
        "a wrong password",
        "/auth/token",
        &asked("a guess"),
        bad_request("bad_credentials"),
    )?;
    form(
        client,
        "a password in the URL is not read",
        "/auth/token?grant_type=password&username=alice&password=x",
        &[],
        bad_request("missing_parameter"),
    )?;
    let first = form(
        client,
        "the password in the form",
        "/auth/token",
        &asked(ALICE.1),
        OK,
    )?;
    let first = Tokens::of(&first)?;
    me(client, "its access token is good", &first, OK)?;
    let asked = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.refresh.as_str()),
    ];
    let next = Tokens::of(&form(client, "it is refreshed", "/auth/token", &asked, OK)?)?;
    let asked = [("token", next.refresh.as_str())];
    form(client, "and revoked", "/auth/revoke", &asked, OK)?;
    is_over(client, "after it", &next)
}

/// Returns what a user has who is about to be deleted.
fn allow_list(client: &mut Client) -> anyhow::Result<Tokens> {
    story(
        "seed_logout_allow_list: only tokens that are in a table are good",
        "logout deleted whichever row came first; a deleted user's tokens went on; raw tokens in the table.",
        "the store is asked at each request, one device ends and no other, and it holds no token at all.",
    );
    let phone = login(client, BOB)?;
    let laptop = login(client, BOB)?;
    strict(client, "the phone is in", &phone, OK)?;
    strict(client, "the laptop is in", &laptop, OK)?;
    logout(client, "/auth/logout", &phone)?;
    strict(client, "the phone is out", &phone, refused("revoked"))?;
    strict(client, "the laptop is still in", &laptop, OK)?;
    let forged = forged(&laptop);
    strict(
        client,
        "a bad signature says so",
        &forged,
        refused("bad_signature"),
    )?;
    Ok(laptop)
}

fn user_is_gone(client: &mut Client, tokens: &Tokens) -> anyhow::Result<()> {
    step(
        "demo",
        "seed_logout_allow_list: the user was deleted meanwhile",
    );
    spend(client, "no refresh", tokens, refused("session_ended"))?;
    strict(
        client,
        "and from then on no access",
        tokens,
        refused("revoked"),
    )
}

fn expiry_and_logging(server: &Server, client: &mut Client) -> anyhow::Result<()> {
    story(
        "seed_expiry_and_logging: expired is not invalid, and each is logged",
        "expiry was checked twice, once in local time; logging a failure failed, for want of a user.",
        "each refusal has its own reason, for the client and in the log, which names the user and no token.",
    );
    let alice = login(client, ALICE)?;
    me(client, "she is let in", &alice, OK)?;
    me(
        client,
        "an altered token",
        &forged(&alice),
        refused("bad_signature"),
    )?;
    let garbage = Tokens {
        access: "garbage".to_owned(),
        ..forged(&alice)
    };
    me(client, "what is no token", &garbage, refused("malformed"))?;
    thread::sleep(Duration::from_millis(5500));
    me(
        client,
        "the same token, expired",
        &alice,
        refused("expired"),
    )?;
    let log = server.log();
    let line = log
        .lines()
        .rev()
        .find(|line| line.contains("token.refused"));
    let named = line.is_some_and(|line| line.contains("alice") && line.contains("expired"));
    client.judge("the log", named, &told(named), "the user and the reason");
    let silent = !log.contains(&alice.access) && !log.contains(&alice.refresh);
    let got = if silent { "no token" } else { "a token" };
    client.judge("in all of the log", silent, got, "no token");
    Ok(())
}

fn told(named: bool) -> String {
    let told = if named {
        "the user and the reason"
    } else {
        "less"
    };
    told.to_owned()
}

fn session_renewal(client: &mut Client) -> anyhow::Result<()> {
    story(
        "seed_session_renewal: a good token is exchanged for one that lasts longer",
        "the new token had no expiry at all: whoever saw one was in for ever.",
        "it expires like any other, ends with its session, and never turns into a refresh token.",
    );
    let renew = |client: &mut Client, what: &str, tokens: &Tokens, expected| {
        post(
            client,
            what,
            "/auth/renew",
            Some(&tokens.access),
            None,
            expected,
        )
    };
    let first = login(client, ALICE)?;
    thread::sleep(Duration::from_secs(3));
    let answer = renew(client, "she renews", &first, OK)?;
    let none = answer.member("refresh_token").is_none();
    let got = if none { "none" } else { "one" };
    client.judge("a refresh token", none, got, "none");
    let renewed = Tokens {
        access: answer.token("access_token")?,
        refresh: first.refresh.clone(),
    };
    me(client, "the new one is good", &renewed, OK)?;
    renew(
        client,
        "an altered one is not renewed",
        &forged(&renewed),
        refused("bad_signature"),
    )?;
    thread::sleep(Duration::from_millis(2500));
    me(client, "the first has expired", &first, refused("expired"))?;
    renew(
        client,
        "an expired one is not renewed",
        &first,
        refused("expired"),
    )?;
    logout(client, "/auth/logout", &renewed)?;
    is_over(client, "after it", &renewed)
}

fn auto_login(client: &mut Client) -> anyhow::Result<()> {
    story(
        "seed_auto_login: a client that comes back with both tokens is logged in again",
        "an expired token was answered as \"not found\", and a refresh token could be used for ever.",
        "whichever of the two has expired, the other one helps; a spent refresh token gives a thief away.",
    );
    let resume = |client: &mut Client, what: &str, tokens: &Tokens, expected| {
        let body = json!({"refresh_token": tokens.refresh});
        post(
            client,
            what,
            "/auth/resume",
            Some(&tokens.access),
            Some(body),
            expected,
        )
    };
    let first = login(client, ALICE)?;
    let answer = resume(client, "both good: nothing is new", &first, OK)?;
    let none = answer.member("access_token").is_none();
    let got = if none { "none" } else { "some" };
    client.judge("new tokens", none, got, "none");
    thread::sleep(Duration::from_millis(5500));
    let second = resume(client, "the access token expired: both are new", &first, OK)?;
    let second = Tokens::of(&second)?;
    me(client, "and good", &second, OK)?;

    thread::sleep(Duration::from_secs(4));
    let path = "/auth/renew";
    let answer = post(
        client,
        "the access token is renewed",
        path,
        Some(&second.access),
        None,
        OK,
    )?;
    let mut third = Tokens {
        access: answer.token("access_token")?,
        refresh: second.refresh,
    };
    thread::sleep(Duration::from_millis(3500));
    spend(
        client,
        "the refresh token expired",
        &third,
        refused("refresh_expired"),
    )?;
    third = Tokens::of(&resume(
        client,
        "with the access token: both are new",
        &third,
        OK,
    )?)?;
    outlast_overlap();
    let last = refresh(client, "and refresh", &third)?;
    get(
        client,
        "its expiry, for people",
        "/auth/sessions",
        Some(&last.access),
        OK,
    )?;
    logout(client, "/auth/logout", &last)?;
    is_over(client, "after a logout", &last)?;
    resume(client, "not even both together", &last, refused("revoked"))?;
    Ok(())
}

/// The same tokens, but that nobody here has signed the access token.
fn forged(tokens: &Tokens) -> Tokens {
    Tokens {
        access: format!("{}AAAA", tokens.access),
        refresh: tokens.refresh.clone(),
    }
}

fn strict(
    client: &mut Client,
    what: &str,
    tokens: &Tokens,
    expected: Expected,
) -> anyhow::Result<()> {
    get(client, what, "/strict", Some(&tokens.access), expected).map(drop)
}

fn form(
    client: &mut Client,
    what: &str,
    path: &str,
    parameters: &[(&str, &str)],
    expected: Expected,
) -> anyhow::Result<Answer> {
    let request = Request {
        method: Method::PostForm,
        path,
        access: None,
        body: Some(parameters.iter().copied().collect()),
    };
    client.expect(what, &request, expected)
}

const fn bad_request(reason: &'static str) -> Expected {
    Expected {
        status: 400,
        reason: Some(reason),
    }
}
