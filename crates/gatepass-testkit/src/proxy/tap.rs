//! The judgement of a test about the bytes that pass.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The direction of a [`Piece`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// A client sent it.
    ToServer,
    /// The server sent it.
    ToClient,
}

/// The bytes that a proxy is about to hand on.
///
/// A piece is the result of one read from a socket, and has at least one byte and at most 16 KiB.
/// TCP knows no messages: one piece can have several messages of your protocol in it, and one
/// message can come in several pieces.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Piece<'a> {
    /// The number of its connection. The proxy counts the connections that it accepts, from 0 on.
    pub connection: u64,
    /// Its direction.
    pub way: Way,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The fate of one [`Piece`], and of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The proxy hands the piece on.
    Pass,
    /// The proxy hands the piece on after this time. Later pieces of the same way wait behind it.
    Delay(Duration),
    /// The proxy keeps the piece until you call [`Proxy::heal`](super::Proxy::heal), and then hands
    /// it on. Later pieces of the same way wait behind it.
    Hold,
    /// The proxy drops the piece, and all that comes behind it the same way, as half a message
    /// makes no sense. It tells neither side. The other way and other connections go on.
    Drop,
    /// The proxy drops the piece, and resets its connection towards both sides.
    Cut,
}

type Judge = dyn FnMut(Piece<'_>) -> Verdict + Send;

/// The judge of all connections of one proxy, if there is one.
#[derive(Clone, Default)]
pub(super) struct Tap(Arc<Mutex<Option<Box<Judge>>>>);

impl Tap {
    pub(super) fn set(&self, judge: Box<Judge>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(judge);
    }

    pub(super) fn judge(&self, piece: Piece<'_>) -> Verdict {
        // A panic ends the connection of its piece alone.
        let mut judge = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match judge.as_mut() {
            Some(judge) => judge(piece),
            None => Verdict::Pass,
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}
