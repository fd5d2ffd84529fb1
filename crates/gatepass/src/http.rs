//! HTTP requests and responses as plain data, and how an application changes the responses that say
//! what is wrong.

pub(crate) mod error_response;
pub(crate) mod head;
pub(crate) mod problem;
pub(crate) mod reply;
