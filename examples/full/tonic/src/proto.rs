//! The messages and services of the `.proto`, as Rust.

tonic::include_proto!("gatepass.example.v1");
