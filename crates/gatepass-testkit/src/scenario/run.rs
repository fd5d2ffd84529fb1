//! Plays a scenario, and reports where an application differs from it.

use std::{collections::HashMap, fmt, pin::pin};

use futures_util::future::{Either, join_all, select};
use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    Driver, Opened, Request, Response, Scenario, Transcript,
    script::{Exchange, Expected, Race, Step},
};

/// A difference between an application and a scenario.
#[derive(Debug)]
pub struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

type Kept = HashMap<&'static str, String>;

/// Plays `scenario` on an application, and returns the answers.
///
/// In addition to the scenario's own rules, these hold for every response. It sets only the cookies
/// that the scenario names. A 4xx or 5xx of gatepass has exactly the members `error`,
/// `error_description` and `reason`. A 5xx reveals nothing.
///
/// # Errors
///
/// [`Mismatch`] at the first response that breaks a rule.
pub async fn run(scenario: &Scenario, driver: &impl Driver) -> Result<Transcript, Mismatch> {
    let mut kept = Kept::new();
    let mut transcript = Transcript::default();
    for (number, step) in scenario.steps.iter().enumerate() {
        let done = match step {
            Step::PassTime(time) => {
                driver.pass_time(*time).await;
                Ok(())
            }
            Step::ChangeUser(name, change) => {
                driver.change_user(name, *change).await;
                Ok(())
            }
            Step::LoseSessions => {
                driver.lose_sessions().await;
                Ok(())
            }
            Step::Misplaced => {
                Err("the scenario speaks of a response where there is none".to_owned())
            }
            Step::Exchange(exchange) => one(exchange, driver, &mut kept, &mut transcript).await,
            Step::Parallel(times, exchange) => {
                many(*times, exchange, driver, &kept, &mut transcript).await
            }
            Step::Race(of) => race(of, driver, &mut kept).await,
            Step::WhileOpen(open, others) => {
                while_open(open, others, driver, &kept, &mut transcript).await
            }
        };
        done.map_err(|what| Mismatch(format!("{}, step {}: {what}", scenario.name, number + 1)))?;
    }
    Ok(transcript)
}

async fn one(
    exchange: &Exchange,
    driver: &impl Driver,
    kept: &mut Kept,
    transcript: &mut Transcript,
) -> Result<(), String> {
    let request = filled(&exchange.request, kept)?;
    let asked = format!("{} {}", request.method, request.path);
    let response = driver.send(request).await;
    transcript.add(&exchange.request, &response);
    let checked = check(exchange, &response, kept).and_then(|()| keep(exchange, &response, kept));
    checked.map_err(|what| format!("{asked}: {what}\n{}", shown(&response)))
}

async fn many(
    times: usize,
    exchange: &Exchange,
    driver: &impl Driver,
    kept: &Kept,
    transcript: &mut Transcript,
) -> Result<(), String> {
    let request = filled(&exchange.request, kept)?;
    let sent = (0..times).map(|_| driver.send(request.clone()));
    for response in join_all(sent).await {
        transcript.add(&exchange.request, &response);
        check(exchange, &response, kept).map_err(|what| format!("{what}\n{}", shown(&response)))?;
    }
    Ok(())
}

async fn while_open(
    open: &Exchange,
    others: &[Exchange],
    driver: &impl Driver,
    kept: &Kept,
    transcript: &mut Transcript,
) -> Result<(), String> {
    let (opened, is_open) = oneshot::channel();
    let stream = driver.exchange(filled(&open.request, kept)?, Opened(Some(opened)));
    let meanwhile = async {
        is_open
            .await
            .map_err(|_| "the driver does not say that a response is open".to_owned())?;
        let mut responses = Vec::new();
        for other in others {
            let response = driver.send(filled(&other.request, kept)?).await;
            check(other, &response, kept)
                .map_err(|what| format!("{what}\n{}", shown(&response)))?;
            responses.push(response);
        }
        Ok::<_, String>(responses)
    };
    // If no request ended the stream, waiting for it would never end.
    let (mut response, responses) = match select(pin!(stream), pin!(meanwhile)).await {
        Either::Left((response, meanwhile)) => (response, meanwhile.await?),
        Either::Right((responses, stream)) => {
            let responses = responses?;
            (stream.await, responses)
        }
    };
    response.body = without_repetitions(&response.body);
    transcript.add(&open.request, &response);
    for (other, response) in others.iter().zip(responses) {
        transcript.add(&other.request, &response);
    }
    check(open, &response, kept).map_err(|what| format!("{what}\n{}", shown(&response)))
}

/// The events of a body, without repetitions of the event before.
fn without_repetitions(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let mut events: Vec<&str> = text.split_inclusive("\n\n").collect();
    events.dedup();
    events.concat().into_bytes()
}

async fn race(race: &Race, driver: &impl Driver, kept: &mut Kept) -> Result<(), String> {
    let requests = race.requests.iter();
    let sent: Vec<_> = requests
        .map(|(request, _)| filled(request, kept))
        .collect::<Result<_, _>>()?;
    let responses = join_all(sent.into_iter().map(|request| driver.send(request))).await;
    for ((request, statuses), response) in race.requests.iter().zip(responses) {
        if !statuses.contains(&response.status) {
            let (method, path) = (request.method, &request.path);
            let what = format!("{method} {path}: none of the statuses {statuses:?}");
            return Err(format!("{what}\n{}", shown(&response)));
        }
        let (pointer, name) = race.kept;
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if let Some(value) = body.pointer(pointer) {
            kept.insert(name, text(value));
        }
    }
    Ok(())
}

/// The request with kept values in place of its placeholders.
fn filled(request: &Request, kept: &Kept) -> Result<Request, String> {
    let fill = |bytes: &[u8]| -> Result<Vec<u8>, String> {
        let Ok(text) = str::from_utf8(bytes) else {
            return Ok(bytes.to_vec());
        };
        let filled = kept.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        });
        // The server would refuse the placeholder as nonsense, so a scenario that expects a refusal
        // would pass.
        match left_open(&filled) {
            Some(name) => Err(format!("nothing was kept as {name}")),
            None => Ok(filled.into_bytes()),
        }
    };
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| Ok((*name, fill(value)?)))
        .collect::<Result<_, String>>()?;
    let path = String::from_utf8_lossy(&fill(request.path.as_bytes())?).into_owned();
    Ok(Request {
        method: request.method,
        path,
        headers,
        body: fill(&request.body)?,
    })
}

/// A name in braces, which JSON doesn't have.
fn left_open(text: &str) -> Option<&str> {
    text.split('{').skip(1).find_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '\'');
        (name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(in_name))
            .then_some(name)
    })
}

fn check(exchange: &Exchange, response: &Response, kept: &Kept) -> Result<(), String> {
    if response.status != exchange.status {
        return Err(format!(
            "status {} instead of {}",
            response.status, exchange.status
        ));
    }
    check_always(exchange, response)?;
    for expected in &exchange.expected {
        check_one(expected, response, kept)?;
    }
    Ok(())
}

fn check_always(exchange: &Exchange, response: &Response) -> Result<(), String> {
    let spoken_of = exchange.expected.iter().any(|expected| {
        let set = matches!(
            expected,
            Expected::SetCookies(_) | Expected::SetSessionCookies(_)
        );
        set || matches!(expected, Expected::ClearCookies)
    });
    if !spoken_of && header(response, "set-cookie").is_some() {
        return Err("a cookie is set".to_owned());
    }
    if response.status < 400 || exchange.request.method == "HEAD" {
        return Ok(());
    }
    // A framework itself answers unknown paths, and wrong methods of the application's routes. It
    // need not use JSON.
    let Ok(Value::Object(body)) = serde_json::from_slice(&response.body) else {
        return if matches!(response.status, 404 | 405) {
            Ok(())
        } else {
            Err("an error without a JSON body".to_owned())
        };
    };
    let mut members: Vec<_> = body.keys().map(String::as_str).collect();
    members.sort_unstable();
    if exchange.request.path.starts_with("/shop/") {
        return match &*members {
            ["errors"] => Ok(()),
            _ => Err(format!("an error of the shop with the members {members:?}")),
        };
    }
    if members != ["error", "error_description", "reason"] {
        return Err(format!("an error with the members {members:?}"));
    }
    if response.status >= 500 {
        let fixed = [
            "the server failed",
            "the service is temporarily unavailable, try again",
        ];
        let description = body.get("error_description").and_then(Value::as_str);
        if !description.is_some_and(|text| fixed.contains(&text)) {
            return Err("a 5xx that says more than that".to_owned());
        }
    }
    Ok(())
}

fn check_one(expected: &Expected, response: &Response, kept: &Kept) -> Result<(), String> {
    let json = |pointer: &str| -> Result<Value, String> {
        let body: Value =
            serde_json::from_slice(&response.body).map_err(|_| "no JSON body".to_owned())?;
        body.pointer(pointer)
            .cloned()
            .ok_or_else(|| format!("nothing at {pointer}"))
    };
    match expected {
        Expected::Header(name, value) => match header(response, name) {
            Some(own) if own == value => Ok(()),
            own => Err(format!("{name} is {own:?} instead of {value:?}")),
        },
        Expected::Allow(methods) => {
            let listed = |list: &str| {
                let mut list: Vec<_> = list.split(',').map(|one| one.trim().to_owned()).collect();
                list.sort_unstable();
                list
            };
            match header(response, "allow") {
                Some(own) if listed(own) == listed(methods) => Ok(()),
                own => Err(format!("allow is {own:?} instead of {methods:?}")),
            }
        }
        Expected::NoHeader(name) => match header(response, name) {
            None => Ok(()),
            Some(own) => Err(format!("{name} is {own:?} and should not be there")),
        },
        Expected::Json(pointer, value) => match json(pointer)? {
            own if own == *value => Ok(()),
            own => Err(format!("{pointer} is {own} instead of {value}")),
        },
        Expected::SameAs(pointer, name) => match text(&json(pointer)?) {
            own if kept.get(name) == Some(&own) => Ok(()),
            _ => Err(format!("{pointer} is not the {name} of before")),
        },
        Expected::OtherThan(_, name) | Expected::OtherCookie(_, name)
            if !kept.contains_key(name) =>
        {
            Err(format!("nothing was kept as {name}"))
        }
        Expected::OtherThan(pointer, name) => match text(&json(pointer)?) {
            own if kept.get(name) == Some(&own) => {
                Err(format!("{pointer} is still the {name} of before"))
            }
            _ => Ok(()),
        },
        Expected::SomeJson(pointer) => json(pointer).map(|_| ()),
        Expected::NoJson(pointer) => match json(pointer) {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("there is something at {pointer}")),
        },
        Expected::SetCookies(names) | Expected::SetSessionCookies(names) => {
            let life = match expected {
                Expected::SetCookies(_) => Life::Some,
                _ => Life::UntilClosed,
            };
            let mut set: Vec<_> = cookies(response)
                .map(|cookie| cookie.and_then(|cookie| cookie.checked(life)))
                .collect::<Result<_, _>>()?;
            set.sort_unstable();
            if set == *names {
                Ok(())
            } else {
                Err(format!("the cookies {set:?} are set instead of {names:?}"))
            }
        }
        Expected::ClearCookies => {
            let mut cleared: Vec<_> = cookies(response)
                .map(|cookie| cookie.and_then(|cookie| cookie.checked(Life::None)))
                .collect::<Result<_, _>>()?;
            cleared.sort_unstable();
            if cleared == ["__Host-gatepass", "__Host-gatepass-refresh"] {
                Ok(())
            } else {
                Err(format!("the cookies {cleared:?} are cleared"))
            }
        }
        Expected::SameCookie(cookie, name) => match value(response, cookie)? {
            own if kept.get(name).is_some_and(|kept| kept == own) => Ok(()),
            _ => Err(format!("the cookie {cookie} is not the {name} of before")),
        },
        Expected::OtherCookie(cookie, name) => match value(response, cookie)? {
            own if kept.get(name).is_some_and(|kept| kept == own) => {
                Err(format!("the cookie {cookie} is still the {name} of before"))
            }
            _ => Ok(()),
        },
        Expected::Empty if response.body.is_empty() => Ok(()),
        Expected::Empty => Err("there is a body".to_owned()),
        Expected::Body(text) if response.body == text.as_bytes() => Ok(()),
        Expected::Body(text) => Err(format!("the body is not {text:?}")),
    }
}

fn keep(exchange: &Exchange, response: &Response, kept: &mut Kept) -> Result<(), String> {
    for (pointer, name) in &exchange.kept {
        let body: Value =
            serde_json::from_slice(&response.body).map_err(|_| "no JSON body".to_owned())?;
        let value = body
            .pointer(pointer)
            .ok_or_else(|| format!("nothing at {pointer}"))?;
        kept.insert(name, text(value));
    }
    for (cookie, name) in &exchange.kept_cookies {
        kept.insert(name, value(response, cookie)?.to_owned());
    }
    for (name, kept_as) in &exchange.kept_headers {
        let value = header(response, name).ok_or_else(|| format!("no header {name}"))?;
        kept.insert(kept_as, value.to_owned());
    }
    Ok(())
}

/// The parts of a `Set-Cookie`.
struct SetCookie<'a> {
    name: &'a str,
    value: &'a str,
    attributes: Vec<&'a str>,
}

impl<'a> SetCookie<'a> {
    /// Its name, if its attributes are right for a set or a cleared cookie.
    fn checked(self, life: Life) -> Result<&'a str, String> {
        let (max_age, mut attributes): (Vec<&str>, Vec<&str>) = self
            .attributes
            .iter()
            .copied()
            .partition(|attribute| attribute.starts_with("Max-Age="));
        attributes.sort_unstable();
        let lives = match max_age[..] {
            [] => Life::UntilClosed,
            ["Max-Age=0"] => Life::None,
            _ => Life::Some,
        };
        let right = attributes == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]
            && max_age.len() <= 1
            && lives == life
            && self.value.is_empty() == (life == Life::None);
        if right {
            Ok(self.name)
        } else {
            Err(format!(
                "the cookie {} has {:?}",
                self.name, self.attributes
            ))
        }
    }
}

/// How long a browser keeps a cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    None,
    UntilClosed,
    Some,
}

fn cookies(response: &Response) -> impl Iterator<Item = Result<SetCookie<'_>, String>> {
    let set = response
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    set.map(|(_, line)| {
        let mut parts = line.split("; ");
        let pair = parts.next().and_then(|pair| pair.split_once('='));
        let (name, value) = pair.ok_or_else(|| "a cookie without a name".to_owned())?;
        let attributes = parts.collect();
        Ok(SetCookie {
            name,
            value,
            attributes,
        })
    })
}

/// The value that the response gives to the cookie.
fn value<'a>(response: &'a Response, cookie: &str) -> Result<&'a str, String> {
    let found = cookies(response)
        .filter_map(Result::ok)
        .find(|own| own.name == cookie);
    let found = found.ok_or_else(|| format!("no cookie {cookie}"))?;
    Ok(found.value)
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers
        .iter()
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.as_str())
}

fn shown(response: &Response) -> String {
    let headers: String = response
        .headers
        .iter()
        .map(|(name, value)| format!("  {name}: {value}\n"))
        .collect();
    format!(
        "  status {}\n{headers}\n  {}",
        response.status,
        String::from_utf8_lossy(&response.body)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;
    use crate::scenario::UserChange;

    /// An application that gives every request the same answer.
    struct Same;

    #[async_trait]
    impl Driver for Same {
        async fn exchange(&self, _: Request, _: Opened) -> Response {
            Response {
                status: 200,
                headers: Vec::new(),
                body: br#"{"a":"b"}"#.to_vec(),
            }
        }

        async fn pass_time(&self, _: Duration) {}

        async fn change_user(&self, _: &str, _: UserChange) {}

        async fn lose_sessions(&self) {}
    }

    #[tokio::test]
    async fn a_scenario_with_a_mistake_in_it_does_not_hold() {
        let sent = || Scenario::new("test").send(Request::get("/"), 200);
        let minute = Duration::from_secs(60);
        for (scenario, mistake) in [
            (
                sent().send(Request::get("/").bearer("{acess}"), 200),
                "acess",
            ),
            (sent().send(Request::get("/?{acess}"), 200), "acess"),
            (
                sent().send(Request::get("/").body("x={the acess}"), 200),
                "the acess",
            ),
            (sent().other_than("/a", "acess"), "acess"),
            (sent().other_cookie("a", "acess"), "acess"),
            (sent().pass(minute).json("/a", "b"), "there is none"),
            (sent().pass(minute).keep("/a", "access"), "there is none"),
            (
                Scenario::new("test")
                    .send_at_once(2, Request::get("/"), 200)
                    .keep("/a", "access"),
                "there is none",
            ),
        ] {
            let mismatch = run(&scenario, &Same).await.unwrap_err().to_string();

            assert!(mismatch.contains(mistake), "{mismatch}");
        }
        let right = sent()
            .keep("/a", "access")
            .send(Request::get("/").bearer("{access}"), 200);
        let json = Request::post("/").body(r#"{"a":{"b":"{}"}}"#);
        assert_eq!(
            run(&right.send(json, 200), &Same).await.unwrap().replies(),
            3
        );
    }
}
