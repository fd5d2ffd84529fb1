//! Makes the code of the service of its `.proto`, as an application of your own would.

/// Compiles the `.proto` files with protox, so that you need not install `protoc`.
fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["shop.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .compile_fds(files)?;
    Ok(())
}
