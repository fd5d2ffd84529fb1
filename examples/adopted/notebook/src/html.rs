//! Pages.

use std::fmt;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::ContentType},
};

/// A text in a page. Its characters are never markup.
pub(crate) struct Text<'t>(pub(crate) &'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// A page with `main` as its content.
pub(crate) fn page(title: &str, main: &str) -> String {
    let title = Text(title);
    format!(
        r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body><nav><a href="/">Notebook</a></nav><main><h1>{title}</h1>{main}</main></body>
</html>"#
    )
}

/// The navigation and the logout button of pages for users.
pub(crate) fn menu(user: &str) -> String {
    format!(
        r#"<p>You are {}. <a href="/notes">Notes</a> <a href="/devices">Devices</a>
<a href="/password">Password</a></p>
<form method="post" action="/logout"><button>Log out</button></form>"#,
        Text(user)
    )
}

/// A message above a form, or nothing if `text` is empty.
pub(crate) fn message(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!(r#"<p role="alert">{}</p>"#, Text(text)),
    }
}

pub(crate) fn ok(title: &str, main: &str) -> HttpResponse {
    answer(StatusCode::OK, title, main)
}

pub(crate) fn answer(status: StatusCode, title: &str, main: &str) -> HttpResponse {
    HttpResponse::build(status)
        .content_type(ContentType::html())
        .body(page(title, main))
}

/// Redirects to another page after a form.
pub(crate) fn see(path: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header(("location", path))
        .finish()
}
