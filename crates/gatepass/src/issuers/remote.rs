//! The keys of one issuer, kept current.
//!
//! One task fetches them: at start, when they are `max_age` old, and when a token names a key that
//! isn't among them. Requests only ask the task and wait for it. So there is one fetch at a time
//! however many requests ask. After each fetch the task rests for `cooldown`, so that tokens with
//! invented key ids cause no more fetches than that. After a failure it tries again by itself,
//! sooner at first.
//!
//! The last good set stays while fetches fail. gatepass judges a token with a known key as always.
//! A token with an unknown key gets 503, since the key may be new.

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::{
    env::clock::{Clock, Timestamp},
    issuers::{
        discovery::{Metadata, jwks_url},
        fetcher::{FetchError, FetchRequest, Fetched, Fetcher},
        trusted::{Source, Trusted},
    },
    keys::{
        error::KeyError,
        set::{KeySet, SkippedKey},
        verifying::{Fingerprint, VerifyingKey},
    },
    model::{health::IssuerHealth, ids::Issuer},
    observe,
    token::foreign::ForeignRules,
};

/// The first pause after a fetch that has failed. It doubles up to the cooldown.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// When the task fetches keys, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) max_age: Duration,
    pub(super) cooldown: Duration,
    pub(super) timeout: Duration,
}

/// The keys of one issuer.
pub(crate) struct Remote {
    trusted: Trusted,
    fetcher: Arc<dyn Fetcher>,
    pace: Pace,
    clock: Arc<dyn Clock>,
    loaded: ArcSwap<Loaded>,
    fetches: watch::Sender<Fetches>,
    /// Asks the task for a fetch.
    wanted: Notify,
}

/// The last good set.
pub(crate) struct Loaded {
    /// `None` before the first fetch that succeeded.
    keys: Option<KeySet>,
    /// When a fetch last succeeded.
    at: Timestamp,
}

/// The fetches so far.
#[derive(Clone, Copy, Default)]
struct Fetches {
    under_way: bool,
    ended: u64,
    /// When the last one ended, by the monotonic clock.
    ended_at: Duration,
    failing: Option<Failing>,
}

/// Fetches that fail, one after the other.
#[derive(Clone, Copy)]
struct Failing {
    since: Timestamp,
    fetches: u64,
}

/// A key that isn't in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The issuer has no such key.
    Unknown,
    /// It may be new: [`Remote::fetched`] says when to look again.
    MayBeNew,
    /// The keys can't be fetched now.
    Unavailable,
}

impl Loaded {
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<&VerifyingKey> {
        self.keys.as_ref()?.find(id, now)
    }

    pub(crate) fn has(&self, fingerprint: Fingerprint) -> bool {
        let mut keys = self.keys.iter().flat_map(KeySet::keys);
        keys.any(|key| key.fingerprint() == Some(fingerprint))
    }
}

impl Remote {
    pub(super) fn new(
        trusted: Trusted,
        fetcher: Arc<dyn Fetcher>,
        pace: Pace,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let nothing = Loaded {
            keys: None,
            at: Timestamp::EPOCH,
        };
        Self {
            trusted,
            fetcher,
            pace,
            clock,
            loaded: ArcSwap::from_pointee(nothing),
            fetches: watch::Sender::default(),
            wanted: Notify::new(),
        }
    }

    pub(super) fn names(&self) -> &[Issuer] {
        &self.trusted.names
    }

    pub(crate) fn rules(&self) -> &ForeignRules {
        &self.trusted.rules
    }

    /// The keys. If the set is too old by the wall clock, the task fetches it again meanwhile. For
    /// example, a suspension of the machine has stopped the task's timer.
    pub(crate) fn keys(&self, now: Timestamp) -> Guard<Arc<Loaded>> {
        let loaded = self.loaded.load();
        let is_old = loaded.keys.is_some() && now.since(loaded.at) > self.pace.max_age;
        if is_old && self.may_fetch(&self.fetches.borrow()) {
            self.wanted.notify_one();
        }
        loaded
    }

    /// The reason why a key is missing.
    pub(crate) fn missing(&self) -> Missing {
        let fetches = self.fetches.borrow();
        if fetches.under_way || self.may_fetch(&fetches) {
            Missing::MayBeNew
        } else if fetches.failing.is_some() {
            Missing::Unavailable
        } else {
            Missing::Unknown
        }
    }

    /// The reason why a key is missing, for a request that has waited.
    pub(crate) fn missing_still(&self) -> Missing {
        let fetches = self.fetches.borrow();
        if fetches.under_way || fetches.failing.is_some() {
            Missing::Unavailable
        } else {
            Missing::Unknown
        }
    }

    /// Resolves when the current fetch, or else the next one, has ended. Resolves at once if no
    /// fetch may begin now, and in any case when a fetch would have timed out.
    pub(crate) async fn fetched(&self) {
        let mut fetches = self.fetches.subscribe();
        let (ended, begins) = {
            let seen = fetches.borrow_and_update();
            if !seen.under_way && !self.may_fetch(&seen) {
                return;
            }
            (seen.ended, !seen.under_way)
        };
        if begins {
            self.wanted.notify_one();
        }
        let next = fetches.wait_for(|fetches| fetches.ended > ended);
        let _ = timeout(self.pace.timeout, next).await;
    }

    /// Whether the task has rested since the last fetch.
    fn may_fetch(&self, fetches: &Fetches) -> bool {
        let rested = self.clock.monotonic().saturating_sub(fetches.ended_at);
        fetches.ended == 0 || rested >= self.rest(fetches)
    }

    /// How long the task rests after a fetch, however many requests ask for one.
    fn rest(&self, fetches: &Fetches) -> Duration {
        match fetches.failing {
            None => self.pace.cooldown,
            Some(failing) => {
                let doubled = u32::try_from(failing.fetches.saturating_sub(1).min(16));
                let pause = FIRST_RETRY * (1 << doubled.unwrap_or(16));
                pause.min(self.pace.cooldown)
            }
        }
    }

    /// Resolves when the first fetch has ended, however it ended.
    pub(super) async fn first_fetch(&self) {
        let mut fetches = self.fetches.subscribe();
        let first = fetches.wait_for(|fetches| fetches.ended > 0);
        let _ = timeout(self.pace.timeout, first).await;
    }

    /// Keeps the keys current, for ever.
    pub(super) async fn follow(&self) {
        let mut documents = Documents::default();
        loop {
            self.fetch(&mut documents).await;
            let rest = {
                let fetches = self.fetches.borrow();
                match fetches.failing {
                    Some(_) => self.rest(&fetches),
                    None => self.pace.max_age,
                }
            };
            let next = Instant::now() + rest;
            loop {
                tokio::select! {
                    () = sleep_until(next) => break,
                    () = self.wanted.notified() => {
                        // A request may have asked while the last fetch was under way.
                        if self.may_fetch(&self.fetches.borrow()) {
                            break;
                        }
                    }
                }
            }
        }
    }

    async fn fetch(&self, documents: &mut Documents) {
        self.fetches.send_modify(|fetches| fetches.under_way = true);
        let fetched = self.fetch_keys(documents).await;
        let now = self.clock.now();
        let failed = match fetched {
            Ok(keys) => {
                self.take(keys, documents, now);
                None
            }
            Err(failure) => Some(failure),
        };
        let (mut first, mut recovered) = (false, false);
        self.fetches.send_modify(|fetches| {
            fetches.under_way = false;
            fetches.ended += 1;
            fetches.ended_at = self.clock.monotonic();
            first = failed.is_some() && fetches.failing.is_none();
            recovered = failed.is_none() && fetches.failing.is_some();
            fetches.failing = failed.as_ref().map(|_| Failing {
                since: fetches.failing.map_or(now, |failing| failing.since),
                fetches: fetches.failing.map_or(0, |failing| failing.fetches) + 1,
            });
        });
        let issuer = &self.trusted.label;
        match failed {
            Some(failure) => observe::issuer_unavailable(issuer, &failure, first),
            None => observe::issuer_fetched(issuer, now, recovered),
        }
    }

    /// Stores the fetched keys. `None` means that the document has not changed.
    fn take(&self, fetched: Option<FetchedKeys>, documents: &mut Documents, now: Timestamp) {
        let before = self.loaded.load();
        let keys = match fetched {
            None => before.keys.clone(),
            Some(FetchedKeys { keys, skipped }) => {
                if documents.skipped != skipped {
                    for skipped in &skipped {
                        observe::issuer_key_skipped(&self.trusted.label, skipped);
                    }
                    documents.skipped = skipped;
                }
                let had = before.keys.as_ref().map(KeySet::marks);
                if had.as_ref() != Some(&keys.marks()) {
                    observe::issuer_keys(&self.trusted.label, keys.keys().count());
                }
                Some(keys)
            }
        };
        self.loaded.store(Arc::new(Loaded { keys, at: now }));
    }

    /// Fetches the keys. If the metadata names their URL, fetches the metadata first.
    async fn fetch_keys(&self, documents: &mut Documents) -> Result<Option<FetchedKeys>, Failure> {
        let deadline = Instant::now() + self.pace.timeout;
        let url = match &self.trusted.source {
            Source::Jwks(url) => url.clone(),
            Source::Metadata(metadata) => {
                self.fetch_metadata(*metadata, documents, deadline).await?
            }
        };
        let known = documents.keys.as_ref().filter(|known| known.url == url);
        let etag = known.and_then(|known| known.etag.clone());
        let Some((body, etag)) = self.fetch_document(&url, etag, deadline).await? else {
            return Ok(None);
        };
        let body = str::from_utf8(&body).map_err(|_| Failure::Keys(KeyError::Jwks))?;
        let (keys, skipped) = KeySet::of_issuer(body, &self.trusted.algorithms)?;
        documents.keys = Some(Known { url, etag });
        Ok(Some(FetchedKeys { keys, skipped }))
    }

    async fn fetch_metadata(
        &self,
        metadata: Metadata,
        documents: &mut Documents,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let url = metadata.url(&self.trusted.label);
        let known = documents.metadata.as_ref();
        let etag = known.and_then(|known| known.etag.clone());
        match (self.fetch_document(&url, etag, deadline).await?, known) {
            (Some((body, etag)), _) => {
                let url = jwks_url(&body, &self.trusted.label).map_err(Failure::Metadata)?;
                let known = Known { url, etag };
                Ok(documents.metadata.insert(known).url.clone())
            }
            (None, Some(known)) => Ok(known.url.clone()),
            (None, None) => Err(Failure::Unasked),
        }
    }

    /// The body of a document and its `ETag`. `None` if the document still has `etag`.
    async fn fetch_document(
        &self,
        url: &str,
        etag: Option<String>,
        deadline: Instant,
    ) -> Result<Option<(Vec<u8>, Option<String>)>, Failure> {
        let fetcher = Arc::clone(&self.fetcher);
        let is_known = etag.is_some();
        let request = FetchRequest::new(url.to_owned(), etag);
        let max_bytes = request.max_bytes;
        // It is a separate task, so that a panic of the fetcher counts as a failure.
        let fetched = tokio::spawn(timeout_at(
            deadline,
            async move { fetcher.fetch(request).await },
        ));
        let fetched = fetched.await.map_err(|_| Failure::Panicked)?;
        match fetched.map_err(|_| Failure::TimedOut)?? {
            Fetched::NotModified if is_known => Ok(None),
            Fetched::NotModified => Err(Failure::Unasked),
            Fetched::Document { body, .. } if body.len() > max_bytes => Err(Failure::TooLarge),
            Fetched::Document { body, etag } => Ok(Some((body, etag))),
        }
    }

    pub(super) fn health(&self) -> IssuerHealth {
        let (fetches, loaded) = (*self.fetches.borrow(), self.loaded.load());
        let keys = loaded.keys.as_ref();
        IssuerHealth {
            issuer: self.trusted.label.clone(),
            keys: keys.map_or(0, |keys| keys.keys().count()),
            fetched_at: keys.map(|_| loaded.at),
            failing_since: fetches.failing.map(|failing| failing.since),
            failed_fetches: fetches.failing.map_or(0, |failing| failing.fetches),
        }
    }
}

/// The documents as the task remembers them.
#[derive(Default)]
struct Documents {
    /// The metadata, with the URL that it names.
    metadata: Option<Known>,
    /// The keys, with their own URL.
    keys: Option<Known>,
    skipped: Vec<SkippedKey>,
}

struct Known {
    url: String,
    etag: Option<String>,
}

struct FetchedKeys {
    keys: KeySet,
    skipped: Vec<SkippedKey>,
}

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("the server did not answer in time")]
    TimedOut,
    #[error("the document is too large")]
    TooLarge,
    #[error("the fetcher panicked")]
    Panicked,
    #[error("the server says that a document has not changed, but gatepass did not ask for that")]
    Unasked,
    #[error("{0}")]
    Metadata(&'static str),
    #[error("{0}")]
    Keys(#[from] KeyError),
}
