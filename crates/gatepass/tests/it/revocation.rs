//! Revocation: how soon a node knows it, for how long it keeps it, and how much that takes.

mod enforced;
mod lease;
mod loading;
mod outdated;
mod size;
