//! What is actix-web's own.

mod around;
mod bodies;
mod gate;
mod head;
mod keep_alive;
mod rig;
mod stalled;
