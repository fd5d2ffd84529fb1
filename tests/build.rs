//! Makes the code of the service on the README's page.

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=readme/shop.proto");
    let files = protox::compile(["shop.proto"], ["readme"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .compile_fds(files)?;
    Ok(())
}
