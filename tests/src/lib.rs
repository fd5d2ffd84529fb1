//! The tests of gatepass that need more than one crate. They stand in `tests/`; the README's code is
//! compiled here.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
