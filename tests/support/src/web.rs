//! The servers of other issuers. They publish documents that a test chooses.

use std::{
    collections::HashMap,
    future,
    sync::{Arc, Mutex},
};

use gatepass::{
    async_trait,
    issuers::{FetchError, FetchRequest, Fetched, Fetcher},
};
use tokio::sync::Notify;

/// Servers without a network. Clones share their documents.
#[derive(Clone, Default)]
pub struct Web(Arc<Mutex<Servers>>);

#[derive(Default)]
struct Servers {
    answers: HashMap<String, Answer>,
    requests: Vec<FetchRequest>,
}

/// The answer of a URL.
#[derive(Clone)]
pub enum Answer {
    Document(String),
    /// A document with this `ETag`.
    Tagged(String, &'static str),
    /// A 304, even if the request has no `If-None-Match`.
    NotModified,
    Fails,
    Hangs,
    Panics,
    /// The document, as soon as the test allows it.
    Held(Arc<Notify>, String),
}

impl Web {
    /// Sets the answer of `url`.
    pub fn answer(&self, url: &str, answer: Answer) {
        self.0
            .lock()
            .unwrap()
            .answers
            .insert(url.to_owned(), answer);
    }

    /// Publishes a document at `url`.
    pub fn publish(&self, url: &str, document: impl Into<String>) {
        self.answer(url, Answer::Document(document.into()));
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<FetchRequest> {
        self.0.lock().unwrap().requests.clone()
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().requests.len()
    }
}

#[async_trait]
impl Fetcher for Web {
    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError> {
        let answer = {
            let mut servers = self.0.lock().unwrap();
            servers.requests.push(request.clone());
            servers.answers.get(&request.url).cloned()
        };
        match answer {
            Some(Answer::Document(document)) => Ok(Fetched::document(document, None)),
            Some(Answer::Tagged(_, etag)) if request.etag.as_deref() == Some(etag) => {
                Ok(Fetched::NotModified)
            }
            Some(Answer::Tagged(document, etag)) => {
                Ok(Fetched::document(document, Some(etag.to_owned())))
            }
            Some(Answer::NotModified) => Ok(Fetched::NotModified),
            Some(Answer::Hangs) => future::pending().await,
            Some(Answer::Panics) => panic!("the fetcher of a test panics"),
            Some(Answer::Held(released, document)) => {
                released.notified().await;
                Ok(Fetched::document(document, None))
            }
            Some(Answer::Fails) | None => Err(FetchError::new("no route to host")),
        }
    }
}
