//! The answers of an application in a scenario, for a comparison with another application.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
};

use serde_json::Value;

use super::{Request, Response};

/// JSON members and header fields with random values.
const IDS: [&str; 6] = ["id", "jti", "kid", "session_id", "sid", "x-request-id"];
/// Header fields whose values are lists in any order.
const LISTS: [&str; 5] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "allow",
    "cache-control",
    "vary",
];

/// The answers of an application in a scenario, to the byte except for values that no two runs
/// share.
///
/// Numbers replace tokens and ids in the order of their first appearance, so the same token still
/// looks the same in two places. Header fields are sorted, and lists in them as well. The
/// transcript omits:
///
/// * the field `Date`, and the number `refresh_at`, which has jitter
/// * the answer of CORS to a request without `Origin`
/// * `Allow` outside of a 405
/// * the length of a 304
///
/// ```no_run
/// # use gatepass_testkit::scenario::{Driver, Mismatch, Scenario, run};
/// # async fn compare(scenario: Scenario, one: impl Driver, other: impl Driver) -> Result<(), Mismatch> {
/// let (expected, own) = (run(&scenario, &one).await?, run(&scenario, &other).await?);
/// assert_eq!(own.difference(&expected), None);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    replies: Vec<Reply>,
    numbers: BTreeMap<String, usize>,
}

#[derive(Clone, Debug)]
struct Reply {
    request: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Transcript {
    /// The number of replies.
    #[must_use]
    pub fn replies(&self) -> usize {
        self.replies.len()
    }

    /// Drops the header fields of these names (in lower case), for example those of a framework's
    /// middleware.
    #[must_use]
    pub fn without_headers(mut self, names: &[&str]) -> Self {
        for reply in &mut self.replies {
            let left_out = |name: &str| names.contains(&name);
            reply.headers.retain(|(name, _)| !left_out(name));
        }
        self
    }

    /// Describes the first reply that differs from `expected`.
    #[must_use]
    pub fn difference(&self, expected: &Self) -> Option<String> {
        for (own, expected) in self.replies.iter().zip(&expected.replies) {
            let (own_text, expected_text) = (own.text(), expected.text());
            if own_text != expected_text {
                return Some(format!(
                    "{}\n--- expected\n{expected_text}\n--- got\n{own_text}",
                    own.request
                ));
            }
        }
        let (own, expected) = (self.replies.len(), expected.replies.len());
        (own != expected).then(|| format!("{own} replies instead of {expected}"))
    }

    /// Adds a response to a request. Shows the request as the scenario has it.
    pub(super) fn add(&mut self, request: &Request, response: &Response) {
        let body = String::from_utf8_lossy(&response.body).into_owned();
        let mut random = HashSet::new();
        let mut jitter = None;
        if let Ok(json) = serde_json::from_slice(&response.body) {
            find(&json, &mut random, &mut jitter);
        }
        let from_a_page = request.headers.iter().any(|(name, _)| *name == "origin");
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in &response.headers {
            if IDS.contains(&name.as_str()) {
                random.insert(value.clone());
            }
            let left_out = name == "date"
                || (name == "allow" && response.status != 405)
                || (name == "content-length" && response.status == 304)
                || (name.starts_with("access-control-") && !from_a_page);
            if !left_out {
                headers.push((name.clone(), sorted(name, value)));
            }
        }
        headers.sort();
        for (_, value) in &mut headers {
            *value = self.numbered(value, &random);
        }
        let body = match jitter {
            Some(at) => body.replace(&format!(r#""refresh_at":{at}"#), r#""refresh_at":…"#),
            None => body,
        };
        let body = self.numbered(&body, &random);
        self.replies.push(Reply {
            request: format!("{} {}", request.method, request.path),
            status: response.status,
            headers,
            body,
        });
    }

    /// The text with a number for each token and each of these values.
    fn numbered(&mut self, text: &str, random: &HashSet<String>) -> String {
        let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let mut numbered = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(in_token) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c| !in_token(c)).unwrap_or(from.len());
            let (word, after) = from.split_at(end);
            numbered.push_str(before);
            if random.contains(word) || is_token(word) {
                let next = self.numbers.len() + 1;
                let number = *self.numbers.entry(word.to_owned()).or_insert(next);
                // Writing to a string does not fail.
                let _ = write!(numbered, "<{number}>");
            } else {
                numbered.push_str(word);
            }
            rest = after;
        }
        numbered.push_str(rest);
        numbered
    }
}

impl Reply {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for (name, value) in &self.headers {
            let _ = writeln!(text, "{name}: {value}");
        }
        text.push('\n');
        text.push_str(&self.body);
        text
    }
}

/// An access token (three parts of Base64url, the first of them JSON), or a refresh token.
fn is_token(word: &str) -> bool {
    (word.starts_with("eyJ") && word.split('.').count() == 3) || word.starts_with("gpr_")
}

fn find(json: &Value, random: &mut HashSet<String>, jitter: &mut Option<u64>) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(id) if IDS.contains(&name.as_str()) => {
                        random.insert(id.clone());
                    }
                    Value::Number(at) if name == "refresh_at" => *jitter = at.as_u64(),
                    _ => find(value, random, jitter),
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                find(element, random, jitter);
            }
        }
        _ => {}
    }
}

fn sorted(name: &str, value: &str) -> String {
    if !LISTS.contains(&name) {
        return value.to_owned();
    }
    let mut elements: Vec<_> = value.split(',').map(str::trim).collect();
    elements.sort_unstable();
    elements.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)], body: &str) -> Response {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Response {
            status: 405,
            headers: headers.iter().map(owned).collect(),
            body: body.into(),
        }
    }

    fn transcript(responses: &[Response]) -> Transcript {
        let mut transcript = Transcript::default();
        for response in responses {
            transcript.add(&Request::get("/"), response);
        }
        transcript
    }

    const ONE: [&str; 2] = [
        r#"{"access_token":"eyJh.a.b","refresh_token":"gpr_a","session_id":"AAAA","refresh_at":7}"#,
        r#"{"session_id":"AAAA"}"#,
    ];

    #[test]
    fn what_is_random_is_no_difference() {
        let other = [
            r#"{"access_token":"eyJh.x.y","refresh_token":"gpr_z","session_id":"BBBB","refresh_at":8}"#,
            r#"{"session_id":"BBBB"}"#,
        ];
        let one = ONE.map(|body| response(&[("date", "now"), ("x-request-id", "1")], body));
        let other = other.map(|body| response(&[("x-request-id", "2"), ("date", "then")], body));
        assert_eq!(transcript(&one).difference(&transcript(&other)), None);
    }

    #[test]
    fn a_token_in_another_place_is_a_difference() {
        let one = transcript(&ONE.map(|body| response(&[], body)));
        let other = transcript(&[
            response(&[], ONE[0]),
            response(&[], &ONE[1].replace("AAAA", "BBBB")),
        ]);
        let difference = other.difference(&one).unwrap();
        assert!(difference.contains("<3>"), "{difference}");
    }

    #[test]
    fn all_else_is_a_difference() {
        let one = response(&[("allow", "GET, HEAD"), ("pragma", "no-cache")], "{}");
        let same = response(&[("pragma", "no-cache"), ("allow", "HEAD,GET")], "{}");
        let expected = transcript(std::slice::from_ref(&one));
        assert_eq!(transcript(&[same]).difference(&expected), None);
        for other in [
            response(&[("allow", "GET"), ("pragma", "no-cache")], "{}"),
            response(&[("allow", "GET, HEAD")], "{}"),
            response(&[("allow", "GET, HEAD"), ("pragma", "no-cache")], "{ }"),
            Response {
                status: 404,
                ..one.clone()
            },
        ] {
            assert!(transcript(&[other]).difference(&expected).is_some());
        }
        assert!(transcript(&[]).difference(&expected).is_some());
        let unnamed = [
            &expected,
            &transcript(&[response(&[("allow", "HEAD, GET")], "{}")]),
        ]
        .map(|transcript| transcript.clone().without_headers(&["pragma"]));
        assert_eq!(unnamed[1].difference(&unnamed[0]), None);
    }
}
