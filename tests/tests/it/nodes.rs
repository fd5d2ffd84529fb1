//! Several nodes over one store of each kind. Together they keep the promises of one node, in any
//! order of events and after any failure of the network or the server.

mod adopting;
mod bound;
mod crash;
mod failover;
mod faults;
mod linear;
mod load;
mod own;
mod random;
mod restart;
/// Mounts claims about all stores on these stores, each as a test with the claim's name.
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
