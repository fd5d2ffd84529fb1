//! A gRPC service for tests, and a client that knows only paths and message types.

pub mod calls;
pub mod probe;
