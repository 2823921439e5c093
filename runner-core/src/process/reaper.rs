//! The reaper: a thread that waits for every child that was started here, and takes its status as soon as there is one.
//!
//! The wish: no zombie ever, no status lost, and nobody else's child or process touched.
//!
//! Rejected ways:
//! - *A loop watches its children.* It may be busy for long, or be closed while a child lives on.
//! - *One `waitpid` for any child.* It takes the status of children that other parts of the program wait for.
//! - *A SIGCHLD handler.* It takes the signal from the program, and tells no more than "one of them".
//!
//! The choice: the thread polls one pidfd for each child, and a bell that says that there is a new one. Where the system has
//! no pidfds, or none left, SIGCHLD rings the same bell after all, and the thread looks at each child that has none.
//!
//! A child's number is its own until its status is taken. That happens under the lock under which signals are sent, so a
//! signal never reaches a stranger.

use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Cx, Poll, Waker};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use crate::event_loop::LoopHandle;
use crate::fork::ForkGuard;
use crate::signals::{Subscription, subscribe};
use crate::threads::start_thread;

/// How often children are looked at for which there is neither a pidfd nor a signal.
const LAST_RESORT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// A child that somebody here waits for: what its handle and the reaper share.
pub(super) struct Ward {
    id: u32,
    program: String,
    kill_on_drop: bool,
    /// The loop that it was started in.
    event_loop: Option<LoopHandle>,
    /// Readable once the child has ended.
    pidfd: Option<OwnedFd>,
    state: Mutex<WardState>,
}

struct WardState {
    child: std::process::Child,
    /// The status, or the number of the error.
    outcome: Option<Result<ExitStatus, i32>>,
    waiting: Vec<Waker>,
}

/// A child that was killed and has not ended in time.
#[derive(Debug, Clone)]
pub(crate) struct LeftChild {
    pub(crate) id: u32,
    pub(crate) program: String,
}

/// Everybody who is waited for in this process.
struct Reaper {
    wards: Vec<Arc<Ward>>,
    /// Whoever waits for the end of those that were killed.
    waiting: Vec<Waker>,
    thread: Option<ReaperThread>,
    /// Rings the bell at SIGCHLD, from the first child on that has no pidfd.
    signals: Option<Subscription>,
}

struct ReaperThread {
    bell: Arc<File>,
    /// A forked child has no such thread, and none of these children.
    guard: ForkGuard,
}

static REAPER: Mutex<Reaper> = Mutex::new(Reaper {
    wards: Vec::new(),
    waiting: Vec::new(),
    thread: None,
    signals: None,
});

/// Whether there ever was a child: saves those who have none the lock.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// Nothing panics under the locks of this file, so what is inside is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sees to it that the thread runs.
pub(super) fn start() -> io::Result<()> {
    // Relaxed: who starts a child on another thread is not waited for without having told this one by other means.
    IN_USE.store(true, Ordering::Relaxed);
    let mut reaper = lock(&REAPER);
    if reaper
        .thread
        .as_ref()
        .is_some_and(|it| !it.guard.is_forked())
    {
        return Ok(());
    }
    let (heard, bell) = crate::io::new_pipe()?;
    let main = move || reap_all(&File::from(heard));
    start_thread("asyncio_reaper".into(), Box::new(main))?;
    reaper.thread = Some(ReaperThread {
        bell: Arc::new(File::from(bell)),
        guard: ForkGuard::new(),
    });
    reaper.wards.clear();
    reaper.signals = None;
    Ok(())
}

/// Takes the care of `child` over.
pub(super) fn watch(
    child: std::process::Child,
    program: String,
    kill_on_drop: bool,
    event_loop: Option<LoopHandle>,
) -> Arc<Ward> {
    let id = child.id();
    let ward = Arc::new(Ward {
        id,
        program,
        kill_on_drop,
        event_loop,
        pidfd: open_pidfd(id),
        state: Mutex::new(WardState {
            child,
            outcome: None,
            waiting: Vec::new(),
        }),
    });
    let mut reaper = lock(&REAPER);
    reaper.wards.push(ward.clone());
    if ward.pidfd.is_none() {
        reaper.listen_to_signals();
    }
    reaper.ring();
    ward
}

#[cfg(target_os = "linux")]
fn open_pidfd(id: u32) -> Option<OwnedFd> {
    #[cfg(test)]
    if super::tests::WITHOUT_PIDFD.get() {
        return None;
    }
    rustix::process::pidfd_open(pid(id)?, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn open_pidfd(_id: u32) -> Option<OwnedFd> {
    None
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

impl Reaper {
    fn ring(&self) {
        if let Some(thread) = &self.thread {
            // A bell that is full has rung.
            let _ = (&*thread.bell).write(&[0]);
        }
    }

    /// Without the signal, if it cannot be had, the thread looks now and then.
    fn listen_to_signals(&mut self) {
        let (None, Some(thread)) = (&self.signals, &self.thread) else {
            return;
        };
        let bell = thread.bell.clone();
        let ring = move || drop((&*bell).write(&[0]));
        self.signals = subscribe(libc::SIGCHLD, Arc::new(ring)).ok();
    }

    /// How long the thread may wait for its descriptors.
    fn patience(&self) -> Option<&'static Timespec> {
        let blind = self.signals.is_none() && self.wards.iter().any(|it| it.pidfd.is_none());
        blind.then_some(&LAST_RESORT)
    }
}

/// The thread's life, which is that of the process.
fn reap_all(bell: &File) {
    loop {
        let (wards, patience) = {
            let reaper = lock(&REAPER);
            (reaper.wards.clone(), reaper.patience())
        };
        // Those without a pidfd: a signal that came while nobody listened is made up for by looking here.
        let mut ended = wards.clone();
        ended.retain(|ward| ward.pidfd.is_none() && ward.reap());
        if ended.is_empty() {
            let ready = wait_for_any(bell, &wards, patience);
            ended = wards;
            let mut ready = ready.into_iter();
            ended.retain(|ward| ready.next() == Some(true) && ward.reap());
        }
        forget(&ended);
    }
}

/// Says of each ward whether it may have ended, once the bell rings or one of them does.
fn wait_for_any(mut bell: &File, wards: &[Arc<Ward>], patience: Option<&Timespec>) -> Vec<bool> {
    let pidfds = wards.iter().filter_map(|ward| ward.pidfd.as_ref());
    let mut fds: Vec<PollFd<'_>> = std::iter::once(bell.as_fd())
        .chain(pidfds.map(|pidfd| pidfd.as_fd()))
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    // It fails only when the system is short of memory: as if the bell had rung, which means to look again.
    let _ = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, patience));
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    if ready.next() == Some(true) {
        let _ = bell.read(&mut [0; 64]);
    }
    let of_ward = |ward: &Arc<Ward>| match &ward.pidfd {
        Some(_) => ready.next().unwrap_or_default(),
        None => true,
    };
    wards.iter().map(of_ward).collect()
}

/// Strikes those who have ended off the list.
fn forget(ended: &[Arc<Ward>]) {
    if ended.is_empty() {
        return;
    }
    let mut reaper = lock(&REAPER);
    reaper
        .wards
        .retain(|ward| !ended.iter().any(|it| Arc::ptr_eq(it, ward)));
    if reaper.wards.iter().all(|ward| ward.pidfd.is_some()) {
        // The signal is the program's again.
        drop(reaper.signals.take());
    }
    let waiting = std::mem::take(&mut reaper.waiting);
    drop(reaper);
    waiting.into_iter().for_each(Waker::wake);
}

impl Ward {
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Takes the status if there is one; says whether there is nothing left to wait for.
    fn reap(&self) -> bool {
        let mut state = lock(&self.state);
        if state.outcome.is_none() {
            state.outcome = match state.child.try_wait() {
                Ok(status) => status.map(Ok),
                Err(error) => Some(Err(error.raw_os_error().unwrap_or_default())),
            };
        }
        if state.outcome.is_none() {
            return false;
        }
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        true
    }

    pub(super) fn outcome(&self) -> Option<io::Result<ExitStatus>> {
        let outcome = lock(&self.state).outcome?;
        Some(outcome.map_err(|error| self.lost(error)))
    }

    fn lost(&self, error: i32) -> io::Error {
        let cause = io::Error::from_raw_os_error(error);
        let text = format!(
            "the status of {self} is lost ({cause}): SIGCHLD is ignored, or another part of the program waits for any child"
        );
        io::Error::new(cause.kind(), text)
    }

    pub(super) fn poll_outcome(&self, cx: &mut Cx<'_>) -> Poll<io::Result<ExitStatus>> {
        let mut state = lock(&self.state);
        match state.outcome {
            Some(outcome) => Poll::Ready(outcome.map_err(|error| self.lost(error))),
            None => {
                keep(&mut state.waiting, cx);
                Poll::Pending
            }
        }
    }

    pub(super) fn send_signal(&self, number: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(number).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("there is no signal {number}"),
            )
        })?;
        // Nobody takes the status, and with it gives the number away, while this is held.
        let state = lock(&self.state);
        if state.outcome.is_some() {
            return Ok(());
        }
        match self.signal(signal) {
            // It has ended, and the reaper is about to see it.
            Err(rustix::io::Errno::SRCH) => Ok(()),
            result => Ok(result?),
        }
    }

    fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(pidfd) = &self.pidfd {
            // Also where SIGCHLD is ignored, and the system gives numbers away without asking.
            return rustix::process::pidfd_send_signal(pidfd, signal);
        }
        pid(self.id).map_or(Ok(()), |pid| rustix::process::kill_process(pid, signal))
    }

    /// The handle is dropped.
    pub(super) fn let_go(&self) {
        #[cfg(test)]
        if super::tests::UNKILLABLE.get() {
            return;
        }
        if self.kill_on_drop {
            // Whoever may not kill it cannot be helped here.
            let _ = self.send_signal(libc::SIGKILL);
        }
    }

    fn is_to_end_with(&self, event_loop: &LoopHandle) -> bool {
        self.kill_on_drop && self.event_loop.is_some_and(|it| it.is_same(event_loop))
    }
}

impl fmt::Display for Ward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "child process {} ({})", self.id, self.program)
    }
}

impl fmt::Debug for Ward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn keep(waiting: &mut Vec<Waker>, cx: &mut Cx<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        waiting.push(cx.waker().clone());
    }
}

// ----- the end of a loop -----

/// Says whether there ever was a child.
pub(crate) fn is_in_use() -> bool {
    IN_USE.load(Ordering::Relaxed)
}

/// Says whether a child of this loop is left that is to be killed at its end.
pub(crate) fn has_killed(event_loop: &LoopHandle) -> bool {
    !left(event_loop).is_empty()
}

/// Kills the children of this loop that are to be killed at its end, and waits for them.
pub(crate) async fn end_killed(event_loop: LoopHandle) {
    for ward in left(&event_loop) {
        ward.let_go();
    }
    poll_fn(|cx| {
        let mut reaper = lock(&REAPER);
        let is_left = |ward: &Arc<Ward>| ward.is_to_end_with(&event_loop);
        if !reaper.wards.iter().any(is_left) {
            return Poll::Ready(());
        }
        keep(&mut reaper.waiting, cx);
        Poll::Pending
    })
    .await;
}

/// Those of them that have not ended yet.
fn left(event_loop: &LoopHandle) -> Vec<Arc<Ward>> {
    let mut wards = lock(&REAPER).wards.clone();
    wards.retain(|ward| ward.is_to_end_with(event_loop));
    wards
}

impl LeftChild {
    /// Names the children of this loop that were killed and are still there.
    pub(crate) fn all(event_loop: &LoopHandle) -> Vec<LeftChild> {
        let describe = |ward: Arc<Ward>| LeftChild {
            id: ward.id,
            program: ward.program.clone(),
        };
        left(event_loop).into_iter().map(describe).collect()
    }
}
