//! The messages that a store sends to its server.

use std::{collections::HashMap, sync::mpsc};

use gatepass_testkit::proxy::{Action, Direction, Proxy};

/// The kinds that are left out: the first message of a connection, which has no kind in the
/// protocol, a password, and the end of a connection.
const LEFT_OUT: [char; 3] = [FIRST, 'p', 'X'];
const FIRST: char = '-';

/// Returns a function that returns the kinds of the messages that clients have sent through `proxy`
/// since its last call, as the protocol names them.
pub(crate) fn sent_through(proxy: &Proxy) -> impl Fn() -> String + use<> {
    let (note, noted) = mpsc::channel();
    let mut connections: HashMap<u64, Messages> = HashMap::new();
    proxy.tap(move |chunk| {
        if chunk.direction == Direction::ToServer {
            let messages = connections.entry(chunk.connection).or_default();
            messages.unread.extend(chunk.bytes);
            for kind in messages.by_ref().filter(|kind| !LEFT_OUT.contains(kind)) {
                // A test that has ended no longer listens.
                let _ = note.send(kind);
            }
        }
        Action::Pass
    });
    move || noted.try_iter().collect()
}

/// The kinds of the messages that one connection has sent so far.
#[derive(Default)]
struct Messages {
    unread: Vec<u8>,
    has_begun: bool,
}

impl Iterator for Messages {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let head = usize::from(self.has_begun);
        let length = self.unread.get(head..head + 4)?;
        let length = head + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let message = self.unread.get(..length)?;
        let kind = match self.has_begun {
            true => char::from(message[0]),
            false => FIRST,
        };
        // sqlx first asks for TLS, in 8 bytes, and then sends another first message.
        self.has_begun |= length != 8;
        self.unread.drain(..length);
        Some(kind)
    }
}
