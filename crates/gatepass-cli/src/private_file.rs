//! Files that hold secrets.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};

/// Writes `content` to a new file at `path`, and flushes it to the disk.
///
/// On Unix, only the file's owner may read it. Other systems use the permissions of its directory.
pub(crate) fn create(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if path == Path::new("-") {
        bail!("a secret is never written to standard output; name a file with --out");
    }
    // `create_new` is O_EXCL: it neither follows a link nor truncates a file at this path.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "{path:?} exists, and is never overwritten; name another file with --out, or move it away first"
        ),
        Err(error) => {
            return Err(error).with_context(|| {
                format!("cannot make {path:?}; name a file in a directory that exists with --out")
            });
        }
    };
    let written = write(file, content).and_then(|()| sync_directory(path));
    if written.is_err() {
        // The file is ours, and holds half a key at best.
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {path:?}; it was removed again"))
}

fn write(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()
}

/// Flushes the new name to the disk. Otherwise a crash could lose it after the key is in use.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        // The parent of a bare file name is the empty path, which no file system call takes.
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        create(&path, b"secret").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (
            directory.path().join("target"),
            directory.path().join("link"),
        );
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(create(&link, b"secret").is_err());
        assert!(!target.exists());
    }

    #[test]
    fn what_exists_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old");
        fs::write(&path, "old").unwrap();
        let error = create(&path, b"secret").unwrap_err().to_string();
        assert!(
            error.contains("never overwritten") && error.contains("--out"),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn nothing_goes_to_standard_output_or_into_no_directory() {
        let directory = tempfile::tempdir().unwrap();
        for path in [Path::new("-"), &directory.path().join("missing/new")] {
            let error = create(path, b"secret").unwrap_err().to_string();
            assert!(error.contains("--out"), "{error}");
        }
        assert!(!fs::exists("-").unwrap());
    }
}
