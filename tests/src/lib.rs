//! The tests of gatepass that need more than one crate. They stand in `tests/`.
