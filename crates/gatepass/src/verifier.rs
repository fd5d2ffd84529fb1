//! The half that needs no signing key and no session store.

pub(crate) mod builder;
pub(crate) mod requirements;
#[expect(
    clippy::module_inception,
    reason = "the type of that name has a file of that name"
)]
pub(crate) mod verifier;
