//! Knows whether this process is a fork of the one in which something was made.
//!
//! A forked child shares its parent's pollers but has none of its threads, so whatever refers to either compares
//! generations before it acts. The generation is one number, and only the child ever raises its copy of it.
//!
//! This file knows no driver, no loop and no signal. It cannot see a child made by a bare `clone` or `vfork`, which run no
//! handlers.

#[cfg(target_os = "linux")]
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
#[cfg(unix)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between this process and the first one of the program.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Remembers the process in which it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForkGuard {
    /// The generation at that time.
    generation: u32,
}

impl ForkGuard {
    /// Remembers the current process; the first of the program installs the fork handler.
    pub(crate) fn new() -> ForkGuard {
        install();
        ForkGuard {
            generation: generation(),
        }
    }

    /// Tells whether the current process is a fork of the one in which the guard was made; costs one load.
    pub(crate) fn is_forked(self) -> bool {
        generation() != self.generation
    }
}

/// Returns the current generation.
///
/// Relaxed suffices: the only writer runs in the child before `fork` returns there, while it has a single thread.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Lets the number `target` refer, in this process alone, to what `stand_in` refers to.
///
/// The parent's descriptor of the same number keeps its meaning. `target` stays open and stays its owner's to close.
#[cfg(target_os = "linux")]
pub(crate) fn replace(target: BorrowedFd<'_>, stand_in: OwnedFd) -> io::Result<()> {
    // SAFETY: both numbers are open descriptors for the length of the call, by the types of the arguments, and the
    // call touches no memory. The caller owns `target` and asked for its new meaning.
    match unsafe { libc::dup3(stand_in.as_raw_fd(), target.as_raw_fd(), libc::O_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Installs the handler, unless it is there.
///
/// Two threads that come at once may install it twice, and then a fork counts for two: any difference will do. A `Once`
/// would be worse: a child forked while another thread is inside would wait for that thread, which it does not have.
/// A failure (no memory for one entry) leaves forks undetected: no worse than without a handler, and nobody to tell.
#[cfg(unix)]
fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.load(Ordering::Relaxed) {
        // SAFETY: the handler is a function of this program, which the C library forgets by itself if the code is
        // unloaded. All it does is an atomic addition, which POSIX allows in the child of a program with threads.
        unsafe { libc::pthread_atfork(None, None, Some(raise_generation)) };
        // Only now, and relaxed: who does not see it yet installs once more.
        INSTALLED.store(true, Ordering::Relaxed);
    }
}

#[cfg(not(unix))]
fn install() {}

/// Runs in the child before `fork` returns there.
#[cfg(unix)]
extern "C" fn raise_generation() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
