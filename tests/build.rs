//! Generates the code for the `.proto` service of the smallest tonic example.

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=../examples/hello-tonic/proto");
    let files = protox::compile(["shop.proto"], ["../examples/hello-tonic/proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .compile_fds(files)?;
    Ok(())
}
