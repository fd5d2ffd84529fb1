//! The configuration of the trusted issuers.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use crate::{
    config::{BuildError, check_duration},
    env::clock::Clock,
    issuers::{
        fetcher::Fetcher,
        known::KnownIssuers,
        remote::{Pace, Remote},
        trusted::TrustedIssuer,
    },
    model::ids::Issuer,
};

/// Other issuers whose access tokens your service accepts beside its own.
///
/// A gate lets their tokens through as a [`Pass`](crate::Pass) without a session. gatepass judges a
/// token by the keys and the rules of the issuer that it names (`iss`). See
/// [`docs::issuers`](crate::docs::issuers).
///
/// gatepass fetches the keys of each issuer when it starts, and again every
/// [`max_age`](Self::max_age). A token that names an unknown key causes one fetch, and then none
/// for the [`cooldown`](Self::cooldown). While fetches fail, the last keys stay. Your service also
/// starts while an issuer can't be reached. Requests with that issuer's tokens get 503 until its
/// keys are there. [`Health::issuers`](crate::Health::issuers) shows the state of each issuer.
///
/// ```
/// # use gatepass::issuers::{FetchError, FetchRequest, Fetched, Fetcher};
/// use gatepass::{Authority, MasterSecret, MemoryStore, issuers::{Issuers, TrustedIssuer}};
///
/// # struct Http;
/// # #[gatepass::async_trait]
/// # impl Fetcher for Http {
/// #     async fn fetch(&self, _: FetchRequest) -> Result<Fetched, FetchError> {
/// #         Err(FetchError::new("there is no network in a test"))
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Or `Issuers::with_reqwest()?`, with the feature `reqwest`.
/// let issuers = Issuers::new(Http)
///     .trust(TrustedIssuer::new("https://example.eu.auth0.com/", "https://api.shop.example"))
///     .trust(TrustedIssuer::new("https://sso.shop.example/realms/staff", "shop-api"));
/// let secret = MasterSecret::generate()?;
/// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
///     .issuers(issuers)
///     .build()
///     .await?;
/// # assert_eq!(authority.verifier().health().issuers.len(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Issuers {
    fetcher: Arc<dyn Fetcher>,
    trusted: Vec<TrustedIssuer>,
    pace: Pace,
}

impl Issuers {
    /// Starts with no issuer. `fetcher` fetches the documents.
    pub fn new(fetcher: impl Fetcher) -> Self {
        Self {
            fetcher: Arc::new(fetcher),
            trusted: Vec::new(),
            pace: Pace {
                max_age: Duration::from_secs(600),
                cooldown: Duration::from_secs(30),
                timeout: Duration::from_secs(5),
            },
        }
    }

    /// Accepts the tokens of this issuer.
    pub fn trust(mut self, issuer: TrustedIssuer) -> Self {
        self.trusted.push(issuer);
        self
    }

    /// How old keys may be before gatepass fetches them again. Default 10 min, between 1 min and 1
    /// day.
    ///
    /// For this long, gatepass may go on trusting a key that an issuer has withdrawn.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.pace.max_age = max_age;
        self
    }

    /// The time after a fetch during which a token with an unknown key causes no other fetch.
    /// Default 30 s, between 1 s and `max_age`.
    ///
    /// Anyone can send such tokens, so this bounds how often strangers can make this node ask an
    /// issuer. If an issuer signs with a new key before it publishes the key, gatepass may refuse
    /// its tokens for this long.
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.pace.cooldown = cooldown;
        self
    }

    /// How long a fetch may take, both documents together. Default 5 s, between 100 ms and 1 min. A
    /// request that needs a new key waits at most this long.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.pace.timeout = timeout;
        self
    }

    /// Whether gatepass accepts logout tokens of one of them.
    pub(crate) fn has_login_client(&self) -> bool {
        self.trusted.iter().any(TrustedIssuer::has_login_client)
    }

    /// Checks the configuration, and returns the issuers, ready to start. `own` is this service.
    pub(crate) fn check(
        self,
        own: &Issuer,
        clock: &Arc<dyn Clock>,
    ) -> Result<CheckedIssuers, BuildError> {
        let second = Duration::from_secs(1);
        let Pace {
            max_age,
            cooldown,
            timeout,
        } = self.pace;
        let (least, most) = (60 * second, 86_400 * second);
        let must = "between 1 minute and 1 day";
        check_duration("age of other issuers' keys", max_age, least, most, must)?;
        let must = "at least 1 second and at most the age of the keys";
        check_duration(
            "cooldown of other issuers' keys",
            cooldown,
            second,
            max_age,
            must,
        )?;
        let (least, most) = (Duration::from_millis(100), 60 * second);
        let must = "between 100 ms and 1 minute";
        check_duration("timeout of other issuers' keys", timeout, least, most, must)?;
        let (mut remotes, mut seen) = (Vec::new(), HashSet::from([own.clone()]));
        for trusted in self.trusted {
            let trusted = trusted.check()?;
            if let Some(twice) = trusted.names.iter().find(|name| seen.contains(*name)) {
                return Err(BuildError::TrustedIssuer {
                    issuer: twice.to_string(),
                    must: "must be trusted only once, and must not be this service",
                });
            }
            seen.extend(trusted.names.iter().cloned());
            let (fetcher, clock) = (Arc::clone(&self.fetcher), Arc::clone(clock));
            remotes.push(Remote::new(trusted, fetcher, self.pace, clock));
        }
        Ok(CheckedIssuers {
            own: own.clone(),
            remotes,
        })
    }
}

/// Issuers whose configuration is good.
pub(crate) struct CheckedIssuers {
    own: Issuer,
    remotes: Vec<Remote>,
}

impl CheckedIssuers {
    /// Each `iss` that is trusted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Issuer> {
        self.remotes.iter().flat_map(Remote::names)
    }

    /// Each `iss` whose access tokens gatepass accepts. The others serve logins only.
    pub(crate) fn names_of_access_tokens(&self) -> impl Iterator<Item = &Issuer> {
        let remotes = self.remotes.iter();
        let remotes = remotes.filter(|remote| remote.rules().accepts_access_tokens());
        remotes.flat_map(Remote::names)
    }

    /// Whether one of them has this name.
    pub(crate) fn has(&self, issuer: &Issuer) -> bool {
        self.names().any(|name| name == issuer)
    }

    pub(crate) async fn start(self) -> KnownIssuers {
        KnownIssuers::start(&self.own, self.remotes).await
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuers")
            .field("trusted", &self.trusted)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}
