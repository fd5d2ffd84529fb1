//! Several nodes over one store of each kind: together they keep the promises of one, in any order
//! of events and after any failure of the network or the server.

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
