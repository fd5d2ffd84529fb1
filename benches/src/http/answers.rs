//! The answers of the applications.

use gatepass::{Requirements, Verifier};

use crate::clock::thread_seconds;

/// The body of the answer to `/`.
pub(super) const HELLO: &str = "hello";

/// The body of the answer to `/cpu`: the CPU seconds of the thread that serves.
pub(super) fn cpu() -> String {
    thread_seconds().to_string()
}

/// Whether the field `Authorization` has a good token, with as little code as a handler needs.
pub(super) async fn is_good(
    field: Option<&(impl AsRef<[u8]> + ?Sized)>,
    verifier: &Verifier,
) -> bool {
    let text = field.and_then(|value| str::from_utf8(value.as_ref()).ok());
    let token = text.and_then(|text| text.strip_prefix("Bearer "));
    match token {
        Some(token) => verifier.verify(token, &Requirements::new()).await.is_ok(),
        None => false,
    }
}
