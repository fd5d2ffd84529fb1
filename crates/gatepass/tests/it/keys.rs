//! Keys: what each algorithm signs, how keys are published, and how they come and go.

mod algorithms;
mod jwks;
mod material;
mod rotation;
mod slow;
