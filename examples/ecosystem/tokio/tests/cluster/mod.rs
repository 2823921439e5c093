//! A server of Postgres for one test: started in a directory of its own, and stopped as an administrator stops it, once the last
//! session has ended. It is reached through a socket in that directory, so that no port can be taken by somebody else.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;

use crate::support::child::{Child, SIGTERM, Setup};

/// How long a server may live. Reached only by failing tests.
const DEADLINE: Duration = Duration::from_secs(60);
/// Where distributions put what is not for the command line.
const ELSEWHERE: &str = "/usr/lib/postgresql";
/// Whom the server may run as if the tests run as root, as whom it refuses to.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Its name, to connect with; nobody asks for a password.
pub(crate) const USER: &str = "asyncio";

/// One that runs.
pub(crate) struct Cluster {
    server: Child,
    folder: Folder,
}

impl Cluster {
    /// Starts one whose name is that of the test. `None` where Postgres is not installed, which is said.
    pub(crate) fn start(name: &str) -> Option<Cluster> {
        let Some(programs) = find_programs() else {
            // Past libtest, which would show it for failing tests only.
            let _ = writeln!(
                io::stderr(),
                "Postgres is not installed: {name} has tested nothing"
            );
            return None;
        };
        let folder = Folder::new(name);
        let owner = folder.give_away();
        let data = folder.path.join("data");
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.arg("-D").arg(&data).current_dir(&folder.path);
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command
        };
        let initialized = command("initdb")
            .args([
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ])
            .arg(format!("--username={USER}"))
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&initialized.stderr);
        assert!(initialized.status.success(), "{complaint}");
        let mut server = command("postgres");
        server.arg("-k").arg(&folder.path);
        for setting in [
            "listen_addresses=",
            "port=5432",
            // It need not outlive the machine.
            "fsync=off",
            "max_connections=40",
        ] {
            server.args(["-c", setting]);
        }
        let mut server = Setup::new(server).deadline(DEADLINE).start();
        server.wait_for_line("ready to accept connections");
        Some(Cluster { server, folder })
    }

    /// The directory with its socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.folder.path
    }

    /// Asks it to stop once the last session has ended, and waits for that. A session that was left behind is a failure.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.server.signal(SIGTERM);
        let finished = self.server.finish();
        finished.exited_with(0).said("database system is shut down");
    }
}

/// A directory that goes with its value.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(name: &str) -> Folder {
        // Not below the build's directory: another user must get there, and a socket's path is short.
        let path = env::temp_dir().join(format!("asyncio-{name}-{}", process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Folder { path }
    }

    /// Hands it to a user who is not root, if we are; returns that user's number and group.
    fn give_away(&self) -> Option<(u32, u32)> {
        if fs::metadata(&self.path).unwrap().uid() != 0 {
            return None;
        }
        let known = fs::read_to_string("/etc/passwd").unwrap();
        let (user, group) = USERS
            .iter()
            .find_map(|name| find_user(&known, name))
            .unwrap();
        chown(&self.path, Some(user), Some(group)).unwrap();
        Some((user, group))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Returns a user's number and group.
fn find_user(known: &str, name: &str) -> Option<(u32, u32)> {
    known.lines().find_map(|line| {
        let mut fields = line
            .strip_prefix(name)?
            .strip_prefix(':')?
            .split(':')
            .skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// Returns where `initdb` and `postgres` are.
fn find_programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let elsewhere = fs::read_dir(ELSEWHERE).into_iter().flatten().flatten();
    env::split_paths(&path)
        .chain(elsewhere.map(|version| version.path().join("bin")))
        .find(|folder| {
            ["initdb", "postgres"]
                .iter()
                .all(|program| folder.join(program).exists())
        })
}
