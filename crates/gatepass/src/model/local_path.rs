//! Paths that you can redirect a browser to without leaving the service.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, de::Error};

/// A path of this service, with its query if it has one: `/orders?page=2`.
///
/// A login page takes a user back to the page that they asked for. An attacker may have chosen that
/// address in a link, so check it: a text that parses as a `LocalPath` never leads to another host.
///
/// ```
/// use gatepass::LocalPath;
///
/// /// Where to go after a login.
/// fn next(return_to: Option<&str>) -> String {
///     let path = return_to.and_then(|path| path.parse().ok());
///     path.map_or_else(|| "/".to_owned(), |path: LocalPath| path.to_string())
/// }
///
/// assert_eq!(next(Some("/orders?page=2")), "/orders?page=2");
/// assert_eq!(next(Some("https://evil.example/")), "/");
/// assert_eq!(next(Some("//evil.example/")), "/");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalPath(Arc<str>);

impl LocalPath {
    /// The path, with its query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }
}

impl FromStr for LocalPath {
    type Err = InvalidLocalPath;

    /// Checks a path.
    ///
    /// # Errors
    ///
    /// [`InvalidLocalPath`] if the text isn't one slash followed by visible ASCII. A second slash
    /// or a backslash after the first one is an error, since browsers read a host after it (WHATWG
    /// URL, "relative slash state"). A backslash anywhere and a fragment are errors as well, and so
    /// is a segment `.` or `..`: a browser turns `/.//evil.example` into `//evil.example`.
    fn from_str(text: &str) -> Result<Self, InvalidLocalPath> {
        let visible = |byte: u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'\\' | b'#');
        let path = text.split('?').next().unwrap_or_default();
        match text.strip_prefix('/') {
            Some(rest)
                if !rest.starts_with('/')
                    && rest.bytes().all(visible)
                    && !path.split('/').any(is_dots) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(InvalidLocalPath),
        }
    }
}

/// Whether the routers of all frameworks take `path` literally, and no client rewrites it.
pub(crate) fn is_plain(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    // Clients resolve dot segments (RFC 3986 §5.2.4), so no request for them would ever arrive.
    let goes = |segment: &str| !matches!(segment, "" | "." | "..");
    let mut segments = path.strip_prefix('/').unwrap_or_default().split('/');
    segments.all(|segment| goes(segment) && segment.chars().all(plain))
}

/// Whether a browser removes the segment, or also the segment before it (WHATWG URL, "single-dot"
/// and "double-dot URL path segment").
fn is_dots(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase().replace("%2e", ".");
    segment == "." || segment == ".."
}

impl fmt::Display for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text isn't a path of this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a path of this service; write one slash, then visible ASCII without a backslash, a # or a segment . or .., such as /login"
)]
#[non_exhaustive]
pub struct InvalidLocalPath;

/// For the query of a login page, for example `Option<LocalPath>` as its `return_to`. A text that
/// isn't a local path is an error.
impl<'de> Deserialize<'de> for LocalPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        path.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_path_begins_with_exactly_one_slash() {
        for text in [
            "/",
            "/a",
            "/a/b?c=d&e=/f//g",
            "/a//b",
            "/%2F%2Fevil.example",
            "/:80",
        ] {
            assert_eq!(text.parse::<LocalPath>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/a\\b",
            "https://evil.example",
            "https:/evil.example",
            "javascript:alert(1)",
            " /a",
            "/a b",
            "/\t/evil.example",
            "/\n/evil.example",
            "/a\r\nset-cookie: a=b",
            "/a#b",
            "/ä",
            "?a",
            "#a",
            ".",
            "../a",
            "/.//evil.example",
            "/a/..//evil.example",
            "/%2e//evil.example",
            "/a/%2E%2e//evil.example",
            "/.%2E//evil.example",
            "/a/.",
            "/..",
        ] {
            assert_eq!(text.parse::<LocalPath>(), Err(InvalidLocalPath), "{text:?}");
        }
    }

    #[test]
    fn a_text_that_is_no_local_path_is_not_deserialized() {
        let read = |json| serde_json::from_str::<LocalPath>(json);
        assert_eq!(read(r#""/orders?page=2""#).unwrap().path(), "/orders");
        assert!(read(r#""//evil.example""#).is_err());
    }

    #[test]
    fn the_path_ends_before_the_query() {
        for (text, path) in [("/a?b", "/a"), ("/a", "/a"), ("/?a?b", "/")] {
            assert_eq!(text.parse::<LocalPath>().unwrap().path(), path);
        }
    }
}
