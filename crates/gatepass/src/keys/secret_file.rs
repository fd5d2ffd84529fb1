//! The file that holds a master secret.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::keys::{error::KeyError, secret::MasterSecret};

/// The longest file in bytes. The limit stops, for example, a read of `/dev/urandom`.
const LONGEST: u64 = 64 * 1024;

/// A file from which gatepass can't read a master secret. Each message names the file, and none
/// shows its content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// The process can't read the file.
    #[error(
        "cannot read the master secret in {path:?}: give the path of a file that this process may \
         read"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// All users of the machine may read or change the file, or its group may change it.
    #[error(
        "others may read or change the master secret in {path:?} (mode {mode:04o}): run \
         chmod 600 {path:?}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is longer than a secret can be.
    #[error(
        "{path:?} is longer than 64 KiB, so it is not a master secret: make one with \
         openssl rand -hex 64"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The content is not a secret.
    #[error("cannot use {path:?} as the master secret")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: KeyError,
    },
}

impl MasterSecret {
    /// Reads the secret from a file, for example one that `openssl rand -hex 64` wrote. Blocks
    /// while it reads.
    ///
    /// Only the owner of the file and its group may have permission to read it, and only the owner
    /// to change it. The group may read it because Kubernetes passes secrets to a container in this
    /// way (`fsGroup`, with `defaultMode: 0440`). On Windows, gatepass doesn't check the
    /// permissions.
    ///
    /// ```no_run
    /// use gatepass::{Authority, MasterSecret, MemoryStore};
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let secret = MasterSecret::from_file("/run/secrets/gatepass.secret")?;
    /// let store = MemoryStore::new();
    /// let authority = Authority::builder("https://shop.example", "shop-api", secret, store);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SecretFileError`], which names the file and says what to do.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SecretFileError> {
        let path = path.as_ref();
        let unreadable = |source| SecretFileError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        if let Some(mode) = exposing_mode(&file).map_err(unreadable)? {
            let path = path.to_owned();
            return Err(SecretFileError::Exposed { path, mode });
        }
        let mut content = Zeroizing::new(Vec::new());
        let mut file = file.take(LONGEST + 1);
        file.read_to_end(&mut content).map_err(unreadable)?;
        if file.limit() == 0 {
            let path = path.to_owned();
            return Err(SecretFileError::TooLong { path });
        }
        Self::from_bytes(&content).map_err(|source| SecretFileError::Unusable {
            path: path.to_owned(),
            source,
        })
    }
}

/// The permissions of the file, if they allow too much.
#[cfg(unix)]
fn exposing_mode(file: &File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode() & 0o777;
    // Reading a directory fails with an error that says more.
    Ok((!metadata.is_dir() && mode & 0o026 != 0).then_some(mode))
}

#[cfg(not(unix))]
fn exposing_mode(_: &File) -> io::Result<Option<u32>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs};

    use tempfile::TempDir;

    use super::*;

    const TEXT: &str = "0123456789abcdef0123456789abcdef";

    fn put(directory: &TempDir, name: &str, content: &[u8]) -> PathBuf {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        permit(&path, 0o600);
        path
    }

    #[cfg(unix)]
    fn permit(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;

        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[cfg(not(unix))]
    fn permit(_: &Path, _: u32) {}

    #[test]
    fn the_secret_is_that_of_the_bytes_in_the_file() {
        let directory = TempDir::new().unwrap();
        let path = put(&directory, "secret", format!("{TEXT}\n").as_bytes());
        let read = MasterSecret::from_file(&path).unwrap();
        let given = MasterSecret::from_bytes(TEXT.as_bytes()).unwrap();
        assert_eq!(*read.derive::<32>("a"), *given.derive::<32>("a"));
    }

    #[test]
    fn an_error_names_the_file_and_shows_nothing_of_it() {
        let directory = TempDir::new().unwrap();
        permit(directory.path(), 0o755);
        let long = "hunter2 ".repeat(9000);
        for (path, said) in [
            (put(&directory, "short", b"hunter2\n"), "cannot use"),
            (put(&directory, "long", long.as_bytes()), "longer than"),
            (directory.path().join("missing"), "cannot read"),
            (directory.path().to_owned(), "cannot read"),
        ] {
            let error = MasterSecret::from_file(&path).unwrap_err();
            let mut shown = format!("{error} {error:?}");
            if let Some(source) = error.source() {
                shown += &format!(" {source} {source:?}");
            }
            assert!(shown.contains(&format!("{path:?}")), "{shown}");
            assert!(shown.contains(said), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let most = put(&directory, "most", &[b'x'; 64 * 1024]);
        assert!(MasterSecret::from_file(most).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_or_change_is_refused() {
        let directory = TempDir::new().unwrap();
        let path = put(&directory, "secret", TEXT.as_bytes());
        for mode in [0o604, 0o644, 0o602, 0o620, 0o660, 0o777] {
            permit(&path, mode);
            let error = MasterSecret::from_file(&path).unwrap_err();
            let SecretFileError::Exposed { mode: told, .. } = error else {
                panic!("{mode:o}: {error:?}");
            };
            assert_eq!(told, mode);
        }
        for mode in [0o400, 0o600, 0o640, 0o440] {
            permit(&path, mode);
            assert!(MasterSecret::from_file(&path).is_ok(), "{mode:o}");
        }
    }
}
