//! What the loop's thread does about the presses of Ctrl-C in one run.
//!
//! The signal's thread (`interrupt.rs`) counts, decides about death, and asks for attention. Here, in the loop's turn, the
//! first press cancels the main task and the second one abandons it. The conversion at the end is asyncio's: an interrupt
//! only if the main task ended by the cancellation that the press requested, and by no other.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Cx, Poll};

use pin_project_lite::pin_project;

use super::exit::Exit;
use super::interrupt::{self, Armed, Interruptible, NotArmed, Presses};
use crate::driver::Notify;
use crate::error::{CancelReason, RunError};
use crate::event_loop::EventLoop;
use crate::exception::{ExceptionContext, log_failure};
use crate::inbox::Inbox;
use crate::signals::{SIGHUP, SIGTERM};
use crate::task::cell::TaskCell;
use crate::task::scheduler::Mail;
use crate::task::{TaskRef, is_request_passing};

/// One run's dealings with signals. Disarmed when dropped.
pub(super) struct Ladder<'a> {
    event_loop: &'a EventLoop,
    /// The signals that are presses.
    wanted: &'a [i32],
    /// None if no signal is wanted.
    run: Option<Rc<Run>>,
}

/// Shared with the callback that the loop calls.
struct Run {
    /// Set if this run handles signals.
    armed: RefCell<Option<(Armed, TaskRef)>>,
    /// Presses that were reacted to, for the close that may follow. The runner's, so that it is known after a panic, too.
    presses: Rc<Cell<Presses>>,
    /// The main task was asked to stop.
    cancelled: Cell<bool>,
    /// The main task is not waited for any more.
    abandoned: Cell<bool>,
}

/// Wakes the loop from the signal's thread.
struct Attention {
    inbox: &'static Inbox<Mail>,
    notifier: Arc<dyn Notify>,
}

impl Interruptible for Attention {
    fn interrupt(&self) {
        self.inbox.interrupt();
        self.notifier.notify();
    }
}

/// What a press wakes, if the loop is not closed.
pub(super) fn attention(event_loop: &EventLoop) -> Option<Arc<dyn Interruptible>> {
    let core = event_loop.core();
    let notifier = core.notifier()?;
    Some(Arc::new(Attention {
        inbox: core.scheduler.inbox,
        notifier,
    }))
}

/// What a run or a close gives that was ended by that signal.
pub(super) fn interruption(signal: Option<i32>) -> RunError {
    match signal {
        Some(SIGTERM) => RunError::Terminated,
        Some(SIGHUP) => RunError::HungUp,
        _ => RunError::KeyboardInterrupt,
    }
}

impl<'a> Ladder<'a> {
    /// The presses of this run are written to `presses`.
    pub(super) fn new(
        event_loop: &'a EventLoop,
        presses: &Rc<Cell<Presses>>,
        wanted: &'a [i32],
    ) -> Ladder<'a> {
        presses.set(Presses::default());
        let run = || {
            Rc::new(Run {
                armed: RefCell::default(),
                presses: presses.clone(),
                cancelled: Cell::new(false),
                abandoned: Cell::new(false),
            })
        };
        Ladder {
            event_loop,
            wanted,
            run: (!wanted.is_empty()).then(run),
        }
    }

    /// From now on a press by one of the wanted signals cancels `main`, if they are this runner's to handle.
    pub(super) fn arm(&self, main: &TaskCell) {
        let Some(run) = &self.run else { return };
        let Some(attention) = attention(self.event_loop) else {
            return;
        };
        // The loop must listen before the first signal can come.
        let reacting = run.clone();
        let react = move || reacting.react();
        self.event_loop
            .core()
            .set_on_interrupt(Some(Rc::new(react)));
        match interrupt::try_arm(attention, self.wanted) {
            Ok(armed) => *run.armed.borrow_mut() = Some((armed, main.to_ref())),
            Err(NotArmed::NoThread(error)) => report_deafness(error),
            // Not ours to handle: another thread, another runner, or the program itself does.
            Err(NotArmed::OtherThread | NotArmed::Taken | NotArmed::NotFree) => {}
        }
    }

    /// Wraps the main future so that its first step comes after a look at the presses.
    pub(super) fn guard<F: Future>(&self, future: F) -> Guarded<F> {
        Guarded {
            future,
            run: self.run.clone(),
        }
    }

    /// Set when the main task is not waited for any more; `None` if it always is.
    pub(super) fn abandoned(&self) -> Option<&Cell<bool>> {
        self.run.as_ref().map(|run| &run.abandoned)
    }

    /// Gives the signals back, or leaves them to an `heir`, the close that follows at once. Tells whether it was a press
    /// that ended the run, given what the loop returned and whether the program asked to exit, which had the main task
    /// `asked` to stop as well.
    pub(super) fn outcome<T>(
        self,
        output: &Result<T, RunError>,
        exit: Option<Exit>,
        asked: bool,
        heir: Option<&Cell<Option<Armed>>>,
    ) -> Option<RunError> {
        let run = self.run.as_ref()?;
        let (armed, main) = run.armed.take()?;
        let looked_at = run.presses.get().count;
        let presses = match heir {
            None => armed.disarm(),
            Some(heir) => {
                let presses = armed.go_on_with_close();
                heir.set(Some(armed));
                presses
            }
        };
        run.presses.set(presses);
        if asked {
            // Our own request is no one else's.
            main.uncancel();
        }
        let interrupted = match output {
            // The program's decision came after the last press.
            _ if exit.is_some_and(|exit| exit.presses >= presses.count) => false,
            // After the loop's last look: it came too late to cancel anything, but it must not be lost either.
            _ if presses.count > looked_at => true,
            Err(RunError::Stopped) => run.abandoned.get(),
            Err(RunError::Cancelled(_)) => run.cancelled.get() && main.uncancel() == 0,
            _ => false,
        };
        interrupted.then(|| interruption(presses.signal))
    }
}

impl Drop for Ladder<'_> {
    fn drop(&mut self) {
        if self.run.is_some() {
            self.event_loop.core().set_on_interrupt(None);
        }
    }
}

impl Run {
    /// On the loop's thread, in its turn: does what the presses so far ask for.
    fn react(&self) {
        let armed = self.armed.borrow();
        let Some((armed, main)) = &*armed else { return };
        let presses = armed.presses();
        match presses {
            0 => {}
            1 => {
                if !self.cancelled.replace(true) {
                    say_what_comes_next();
                    main.cancel_for(reason(armed), None);
                }
            }
            // Given up: also if this is the first look, and the cleanup has not begun.
            _ => self.abandoned.set(true),
        }
        // Last: a loop that hangs while it writes to a terminal that was stopped has not reacted.
        armed.acknowledge(presses);
        self.presses.set(Presses {
            count: presses,
            acknowledged: presses,
            signal: armed.signal(),
        });
    }
}

pin_project! {
    /// The main future, kept from its first step by a press that came before it.
    pub(super) struct Guarded<F> {
        #[pin]
        future: F,
        run: Option<Rc<Run>>,
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(run) = this.run.take() {
            run.react();
            if run.abandoned.get() || is_request_passing() {
                return Poll::Pending;
            }
        }
        this.future.poll(cx)
    }
}

fn report_deafness(error: std::io::Error) {
    let context = ExceptionContext::new(
        "Ctrl-C will end the program without cleanup: the signal thread did not start",
    );
    log_failure(&context.with_error(error));
}

fn reason(armed: &Armed) -> CancelReason {
    match armed.signal() {
        Some(SIGTERM | SIGHUP) => CancelReason::Terminate,
        _ => CancelReason::Interrupt,
    }
}

/// One line for the person at the terminal; programs that read stderr get none.
fn say_what_comes_next() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = stderr
            .write_all(b"\nStopping. Press Ctrl-C again to stop without waiting for cleanup.\n");
    }
}
