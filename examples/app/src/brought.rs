//! The tokens that a request brought, for the demonstrations.

use std::fmt;

use zeroize::Zeroizing;

/// The names of the cookies: those of TLS, and those of `--insecure-localhost-cookies`.
const ACCESS: [&str; 2] = ["__Host-gatepass", "gatepass"];
const REFRESH: [&str; 2] = ["__Host-gatepass-refresh", "gatepass-refresh"];

/// The tokens of a request that a gate let through. Only the demonstrations need them as they are:
/// a handler of yours needs the [`Pass`](gatepass::Pass) alone.
pub struct Brought {
    access: Option<Access>,
    refresh: Option<Zeroizing<String>>,
}

/// An access token, and the header field that can carry it on.
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
        let bearer = authorization.filter_map(text).find_map(bearer);
        let pairs: Vec<_> = cookies
            .filter_map(text)
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .collect();
        let cookie = |names: [&str; 2]| {
            names
                .into_iter()
                .find_map(|name| pairs.iter().find(|(own, _)| *own == name))
        };
        let access = match bearer {
            Some(token) => Some(Access {
                token: owned(token),
                header: "authorization",
                value: Zeroizing::new(format!("Bearer {token}")),
            }),
            None => cookie(ACCESS).map(|(name, token)| Access {
                token: owned(token),
                header: "cookie",
                value: Zeroizing::new(format!("{name}={token}")),
            }),
        };
        Self {
            access,
            refresh: cookie(REFRESH).map(|(_, token)| owned(token)),
        }
    }

    pub(crate) fn into_access(self) -> Option<Access> {
        self.access
    }

    pub(crate) fn into_refresh_token(self) -> Option<Zeroizing<String>> {
        self.refresh
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

    #[test]
    fn an_access_token_goes_on_as_it_came() {
        for (authorization, cookies, header, value) in [
            (
                &["Bearer a.b.c"][..],
                &[][..],
                "authorization",
                "Bearer a.b.c",
            ),
            (
                &["bearer a.b.c"],
                &["__Host-gatepass=x"],
                "authorization",
                "Bearer a.b.c",
            ),
            (
                &[],
                &["theme=dark; __Host-gatepass=a.b.c"],
                "cookie",
                "__Host-gatepass=a.b.c",
            ),
            (
                &[],
                &["theme=dark", "gatepass=a.b.c"],
                "cookie",
                "gatepass=a.b.c",
            ),
        ] {
            let access = brought(authorization, cookies).into_access().unwrap();
            assert_eq!((access.header, access.value.as_str()), (header, value));
            assert_eq!(access.token.as_str(), "a.b.c");
        }
    }

    #[test]
    fn a_refresh_token_is_in_a_cookie_or_is_not_there() {
        let refresh_token = |cookies: &[&str]| brought(&[], cookies).into_refresh_token();
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
