//! Signal dispositions: read, claimed for a while, given back, raised.
//!
//! The wish: while a run lasts, Ctrl-C (and SIGTERM, where asked for) is heard on a thread of our own, whatever the
//! program is doing; at every other moment the process treats signals as if this crate did not exist.
//!
//! The difficulty: `ctrlc` has the thread, but gives neither back what it took nor names the signal. Its handler is
//! there for good once installed, replaces an ignored SIGINT, stays when its thread could not start, is inherited by a
//! forked child that has no such thread, and reduces every signal to one nameless post of a semaphore. That post may be
//! consumed long after the run that it was meant for.
//!
//! Rejected ways:
//! - *Do everything in ctrlc's callback.* A callback that runs late cannot know when its signal came, so the last
//!   signal of one run hits the next run; and while it waits for the loop it is deaf to the press that should kill.
//! - *ctrlc's `termination` feature.* It would take SIGTERM and SIGHUP from every program, ignored or not, and still
//!   not say which of them came.
//! - *Do everything in the handler.* Waiting for the loop's reaction is impossible there.
//! - *A second thread for SIGTERM.* Two threads would have to agree on one ladder.
//!
//! The choice: one handler of our own for all signals, `on_signal`, that counts the signal in an atomic word (the
//! `note` function of the level above) and then calls *ctrlc's handler* to wake ctrlc's thread. A wake-up carries no
//! information; the word carries all of it, so a late or doubled wake-up is harmless. Where nothing has claimed the
//! signal, or a forked child inherited the handler, or the ladder is at its end, the handler itself lets the process
//! die: that needs no thread and works even if ours is stuck. ctrlc's handler is learned by installing it once and
//! reading it back; between runs the disposition is the default one. A program started with SIGINT ignored (`prog &` in
//! a shell script) may still want SIGTERM; installing ctrlc would disturb the ignored SIGINT, so there, and where the
//! program used ctrlc up itself, a plain thread behind a socket pair takes its place.
//!
//! What runs inside of a signal handler: `getpid`, loads and compare-exchanges of atomics, then `sem_post` (by ctrlc)
//! or one `write`, or what wakes a loop of ours (a `write`, or a futex) where there is no thread to do it (`subscribe.rs`); or, on
//! the way out, `sigaction`, `pthread_sigmask`, `raise`, `_exit`. All are async-signal-safe, and
//! none of them sets `errno` when it returns to the interrupted code (the semaphore cannot overflow and the socket
//! cannot fill up: the ladder rings for two presses of a run at most).
//!
//! What stays broken:
//! - `sigaction` cannot compare and exchange. Another thread that installs a handler in the microseconds between our
//!   look and our step is noticed, and gets its handler back, but a signal in between meets the wrong one.
//! - A SIGINT within the microseconds in which ctrlc tries to start its thread, and fails, is lost.
//! - ctrlc has room for one callback: after the first run a program's own `ctrlc::set_handler` fails.
//! - The kernel prefers the main thread for running a handler; while that thread sits in an uninterruptible system
//!   call (a dead network disk), no press is counted.
//!
//! This file knows neither loop nor runner nor ladder, only signals. It is the one place where they cost `unsafe`.

#[cfg(unix)]
mod subscribe;

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

#[cfg(unix)]
pub(crate) use subscribe::{
    StandBy, Subscription, listeners_stayed_behind, start_listening, subscribe,
};
#[cfg(unix)]
use unix::{Action, on_signal, start_thread};

use crate::fork::{self, ForkGuard};

/// What Ctrl-C raises.
pub(crate) const SIGINT: i32 = 2;
/// What `kill`, a container runtime or a service manager sends first.
pub(crate) const SIGTERM: i32 = 15;
/// The terminal is gone.
pub(crate) const SIGHUP: i32 = 1;

/// What the process does about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// What the system does unless told otherwise; for the signals above the process dies.
    Default,
    /// Nothing: a background job of a shell script, `nohup`.
    Ignored,
    /// Somebody's handler runs, ours included.
    Handled,
}

/// What the level above makes of a signal that was just delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is counted; the watching thread is to look.
    Counted,
    /// Nobody claims it, or the patience is over: the process is to die of it.
    Deadly,
}

/// Counts one signal. Called *inside of a signal handler*, on any thread: it may touch atomics and nothing else.
pub(crate) type Note = fn(i32) -> Noted;

/// The one route that all claimed signals of this process take.
pub(crate) struct Router {
    /// Counts a signal; see [`Note`].
    note: Note,
    /// Wakes the watching thread.
    doorbell: Doorbell,
    /// How often the doorbell was rung by us; the watching thread compares it with how often it heard the bell.
    rung: AtomicU32,
    /// The process that the watching thread lives in. A forked child inherits this value, but not the thread.
    pid: u32,
    /// The same without a system call, for the code that arms and disarms; a handler asks the system itself.
    fork: ForkGuard,
    /// The address of [`on_signal`], taken once: a function is not promised to have one address everywhere.
    #[cfg(unix)]
    handler: usize,
}

/// Set once by [`router`], before the first claim, and never again: a signal handler has to find it without a lock.
static ROUTER: OnceLock<Router> = OnceLock::new();

/// How to wake the thread that watches.
enum Doorbell {
    /// ctrlc's own handler, which posts the semaphore that ctrlc's thread waits on.
    #[cfg(unix)]
    Ctrlc(extern "C" fn(libc::c_int)),
    /// The writing end of a socket pair that a thread of ours reads from. Never blocks.
    #[cfg(unix)]
    Socket(std::os::unix::net::UnixStream),
    /// ctrlc's thread is the handler: nothing to ring.
    #[cfg(not(unix))]
    Builtin,
}

/// Returns `true` if the router's thread runs already.
pub(crate) fn has_router() -> bool {
    ROUTER.get().is_some()
}

/// Returns the router, starting its thread at the first call.
///
/// `note` counts a signal; `watch` makes the closure that the thread calls at least once after each signal counted.
/// Both are used by the first successful call only. No disposition has changed when this returns, error or not.
///
/// # Errors
///
/// The thread could not be started (the next call tries again), or this process was forked from the one in which it
/// runs.
pub(crate) fn router<F>(note: Note, watch: impl Fn() -> F) -> io::Result<&'static Router>
where
    F: FnMut() + Send + 'static,
{
    /// Held while starting only; neither a handler nor the watching thread ever takes it.
    static STARTING: Mutex<()> = Mutex::new(());

    if ROUTER.get().is_none() {
        let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if ROUTER.get().is_none() {
            let doorbell = Doorbell::hang(&watch)?;
            let _ = ROUTER.set(Router {
                note,
                doorbell,
                rung: AtomicU32::new(0),
                pid: std::process::id(),
                fork: ForkGuard::new(),
                #[cfg(unix)]
                handler: on_signal as *const () as usize,
            });
        }
    }
    let router = ROUTER.get().expect("set above; this is a bug of asyncio");
    if router.is_foreign() {
        return Err(io::Error::other(
            "the signal thread stayed in the process that forked this one",
        ));
    }
    Ok(router)
}

impl Router {
    /// Returns `true` in a forked child, which has the handler and the memory, but no thread behind them.
    pub(crate) fn is_foreign(&self) -> bool {
        self.fork.is_forked()
    }

    /// Decides about a signal that was just delivered. Runs inside of a signal handler.
    fn deliver(&self, signal: i32) {
        if self.pid != std::process::id() || (self.note)(signal) == Noted::Deadly {
            die_of(signal);
        }
        // Release: pairs with the Acquire in `hear`. Before the ring, so that a ring without its count is not ours.
        self.rung.fetch_add(1, Ordering::Release);
        self.doorbell.ring(signal);
    }
}

/// Wraps `react` for ctrlc's thread: contains panics, and accounts for signals that reached ctrlc without us.
///
/// Those are the ones between ctrlc's installing its handler and our taking it off again (and, where there are no Unix
/// signals, all of them). More rings heard than rung means one of these: it is counted here instead of in the handler.
fn hear(mut react: impl FnMut() + Send + 'static) -> impl FnMut() + Send + 'static {
    let mut heard: u32 = 0;
    move || {
        heard = heard.wrapping_add(1);
        let Some(router) = ROUTER.get() else {
            // Nothing can be armed yet.
            die_of(SIGINT)
        };
        // Acquire: pairs with the Release in `deliver`.
        let rung = router.rung.load(Ordering::Acquire);
        if heard.wrapping_sub(rung) as i32 > 0 {
            if (router.note)(SIGINT) == Noted::Deadly {
                die_of(SIGINT);
            }
            heard = rung;
        }
        contained(&mut react);
    }
}

/// Calls `react` and lets no panic out: a dead thread would swallow the presses that follow.
fn contained(react: &mut impl FnMut()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(react)) {
        // Dropping it would run foreign code on this thread.
        std::mem::forget(payload);
    }
}

/// A value that one thread lends to others which must not take a lock.
///
/// The owner puts and takes, a borrower looks ([`Slot::with`]). `take` returns only when nobody looks any more, hence
/// the owner, not some borrower, drops the value. Nothing here is held while user code runs.
pub(crate) struct Slot<T: ?Sized + Send + Sync> {
    /// The lent value in a box of its own (a pointer to a trait object does not fit an atomic word), or null.
    value: AtomicPtr<Arc<T>>,
    /// How many borrowers are between their announcement and their farewell.
    inside: AtomicUsize,
}

impl<T: ?Sized + Send + Sync> Slot<T> {
    pub(crate) const fn new() -> Slot<T> {
        Slot {
            value: AtomicPtr::new(ptr::null_mut()),
            inside: AtomicUsize::new(0),
        }
    }

    /// Lends `value`; one that was lent before is taken back first and dropped.
    pub(crate) fn put(&self, value: Arc<T>) {
        drop(self.take());
        let new = Box::into_raw(Box::new(value));
        // SeqCst: pairs with the load in `with`, which then sees the contents of the box, too.
        let old = self.value.swap(new, Ordering::SeqCst);
        debug_assert!(
            old.is_null(),
            "two owners of one slot; this is a bug of asyncio"
        );
    }

    /// Calls `look` with the value, if one is lent. Takes no lock and allocates nothing.
    ///
    /// `look` must be short, and must not call `take` or `put`: they would wait for it for ever.
    pub(crate) fn with(&self, look: impl FnOnce(&T)) {
        /// Says farewell even if `look` panics; else `take` would wait for ever.
        struct Farewell<'a>(&'a AtomicUsize);
        impl Drop for Farewell<'_> {
            fn drop(&mut self) {
                // Release: pairs with the load in `take`; what `look` did is done before the value is dropped.
                self.0.fetch_sub(1, Ordering::Release);
            }
        }

        // SeqCst here and below, and in `take`: of "announce, then load" and "exchange, then look who is inside", one
        // must come first in a single order. Weaker orderings would allow both sides to miss each other.
        self.inside.fetch_add(1, Ordering::SeqCst);
        let _farewell = Farewell(&self.inside);
        let value = self.value.load(Ordering::SeqCst);
        if !value.is_null() {
            // SAFETY: a pointer other than null comes from `Box::into_raw` in `put`, and is freed by `take` only,
            // after it exchanged the pointer for null and then saw `inside` at zero. We loaded the pointer after we
            // had raised `inside`, so that `take` either exchanged first (and we had loaded null) or waits for us.
            look(unsafe { &**value });
        }
    }

    /// Takes the value back and waits until nobody looks at it any more.
    pub(crate) fn take(&self) -> Option<Arc<T>> {
        let value = self.value.swap(ptr::null_mut(), Ordering::SeqCst);
        if value.is_null() {
            return None;
        }
        while self.inside.load(Ordering::SeqCst) != 0 {
            thread::yield_now();
        }
        // SAFETY: the pointer comes from `Box::into_raw` in `put`, and the exchange gave it to this call alone. Nobody
        // looks at it: see the argument in `with`.
        Some(*unsafe { Box::from_raw(value) })
    }
}

impl<T: ?Sized + Send + Sync> Drop for Slot<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Returns what the process does about `signal`.
///
/// # Errors
///
/// There is no such signal.
#[cfg(unix)]
pub(crate) fn disposition(signal: i32) -> io::Result<Disposition> {
    Action::of(signal).map(|action| action.disposition())
}

/// Returns `true` if `signal` is free to be claimed: nobody ignores it, and nobody but us handles it.
///
/// Ours may still be in place between runs, where somebody else installed a handler during a run, kept ours, and put it
/// back later. Who merely listens ([`subscribe`]) does not count: what is asked is what lies beneath.
#[cfg(unix)]
pub(crate) fn is_free(signal: i32) -> bool {
    subscribe::beneath(signal).is_ok_and(|action| match ROUTER.get() {
        Some(router) => router.may_claim(&action),
        None => action.disposition() == Disposition::Default,
    })
}

#[cfg(unix)]
impl Router {
    fn may_claim(&self, action: &Action) -> bool {
        action.disposition() == Disposition::Default || action.is_handler(self.handler)
    }

    /// Takes `signal` over, if it is free, and returns whether it did. [`Router::release`] ends it.
    ///
    /// While somebody listens to the signal, it is theirs, and comes here when the last of them is gone.
    pub(crate) fn claim(&self, signal: i32) -> bool {
        subscribe::exchange_beneath(signal, Action::ours(), |action| self.may_claim(action))
    }

    /// Gives `signal` back to the system's default, unless somebody else has taken it meanwhile.
    pub(crate) fn release(&self, signal: i32) {
        subscribe::exchange_beneath(signal, Action::default(), |action| {
            action.is_handler(self.handler)
        });
    }
}

/// Lets the process die of `signal`, as if nobody had ever handled it. May be called inside of a signal handler.
///
/// Buffers are not flushed and exit handlers do not run: they could wait for what the program is stuck in. The first
/// process of a container is immune to its own signals; it leaves with the shell's convention for such a death.
#[cfg(unix)]
pub(crate) fn die_of(signal: i32) -> ! {
    // Another thread may put a handler back in between, for example a run that begins while the watching thread has decided
    // about a press from before it. It does so once; the rest is for the unforeseen.
    for _ in 0..16 {
        let _ = Action::default().install(signal);
        unix::raise_unblocked(signal);
    }
    // Still alive: see above.
    unix::leave(128 + signal)
}

/// Delivers `signal` to this thread; for tests, which arm first.
#[cfg(all(test, unix))]
pub(crate) fn raise(signal: i32) {
    unix::raise_unblocked(signal);
}

impl Doorbell {
    /// Starts the watching thread: ctrlc's if SIGINT is free for it, else one of ours.
    #[cfg(unix)]
    fn hang<F>(watch: &impl Fn() -> F) -> io::Result<Doorbell>
    where
        F: FnMut() + Send + 'static,
    {
        // Else a listener's handler could be taken for ctrlc's.
        match subscribe::undisturbed(|| Doorbell::borrow(watch))? {
            Some(bell) => Ok(bell),
            None => start_thread("signals", watch()).map(Doorbell::Socket),
        }
    }

    /// Starts ctrlc's thread and learns how to wake it; `None` if SIGINT or ctrlc is not free.
    #[cfg(unix)]
    fn borrow<F>(watch: &impl Fn() -> F) -> io::Result<Option<Doorbell>>
    where
        F: FnMut() + Send + 'static,
    {
        if disposition(SIGINT)? != Disposition::Default {
            return Ok(None);
        }
        match ctrlc::try_set_handler(hear(watch())) {
            // `None` if somebody replaced ctrlc's handler before we could read it.
            Ok(()) => Ok(Action::take_back(SIGINT).map(Doorbell::Ctrlc)),
            // The program used ctrlc itself and took its handler off again by other means.
            Err(ctrlc::Error::MultipleHandlers) => Ok(None),
            Err(error) => {
                // ctrlc installs its handler first and starts its thread afterwards: without the thread, that
                // handler would swallow every SIGINT from now on.
                Action::take_back(SIGINT);
                Err(into_io(error))
            }
        }
    }

    /// Wakes the watching thread. Runs inside of a signal handler.
    #[cfg(unix)]
    fn ring(&self, signal: i32) {
        match self {
            Doorbell::Ctrlc(bell) => bell(signal),
            Doorbell::Socket(socket) => unix::write_one(socket),
        }
    }

    #[cfg(not(unix))]
    fn hang<F>(watch: &impl Fn() -> F) -> io::Result<Doorbell>
    where
        F: FnMut() + Send + 'static,
    {
        ctrlc::try_set_handler(hear(watch())).map_err(into_io)?;
        Ok(Doorbell::Builtin)
    }

    #[cfg(not(unix))]
    fn ring(&self, _signal: i32) {}
}

fn into_io(error: ctrlc::Error) -> io::Error {
    match error {
        ctrlc::Error::System(error) => error,
        error => io::Error::other(error),
    }
}

/// Returns `true` on the thread that the process began with.
///
/// Asked anew each time: the thread of a forked child that forks off another thread is the child's main thread.
pub(crate) fn on_main_thread() -> bool {
    thread_local! {
        /// The answer, and the generation of processes that it holds for: a fork makes any thread the main one.
        static KNOWN: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
    }

    let generation = fork::generation();
    if let Some((_, is_main)) = KNOWN.get().filter(|known| known.0 == generation) {
        return is_main;
    }
    // Before the question, so that no fork goes unnoticed after it.
    let _installed = ForkGuard::new();
    let is_main = ask_whether_on_main_thread();
    KNOWN.set(Some((generation, is_main)));
    is_main
}

fn ask_whether_on_main_thread() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        unix::thread_id() == i64::from(std::process::id())
    }
    #[cfg(target_vendor = "apple")]
    {
        unix::is_main_thread()
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    {
        // The name that std gives it; a thread of the same name fools us, and then merely hears Ctrl-C as well.
        thread::current().name() == Some("main")
    }
}

/// The system calls, each behind a safe function that no argument can make unsound.
#[cfg(unix)]
mod unix {
    use std::io::{self, Read};
    use std::mem;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::ptr;

    use super::{Disposition, ROUTER, contained, die_of};

    /// What the kernel does about a signal. Made only from a sound handler or by reading it from the kernel.
    #[derive(Clone)]
    pub(super) struct Action(libc::sigaction);

    impl Action {
        /// Reads what the kernel does about `signal`.
        pub(super) fn of(signal: i32) -> io::Result<Action> {
            exchange(signal, None)
        }

        /// The system's default.
        pub(super) fn default() -> Action {
            Action::new(libc::SIG_DFL, 0)
        }

        /// Our handler. System calls that it interrupts go on afterwards (as with ctrlc's), and it runs on the
        /// thread's signal stack, if there is one, since a foreign thread's own stack may be tiny.
        pub(super) fn ours() -> Action {
            Action::new(
                on_signal as *const () as libc::sighandler_t,
                libc::SA_RESTART | libc::SA_ONSTACK,
            )
        }

        /// The handler of signals that somebody listens to.
        pub(super) fn subscribed() -> Action {
            Action::new(
                on_subscribed as *const () as libc::sighandler_t,
                libc::SA_RESTART | libc::SA_ONSTACK,
            )
        }

        pub(super) fn is_subscribed(&self) -> bool {
            self.is_handler(on_subscribed as *const () as usize)
        }

        fn new(handler: libc::sighandler_t, flags: libc::c_int) -> Action {
            // SAFETY: `sigaction` is plain C data, for which all zeroes is a value: no flags, empty mask. The system's
            // definition of the struct guarantees it.
            let mut action: libc::sigaction = unsafe { mem::zeroed() };
            action.sa_sigaction = handler;
            action.sa_flags = flags as _;
            Action(action)
        }

        pub(super) fn disposition(&self) -> Disposition {
            match self.0.sa_sigaction {
                libc::SIG_DFL => Disposition::Default,
                libc::SIG_IGN => Disposition::Ignored,
                _ => Disposition::Handled,
            }
        }

        pub(super) fn is_handler(&self, handler: usize) -> bool {
            self.0.sa_sigaction == handler
        }

        /// Makes the kernel do this about `signal`, and returns what it did before.
        pub(super) fn install(&self, signal: i32) -> io::Result<Action> {
            exchange(signal, Some(self))
        }

        /// Takes off the handler that ctrlc has just put on `signal`, and returns it.
        pub(super) fn take_back(signal: i32) -> Option<extern "C" fn(libc::c_int)> {
            let theirs = Action::of(signal).ok()?;
            let plain = theirs.0.sa_flags & libc::SA_SIGINFO as libc::c_int == 0;
            if theirs.disposition() != Disposition::Handled || !plain {
                return None;
            }
            let previous = Action::default().install(signal).ok()?;
            if !previous.is_handler(theirs.0.sa_sigaction) {
                let _ = previous.install(signal);
                return None;
            }
            // SAFETY: the kernel had this address as the handler of a signal, neither default nor ignored, without
            // SA_SIGINFO: by the contract of `sigaction` it is a function that takes the signal's number. The kernel
            // would have called it in the same situation in which we do.
            Some(unsafe {
                mem::transmute::<libc::sighandler_t, extern "C" fn(libc::c_int)>(
                    theirs.0.sa_sigaction,
                )
            })
        }
    }

    /// `sigaction` itself.
    fn exchange(signal: i32, new: Option<&Action>) -> io::Result<Action> {
        let mut old = Action::new(libc::SIG_DFL, 0);
        let new = new.map_or(ptr::null(), |action| ptr::from_ref(&action.0));
        // SAFETY: both pointers are null or point to a whole `sigaction` that lives for the call. The new handler is
        // `on_signal` or `on_subscribed`, which are async-signal-safe (see the file's header, and `subscribe.rs`), or was
        // in the kernel before: the constructors of `Action` allow no other.
        match unsafe { libc::sigaction(signal, new, &mut old.0) } {
            0 => Ok(old),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The handler of every claimed signal.
    ///
    /// Installed only after `ROUTER` is set, and forks inherit memory and handler together: the `None` cannot happen.
    pub(super) extern "C" fn on_signal(signal: libc::c_int) {
        match ROUTER.get() {
            Some(router) => router.deliver(signal),
            None => die_of(signal),
        }
    }

    /// The handler of every signal that somebody listens to.
    extern "C" fn on_subscribed(signal: libc::c_int) {
        super::subscribe::deliver(signal);
    }

    /// Sends `signal` to this thread, blocked or not. It is delivered before this returns.
    pub(super) fn raise_unblocked(signal: i32) {
        // SAFETY: a `sigset_t` is plain C data and `sigemptyset` makes it a valid set before it is used. All four calls
        // are async-signal-safe and keep no pointer. Inside of a handler the signal is blocked, hence the unblocking.
        unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, ptr::null_mut());
            libc::raise(signal);
        }
    }

    /// Ends the process with `code`, at once.
    pub(super) fn leave(code: i32) -> ! {
        // SAFETY: `_exit` has no preconditions, and is async-signal-safe.
        unsafe { libc::_exit(code) }
    }

    /// Writes one byte. A full socket means that its reader has yet to look: nothing is lost then.
    pub(super) fn write_one(socket: &UnixStream) {
        // SAFETY: the pointer is to one byte that lives for the call; the descriptor is open, for `socket` is borrowed.
        // `write` is async-signal-safe.
        unsafe { libc::write(socket.as_raw_fd(), [0_u8].as_ptr().cast(), 1) };
    }

    /// Starts a thread that calls `react` for each ring of the returned bell.
    pub(super) fn start_thread(
        name: &str,
        mut react: impl FnMut() + Send + 'static,
    ) -> io::Result<UnixStream> {
        let (bell, mut ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let main = move || {
            let mut rings = [0; 64];
            loop {
                match ear.read(&mut rings) {
                    // Rings that come together need one look: the word tells it all.
                    Ok(1..) => contained(&mut react),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // The bell lives for ever, so this cannot be; the last press kills without this thread, too.
                    Ok(0) | Err(_) => return,
                }
            }
        };
        crate::threads::start_thread(name.into(), Box::new(main))?;
        Ok(bell)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn thread_id() -> i64 {
        // SAFETY: this system call takes no arguments and cannot fail.
        unsafe { libc::syscall(libc::SYS_gettid) as i64 }
    }

    #[cfg(target_vendor = "apple")]
    pub(super) fn is_main_thread() -> bool {
        // SAFETY: this function takes no arguments and has no preconditions.
        unsafe { libc::pthread_main_np() != 0 }
    }
}

/// Without Unix signals there is one question that ctrlc answers by itself, and nothing to give back.
#[cfg(not(unix))]
pub(crate) fn disposition(_signal: i32) -> io::Result<Disposition> {
    Ok(Disposition::Default)
}

#[cfg(not(unix))]
pub(crate) fn is_free(signal: i32) -> bool {
    signal == SIGINT
}

#[cfg(not(unix))]
impl Router {
    pub(crate) fn claim(&self, signal: i32) -> bool {
        signal == SIGINT
    }

    pub(crate) fn release(&self, _signal: i32) {}
}

#[cfg(not(unix))]
pub(crate) fn die_of(signal: i32) -> ! {
    /// What the system's own Ctrl-C handler on Windows leaves with (STATUS_CONTROL_C_EXIT).
    const CONTROL_C_EXIT: u32 = 0xC000_013A;
    std::process::exit(match signal {
        SIGINT => CONTROL_C_EXIT as i32,
        signal => 128 + signal,
    })
}
