//! Where sockets lie: in a folder that only this user can look into.

use std::env;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Makes the folder if it is missing, and returns it.
///
/// # Errors
///
/// When it cannot be made, or is not this user's alone. Others may have made it in `/tmp`.
pub(super) fn prepare() -> io::Result<PathBuf> {
    let folder = place();
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Not through a symbolic link: whoever made it could point it elsewhere afterwards.
    check(&folder, &fs::symlink_metadata(&folder)?)?;
    Ok(folder)
}

pub(super) fn check(folder: &Path, found: &Metadata) -> io::Result<()> {
    let objection = match found {
        found if !found.is_dir() => "is not a folder",
        found if found.uid() != user() => "belongs to another user",
        found if found.mode() & 0o077 != 0 => "is open to other users",
        _ => return Ok(()),
    };
    let folder = folder.display();
    Err(io::Error::other(format!("{folder} {objection}")))
}

fn place() -> PathBuf {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.filter(|folder| folder.is_absolute()) {
        Some(folder) => folder.join("asyncio"),
        None => PathBuf::from(format!("/tmp/asyncio-{}", user())),
    }
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether the other end is this user's. Where the system does not say, the folder has to do.
pub(super) fn is_same_user(stream: &UnixStream) -> bool {
    #[cfg(target_os = "linux")]
    let is_same =
        rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid.as_raw() == user());
    #[cfg(not(target_os = "linux"))]
    let is_same = stream.peer_addr().is_ok();
    is_same
}
