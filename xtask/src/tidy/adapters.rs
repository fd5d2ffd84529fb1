//! Adapters decide nothing. The core decides, so that all frameworks answer alike.
//!
//! A decision about HTTP needs a word: a reason to refuse, a status, or the name of a header. This
//! check looks for these words in the files in which an adapter only asks the core and passes on
//! its answer. The files that convert between the types of the framework and of the core may
//! contain statuses and headers.

use proc_macro2::{Delimiter, TokenTree};

use super::{
    File, Finding,
    code::{places, word},
    tokens::is,
};

/// The directories of the adapters.
const ADAPTERS: &[&str] = &[
    "crates/gatepass-actix/src/",
    "crates/gatepass-axum/src/",
    "crates/gatepass-tonic/src/",
    "crates/gatepass-tower/src/",
    "crates/gatepass-warp/src/",
];

/// The file that maps replies to gRPC's statuses. It is a conversion under another name.
const GRPC: &str = "crates/gatepass-tonic/src/rejection.rs";

/// The headers that gatepass reads or writes, and headers about the client and the site that a
/// request comes from.
const HEADERS: &[&str] = &[
    "authorization",
    "cache-control",
    "content-length",
    "content-type",
    "cookie",
    "etag",
    "forwarded",
    "host",
    "if-none-match",
    "location",
    "origin",
    "referer",
    "retry-after",
    "sec-fetch-site",
    "set-cookie",
    "user-agent",
    "vary",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];

const DECIDES: &str = "An adapter decides nothing: it asks `gatepass::wire`. Statuses and headers are in its `convert.rs` alone, and reasons to refuse in the core.";

pub(super) fn check(file: &File) -> Vec<Finding> {
    let is_adapter = ADAPTERS.iter().any(|source| file.path.starts_with(source));
    if !is_adapter || !file.is_rust() {
        return Vec::new();
    }
    let converts = file.path.ends_with("/convert.rs") || file.path == GRPC;
    let found = |rest: &[TokenTree]| {
        let decision = refusal(rest);
        match converts {
            true => decision,
            false => decision.or_else(|| status(rest)).or_else(|| header(rest)),
        }
    };
    places(file, false, found, DECIDES)
}

fn refusal(rest: &[TokenTree]) -> Option<String> {
    let is_variant = |name: &str| name.starts_with(|first: char| first.is_ascii_uppercase());
    named(rest, "Refusal", is_variant)
}

fn status(rest: &[TokenTree]) -> Option<String> {
    named(rest, "StatusCode", is_constant).or_else(|| {
        let text = literal(rest)?.replace('_', "");
        // The type after the digits is not part of the number.
        let number = text.split(['u', 'i']).next()?;
        let is_status = (400..600).contains(&number.parse::<u16>().ok()?);
        is_status.then(|| format!("the status {number}"))
    })
}

fn header(rest: &[TokenTree]) -> Option<String> {
    named(rest, "header", is_constant).or_else(|| {
        let text = literal(rest)?;
        let name = text.trim_start_matches('b').trim_matches('"');
        let is_listed = HEADERS.iter().any(|one| name.eq_ignore_ascii_case(one));
        let is_header = name.len() < text.len() && is_listed;
        is_header.then(|| format!("the header \"{name}\""))
    })
}

fn literal(rest: &[TokenTree]) -> Option<String> {
    match rest.first()? {
        TokenTree::Literal(literal) => Some(literal.to_string()),
        _ => None,
    }
}

fn is_constant(name: &str) -> bool {
    let is_upper = |one: char| one.is_ascii_uppercase() || one.is_ascii_digit() || one == '_';
    name.starts_with(|first: char| first.is_ascii_uppercase()) && name.chars().all(is_upper)
}

/// The path `parent::name` at the start of `rest`. Braces may list several names.
fn named(rest: &[TokenTree], parent: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    let [first, one, two, name, ..] = rest else {
        return None;
    };
    if word(Some(first)).as_deref() != Some(parent) || !is(one, ':') || !is(two, ':') {
        return None;
    }
    let names: Vec<TokenTree> = match name {
        TokenTree::Group(list) if list.delimiter() == Delimiter::Brace => {
            list.stream().into_iter().collect()
        }
        name => vec![name.clone()],
    };
    let name = names
        .iter()
        .find_map(|name| word(Some(name)).filter(|name| fits(name)))?;
    Some(format!("`{parent}::{name}`"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{check as assert_check, file},
        *,
    };

    #[test]
    fn an_adapter_that_decides_is_refused() {
        let path = "crates/gatepass-warp/src/gate.rs";
        let good = file(
            path,
            r#"//! Answers 401, with `WWW-Authenticate`.
            use gatepass::Refusal;
            use http::{HeaderMap, StatusCode, header};
            /// ```
            /// assert_eq!(status, StatusCode::UNAUTHORIZED);
            /// ```
            fn refusal(&self) -> Option<&Refusal> { self.0.refusal() } // Refusal::Missing
            fn status(reply: Reply) -> StatusCode { StatusCode::from_u16(reply.status()) }
            const LIMIT: usize = 4_000;
            const NUMBERS: [u64; 3] = [399, 600, 0x1f4];
            fn name() -> &'static str { warp::header::headers_cloned("a host") }
            #[cfg(test)]
            mod tests { fn a() { assert_eq!(StatusCode::OK, 401, Refusal::Missing); } }
            "#,
        );
        let bad = file(
            path,
            r#"use http::header::{HeaderMap, ORIGIN};
            use gatepass::Refusal::{Missing, Revoked};
            fn a(refusal: &Refusal) -> bool { refusal == &Refusal::Missing }
            fn b() -> StatusCode { http::StatusCode::UNAUTHORIZED }
            fn c() -> u16 { 401 }
            fn d() -> u16 { 5_03u16 }
            fn e(headers: &HeaderMap) { headers.get("Cookie"); }
            fn f(headers: &HeaderMap) { headers.get(header::HOST); }
            fn g() { matches!(status, 499) }
            fn h(name: &[u8]) -> bool { name == b"set-cookie" }
            "#,
        );
        let places: Vec<String> = (1..=10).map(|line| format!("{path}:{line}")).collect();
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        assert_check(check, &good, &bad, &places);
    }

    #[test]
    fn conversions_alone_have_statuses_and_headers() {
        let text = "use http::header::HOST;\nfn a() { StatusCode::OK; 500 }";
        for (path, findings) in [
            ("crates/gatepass-actix/src/convert.rs", 0),
            ("crates/gatepass-tonic/src/rejection.rs", 0),
            ("crates/gatepass-actix/src/rejection.rs", 3),
            ("crates/gatepass-axum/tests/it/main.rs", 0),
            ("crates/gatepass/src/wire/refusal.rs", 0),
        ] {
            assert_eq!(check(&file(path, text)).len(), findings, "{path}");
            let refuses = check(&file(path, "Refusal::Missing")).len();
            let is_adapter = path.contains('-') && path.contains("/src/");
            assert_eq!(refuses, usize::from(is_adapter), "{path}");
        }
    }
}
