//! Events and metrics: what an operator sees, and that no secret is among it.

mod events;
mod metrics;
mod monitoring;
