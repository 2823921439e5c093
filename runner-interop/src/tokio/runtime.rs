//! The thread that a loop's tokio lives on: started at first use, ended with the loop.
//!
//! tokio's runtime never leaves that thread, so it is dropped there, where nothing asynchronous runs: anywhere else that panics.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use ::tokio::runtime::{Builder, Handle, Runtime};
use ::tokio::sync::oneshot::{Receiver, Sender, channel};
use runner_core::{Companion, EventLoop};

/// A loop's tokio, as seen from the loop's thread.
pub(super) struct Tokio {
    handle: Handle,
    /// Sent to, or dropped, it ends the thread.
    stop: Cell<Option<Sender<()>>>,
    /// Gets an answer, or the sender's end, when nothing of tokio runs any more.
    ended: Cell<Option<Receiver<()>>>,
    /// The threads for blocking jobs; while tokio ends, those that still run one.
    job_threads: Arc<AtomicUsize>,
    /// All that runs on the loop is inside of the context.
    is_everywhere: Cell<bool>,
}

impl Tokio {
    /// Returns the loop's tokio, started now if need be.
    pub(super) fn of(event_loop: &EventLoop) -> io::Result<Rc<Tokio>> {
        event_loop.companion_or_start(Tokio::start)
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(super) fn enter_everywhere(&self) {
        self.is_everywhere.set(true);
    }

    fn start() -> io::Result<Tokio> {
        let job_threads = Arc::new(AtomicUsize::new(0));
        let (begun, done) = (job_threads.clone(), job_threads.clone());
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("asyncio-tokio-job")
            .on_thread_start(move || {
                begun.fetch_add(1, Ordering::Relaxed);
            })
            .on_thread_stop(move || {
                done.fetch_sub(1, Ordering::Relaxed);
            })
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = channel();
        let (ending, ended) = channel();
        thread::Builder::new()
            .name("asyncio-tokio".to_owned())
            .spawn(move || drive(runtime, stopped, ending))?;
        Ok(Tokio {
            handle,
            stop: Cell::new(Some(stop)),
            ended: Cell::new(Some(ended)),
            job_threads,
            is_everywhere: Cell::new(false),
        })
    }
}

/// What the thread does: turns tokio until it is told to stop, drops its tasks, and waits for its blocking jobs.
fn drive(runtime: Runtime, stopped: Receiver<()>, ended: Sender<()>) {
    // An error tells that the loop is gone without a word.
    let _ = runtime.block_on(stopped);
    drop(runtime);
    let _ = ended.send(());
}

/// Enters tokio's context until what is returned is dropped.
///
/// tokio's guard borrows the handle, so both live on in a future that is polled once and never goes on.
fn entered(handle: &Handle) -> Box<dyn Any> {
    let handle = handle.clone();
    let mut inside = Box::pin(async move {
        let _entered = handle.enter();
        pending::<()>().await;
    });
    let polled = inside
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    debug_assert_eq!(polled, Poll::Pending);
    Box::new(inside)
}

impl Companion for Tokio {
    fn name(&self) -> &str {
        "tokio"
    }

    fn end(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        drop(self.stop.take());
        let ended = self.ended.take();
        Box::pin(async {
            if let Some(ended) = ended {
                let _ = ended.await;
            }
        })
    }

    fn leftovers(&self) -> String {
        let tasks = self.handle.metrics().num_alive_tasks();
        let jobs = self.job_threads.load(Ordering::Relaxed);
        format!("tasks: {tasks}, blocking jobs: {jobs}")
    }

    fn enter(&self) -> Option<Box<dyn Any>> {
        self.is_everywhere.get().then(|| entered(&self.handle))
    }
}
