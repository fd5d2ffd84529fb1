//! Generates the code for the `.proto` service, as your own application would.

/// Compiles the `.proto` files with protox, so you don't need `protoc`.
fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["account.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
