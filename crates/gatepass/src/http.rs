//! HTTP requests and responses as plain data, and the application's own format of errors.

pub(crate) mod error_response;
pub(crate) mod head;
pub(crate) mod problem;
pub(crate) mod reply;
