//! A gRPC service for tests, and calls by a client that knows only paths and message types.

pub mod calls;
pub mod probe;
