//! The siblings of a runner's loop, as the runner's own thread sees them: started together, told what to do, joined.
//!
//! The two sides share a desk per sibling: orders lie on it, and what was done with them. Its lock is taken at the beginning
//! and at the end of a runner's life; a run touches one flag of it per turn of a sibling, and nothing at all on the first loop.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::exit::ExitRequest;
use super::report::{AbandonedWorker, ShutdownReport};
use super::sibling;
use super::workers::{Crewmates, Worker};
use crate::event_loop::{EventLoop, LoopHandle};
use crate::threads::{Taker, handover, start_thread};

/// What makes a sibling's loop, in its thread.
pub(super) type WorkerFactory = Arc<dyn Fn() -> io::Result<EventLoop> + Send + Sync>;

/// How long the last answers are waited for when the shutdown's time is over: a loop that turns needs no more than a moment.
const GRACE: Duration = Duration::from_secs(1);

/// What the siblings need to know of the runner's options.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) factory: Option<WorkerFactory>,
    pub(super) debug: bool,
    pub(super) shutdown_timeout: Option<Duration>,
    pub(super) stop_on_panic: bool,
    pub(super) blocked_loop_after: Option<Duration>,
    pub(super) dump_on_signal: bool,
}

/// One step of the shutdown, carried out by a sibling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Cancel every task and wait for it; from now on those that come, too.
    EndTasks,
    /// Let tasks that come live: exit hooks may need them.
    Rest,
    /// Name the tasks that are left after their time.
    NoteSurvivors,
    CloseAsyncgens,
    StopExecutor,
    EndCompanions,
    EndChildren,
    /// Close the loop and report. The last one.
    Close,
}

/// Where a sibling and the first loop meet.
pub(super) struct Desk {
    /// Of the runner's own loop.
    pub(super) first: LoopHandle,
    pub(super) index: usize,
    pub(super) mates: Arc<OnceLock<Crewmates>>,
    papers: Mutex<Papers>,
    /// Something happened to the papers.
    changed: Condvar,
    /// There are orders; for a look without the lock.
    has_order: AtomicBool,
    /// No more than a second is left.
    hurried: AtomicBool,
}

#[derive(Default)]
struct Papers {
    orders: VecDeque<Order>,
    /// How many orders were given, and carried out.
    given: usize,
    done: usize,
    /// There were tasks to end since somebody asked.
    was_busy: bool,
    /// The last thing that comes from a sibling.
    report: Option<ShutdownReport>,
    is_over: bool,
}

impl Desk {
    fn new(first: LoopHandle, index: usize, mates: Arc<OnceLock<Crewmates>>) -> Desk {
        Desk {
            first,
            index,
            mates,
            papers: Mutex::default(),
            changed: Condvar::new(),
            has_order: AtomicBool::new(false),
            hurried: AtomicBool::new(false),
        }
    }

    /// No user code runs under the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ----- the sibling's side -----

    /// Acquire: pairs with the Release of `put`. The lock, taken next, would do; this keeps it from depending on that.
    pub(super) fn has_order(&self) -> bool {
        self.has_order.load(Ordering::Acquire)
    }

    pub(super) fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::Acquire)
    }

    pub(super) fn take_order(&self) -> Option<Order> {
        let mut papers = self.lock();
        let order = papers.orders.pop_front();
        self.has_order
            .store(!papers.orders.is_empty(), Ordering::Release);
        order
    }

    /// Blocks until there is an order: for a loop that cannot wait any more.
    pub(super) fn wait_for_order(&self) {
        let papers = self.lock();
        let has_none = |papers: &mut Papers| papers.orders.is_empty();
        drop(self.changed.wait_while(papers, has_none));
    }

    /// An order was carried out; there were tasks to end meanwhile, or not.
    pub(super) fn note_done(&self, was_busy: bool) {
        let mut papers = self.lock();
        papers.done += 1;
        papers.was_busy |= was_busy;
        drop(papers);
        self.tell_first();
    }

    /// The sibling's loop is closed. Only the first report counts.
    pub(super) fn note_end(&self, report: ShutdownReport) {
        let mut papers = self.lock();
        if !papers.is_over {
            papers.is_over = true;
            papers.report = Some(report);
        }
        drop(papers);
        self.changed.notify_all();
        self.tell_first();
    }

    fn tell_first(&self) {
        // It looks at the desks when it wakes up. If it is closed, nobody waits.
        let _ = self.first.call_soon_threadsafe(|| {});
    }

    // ----- the first loop's side -----

    fn put(&self, order: Order) {
        let mut papers = self.lock();
        papers.orders.push_back(order);
        papers.given += 1;
        self.has_order.store(true, Ordering::Release);
        drop(papers);
        self.changed.notify_all();
    }

    fn is_done(&self) -> bool {
        let papers = self.lock();
        papers.is_over || papers.done == papers.given
    }

    /// Waits until `end` for the last report.
    fn wait_for_end(&self, end: Instant) -> bool {
        let papers = self.lock();
        let left = end.saturating_duration_since(Instant::now());
        let is_alive = |papers: &mut Papers| !papers.is_over;
        let waited = self.changed.wait_timeout_while(papers, left, is_alive);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_over
    }
}

/// All siblings of one loop. Dropped, it tells them to end, and does not wait.
pub(super) struct Crew {
    siblings: Vec<Sibling>,
    workers: Arc<[Worker]>,
    mates: Arc<OnceLock<Crewmates>>,
}

struct Sibling {
    worker: Worker,
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
}

impl Sibling {
    fn order(&self, order: Order) {
        self.desk.put(order);
        // Wakes it up. A loop that is closed needs no more orders.
        let _ = self.worker.handle().call_soon_threadsafe(|| {});
    }
}

impl Crew {
    /// Starts `count` siblings of `first`, each in a thread of its own, and waits until their loops are there.
    ///
    /// # Errors
    ///
    /// Why one of them is not there. None is left then.
    pub(super) fn start(first: &EventLoop, count: usize, settings: &Settings) -> io::Result<Crew> {
        let mates: Arc<OnceLock<Crewmates>> = Arc::default();
        let starting: Vec<io::Result<Starting>> = (1..=count)
            .map(|index| Starting::begin(first.handle(), index, &mates, settings))
            .collect();
        // All are looked at, so that none is left alone that has come to life.
        let started: Vec<io::Result<Sibling>> = starting
            .into_iter()
            .map(|starting| starting.and_then(Starting::end))
            .collect();
        let mut siblings = Vec::new();
        let mut failure = None;
        for sibling in started {
            match sibling {
                Ok(sibling) => siblings.push(sibling),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        let all = std::iter::once(Worker::new(0, first.handle()))
            .chain(siblings.iter().map(|sibling| sibling.worker));
        let crew = Crew {
            workers: all.collect(),
            siblings,
            mates,
        };
        match failure {
            None => Ok(crew),
            Some(error) => {
                crew.order(Order::Close);
                crew.end();
                Err(error)
            }
        }
    }

    /// Tells all siblings of each other. Before that, none of them runs any code of the program's.
    pub(super) fn introduce(&self, exit: Arc<ExitRequest>) -> Arc<[Worker]> {
        let workers = self.workers.clone();
        let _ = self.mates.set(Crewmates { workers, exit });
        self.workers.clone()
    }

    /// The siblings' loops.
    pub(super) fn handles(&self) -> impl Iterator<Item = LoopHandle> {
        self.siblings.iter().map(|sibling| sibling.worker.handle())
    }

    pub(super) fn order(&self, order: Order) {
        self.siblings
            .iter()
            .for_each(|sibling| sibling.order(order));
    }

    /// From now on no sibling waits for longer than a second.
    pub(super) fn hurry(&self) {
        for sibling in &self.siblings {
            sibling.desk.hurried.store(true, Ordering::Release);
            let _ = sibling.worker.handle().call_soon_threadsafe(|| {});
        }
    }

    /// Every order was carried out. The last one is when the loop is closed.
    pub(super) fn is_done(&self) -> bool {
        self.siblings.iter().all(|sibling| sibling.desk.is_done())
    }

    /// A sibling had tasks to end since this was asked last.
    pub(super) fn was_busy(&self) -> bool {
        let take = |sibling: &Sibling| std::mem::take(&mut sibling.desk.lock().was_busy);
        // All of them, whatever the first one says.
        self.siblings
            .iter()
            .map(take)
            .fold(false, |one, other| one | other)
    }

    /// Those that have not done what they were told.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = Worker> {
        let late = |sibling: &&Sibling| !sibling.desk.is_done();
        self.siblings
            .iter()
            .filter(late)
            .map(|sibling| sibling.worker)
    }

    /// Joins the siblings that have ended, or do so in a moment, and leaves the others. Gives what they have to report.
    pub(super) fn end(mut self) -> ShutdownReport {
        let end = Instant::now() + GRACE;
        let mut report = ShutdownReport::default();
        for sibling in std::mem::take(&mut self.siblings) {
            if !sibling.desk.wait_for_end(end) {
                let abandoned = AbandonedWorker::new(sibling.worker);
                report.abandoned().workers.push(abandoned);
                continue;
            }
            if let Some(own) = sibling.desk.lock().report.take() {
                report.absorb(own);
            }
            // It has said its last word.
            let _ = sibling.thread.join();
        }
        report
    }

    /// In a process that was forked: there are no threads to tell.
    pub(super) fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.order(Order::Close);
    }
}

/// A sibling whose loop may not be there yet.
struct Starting {
    index: usize,
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
    ready: Taker<io::Result<LoopHandle>>,
}

impl Starting {
    fn begin(
        first: LoopHandle,
        index: usize,
        mates: &Arc<OnceLock<Crewmates>>,
        settings: &Settings,
    ) -> io::Result<Starting> {
        let desk = Arc::new(Desk::new(first, index, mates.clone()));
        let (tell, ready) = handover();
        let (own_desk, settings) = (desk.clone(), settings.clone());
        let main = Box::new(move || sibling::live(own_desk, &settings, tell));
        let thread =
            start_thread(thread_name(index), main).map_err(|error| with_worker(index, &error))?;
        Ok(Starting {
            index,
            desk,
            thread,
            ready,
        })
    }

    fn end(self) -> io::Result<Sibling> {
        let answer = self
            .ready
            .take()
            .unwrap_or_else(|| Err(io::Error::other("what makes it panicked")));
        match answer {
            Ok(handle) => Ok(Sibling {
                worker: Worker::new(self.index, handle),
                desk: self.desk,
                thread: self.thread,
            }),
            Err(error) => {
                let _ = self.thread.join();
                Err(with_worker(self.index, &error))
            }
        }
    }
}

/// At most 15 letters, which is what Linux keeps.
pub(super) fn thread_name(index: usize) -> String {
    format!("asyncio-loop-{index}")
}

fn with_worker(index: usize, error: &io::Error) -> io::Error {
    let text = format!("the event loop of worker {index} could not be made: {error}");
    io::Error::new(error.kind(), text)
}
