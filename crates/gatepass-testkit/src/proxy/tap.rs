//! The tap of a proxy: a test decides about each chunk that passes.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The direction of a [`Chunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// A client sent it.
    ToServer,
    /// The server sent it.
    ToClient,
}

/// Bytes that a proxy is about to hand on.
///
/// A chunk is the result of one read from a socket, and has from 1 byte to 16 KiB. TCP knows no
/// messages: one chunk can hold several messages of your protocol, and one message can come in
/// several chunks.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Chunk<'a> {
    /// The number of its connection. The proxy counts the connections that it accepts from 0.
    pub connection: u64,
    /// Its direction.
    pub direction: Direction,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The proxy's action on a [`Chunk`] and its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The proxy hands the chunk on.
    Pass,
    /// The proxy hands the chunk on after this time. Later chunks in the same direction wait behind
    /// it.
    Delay(Duration),
    /// The proxy keeps the chunk until you call [`Proxy::heal`](super::Proxy::heal), and then hands
    /// it on. Later chunks in the same direction wait behind it.
    Hold,
    /// The proxy drops the chunk and all later chunks in the same direction, since half a message
    /// makes no sense. It tells neither side. The other direction and other connections continue.
    Drop,
    /// The proxy drops the chunk, and resets its connection on both sides.
    Cut,
}

type Decide = dyn FnMut(Chunk<'_>) -> Action + Send;

/// The function that decides for all connections of one proxy, if there is one.
#[derive(Clone, Default)]
pub(super) struct Tap(Arc<Mutex<Option<Box<Decide>>>>);

impl Tap {
    pub(super) fn set(&self, decide: Box<Decide>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(decide);
    }

    pub(super) fn decide(&self, chunk: Chunk<'_>) -> Action {
        // A panic ends only the connection of its chunk.
        let mut decide = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match decide.as_mut() {
            Some(decide) => decide(chunk),
            None => Action::Pass,
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}
