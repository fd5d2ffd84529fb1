//! The source of randomness, which tests can replace.

use crate::env::internal_error::InternalError;

/// The source of unguessable bytes.
///
/// The default is [`SystemRandom`]. An implementation of your own must be fit for keys; a
/// predictable one belongs in tests only.
pub trait Random: Send + Sync + 'static {
    /// Fills `buffer` with unguessable bytes.
    ///
    /// # Errors
    ///
    /// [`InternalError`] if the source has none. gatepass then issues nothing.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), InternalError>;
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a unit struct without state to grow"
)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), InternalError> {
        getrandom::fill(buffer).map_err(|_| InternalError::new("the system has no randomness"))
    }
}

/// `N` bytes from `random`.
pub(crate) fn bytes<const N: usize>(random: &dyn Random) -> Result<[u8; N], InternalError> {
    let mut buffer = [0; N];
    random.fill(&mut buffer)?;
    Ok(buffer)
}
