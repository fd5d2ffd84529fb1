//! Several nodes over one store of each kind: in whatever order things happen, however the network
//! and the server fail, the nodes together keep what one promises.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and one that measures says what it has measured"
)]

mod bound;
mod crash;
mod failover;
mod faults;
mod linear;
mod load;
#[path = "../events/log.rs"]
#[allow(dead_code, reason = "the tests of events need more of it")]
mod log;
mod own;
mod random;
mod restart;
#[path = "../server/mod.rs"]
#[allow(dead_code, reason = "the tests of processes need more of it")]
mod server;

/// Mounts claims about any store on these, each as a test of its name.
macro_rules! on {
    ($($backend:ident: $name:ident { $($claim:ident)* })*) => {
        $(
            mod $name {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $claim() {
                        super::$claim(gatepass_tests::nodes::Backend::$backend).await;
                    }
                )*
            }
        )*
    };
}
pub(crate) use on;
