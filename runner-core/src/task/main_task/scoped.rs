//! The frame in which a main task's future lies while it is run.

use std::cell::UnsafeCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Cx, Poll};

use super::{Block, Main};
use crate::context::Lent;
use crate::error::JoinError;
use crate::task::cell::{RunsIn, TaskCell, TaskOptions};
use crate::task::output::{Failure, Kept, received};
use crate::task::raw::{Runnable, TaskFuture, admit};
use crate::task::scheduler::Scheduler;

/// Runs `drive` beside a task whose future may borrow from the caller: the main task of one `run_until_complete`.
///
/// When this returns, or unwinds, the task is over and its future is gone. Returns the task's output, or `None` if
/// `drive` came back before there was one.
pub(crate) fn scoped<F: Future, E>(
    scheduler: &Rc<Scheduler>,
    options: TaskOptions,
    future: F,
    drive: impl FnOnce(&TaskCell) -> Result<(), E>,
) -> Result<Option<Result<F::Output, JoinError>>, E> {
    let lent = match &options.context {
        RunsIn::Lent(lent) => Some(lent.clone()),
        RunsIn::Copy | RunsIn::Shared(_) => None,
    };
    if let Some(lent) = &lent {
        scheduler.set_lent_context(lent.identity());
    }
    let block = scheduler
        .spare_block
        .block(TaskCell::new(scheduler.number, options.location));
    let cell = &block.cell;
    cell.begin_with(options);
    let place = UnsafeCell::new(Placed {
        future: TaskFuture::new(cell, future),
        output: None,
    });
    let main = Main {
        data: place.get().cast(),
        poll: poll_placed::<F>,
    };
    let scope = Scope {
        scheduler,
        block: &block,
        lent,
    };
    // SAFETY: `place` and `block` live in this frame, and nobody touches them before `scope`, which was made after them, has
    // finished the task when the frame is left, also by unwinding. Whatever the future borrows outlives this call.
    admit(
        scheduler,
        Runnable::Main(unsafe { block.begin(main) }),
        false,
    );
    // Who is ended by the scope has an output as well, which nobody asks for.
    let is_done = drive(cell).map(|()| cell.is_done());
    drop(scope);
    let output = place.into_inner().output;
    let output = is_done.map(|is_done| Some(received(output.filter(|_| is_done)?, cell)));
    scheduler.spare_block.keep(block);
    output
}

/// What the main task's future is to its block: it lies in the frame of [`scoped`], with room for the output.
struct Placed<F: Future> {
    future: TaskFuture<F>,
    output: Option<Result<Kept<F::Output>, Failure>>,
}

/// Polls the future; `true` if that was its end, and its output is there.
///
/// # Safety
///
/// `placed` points to a [`Placed`] of this type, which is not moved any more, and nobody else uses it meanwhile.
unsafe fn poll_placed<F: Future>(placed: *mut (), cx: &mut Cx<'_>) -> bool {
    // SAFETY: the caller's promise.
    let placed = unsafe { &mut *placed.cast::<Placed<F>>() };
    // SAFETY: the same; the future is dropped in its place by `TaskFuture::finish`.
    let Poll::Ready(output) = unsafe { Pin::new_unchecked(&mut placed.future) }.poll(cx) else {
        return false;
    };
    placed.output = Some(output);
    true
}

/// The task of one call of [`scoped`]: over when this is dropped.
struct Scope<'a> {
    scheduler: &'a Rc<Scheduler>,
    block: &'a Block,
    /// Given back when the task is over.
    lent: Option<Rc<Lent>>,
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        let cell = &self.block.cell;
        if !cell.is_done() {
            self.scheduler.finish_now(&cell.to_ref());
        }
        if let Some(lent) = self.lent.take() {
            lent.snapshot.set(cell.context.take());
        }
    }
}
