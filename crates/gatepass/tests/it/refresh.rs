//! Refresh tokens: rotation, replay, recovery, reuse, and what happens at the same time.

mod decide;
mod model;
mod overlap;
mod races;
mod resuming;
mod slow_users;
