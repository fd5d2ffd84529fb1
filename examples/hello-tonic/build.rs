//! Generates the code for the `.proto` service, as your own application would.

/// Compiles the `.proto` files with protox, so you don't need `protoc`.
fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["shop.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .compile_fds(files)?;
    Ok(())
}
