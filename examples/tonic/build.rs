//! Makes the service's code of its `.proto`, as an application of your own would.

/// Compiles the `.proto` files with protox, so that you need not install `protoc`.
fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["account.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
