//! The tokens of a request, for the demonstrations.

use std::fmt;

use zeroize::Zeroizing;

/// The names of the cookies that the gates of this service read. A cookie with another name may
/// belong to another service on the same host, and no gate has checked it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CookieNames {
    access: &'static str,
    refresh: &'static str,
}

impl CookieNames {
    /// The names with TLS, or the names with `--insecure-localhost-cookies`.
    pub(crate) const fn new(insecure: bool) -> Self {
        let (access, refresh) = if insecure {
            ("gatepass", "gatepass-refresh")
        } else {
            ("__Host-gatepass", "__Host-gatepass-refresh")
        };
        Self { access, refresh }
    }
}

/// The tokens of a request that a gate let through. Only the demonstrations need the tokens
/// themselves. Your own handler needs only the [`Pass`](gatepass::Pass).
pub struct Brought {
    bearer: Option<Zeroizing<String>>,
    cookies: Vec<(String, Zeroizing<String>)>,
}

/// An access token, with a header field that presents it to another node.
pub(crate) struct Access {
    pub(crate) token: Zeroizing<String>,
    pub(crate) header: &'static str,
    pub(crate) value: Zeroizing<String>,
}

impl Brought {
    /// Reads the values of the header fields `Authorization` and `Cookie`.
    pub fn new<'a>(
        authorization: impl Iterator<Item = &'a [u8]>,
        cookies: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let text = |value: &'a [u8]| str::from_utf8(value).ok();
        Self {
            bearer: authorization.filter_map(text).find_map(bearer).map(owned),
            cookies: cookies
                .filter_map(text)
                .flat_map(|cookies| cookies.split(';'))
                .filter_map(|pair| pair.trim().split_once('='))
                .map(|(name, value)| (name.to_owned(), owned(value)))
                .collect(),
        }
    }

    pub(crate) fn into_access(mut self, names: CookieNames) -> Option<Access> {
        if let Some(token) = self.bearer {
            let value = Zeroizing::new(format!("Bearer {}", *token));
            return Some(Access {
                token,
                header: "authorization",
                value,
            });
        }
        let token = self.take_cookie(names.access)?;
        Some(Access {
            header: "cookie",
            value: Zeroizing::new(format!("{}={}", names.access, *token)),
            token,
        })
    }

    pub(crate) fn into_refresh_token(mut self, names: CookieNames) -> Option<Zeroizing<String>> {
        self.take_cookie(names.refresh)
    }

    fn take_cookie(&mut self, name: &str) -> Option<Zeroizing<String>> {
        let at = self.cookies.iter().position(|(own, _)| own == name)?;
        Some(self.cookies.swap_remove(at).1)
    }
}

impl fmt::Debug for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Brought([redacted])")
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn owned(token: &str) -> Zeroizing<String> {
    Zeroizing::new(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brought(authorization: &[&str], cookies: &[&str]) -> Brought {
        let bytes = |values: &[&str]| -> Vec<Vec<u8>> {
            values.iter().map(|value| value.as_bytes().into()).collect()
        };
        let (authorization, cookies) = (bytes(authorization), bytes(cookies));
        Brought::new(
            authorization.iter().map(Vec::as_slice),
            cookies.iter().map(Vec::as_slice),
        )
    }

    const TLS: CookieNames = CookieNames::new(false);
    const INSECURE: CookieNames = CookieNames::new(true);

    #[test]
    fn an_access_token_goes_on_as_it_came() {
        for (names, authorization, cookies, header, value) in [
            (
                TLS,
                &["Bearer a.b.c"][..],
                &[][..],
                "authorization",
                "Bearer a.b.c",
            ),
            (
                TLS,
                &["bearer a.b.c"],
                &["__Host-gatepass=x"],
                "authorization",
                "Bearer a.b.c",
            ),
            (
                TLS,
                &[],
                &["theme=dark; __Host-gatepass=a.b.c"],
                "cookie",
                "__Host-gatepass=a.b.c",
            ),
            (
                INSECURE,
                &[],
                &["theme=dark", "gatepass=a.b.c"],
                "cookie",
                "gatepass=a.b.c",
            ),
        ] {
            let access = brought(authorization, cookies).into_access(names).unwrap();
            assert_eq!((access.header, access.value.as_str()), (header, value));
            assert_eq!(access.token.as_str(), "a.b.c");
        }
    }

    #[test]
    fn cookies_by_names_that_the_gates_do_not_read_do_not_count() {
        let both = || {
            let secure = "__Host-gatepass=secure; __Host-gatepass-refresh=secure";
            let insecure = "gatepass=insecure; gatepass-refresh=insecure";
            brought(&[], &[secure, insecure])
        };
        for (names, expected) in [(TLS, "secure"), (INSECURE, "insecure")] {
            let access = both().into_access(names).unwrap();
            assert_eq!(access.token.as_str(), expected);
            assert!(access.value.ends_with(&format!("gatepass={expected}")));
            let refresh = both().into_refresh_token(names).unwrap();
            assert_eq!(refresh.as_str(), expected);
        }
        assert!(brought(&[], &["gatepass=a"]).into_access(TLS).is_none());
        let secure = brought(&[], &["__Host-gatepass=a"]);
        assert!(secure.into_access(INSECURE).is_none());
    }

    #[test]
    fn a_refresh_token_is_in_a_cookie_or_is_not_there() {
        let refresh_token = |cookies: &[&str]| brought(&[], cookies).into_refresh_token(TLS);
        let found = refresh_token(&["a=b; __Host-gatepass-refresh=gpr_1; c=d"]).unwrap();
        assert_eq!(found.as_str(), "gpr_1");
        assert!(refresh_token(&["a=b", "xgatepass-refresh=gpr_1"]).is_none());
        assert!(refresh_token(&[]).is_none());
    }

    #[test]
    fn a_debug_shows_no_token() {
        let brought = brought(&["Bearer hunter2"], &["gatepass-refresh=hunter2"]);
        assert!(!format!("{brought:?}").contains("hunter2"));
    }
}
