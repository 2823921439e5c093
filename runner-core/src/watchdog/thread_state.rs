//! What the system knows of a thread of this process: whether it runs or sleeps, and in which system call.
//!
//! On Linux this is read from `/proc`, without disturbing the thread. Elsewhere nothing is known.

use std::fmt;
use std::thread::{self, Thread};
use std::time::Duration;

use crate::decimal::Seconds;

/// A thread, for the system and for people.
pub(crate) struct ThreadId {
    thread: Thread,
    #[cfg(target_os = "linux")]
    number: i32,
}

/// The processor time that a thread had used at some moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime(Duration);

/// What a thread does; its text begins a new line, or is empty if nothing is known.
pub(crate) struct ThreadState(Option<String>);

impl fmt::Display for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => write!(f, "\n  {text}"),
            None => Ok(()),
        }
    }
}

impl ThreadId {
    pub(crate) fn current() -> ThreadId {
        ThreadId {
            thread: thread::current(),
            #[cfg(target_os = "linux")]
            number: rustix::thread::gettid().as_raw_nonzero().get(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.thread.name().unwrap_or("unnamed")
    }

    /// Returns the system's number for it.
    #[cfg(all(
        feature = "backtrace",
        target_os = "linux",
        target_env = "gnu",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    pub(crate) fn number(&self) -> i32 {
        self.number
    }
}

#[cfg(not(target_os = "linux"))]
impl ThreadId {
    pub(crate) fn cpu_time(&self) -> Option<CpuTime> {
        None
    }

    pub(crate) fn state(&self, _before: Option<&CpuTime>) -> ThreadState {
        ThreadState(None)
    }
}

#[cfg(target_os = "linux")]
impl ThreadId {
    fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/self/task/{}/{file}", self.number)).ok()
    }

    /// Returns what the thread has used so far.
    pub(crate) fn cpu_time(&self) -> Option<CpuTime> {
        let nanos = self.read("schedstat")?.split(' ').next()?.parse().ok()?;
        Some(CpuTime(Duration::from_nanos(nanos)))
    }

    /// Says what it does, and how much processor time it has used since `before`.
    pub(crate) fn state(&self, before: Option<&CpuTime>) -> ThreadState {
        let used = before.zip(self.cpu_time());
        let used = used.map(|(before, now)| now.0.saturating_sub(before.0));
        ThreadState(self.describe(used))
    }

    fn describe(&self, used: Option<Duration>) -> Option<String> {
        let syscall = self.read("syscall");
        let doing = match syscall.as_deref().and_then(SystemCall::read) {
            Some(call) => format!("sleeps in {call}"),
            None => self.doing()?.to_owned(),
        };
        let used = used.map_or_else(String::new, |used| {
            let seconds = Seconds(used);
            format!(", and used {seconds:.1} seconds of processor time meanwhile")
        });
        Some(format!("its thread '{}' {doing}{used}", self.name()))
    }

    /// From the letter that `ps` shows.
    fn doing(&self) -> Option<&'static str> {
        let stat = self.read("stat")?;
        // The thread's name, in parentheses, may contain anything.
        let letter = stat.rsplit(')').next()?.trim_start().chars().next()?;
        Some(match letter {
            'R' => "runs",
            'D' => "waits for a device",
            'T' | 't' => "was stopped",
            _ => "sleeps",
        })
    }
}

/// The system call that a thread waits in.
#[cfg(target_os = "linux")]
struct SystemCall {
    number: i64,
    /// The first argument, which is a descriptor for most that block.
    first: u64,
}

#[cfg(target_os = "linux")]
impl SystemCall {
    /// From the system's own words: the number and six arguments. `None` for a thread that is in none.
    fn read(text: &str) -> Option<SystemCall> {
        let mut words = text.split_whitespace();
        let number = words.next()?.parse().ok().filter(|number| *number >= 0)?;
        let first = words.next()?.strip_prefix("0x")?;
        Some(SystemCall {
            number,
            first: u64::from_str_radix(first, 16).ok()?,
        })
    }

    /// The calls that programs block in, and whether they begin with a descriptor.
    fn known(&self) -> Option<(&'static str, bool)> {
        let (name, on_descriptor) = match self.number {
            libc::SYS_read => ("read", true),
            libc::SYS_write => ("write", true),
            libc::SYS_readv => ("readv", true),
            libc::SYS_writev => ("writev", true),
            libc::SYS_pread64 => ("pread64", true),
            libc::SYS_pwrite64 => ("pwrite64", true),
            libc::SYS_fsync => ("fsync", true),
            libc::SYS_fdatasync => ("fdatasync", true),
            libc::SYS_flock => ("flock", true),
            libc::SYS_fcntl => ("fcntl", true),
            libc::SYS_ioctl => ("ioctl", true),
            libc::SYS_connect => ("connect", true),
            libc::SYS_accept => ("accept", true),
            libc::SYS_accept4 => ("accept4", true),
            libc::SYS_sendto => ("sendto", true),
            libc::SYS_recvfrom => ("recvfrom", true),
            libc::SYS_sendmsg => ("sendmsg", true),
            libc::SYS_recvmsg => ("recvmsg", true),
            libc::SYS_getdents64 => ("getdents64", true),
            libc::SYS_epoll_pwait => ("epoll_pwait", true),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => ("epoll_wait", true),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => ("poll", false),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select => ("select", false),
            libc::SYS_ppoll => ("ppoll", false),
            libc::SYS_pselect6 => ("pselect6", false),
            libc::SYS_futex => ("futex", false),
            libc::SYS_nanosleep => ("nanosleep", false),
            libc::SYS_clock_nanosleep => ("clock_nanosleep", false),
            libc::SYS_wait4 => ("wait4", false),
            libc::SYS_waitid => ("waitid", false),
            libc::SYS_openat => ("openat", false),
            libc::SYS_rt_sigtimedwait => ("rt_sigtimedwait", false),
            _ => return None,
        };
        Some((name, on_descriptor))
    }
}

#[cfg(target_os = "linux")]
impl fmt::Display for SystemCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((name, on_descriptor)) = self.known() else {
            return write!(f, "the system call {}", self.number);
        };
        write!(f, "the system call {name}")?;
        if !on_descriptor {
            return Ok(());
        }
        match std::fs::read_link(format!("/proc/self/fd/{}", self.first)) {
            Ok(file) => write!(f, " on descriptor {} ({})", self.first, file.display()),
            Err(_) => write!(f, " on descriptor {}", self.first),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_system_call_is_read_from_the_systems_words() {
        let text =
            "230 0x1 0x1 0x7fe45cc27ab0 0x0 0x0 0x7fe45d94e6e8 0x7fe45cc27a70 0x7fe45d2ed545\n";
        let call = SystemCall::read(text).unwrap();
        assert_eq!((call.number, call.first), (230, 1));
        assert!(SystemCall::read("running\n").is_none());
        assert!(SystemCall::read("-1 0x7ffc4246208 0x7fe9552132ad\n").is_none());
        assert!(SystemCall::read("").is_none());
    }

    #[test]
    fn a_call_that_is_not_known_by_name_is_told_by_number() {
        let call = SystemCall {
            number: 100_000,
            first: 0,
        };
        assert_eq!(call.to_string(), "the system call 100000");
    }
}
