//! The places of the tools that `cargo xtask setup` installs, and of the files that the tests save.

use std::{fs, path::PathBuf};

/// The source of axe-core, which finds accessibility barriers in a page.
///
/// # Panics
///
/// If it isn't installed.
#[must_use]
pub fn axe() -> String {
    let file = directory().join("node/node_modules/axe-core/axe.min.js");
    fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; run `cargo xtask setup`, which installs it",
            file.display()
        )
    })
}

/// The file for a picture with this name.
#[must_use]
pub fn picture(name: &str) -> PathBuf {
    directory().join(name).with_extension("png")
}

/// `target/browser`, next to this program.
fn directory() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let target = own
        .ancestors()
        .find(|path| path.join("CACHEDIR.TAG").exists());
    let directory = target.unwrap().join("browser");
    fs::create_dir_all(&directory).unwrap();
    directory
}
