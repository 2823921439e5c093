//! Has another thread of this process walk its own stack, in the handler of a signal.
//!
//! The signal is SIGURG: it is ignored unless somebody has a handler for it, and hardly anybody has, so one that comes late or
//! goes astray harms nobody. A program with a handler of its own keeps it, and gets no backtrace. Ours stays when it has been
//! installed; a SIGURG from elsewhere finds nothing asked, and returns.
//!
//! What runs inside of the handler: `gettid`, atomics, and the unwinder, which leaves addresses in a table that is there from
//! the program's start. There is no allocation and no lock. The unwinder has to find the unwinding tables of each address; since
//! 2.35 the GNU C library has `_dl_find_object` for that, made to be called in signal handlers, and its libgcc uses it.
//! Where that is not there nobody is asked, since the older way took locks. What the unwinder does at its first use (sizes of
//! registers, late binding of symbols) has been done by the asking thread before.
//!
//! One word says how far the one request is: free, asked of a thread, walking, done, and given up while walking. Only the
//! thread that was asked may go from asked to walking, so a handler that runs too late finds nothing to do, and only one thread
//! at a time ever writes the table. Who asks waits for 100 ms: a thread that the system does not let go (a dead disk), or that
//! has blocked the signal, does not answer.
//!
//! What stays broken: the interrupted system call may end early, as with any signal (`SA_RESTART` does not help `nanosleep`,
//! `poll` or `epoll_wait`). Code that was made at run time and is just being registered with the unwinder, by the blocked
//! thread itself, could keep the unwinder waiting. A forked child is never asked.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::io;
use std::mem;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fork::{self, ForkGuard};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// Between two looks for an answer.
const PERIOD: Duration = Duration::from_micros(200);

/// The innermost calls that are told.
const MOST: usize = 128;

/// How far the one request is; in `ASKED` the thread's number is in the lower half.
static REQUEST: AtomicU64 = AtomicU64::new(FREE);
const FREE: u64 = 0;
const ASKED: u64 = 1 << 32;
const WALKING: u64 = 2 << 32;
const DONE: u64 = 3 << 32;
const GIVEN_UP: u64 = 4 << 32;

/// The answer: so many addresses. Written by who is `WALKING`, read by who asked when it is `DONE`.
static LENGTH: AtomicUsize = AtomicUsize::new(0);
static ADDRESSES: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::watchdog) enum NoStack {
    /// The thread is no longer where it was.
    WentOn,
    HasHandler,
    Unsafe,
    Silent,
    Forked,
    Refused,
}

impl fmt::Display for NoStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoStack::WentOn => "it goes on",
            NoStack::HasHandler => "the program has a handler of its own for SIGURG",
            NoStack::Unsafe => "this needs version 2.35 of the GNU C library",
            NoStack::Silent => "it does not react to SIGURG",
            NoStack::Forked => "this process was forked from one that took backtraces",
            NoStack::Refused => "the system does not allow SIGURG",
        })
    }
}

/// Asks the thread where it is, and returns the addresses, the innermost first: each as a return address, that is, behind the
/// call that it stands for.
///
/// `is_blocked` is asked at the last moment before the signal is sent.
pub(super) fn interrupt(thread: i32, is_blocked: impl Fn() -> bool) -> Result<Vec<usize>, NoStack> {
    refuse_forked()?;
    claim_signal()?;
    let deadline = Instant::now() + PATIENCE;
    let asked = ASKED | u64::from(thread as u32);
    // Another loop's watchdog may be asking.
    wait_until(deadline, || advance(FREE, asked))?;
    if !is_blocked() || !send(thread) {
        if !give_up(asked) {
            // A signal that was sent long before came just now.
            REQUEST.store(FREE, Ordering::Release);
        }
        return Err(NoStack::WentOn);
    }
    let is_done = || REQUEST.load(Ordering::Acquire) == DONE;
    if wait_until(deadline, is_done).is_err() && give_up(asked) {
        return Err(NoStack::Silent);
    }
    let length = LENGTH.load(Ordering::Relaxed);
    let addresses = ADDRESSES[..length].iter();
    let addresses = addresses.map(|it| it.load(Ordering::Relaxed)).collect();
    REQUEST.store(FREE, Ordering::Release);
    Ok(addresses)
}

/// The child of a fork may have been left with a request that nobody will ever answer or take back.
fn refuse_forked() -> Result<(), NoStack> {
    static FIRST: AtomicU32 = AtomicU32::new(u32::MAX);
    let _ = ForkGuard::new();
    let now = fork::generation();
    match FIRST.compare_exchange(u32::MAX, now, Ordering::Relaxed, Ordering::Relaxed) {
        Err(first) if first != now => Err(NoStack::Forked),
        _ => Ok(()),
    }
}

/// Goes from one state to another, if it is that one.
fn advance(from: u64, to: u64) -> bool {
    REQUEST
        .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

fn wait_until(deadline: Instant, is_so: impl Fn() -> bool) -> Result<(), NoStack> {
    while !is_so() {
        if Instant::now() >= deadline {
            return Err(NoStack::Silent);
        }
        thread::sleep(PERIOD);
    }
    Ok(())
}

/// Takes the request back, and returns `false` if the answer has come after all. A thread that walks frees it when it is done.
fn give_up(asked: u64) -> bool {
    advance(asked, FREE) || advance(WALKING, GIVEN_UP)
}

// ----- the signal -----

/// Makes SIGURG ours, unless it is or belongs to the program.
fn claim_signal() -> Result<(), NoStack> {
    let current = exchange(None).map_err(|_| NoStack::Refused)?;
    let ours = on_signal as *const () as libc::sighandler_t;
    match current.sa_sigaction {
        handler if handler == ours => return Ok(()),
        libc::SIG_DFL | libc::SIG_IGN => {}
        _ => return Err(NoStack::HasHandler),
    }
    if !finds_tables_without_locks() {
        return Err(NoStack::Unsafe);
    }
    walk(|_| true);
    let action = libc::sigaction {
        sa_sigaction: ours,
        sa_flags: libc::SA_RESTART | libc::SA_ONSTACK | libc::SA_SIGINFO,
        ..current
    };
    exchange(Some(&action)).map_err(|_| NoStack::Refused)?;
    Ok(())
}

/// `sigaction` itself, for SIGURG. Returns what was there before.
fn exchange(new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `sigaction` is plain C data, for which all zeroes is a value. Both pointers are null or point to a whole one that
    // lives for the call. The new handler takes three arguments, as its flags say, and is async-signal-safe: see the head.
    unsafe {
        let mut old: libc::sigaction = mem::zeroed();
        match libc::sigaction(libc::SIGURG, new, &mut old) {
            0 => Ok(old),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Returns whether the C library has what libgcc needs in order to unwind in a signal handler.
fn finds_tables_without_locks() -> bool {
    // SAFETY: the name ends with a zero, and the call only looks it up; the address is not used.
    unsafe { !libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()).is_null() }
}

/// Sends SIGURG to that thread of this process, and returns whether it is there.
fn send(thread: i32) -> bool {
    let process = process::id() as libc::pid_t;
    // SAFETY: the call takes three numbers and touches no memory. With our own process's number it reaches no other process,
    // and no thread of ours can take harm from SIGURG: it is ignored or handled.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGURG) == 0 }
}

// ----- inside of the handler -----

extern "C" fn on_signal(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the address of this thread's `errno`, which lives as long as the thread.
    let errno = unsafe { &mut *libc::__errno_location() };
    let kept = *errno;
    // SAFETY: the call takes no arguments and cannot fail.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) } as u32;
    if advance(ASKED | u64::from(thread), WALKING) {
        // SAFETY: the kernel calls a handler with SA_SIGINFO with the state of what it interrupted, which lives as long as
        // the handler runs and is written to by nobody.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        leave_addresses(interrupted_at(context));
        if REQUEST.swap(DONE, Ordering::AcqRel) == GIVEN_UP {
            REQUEST.store(FREE, Ordering::Release);
        }
    }
    *errno = kept;
}

/// The address that runs next in the interrupted code.
fn interrupted_at(context: &libc::ucontext_t) -> usize {
    #[cfg(target_arch = "x86_64")]
    return context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
    #[cfg(target_arch = "aarch64")]
    return context.uc_mcontext.pc as usize;
}

/// Leaves the addresses from the interrupted code on: those before are the handler's own and the system's.
fn leave_addresses(interrupted_at: usize) {
    let mut length = 0;
    walk(|address| {
        // What some systems put below the first call of a thread.
        if address == 0 {
            return false;
        }
        if length == 0 {
            if address == interrupted_at {
                // Not a return address: the instruction itself is meant.
                ADDRESSES[0].store(address + 1, Ordering::Relaxed);
                length = 1;
            }
        } else if let Some(next) = ADDRESSES.get(length) {
            next.store(address, Ordering::Relaxed);
            length += 1;
        }
        length < MOST
    });
    LENGTH.store(length, Ordering::Relaxed);
}

/// Goes through the addresses of this thread's calls, from here outwards, while it is told to.
fn walk(mut goes_on: impl FnMut(usize) -> bool) {
    // SAFETY: what the synchronised form has a lock for is the state of Windows' unwinder. Here there is no such state: the
    // call is `_Unwind_Backtrace`, which any number of threads may be in.
    unsafe { backtrace::trace_unsynchronized(|frame| goes_on(frame.ip() as usize)) };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::tests::{alone, with_thread};
    use super::*;

    static FOREIGN: AtomicU32 = AtomicU32::new(0);

    extern "C" fn on_foreign(_: c_int) {
        FOREIGN.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn a_handler_of_the_programs_own_is_left_alone() {
        let _alone = alone();
        let theirs = libc::sigaction {
            sa_sigaction: on_foreign as *const () as libc::sighandler_t,
            sa_flags: libc::SA_RESTART,
            ..exchange(None).unwrap()
        };
        let before = exchange(Some(&theirs)).unwrap();
        let answer = with_thread(
            |goes_on| while goes_on.load(Ordering::Relaxed) {},
            |thread| interrupt(thread, || true),
        );
        let after = exchange(Some(&before)).unwrap();
        assert_eq!(answer, Err(NoStack::HasHandler));
        assert_eq!(after.sa_sigaction, theirs.sa_sigaction);
        assert_eq!(FOREIGN.load(Ordering::Relaxed), 0);
    }

    fn mask(how: c_int) {
        // SAFETY: a `sigset_t` is plain C data, and `sigemptyset` makes it a valid set. The calls keep no pointer.
        unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGURG);
            libc::pthread_sigmask(how, &set, ptr::null_mut());
        }
    }

    #[test]
    fn a_thread_that_does_not_answer_is_not_waited_for_and_its_late_answer_harms_nobody() {
        let _alone = alone();
        let is_masked = AtomicBool::new(true);
        let blocks = |goes_on: &AtomicBool| {
            mask(libc::SIG_BLOCK);
            while goes_on.load(Ordering::Relaxed) {
                if !is_masked.load(Ordering::Relaxed) {
                    mask(libc::SIG_UNBLOCK);
                }
            }
        };
        with_thread(blocks, |thread| {
            // It may be asked before it has blocked the signal.
            let began = Instant::now();
            while interrupt(thread, || true) != Err(NoStack::Silent) {
                assert!(began.elapsed() < 100 * PATIENCE, "it answers");
            }
            assert_eq!(REQUEST.load(Ordering::Relaxed), FREE);
            is_masked.store(false, Ordering::Relaxed);
            assert!(!interrupt(thread, || true).unwrap().is_empty());
        });
    }

    #[test]
    fn a_thread_that_goes_on_or_is_gone_is_not_asked() {
        let _alone = alone();
        let asks = |thread, is_blocked| interrupt(thread, || is_blocked);
        let spins = |goes_on: &AtomicBool| while goes_on.load(Ordering::Relaxed) {};
        let (answer, gone) = with_thread(spins, |thread| (asks(thread, false), thread));
        assert_eq!(answer, Err(NoStack::WentOn));
        assert_eq!(REQUEST.load(Ordering::Relaxed), FREE);
        let began = Instant::now();
        while asks(gone, true) != Err(NoStack::WentOn) {
            assert!(began.elapsed() < 100 * PATIENCE, "it answers");
        }
        assert_eq!(REQUEST.load(Ordering::Relaxed), FREE);
    }

    #[test]
    fn errno_is_what_it_was() {
        let _alone = alone();
        claim_signal().unwrap();
        // SAFETY: the address of this thread's `errno`.
        let errno = || unsafe { libc::__errno_location() };
        // SAFETY: as above. The system call without an effect is sent to this thread, so the handler has run when it returns.
        let after = unsafe {
            *errno() = 4711;
            let thread = libc::syscall(libc::SYS_gettid) as i32;
            REQUEST.store(ASKED | thread as u64, Ordering::Relaxed);
            assert!(send(thread));
            *errno()
        };
        assert_eq!(after, 4711);
        assert_eq!(REQUEST.swap(FREE, Ordering::Relaxed), DONE);
    }

    #[test]
    fn a_deep_stack_is_told_from_the_inside_and_as_far_as_there_is_room() {
        #[inline(never)]
        fn descend(depth: usize, goes_on: &AtomicBool) -> usize {
            if depth == 0 {
                while goes_on.load(Ordering::Relaxed) {}
                return 0;
            }
            std::hint::black_box(1 + descend(depth - 1, goes_on))
        }
        let _alone = alone();
        let descends = |goes_on: &AtomicBool| {
            descend(10 * MOST, goes_on);
        };
        with_thread(descends, |thread| {
            let began = Instant::now();
            while interrupt(thread, || true).unwrap().len() < MOST {
                assert!(began.elapsed() < 100 * PATIENCE, "it does not descend");
            }
        });
    }
}
