//! What is gRPC's alone.

mod example;
mod refusals;
mod served;
mod streams;

use gatepass_tests::frameworks::tonic::{calls, probe};
