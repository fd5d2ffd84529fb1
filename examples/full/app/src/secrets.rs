//! Files that hold secrets: read with care, and made where there is none.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use gatepass::{
    MasterSecret,
    store::{Random, SystemRandom},
};
use tracing::{info, warn};
use zeroize::Zeroizing;

/// The file that the master secret is kept in where none is configured.
#[derive(Clone, Debug)]
pub struct MasterSecretFile(PathBuf);

impl MasterSecretFile {
    const NAME: &str = "gatepass.secret";
    /// As many random bytes as the hash that they are for has in its block.
    const RANDOM_BYTES: usize = 64;

    /// The file in `directory`.
    #[must_use]
    pub fn beside(directory: &Path) -> Self {
        Self(directory.join(Self::NAME))
    }

    /// The file at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Whether it is there.
    pub(crate) fn exists(&self) -> anyhow::Result<bool> {
        fs::exists(&self.0).with_context(|| format!("cannot look for {:?}", self.0))
    }

    /// Reads the secret.
    pub(crate) fn read(&self) -> anyhow::Result<MasterSecret> {
        Ok(MasterSecret::from_file(&self.0)?)
    }

    /// Reads the secret, and makes one first if there is none. Several processes that start at once
    /// all get the same one.
    ///
    /// # Errors
    ///
    /// That the file cannot be read or made, or is too short, with what to do.
    pub fn read_or_make(&self) -> anyhow::Result<MasterSecret> {
        if !self.exists()? {
            self.make().with_context(|| {
                format!("cannot make {:?}; name one with --secret-file", self.0)
            })?;
        }
        self.read()
    }

    /// Puts a whole secret in place at once, unless there is one by then: another process must
    /// never find half a file.
    fn make(&self) -> anyhow::Result<()> {
        let mut random = Zeroizing::new([0; Self::RANDOM_BYTES]);
        SystemRandom.fill(&mut *random)?;
        let mut text = Zeroizing::new(String::with_capacity(2 * Self::RANDOM_BYTES + 1));
        for byte in *random {
            text.push_str(&format!("{byte:02x}"));
        }
        text.push('\n');

        let directory = self.0.parent().unwrap_or(Path::new("."));
        // Created exclusively and readable by the owner alone.
        let mut file = tempfile::Builder::new()
            .prefix(".gatepass.secret.")
            .tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(&self.0) {
            Ok(_) => {
                // Without this a crash could take the name away, and all sessions with it.
                #[cfg(unix)]
                File::open(directory)?.sync_all()?;
                info!(
                    "made a master secret in {:?}: keep it: without it, all users are logged out",
                    self.0
                );
                Ok(())
            }
            Err(lost) if lost.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(failed) => Err(failed.error.into()),
        }
    }
}

/// The content of a file that no other user should be able to read.
pub(crate) fn read(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let read = || {
        let mut file = File::open(path)?;
        warn_if_others_may_read(path, &file)?;
        let mut content = Zeroizing::new(Vec::new());
        io::Read::read_to_end(&mut file, &mut content)?;
        io::Result::Ok(content)
    };
    read().with_context(|| {
        format!("cannot read {path:?}; it must be a file that this process may read")
    })
}

#[cfg(unix)]
fn warn_if_others_may_read(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        warn!("others may read the secrets in {path:?} (mode {mode:04o}); run: chmod 600 {path:?}");
    }
    Ok(())
}

#[cfg(not(unix))]
fn warn_if_others_may_read(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;
    use crate::testing;

    #[cfg(unix)]
    #[test]
    fn a_secret_that_is_made_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let file = MasterSecretFile::beside(directory.path());
        file.read_or_make().unwrap();
        let mode = fs::metadata(&file.0).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_others_may_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let file = MasterSecretFile::beside(directory.path());
        file.read_or_make().unwrap();
        fs::set_permissions(&file.0, fs::Permissions::from_mode(0o644)).unwrap();
        let error = format!("{:#}", file.read_or_make().unwrap_err());
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_secret_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = MasterSecretFile::beside(directory.path());
        file.read_or_make().unwrap();
        let made = fs::read_to_string(&file.0).unwrap();
        let hex = made.trim_end();
        assert_eq!(hex.len(), 2 * MasterSecretFile::RANDOM_BYTES);
        assert!(hex.bytes().all(|byte| byte.is_ascii_hexdigit()));

        file.read_or_make().unwrap();
        assert_eq!(fs::read_to_string(&file.0).unwrap(), made);
    }

    #[test]
    fn all_that_start_at_once_get_the_same_secret() {
        const STARTS: usize = 16;
        let directory = tempfile::tempdir().unwrap();
        let file = MasterSecretFile::beside(directory.path());
        let together = Barrier::new(STARTS);
        let start = || {
            together.wait();
            // Even those that found no file when they looked.
            file.make().unwrap();
            fs::read(&file.0).unwrap()
        };
        let seen: Vec<_> = thread::scope(|scope| {
            let starts: Vec<_> = (0..STARTS).map(|_| scope.spawn(start)).collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        assert!(seen.iter().all(|secret| *secret == seen[0]));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let short = directory.path().join("short");
        testing::write_private(&short, "hunter2\n");
        let missing = directory.path().join("missing");
        for (path, said) in [
            (&short, "openssl rand -hex 64"),
            (&missing, "cannot read"),
            (&directory.path().to_owned(), "cannot read"),
        ] {
            let error = format!("{:#}", MasterSecretFile::at(path).read().unwrap_err());
            assert!(error.contains(said), "{error}");
            assert!(error.contains(&format!("{path:?}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
