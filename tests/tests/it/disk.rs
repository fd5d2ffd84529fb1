//! A full disk, a file without the right permissions, a lock that another process holds, a file
//! that is moved away. The real program says at its start what to do, answers 503 while the fault
//! lasts, and recovers by itself if possible. It never reports success for something that it hasn't
//! done, and never tells users that they are logged out.

#![cfg(target_os = "linux")]

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{self, Server, api::Api};

/// A user without rights, because permissions don't stop root.
const NOBODY: u32 = 65_534;

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap().to_owned()
}

/// A login, as its client knows it.
struct Session {
    refresh: String,
    access: String,
}

impl Session {
    async fn begin(api: &Api) -> Self {
        let (status, body) = api.login().await.unwrap();
        assert_eq!(status, 200, "{body}");
        Self::of(&body)
    }

    fn of(body: &Value) -> Self {
        Self {
            refresh: text(body, "refresh_token"),
            access: text(body, "access_token"),
        }
    }

    /// Refreshes, and returns whether the store did it. Any other failure than a 503 fails the
    /// test.
    async fn refresh(&mut self, api: &Api) -> bool {
        let (status, body) = api.refresh(&self.refresh).await.unwrap();
        match status {
            200 => *self = Self::of(&body),
            503 => return false,
            _ => panic!("{status} {body}"),
        }
        true
    }

    async fn assert_live(&mut self, api: &Api) {
        assert_eq!(api.strict(&self.access).await.unwrap().0, 200);
        assert!(self.refresh(api).await);
    }
}

/// The server does no refresh, login or logout. It answers 503, and not a refusal.
async fn assert_unavailable(api: &Api, session: &mut Session) {
    assert!(!session.refresh(api).await, "it was refreshed");
    for (status, body) in [
        api.login().await.unwrap(),
        api.logout(&session.refresh).await.unwrap(),
    ] {
        assert_eq!(status, 503, "{body}");
        assert!(!body.to_string().contains("SQL"), "{body}");
    }
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new(server::program());
    command.args(server::arguments(directory));
    command
}

/// Stops a server in good order, and waits until it has ended.
fn terminate(server: Server) {
    let process = server.process().to_string();
    let kill = ["-c", "kill -TERM \"$0\"", &process];
    let told = Command::new("sh").args(kill).status();
    assert!(told.unwrap().success());
    server.wait();
}

/// The error of a server that cannot start.
async fn refused(directory: &Path) -> String {
    match Server::run(command(directory), directory).await {
        Ok(_) => panic!("it has started"),
        Err(said) => said,
    }
}

mod full {
    use std::{fs::File, io::Write};

    use super::*;

    /// Makes each refresh write.
    const HASTY: [&str; 2] = ["--overlap", "0s"];

    /// Runs a program with a limit on the length of its files, in blocks of 1024 bytes. Writes then
    /// fail as on a disk with a quota, and also for root.
    fn limited(directory: &Path, blocks: u64) -> Command {
        let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$@\"");
        let mut command = Command::new("bash");
        command.args(["-c", &script, "bash", server::program()]);
        command.args(server::arguments(directory)).args(HASTY);
        command
    }

    fn lift(server: &Server) {
        let process = server.process().to_string();
        let lifted = Command::new("prlimit")
            .args(["--pid", &process, "--fsize=unlimited"])
            .status();
        assert!(lifted.unwrap().success());
    }

    /// Runs a program that sees a small disk at `data`. Without root, that needs user namespaces,
    /// which some systems forbid.
    fn on_small_disk(directory: &Path) -> Option<Command> {
        const MOUNT: &str = "mount -t tmpfs -o size=512k tmpfs data";
        let unshare = |script: &str| {
            let mut command = Command::new("unshare");
            command.args([
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                script,
                "sh",
            ]);
            command.current_dir(directory);
            command
        };
        fs::create_dir(directory.join("data")).unwrap();
        let allowed = unshare(MOUNT).status();
        if !allowed.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = unshare(&format!("{MOUNT} && exec \"$@\""));
        command.arg(server::program());
        command.args(server::arguments(directory)).args(HASTY);
        command.args(["--store", "sqlite:data/gatepass.db"]);
        Some(command)
    }

    /// Fills the disk to the last byte.
    fn fill(disk: &Path) {
        let mut filler = File::create(disk.join("filler")).unwrap();
        for length in [4096, 1] {
            while filler.write_all(&vec![0; length]).is_ok() {}
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_disk_acknowledges_nothing_until_there_is_room() {
        let directory = TempDir::new().unwrap();
        let Some(command) = on_small_disk(directory.path()) else {
            // The other claim about limits shows the same on every system. This one shows it on a
            // real disk.
            println!(
                "this system forbids mounting a disk; the test uses a limit on file sizes instead"
            );
            return the_same_at_a_limit().await;
        };
        let server = Server::run(command, directory.path()).await.unwrap();
        let root = PathBuf::from(format!("/proc/{}/root", server.process()));
        let data = directory.path().join("data");
        let disk = root.join(data.strip_prefix("/").unwrap());
        let api = server.api();
        let ended = Session::begin(&api).await;
        let mut session = Session::begin(&api).await;
        assert_eq!(api.logout(&ended.refresh).await.unwrap().0, 204);
        for _ in 0..2 {
            fill(&disk);
            until_full(&api, &mut session, &ended).await;
            fs::remove_file(disk.join("filler")).unwrap();
            session.assert_live(&api).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_at_its_limit_acknowledges_nothing_until_that_is_lifted() {
        the_same_at_a_limit().await;
    }

    async fn the_same_at_a_limit() {
        let directory = TempDir::new().unwrap();
        let limited = limited(directory.path(), 400);
        let server = Server::run(limited, directory.path()).await.unwrap();
        let api = server.api();
        let ended = Session::begin(&api).await;
        let mut session = Session::begin(&api).await;
        assert_eq!(api.logout(&ended.refresh).await.unwrap().0, 204);
        until_full(&api, &mut session, &ended).await;

        lift(&server);
        session.assert_live(&api).await;
        server.kill();
        // The change is also on the disk.
        let server = Server::start(directory.path()).await;
        session.assert_live(&server.api()).await;
        assert_eq!(server.api().refresh(&ended.refresh).await.unwrap().0, 401);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_start_without_room_says_so() {
        let directory = TempDir::new().unwrap();
        let limited = limited(directory.path(), 16);
        let said = Server::run(limited, directory.path()).await.map(drop);
        let said = said.unwrap_err();
        assert!(said.contains("the disk is full"), "{said}");
        assert!(said.contains("gatepass.db"), "{said}");
        Server::start(directory.path()).await;
    }

    /// Refreshes until the disk is full, and checks the server's answers then.
    async fn until_full(api: &Api, session: &mut Session, ended: &Session) {
        let mut refreshes = 0;
        while session.refresh(api).await {
            refreshes += 1;
            assert!(refreshes < 10_000, "the disk is never full");
        }
        assert_unavailable(api, session).await;
        // The server still answers requests that only read.
        assert_eq!(api.strict(&session.access).await.unwrap().0, 200);
        assert_eq!(api.strict(&ended.access).await.unwrap().0, 401);
        assert_eq!(api.refresh(&ended.refresh).await.unwrap().0, 401);
    }
}

mod forbidden {
    use super::*;

    /// A directory, and a user to whom permissions apply.
    struct Place {
        directory: TempDir,
        program: Option<PathBuf>,
    }

    impl Place {
        fn new() -> Self {
            let directory = TempDir::new().unwrap();
            server::arguments(directory.path());
            let root = fs::metadata("/proc/self").unwrap().uid() == 0;
            // The test's user may not be able to reach the program in its original place.
            let program = root.then(|| {
                let program = directory.path().join("program");
                fs::copy(server::program(), &program).unwrap();
                program
            });
            let place = Self { directory, program };
            place.own(place.path());
            place.own(&place.path().join("users.json"));
            place
        }

        fn path(&self) -> &Path {
            self.directory.path()
        }

        fn own(&self, path: &Path) {
            if self.program.is_some() {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }

        async fn start(&self) -> Result<Server, String> {
            let mut command = match &self.program {
                Some(program) => Command::new(program),
                None => Command::new(server::program()),
            };
            if self.program.is_some() {
                command.uid(NOBODY).gid(NOBODY);
            }
            command.args(server::arguments(self.path()));
            Server::run(command, self.path()).await
        }
    }

    fn permit(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_that_may_not_be_written_is_refused_by_name_and_taken_once_it_may() {
        let place = Place::new();
        let file = place.path().join("gatepass.db");
        permit(place.path(), 0o555);
        let said = place.start().await.map(drop).unwrap_err();
        assert!(said.contains("both must be writable"), "no file: {said}");
        permit(place.path(), 0o755);
        let server = place.start().await.unwrap();
        let mut session = Session::begin(&server.api()).await;
        terminate(server);

        for (name, path, mode, right) in [
            ("a file to read", &*file, 0o400, 0o600),
            ("a file of nobody", &file, 0o000, 0o600),
            ("a directory to read", place.path(), 0o555, 0o755),
        ] {
            permit(path, mode);
            let said = place.start().await.map(drop).unwrap_err();
            assert!(said.contains("both must be writable"), "{name}: {said}");
            assert!(said.contains("gatepass.db"), "{name}: {said}");
            permit(path, right);
            let server = place.start().await.unwrap();
            session.assert_live(&server.api()).await;
            terminate(server);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_that_may_not_be_reached_any_more_is_an_outage_until_it_may() {
        let place = Place::new();
        let server = place.start().await.unwrap();
        let api = server.api();
        let mut session = Session::begin(&api).await;
        permit(place.path(), 0o000);
        assert_unavailable(&api, &mut session).await;
        assert_eq!(api.strict(&session.access).await.unwrap().0, 503);
        permit(place.path(), 0o755);
        session.assert_live(&api).await;
    }
}

mod locked {
    use super::*;

    /// Another process that holds the write lock.
    fn lock(directory: &Path) -> Connection {
        let lock = Connection::open(directory.join("gatepass.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        lock
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_that_another_holds_is_an_outage_until_it_is_released() {
        let directory = TempDir::new().unwrap();
        let server = Server::start(directory.path()).await;
        let api = server.api();
        let mut session = Session::begin(&api).await;
        let held = lock(directory.path());
        assert_unavailable(&api, &mut session).await;
        assert_eq!(api.strict(&session.access).await.unwrap().0, 200, "to read");
        let said = refused(directory.path()).await;
        assert!(said.contains("locked by another process"), "{said}");
        held.execute_batch("COMMIT").unwrap();
        session.assert_live(&api).await;
        Server::start(directory.path()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_that_another_has_for_itself_is_refused_by_name() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("gatepass.db");
        for wal in [false, true] {
            let owner = Connection::open(&path).unwrap();
            owner
                .pragma_update(None, "locking_mode", "EXCLUSIVE")
                .unwrap();
            if wal {
                owner.pragma_update(None, "journal_mode", "WAL").unwrap();
            }
            let write =
                "CREATE TABLE IF NOT EXISTS notes (note TEXT); INSERT INTO notes VALUES (1)";
            owner.execute_batch(write).unwrap();
            let said = refused(directory.path()).await;
            assert!(said.contains("locked by another process"), "{wal}: {said}");
            drop(owner);
        }
        let server = Server::start(directory.path()).await;
        Session::begin(&server.api()).await;
    }
}

mod taken_away {
    use super::*;

    const FILES: [&str; 3] = ["gatepass.db", "gatepass.db-wal", "gatepass.db-shm"];

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_that_is_moved_or_replaced_is_an_outage_until_it_is_back() {
        let directory = TempDir::new().unwrap();
        let server = Server::start(directory.path()).await;
        let api = server.api();
        let mut session = Session::begin(&api).await;
        let aside = directory.path().join("aside");
        for name in FILES {
            let file = directory.path().join(name);
            for replace in [false, true] {
                fs::rename(&file, &aside).unwrap();
                if replace {
                    fs::copy(&aside, &file).unwrap();
                }
                assert_unavailable(&api, &mut session).await;
                assert_eq!(api.strict(&session.access).await.unwrap().0, 503, "{name}");
                fs::rename(&aside, &file).unwrap();
                session.assert_live(&api).await;
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_acknowledged_before_a_log_was_deleted_outlives_a_stop_in_good_order() {
        for name in &FILES[1..] {
            let directory = TempDir::new().unwrap();
            let server = Server::start(directory.path()).await;
            let api = server.api();
            let mut session = Session::begin(&api).await;
            assert!(session.refresh(&api).await);
            fs::remove_file(directory.path().join(name)).unwrap();
            assert_unavailable(&api, &mut session).await;
            terminate(server);
            let server = Server::start(directory.path()).await;
            session.assert_live(&server.api()).await;
        }
    }
}

mod unusable {
    use super::*;

    /// Makes something at a path.
    type Prepare = fn(&Path);

    fn database(path: &Path) -> Connection {
        let database = Connection::open(path).unwrap();
        database
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 CREATE TABLE gatepass_meta (key TEXT PRIMARY KEY, value);
                 INSERT INTO gatepass_meta VALUES ('schema_version', 999);
                 CREATE TABLE notes (note TEXT);
                 INSERT INTO notes VALUES (zeroblob(40000));",
            )
            .unwrap();
        database
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_that_cannot_be_used_is_refused_with_what_to_do() {
        let cases: [(&str, Prepare); 4] = [
            ("not an SQLite database", |path| {
                fs::write(path, "no database at all\n".repeat(1000)).unwrap();
            }),
            ("it must be a file", |path| fs::create_dir(path).unwrap()),
            ("upgrade gatepass-sqlite", |path| drop(database(path))),
            ("is damaged: restore a backup", |path| {
                drop(database(path));
                let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(8192).unwrap();
            }),
        ];
        for (advice, prepare) in cases {
            let directory = TempDir::new().unwrap();
            let path = directory.path().join("gatepass.db");
            prepare(&path);
            let before = fs::read(&path).ok();
            let said = refused(directory.path()).await;
            assert!(said.contains(advice), "{advice}: {said}");
            assert!(said.contains("gatepass.db"), "{said}");
            assert_eq!(fs::read(&path).ok(), before, "{advice}: it is left alone");
        }
    }
}
