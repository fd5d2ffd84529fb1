//! The requirements of a route.

use std::time::Duration;

use crate::{
    denylist::staleness::Staleness,
    model::{
        authentication::{InvalidAuthenticationValue, checked},
        scopes::Scopes,
    },
};

/// The requirements of a route beyond a valid access token.
///
/// ```
/// use std::time::Duration;
/// use gatepass::{Requirements, Scopes, Staleness};
///
/// let transfer = Requirements::new()
///     .scopes(Scopes::parse("payments")?)
///     .max_age(Duration::from_secs(300))
///     .staleness(Staleness::Strict);
/// # Ok::<(), gatepass::InvalidScope>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    pub(crate) scopes: Scopes,
    pub(super) max_age: Option<Duration>,
    pub(super) amr: Vec<String>,
    /// `None` allows any class, and tokens without one.
    pub(super) acr: Option<Vec<String>>,
    pub(super) staleness: Staleness,
    pub(super) own_issuer: bool,
    optional: bool,
    open: bool,
}

impl Requirements {
    /// A valid access token, and nothing more.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires all of these scopes (RFC 6750 §3.1). They replace the scopes of an earlier call.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Requires an authentication at most this long ago (RFC 9470). It replaces the age of an
    /// earlier call. A new login makes the authentication younger, a refresh doesn't. An
    /// impersonation never satisfies it, because the user has not typed the password.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Requires an authentication by all of these methods (`amr`, RFC 8176). They replace the
    /// methods of an earlier call. [`Identity::amr`](crate::Identity::amr) sets the methods of a
    /// login. An impersonation never satisfies it, as with [`max_age`](Self::max_age).
    ///
    /// ```
    /// use gatepass::Requirements;
    ///
    /// let by_passkey = Requirements::new().amr(["hwk"])?;
    /// # Ok::<(), gatepass::InvalidAuthenticationValue>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidAuthenticationValue`] if one of them can't be the name of a method.
    pub fn amr(
        mut self,
        methods: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, InvalidAuthenticationValue> {
        self.amr = checked(methods)?;
        Ok(self)
    }

    /// Requires an authentication of one of these classes (`acr`, RFC 9470). They replace the
    /// classes of an earlier call. Name all classes that are good enough, since gatepass knows no
    /// order of classes. No token satisfies an empty list. An impersonation never satisfies it, as
    /// with [`max_age`](Self::max_age).
    ///
    /// ```
    /// use gatepass::Requirements;
    ///
    /// let strong = Requirements::new().acr(["phr", "phrh"])?;
    /// # Ok::<(), gatepass::InvalidAuthenticationValue>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidAuthenticationValue`] if one of them can't be the name of a class.
    pub fn acr(
        mut self,
        classes: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, InvalidAuthenticationValue> {
        self.acr = Some(checked(classes)?);
        Ok(self)
    }

    /// Requires revocation data this fresh. It replaces the staleness of an earlier call.
    #[must_use]
    pub fn staleness(mut self, staleness: Staleness) -> Self {
        self.staleness = staleness;
        self
    }

    /// Requires an access token that this service has issued itself, and not [another
    /// issuer](crate::issuers::Issuers).
    ///
    /// Use it on routes that act on a user of yours. For example, the user `alice` of another
    /// issuer must not change the password of your user `alice`.
    ///
    /// gatepass lets a token of the old system that you [adopt](crate::Adopt) through: its subject
    /// is a user of yours.
    ///
    /// ```
    /// use gatepass::{Authority, Requirements, wire::Gate};
    ///
    /// fn own_account(authority: &Authority) -> Gate {
    ///     Gate::new(authority).require(Requirements::new().own_issuer())
    /// }
    /// ```
    #[must_use]
    pub fn own_issuer(mut self) -> Self {
        self.own_issuer = true;
        self
    }

    /// Lets a request without credentials through as anonymous. The gate refuses a bad bearer
    /// token. A bad cookie counts as no credentials, because browsers send cookies unasked.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Lets every request through, and judges no credentials: the handler has no user. Use it for a
    /// login of your own, which a client may call with an expired token. On such a route, the
    /// extractors of the device, of the token and of the site that the request comes from still
    /// work.
    ///
    /// ```
    /// use gatepass::{Authority, Requirements, wire::Gate};
    ///
    /// fn own_login(authority: &Authority) -> Gate {
    ///     Gate::new(authority).require(Requirements::new().open())
    /// }
    /// ```
    #[must_use]
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Combines two requirements, so that a token must meet both. For example, it must have the
    /// scopes of both, and the shorter `max_age` holds. The route is [`optional`](Self::optional)
    /// or [`open`](Self::open) only if both are.
    ///
    /// ```
    /// use gatepass::{Requirements, Scopes, Staleness};
    ///
    /// let read = Requirements::new().scopes(Scopes::parse("read")?);
    /// let strict = Requirements::new().scopes(Scopes::parse("write")?).staleness(Staleness::Strict);
    /// let both = Requirements::new().scopes(Scopes::parse("read write")?).staleness(Staleness::Strict);
    /// assert_eq!(read.and(strict), both);
    /// # Ok::<(), gatepass::InvalidScope>(())
    /// ```
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            scopes: self.scopes.union(&other.scopes),
            max_age: match (self.max_age, other.max_age) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            amr: {
                let further = other
                    .amr
                    .into_iter()
                    .filter(|method| !self.amr.contains(method));
                let further = Vec::from_iter(further);
                [self.amr, further].concat()
            },
            acr: match (self.acr, other.acr) {
                (Some(mut one), Some(other)) => {
                    one.retain(|class| other.contains(class));
                    Some(one)
                }
                (one, other) => one.or(other),
            },
            staleness: self.staleness.stricter(other.staleness),
            own_issuer: self.own_issuer || other.own_issuer,
            optional: self.optional && other.optional,
            open: self.open && other.open,
        }
    }

    /// Whether these requirements let every request through, without judging it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether these requirements let a request without credentials through.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.optional
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(list: &str) -> Requirements {
        Requirements::new().scopes(Scopes::parse(list).unwrap())
    }

    fn amr(methods: &[&str]) -> Requirements {
        Requirements::new().amr(methods.iter().copied()).unwrap()
    }

    fn acr(classes: &[&str]) -> Requirements {
        Requirements::new().acr(classes.iter().copied()).unwrap()
    }

    #[test]
    fn requirements_add_up_in_any_order() {
        let short = Requirements::new().max_age(Duration::from_secs(60));
        let long = Requirements::new().max_age(Duration::from_secs(90));
        let within =
            |secs| Requirements::new().staleness(Staleness::Within(Duration::from_secs(secs)));
        let strict = Requirements::new().staleness(Staleness::Strict);
        let none = Requirements::new();
        let cases = [
            (scopes("write"), scopes("read"), scopes("read write")),
            (scopes("a b"), scopes("b c"), scopes("a b c")),
            (short.clone(), long, short.clone()),
            (short.clone(), none.clone(), short),
            (amr(&["pwd"]), amr(&["pwd", "otp"]), amr(&["pwd", "otp"])),
            (acr(&["1", "2"]), none.clone(), acr(&["1", "2"])),
            (acr(&["1", "2"]), acr(&["2", "3"]), acr(&["2"])),
            (acr(&["1"]), acr(&["2"]), acr(&[])),
            (within(1), within(2), within(1)),
            (within(1), strict.clone(), strict.clone()),
            (strict.clone(), none.clone(), strict),
            (
                none.clone().own_issuer(),
                none.clone(),
                none.clone().own_issuer(),
            ),
            (none.clone().optional(), none.clone(), none.clone()),
            (none.clone().open(), none.clone(), none.clone()),
            (
                none.clone().optional(),
                none.clone().optional(),
                none.clone().optional(),
            ),
            (none.clone().open(), none.clone().open(), none.open()),
        ];
        for (one, other, both) in cases {
            assert_eq!(one.clone().and(other.clone()), both);
            assert_eq!(other.and(one), both);
        }
    }
}
