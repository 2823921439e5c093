//! Other threads: what they send to a loop arrives in order and exactly once, and after the loop's end it does no harm.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use asyncio::{CancelReason, EventLoop, LoopHandle, running_loop};

use support::trace::{Trace, Untouched, reports_of};

/// Ample: reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(20);

fn event_loop() -> EventLoop {
    EventLoop::new().unwrap()
}

/// Waits for a thread without blocking the loop.
async fn join<T: Send + 'static>(thread: thread::JoinHandle<T>) -> T {
    asyncio::to_thread(move || thread.join().unwrap())
        .await
        .unwrap()
}

/// Lets what was sent so far run. The first turn takes it out of the inbox, and puts it behind this task.
async fn take_a_turn() {
    asyncio::yield_now().await;
    asyncio::yield_now().await;
}

/// Is never done; puts its waker where others find it.
fn leave_waker(place: Arc<Mutex<Option<Waker>>>) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        *place.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    })
}

// ----- call_soon_threadsafe: 5.2, 5.5 -----

/// semantics 5.2: one queue. The thread has sent, and is gone, before anything else is scheduled.
#[asyncio::test]
async fn what_another_thread_has_sent_comes_before_what_is_scheduled_afterwards() {
    let trace = Trace::new();
    let send = |line: &'static str| {
        let (remote, notes) = (running_loop().handle(), trace.clone());
        let call = move || notes.note(line);
        let send = move || remote.call_soon_threadsafe(call).unwrap();
        thread::spawn(send).join().unwrap();
    };
    send("sent first");
    running_loop().call_soon(trace.noter("callback"));
    send("sent second");
    let notes = trace.clone();
    drop(asyncio::spawn(async move { notes.note("task") }));
    send("sent third");
    asyncio::yield_now().await;
    let order = [
        "sent first",
        "callback",
        "sent second",
        "task",
        "sent third",
    ];
    assert_eq!(trace.take(), order);
}

/// semantics 5.2; test_call_soon_threadsafe: wake-up of a sleeping loop.
#[test]
fn a_call_from_another_thread_wakes_a_sleeping_loop() {
    let event_loop = event_loop();
    let remote = event_loop.handle();
    let thread = thread::spawn(move || {
        let stop = || asyncio::running_loop().stop();
        remote.call_soon_threadsafe(stop).unwrap();
    });
    event_loop.run_forever().unwrap(); // nothing else would ever end this
    thread.join().unwrap();
}

/// semantics 5.2: FIFO per thread, each exactly once.
#[test]
fn calls_of_each_thread_arrive_in_their_order_and_once() {
    const CALLS: usize = 500;
    let event_loop = event_loop();
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let start = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|thread_number| {
            let (remote, arrived, start) = (event_loop.handle(), arrived.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                for call in 0..CALLS {
                    let arrived = arrived.clone();
                    let note = move || arrived.lock().unwrap().push((thread_number, call));
                    remote.call_soon_threadsafe(note).unwrap();
                }
            })
        })
        .collect();
    event_loop
        .run_until_complete(async {
            for thread in threads {
                join(thread).await;
            }
            asyncio::yield_now().await;
        })
        .unwrap();
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.len(), 4 * CALLS);
    for thread_number in 0..4 {
        let calls = arrived
            .iter()
            .filter(|(of, _)| *of == thread_number)
            .map(|(_, call)| *call);
        assert!(calls.eq(0..CALLS), "thread {thread_number}");
    }
}

/// semantics 5.5: the callback runs on the loop's thread, as part of the running loop.
#[asyncio::test]
async fn a_call_from_another_thread_runs_on_the_loops_thread() {
    let remote = asyncio::running_loop().handle();
    let (sender, receiver) = mpsc::channel();
    let call = move || {
        let handle = asyncio::running_loop().handle();
        sender
            .send((thread::current().id(), handle == remote))
            .unwrap();
    };
    join(thread::spawn(move || {
        remote.call_soon_threadsafe(call).unwrap()
    }))
    .await;
    take_a_turn().await;
    assert_eq!(receiver.try_recv(), Ok((thread::current().id(), true)));
}

/// P12
#[asyncio::test]
async fn a_call_from_another_thread_that_panics_is_reported() {
    let reports = reports_of(&asyncio::running_loop());
    let remote = asyncio::running_loop().handle();
    join(thread::spawn(move || {
        remote.call_soon_threadsafe(|| panic!("from afar")).unwrap()
    }))
    .await;
    take_a_turn().await;
    assert_eq!(reports.take(), ["Exception in callback: from afar [-]"]);
}

/// semantics 5.2: it never blocks, also while the loop's thread is busy elsewhere.
#[asyncio::test]
async fn calls_are_taken_while_the_loop_is_busy() {
    let remote = asyncio::running_loop().handle();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    // Blocks the loop until the thread is done with its calls.
    thread::spawn(move || {
        for _ in 0..100 {
            let counted = counted.clone();
            let count = move || {
                counted.fetch_add(1, Ordering::Relaxed);
            };
            remote.call_soon_threadsafe(count).unwrap();
        }
    })
    .join()
    .unwrap();
    asyncio::yield_now().await;
    asyncio::yield_now().await;
    assert_eq!(calls.load(Ordering::Relaxed), 100);
}

// ----- after close: 3.4 -----

/// semantics 3.4 [rust]; T11: a quiet, reportable failure, never a panic.
#[test]
fn a_closed_loop_refuses_calls_and_drops_them_in_the_callers_thread() {
    let event_loop = event_loop();
    let remote = event_loop.handle();
    event_loop.close().unwrap();
    let trace = Trace::new();
    let dropped = trace.on_drop("callback dropped");
    thread::spawn(move || {
        assert!(remote.is_closed());
        let error = remote
            .call_soon_threadsafe(move || drop(dropped))
            .unwrap_err();
        assert_eq!(error.to_string(), "Event loop is closed");
    })
    .join()
    .unwrap();
    assert_eq!(trace.take(), ["callback dropped"]);
}

/// A loop's inbox is used again by the next one; what belongs to the first does not reach the second.
#[test]
fn a_handle_of_a_closed_loop_does_not_reach_the_next_one() {
    let mut old = Vec::new();
    for _ in 0..3 {
        let event_loop = event_loop();
        for handle in &old {
            let handle: &LoopHandle = handle;
            assert!(handle.is_closed());
            assert_ne!(*handle, event_loop.handle());
            handle.call_soon_threadsafe(|| unreachable!()).unwrap_err();
        }
        old.push(event_loop.handle());
        event_loop.run_until_complete(asyncio::yield_now()).unwrap();
        event_loop.close().unwrap();
    }
}

/// semantics 3.4: callbacks that were accepted before the close are dropped with it, unrun.
#[test]
fn calls_that_wait_when_the_loop_closes_are_dropped() {
    let event_loop = event_loop();
    let trace = Trace::new();
    let (notes, dropped) = (trace.clone(), trace.on_drop("dropped"));
    let call = move || {
        notes.note("ran");
        drop(dropped);
    };
    event_loop.handle().call_soon_threadsafe(call).unwrap();
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["dropped"]);
}

/// D09: foreign threads that submit while the loop closes see an error, and nothing is lost: each call ran or was refused.
#[test]
fn calls_that_race_the_close_run_or_fail() {
    for _ in 0..20 {
        let event_loop = event_loop();
        let finished = Arc::new(AtomicU32::new(0));
        let start = Arc::new(Barrier::new(3));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (remote, start, finished) =
                    (event_loop.handle(), start.clone(), finished.clone());
                thread::spawn(move || {
                    /// Counts its end, be it by running or by being dropped.
                    struct Ends(Arc<AtomicU32>);
                    impl Drop for Ends {
                        fn drop(&mut self) {
                            self.0.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    start.wait();
                    let mut sent = 0;
                    loop {
                        sent += 1;
                        let ends = Ends(finished.clone());
                        if remote.call_soon_threadsafe(move || drop(ends)).is_err() {
                            return sent;
                        }
                    }
                })
            })
            .collect();
        start.wait();
        event_loop.run_until_complete(asyncio::yield_now()).unwrap();
        event_loop.close().unwrap();
        let sent: u32 = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(finished.load(Ordering::Relaxed), sent);
    }
}

// ----- wakers: T01, T02, T04, T05, T10, T12 -----

/// T01, T02: 8 threads, many wakes of 64 tasks; every task sees its last one.
#[test]
fn no_wake_is_lost_among_eight_threads_and_sixty_four_tasks() {
    const TASKS: usize = 64;
    const WAKES: u32 = 1_600;
    /// A number that threads raise, and the waker of who waits for it.
    #[derive(Default)]
    struct Cell {
        raised: AtomicU32,
        waker: Mutex<Option<Waker>>,
    }
    let cells: Arc<Vec<Cell>> = Arc::new((0..TASKS).map(|_| Cell::default()).collect());
    let event_loop = event_loop();
    let tasks: Vec<_> = (0..TASKS)
        .map(|index| {
            let cells = cells.clone();
            let last = 8 * WAKES / TASKS as u32;
            event_loop.spawn(poll_fn(move |cx| {
                let cell = &cells[index];
                *cell.waker.lock().unwrap() = Some(cx.waker().clone());
                match cell.raised.load(Ordering::SeqCst) {
                    raised if raised == last => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            }))
        })
        .collect();
    let threads: Vec<_> = (0..8)
        .map(|thread_number| {
            let cells = cells.clone();
            thread::spawn(move || {
                for wake in 0..WAKES as usize {
                    let cell = &cells[(wake + thread_number) % TASKS];
                    cell.raised.fetch_add(1, Ordering::SeqCst);
                    let waker = cell.waker.lock().unwrap().clone();
                    waker.into_iter().for_each(Waker::wake);
                }
            })
        })
        .collect();
    event_loop
        .run_until_complete(async {
            for task in tasks {
                task.await.unwrap();
            }
        })
        .unwrap();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

/// A future that knows the thread it belongs to, and notes where it is polled and dropped. `!Send`, by its `Rc`.
struct AtHome {
    threads: Arc<Mutex<BTreeSet<String>>>,
    waker: Arc<Mutex<Option<Waker>>>,
    _not_send: Rc<()>,
}

impl AtHome {
    fn note(&self, what: &str) {
        let note = format!("{what} in {:?}", thread::current().id());
        self.threads.lock().unwrap().insert(note);
    }
}

impl Future for AtHome {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.note("polled");
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for AtHome {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

/// T12, promise 2: polled and dropped on the loop's thread only, whoever wakes, cancels, or holds the last waker.
#[test]
fn a_future_never_leaves_its_loops_thread() {
    let home: ThreadId = thread::current().id();
    for cancelled_from_afar in [true, false] {
        let threads = Arc::new(Mutex::new(BTreeSet::new()));
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let event_loop = event_loop();
        let task = event_loop.spawn(AtHome {
            threads: threads.clone(),
            waker: waker.clone(),
            _not_send: Rc::new(()),
        });
        let cancel = task.cancel_handle();
        drop(task);
        event_loop
            .run_until_complete(async {
                asyncio::yield_now().await;
                let waker = waker.clone();
                let thread = thread::spawn(move || {
                    for _ in 0..100 {
                        let waker = waker.lock().unwrap().clone();
                        waker.unwrap().wake();
                    }
                    if cancelled_from_afar {
                        assert!(cancel.cancel());
                    }
                });
                join(thread).await;
                asyncio::yield_now().await;
                asyncio::yield_now().await;
            })
            .unwrap();
        event_loop.close().unwrap();
        // The last reference to the task dies in yet another thread.
        let last = waker.lock().unwrap().take();
        thread::spawn(move || drop(last)).join().unwrap();
        let expected = [
            format!("dropped in {home:?}"),
            format!("polled in {home:?}"),
        ];
        assert_eq!(*threads.lock().unwrap(), BTreeSet::from(expected));
    }
}

/// T04: a waker kept after the end of its task, its loop and its thread is woken, cloned and dropped elsewhere.
#[test]
fn wakers_outlive_tasks_loops_and_threads_without_harm() {
    let place = Arc::new(Mutex::new(None));
    let (trace, theirs) = (Trace::new(), place.clone());
    let notes = trace.clone();
    thread::spawn(move || {
        let event_loop = event_loop();
        let dropped = notes.on_drop("future dropped");
        drop(event_loop.spawn(async move {
            let _dropped = dropped;
            leave_waker(theirs).await;
        }));
        event_loop.run_until_complete(asyncio::yield_now()).unwrap();
        event_loop.close().unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(trace.take(), ["future dropped"]);
    let waker: Waker = place.lock().unwrap().take().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let waker = waker.clone();
            thread::spawn(move || {
                waker.wake_by_ref();
                let clone = waker.clone();
                assert!(waker.will_wake(&clone));
                clone.wake();
                waker.wake();
            })
        })
        .collect();
    waker.wake();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    // A new loop, which may use the old one's inbox, is not disturbed.
    asyncio::run(asyncio::yield_now()).unwrap();
}

/// T04: the same for a task that is finished while its loop goes on.
#[asyncio::test]
async fn waking_a_finished_task_does_nothing() {
    let place = Arc::new(Mutex::new(None));
    let polls = Rc::new(Cell::new(0));
    let (theirs, count) = (place.clone(), polls.clone());
    let task = asyncio::spawn(poll_fn(move |cx| {
        count.set(count.get() + 1);
        *theirs.lock().unwrap() = Some(cx.waker().clone());
        Poll::Ready(7)
    }));
    assert_eq!(task.await.unwrap(), 7);
    let waker = place.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    join(thread::spawn(move || waker.wake())).await;
    asyncio::yield_now().await;
    assert_eq!(polls.get(), 1);
}

/// T04, F2: wakes that arrive while the loop closes.
#[test]
fn wakes_that_race_the_close_do_no_harm() {
    for _ in 0..20 {
        let place = Arc::new(Mutex::new(None));
        let dropped = Trace::new();
        let event_loop = event_loop();
        let (theirs, guard) = (place.clone(), dropped.on_drop("dropped"));
        drop(event_loop.spawn(async move {
            let _guard = guard;
            leave_waker(theirs).await;
        }));
        event_loop.run_until_complete(asyncio::yield_now()).unwrap();
        let waker = place.lock().unwrap().take().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (started, starts) = mpsc::channel();
        let thread = thread::spawn(move || {
            waker.wake_by_ref();
            started.send(()).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                waker.wake_by_ref();
            }
        });
        starts.recv_timeout(PATIENCE).unwrap();
        event_loop.close().unwrap();
        assert_eq!(dropped.take(), ["dropped"]);
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
    }
}

/// T05: a destructor that wakes a sibling while the loop closes, before or after that one's end.
#[test]
fn a_destructor_may_wake_its_siblings_during_close() {
    struct WakesAll(Rc<RefCell<Vec<Waker>>>, Trace);
    impl Drop for WakesAll {
        fn drop(&mut self) {
            self.0.borrow().iter().for_each(Waker::wake_by_ref);
            self.1.note("woke all");
        }
    }
    let event_loop = event_loop();
    let reports = reports_of(&event_loop);
    let (wakers, trace) = (Rc::new(RefCell::new(Vec::new())), Trace::new());
    for _ in 0..3 {
        let (wakers, guard) = (wakers.clone(), WakesAll(wakers.clone(), trace.clone()));
        let notes = trace.clone();
        let mut polled = false;
        drop(event_loop.spawn(async move {
            let _guard = guard;
            poll_fn(|cx| {
                if std::mem::replace(&mut polled, true) {
                    notes.note("polled again");
                }
                wakers.borrow_mut().push(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
        }));
    }
    event_loop.run_until_complete(asyncio::yield_now()).unwrap();
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["woke all"; 3]);
    assert!(reports.take().is_empty());
}

/// T10: a spawn from a destructor during close is refused by ending the task unpolled.
#[test]
fn a_destructor_may_spawn_during_close_and_the_task_never_runs() {
    struct Spawns(EventLoop, Trace);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let task = self.0.spawn(Untouched::new(&self.1));
            self.1.note(format!(
                "finished {}, cancelled {}",
                task.is_finished(),
                task.is_cancelled()
            ));
        }
    }
    let event_loop = event_loop();
    let reports = reports_of(&event_loop);
    let trace = Trace::new();
    let spawns = Spawns(event_loop.clone(), trace.clone());
    drop(event_loop.spawn(async move {
        let _spawns = spawns;
        pending::<()>().await;
    }));
    event_loop.run_until_complete(asyncio::yield_now()).unwrap();
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["dropped", "finished true, cancelled true"]);
    assert!(reports.take().is_empty());
}

/// T10, promise 2 ("inside the loop's context"): the same by the free function, which asks for the running loop.
#[test]
fn a_destructor_finds_its_loop_during_close() {
    struct Spawns(Trace);
    impl Drop for Spawns {
        fn drop(&mut self) {
            self.0
                .note(format!("task {}", asyncio::current_task().is_some()));
            self.0
                .note(format!("loop {}", asyncio::try_running_loop().is_some()));
            drop(asyncio::spawn(Untouched::new(&self.0)));
        }
    }
    let event_loop = event_loop();
    let reports = reports_of(&event_loop);
    let trace = Trace::new();
    let spawns = Spawns(trace.clone());
    drop(event_loop.spawn(async move {
        let _spawns = spawns;
        pending::<()>().await;
    }));
    event_loop.run_until_complete(asyncio::yield_now()).unwrap();
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["task true", "loop true", "dropped"]);
    assert!(reports.take().is_empty());
}

/// T10: the sweep ends, also if every destructor spawns another future with such a destructor.
#[test]
fn a_close_ends_although_destructors_spawn_on() {
    struct Hydra(EventLoop, u32);
    impl Drop for Hydra {
        fn drop(&mut self) {
            if self.1 > 0 {
                let next = Hydra(self.0.clone(), self.1 - 1);
                drop(self.0.spawn(async move {
                    let _next = next;
                    pending::<()>().await;
                }));
            }
        }
    }
    let event_loop = event_loop();
    let hydra = Hydra(event_loop.clone(), 50);
    drop(event_loop.spawn(async move {
        let _hydra = hydra;
        pending::<()>().await;
    }));
    event_loop.run_until_complete(asyncio::yield_now()).unwrap();
    event_loop.close().unwrap();
    assert!(event_loop.all_tasks().is_empty());
}

// ----- RemoteTask: 5.5 -----

/// semantics 5.5; RunCoroutineThreadsafeTests: result, by blocking.
#[asyncio::test]
async fn a_remote_task_can_be_joined_from_its_thread() {
    let remote = asyncio::running_loop().handle();
    let thread = thread::spawn(move || {
        let task = remote.spawn(async {
            asyncio::yield_now().await;
            thread::current().id()
        });
        task.join().unwrap()
    });
    assert_eq!(join(thread).await, thread::current().id());
}

/// semantics 5.5: exception
#[asyncio::test]
async fn a_remote_tasks_panic_reaches_the_joining_thread_and_nobody_else() {
    let reports = reports_of(&asyncio::running_loop());
    let remote = asyncio::running_loop().handle();
    let thread = thread::spawn(move || {
        let line = line!() + 1;
        let task = remote.spawn(async { panic!("out of cheese") });
        let outcome: Result<(), asyncio::JoinError> = task.join();
        let error = outcome.unwrap_err();
        (error, line)
    });
    let (error, line) = join(thread).await;
    assert!(error.is_panic());
    let place = error.spawn_location();
    assert_eq!((place.file(), place.line()), (file!(), line));
    assert_eq!(error.into_panic().downcast_ref(), Some(&"out of cheese"));
    assert!(reports.take().is_empty());
}

/// semantics 5.5: cancelling it cancels the task, which has ended when the join says so.
#[asyncio::test]
async fn cancelling_a_remote_task_ends_it_where_it_waits() {
    let trace = Trace::new();
    let (remote, dropped) = (asyncio::running_loop().handle(), trace.on_drop("dropped"));
    let notes = trace.clone();
    let thread = thread::spawn(move || {
        let (begun, begins) = mpsc::channel();
        let task = remote.spawn(async move {
            let _dropped = dropped;
            begun.send(()).unwrap();
            pending::<()>().await;
        });
        begins.recv_timeout(PATIENCE).unwrap();
        assert!(!task.is_finished());
        assert!(task.cancel());
        let outcome = task.join();
        notes.note("joined");
        outcome
    });
    let error = join(thread).await.unwrap_err();
    assert_eq!(error.cancelled().unwrap().reason(), CancelReason::User);
    assert_eq!(trace.take(), ["dropped", "joined"]);
}

/// semantics 4: a task cancelled before its first step never runs, also if its cancellation overtakes its start.
#[asyncio::test]
async fn a_remote_task_cancelled_at_once_never_runs() {
    let trace = Trace::new();
    let (remote, notes) = (asyncio::running_loop().handle(), trace.clone());
    let dropped = trace.on_drop("dropped");
    // The loop is blocked until both were sent.
    let task = thread::spawn(move || {
        let task = remote.spawn(async move {
            let _dropped = dropped;
            notes.note("ran");
        });
        assert!(task.cancel());
        task
    })
    .join()
    .unwrap();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(trace.take(), ["dropped"]);
}

#[asyncio::test]
async fn a_finished_remote_task_refuses_to_be_cancelled() {
    let remote = asyncio::running_loop().handle();
    let task = join(thread::spawn(move || remote.spawn(async { 7 }))).await;
    while !task.is_finished() {
        asyncio::yield_now().await;
    }
    assert!(!task.cancel());
    assert_eq!(task.await.unwrap(), 7);
}

/// A remote task is a future on any runtime: here on another loop.
#[test]
fn a_remote_task_can_be_awaited_on_another_loop() {
    let value = asyncio::run(async {
        let remote = asyncio::running_loop().handle();
        let thread = thread::spawn(move || asyncio::run(remote.spawn(async { 7 })));
        join(thread).await
    });
    assert_eq!(value.unwrap().unwrap().unwrap(), 7);
}

/// A dropped handle detaches the task.
#[asyncio::test]
async fn a_dropped_remote_task_goes_on() {
    let (sender, receiver) = mpsc::channel();
    let remote = asyncio::running_loop().handle();
    let start = move || {
        drop(remote.spawn(async move {
            asyncio::yield_now().await;
            sender.send("done").unwrap();
        }));
    };
    join(thread::spawn(start)).await;
    while receiver.try_recv().is_err() {
        asyncio::yield_now().await;
    }
}

/// T14: nobody receives the panic of a detached one, so it is reported once.
#[asyncio::test]
async fn a_detached_remote_tasks_panic_is_reported_once() {
    let reports = reports_of(&asyncio::running_loop());
    let remote = asyncio::running_loop().handle();
    let failing = move || {
        let task = remote.spawn(async { panic!("unseen") });
        drop::<asyncio::RemoteTask<()>>(task);
    };
    join(thread::spawn(failing)).await;
    for _ in 0..5 {
        asyncio::yield_now().await;
    }
    let reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(
        reports[0].starts_with("Task exception was never retrieved: unseen"),
        "{reports:?}"
    );
}

/// semantics 3.4 [rust]; T11: the future is dropped, and the handle says why there is no value.
#[test]
fn a_remote_task_on_a_closed_loop_ends_cancelled() {
    let event_loop = event_loop();
    let remote = event_loop.handle();
    event_loop.close().unwrap();
    let trace = Trace::new();
    let dropped = trace.on_drop("future dropped");
    let task = remote.spawn(async move { drop(dropped) });
    assert_eq!(trace.take(), ["future dropped"]);
    assert!(task.is_finished() && !task.cancel());
    let error = task.join().unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(error.cancelled().unwrap().reason(), CancelReason::Shutdown);
    assert!(
        error.to_string().contains("Event loop is closed"),
        "{error}"
    );
}

/// The loop closes between the start and the end: whoever waits is told.
#[test]
fn a_remote_task_whose_loop_closes_ends_cancelled_for_its_waiter() {
    for started in [false, true] {
        let event_loop = event_loop();
        let remote = event_loop.handle();
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            let task = remote.spawn(pending::<()>());
            sender.send(()).unwrap();
            task.join()
        });
        receiver.recv_timeout(PATIENCE).unwrap();
        if started {
            event_loop.run_until_complete(asyncio::yield_now()).unwrap();
        }
        event_loop.close().unwrap();
        assert!(thread.join().unwrap().unwrap_err().is_cancelled());
    }
}

/// api 3: a pending cancellation goes before a remote task's result, which is still there afterwards.
#[asyncio::test]
async fn a_cancellation_loses_no_remote_tasks_result() {
    let task = asyncio::spawn(async {
        let mut remote = asyncio::running_loop().handle().spawn(async { 7 });
        while !remote.is_finished() {
            asyncio::yield_now().await;
        }
        asyncio::current_task().unwrap().cancel();
        let caught = asyncio::catch_cancelled(&mut remote).await;
        assert!(
            caught.is_err(),
            "the cancellation was not delivered at the await"
        );
        remote.await.unwrap()
    });
    assert_eq!(task.await.unwrap(), 7);
}

// ----- CancelHandle -----

/// issue 3: from other threads through `CancelHandle`.
#[asyncio::test]
async fn a_cancel_handle_works_from_any_thread() {
    let task = asyncio::spawn(pending::<()>());
    let handle = task.cancel_handle();
    let also = handle.clone();
    join(thread::spawn(move || {
        assert!(also.cancel_with("from afar"))
    }))
    .await;
    let error = task.await.unwrap_err();
    assert_eq!(error.cancelled().unwrap().message(), Some("from afar"));
    assert_eq!(error.cancelled().unwrap().reason(), CancelReason::User);
    // Harmless after the task's end.
    handle.cancel();
    asyncio::yield_now().await;
}

/// A task may be told to stop by a handle that it gave away itself.
#[asyncio::test]
async fn a_task_gives_out_handles_on_itself() {
    let task = asyncio::spawn(async {
        let handle = asyncio::current_task().unwrap().cancel_handle();
        thread::spawn(move || handle.cancel());
        pending::<()>().await;
    });
    assert!(task.await.unwrap_err().is_cancelled());
}

#[test]
fn a_cancel_handle_outlives_its_loop() {
    let event_loop = event_loop();
    let task = event_loop.spawn(pending::<()>());
    let handle = task.cancel_handle();
    event_loop.close().unwrap();
    let late = task.cancel_handle();
    assert!(!handle.cancel() && !late.cancel());
    // The next loop has no task of this number.
    let next = EventLoop::new().unwrap();
    let other = next.spawn(asyncio::yield_now());
    handle.cancel_with("nobody");
    late.cancel();
    next.run_until_complete(other).unwrap().unwrap();
}

/// C03: a cancellation that races the completion: one outcome, and the future is gone when the join says so.
#[test]
fn a_cancellation_that_races_the_completion_has_one_outcome() {
    for _ in 0..50 {
        let trace = Trace::new();
        let event_loop = event_loop();
        let dropped = trace.on_drop("dropped");
        let task = event_loop.spawn(async move {
            let _dropped = dropped;
            for _ in 0..20 {
                asyncio::yield_now().await;
            }
            "value"
        });
        let handle = task.cancel_handle();
        let thread = thread::spawn(move || handle.cancel());
        match event_loop.run_until_complete(task).unwrap() {
            Ok(value) => assert_eq!(value, "value"),
            Err(error) => assert!(error.is_cancelled()),
        }
        assert_eq!(trace.take(), ["dropped"]);
        thread.join().unwrap();
    }
}

/// However much other threads have sent, one turn takes over no more than a bounded part of it, and all of it in order.
#[test]
fn a_flood_from_another_thread_is_worked_off_in_turns_of_bounded_length() {
    const SENT: usize = 5_000;
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let received = seen.clone();
    let flood = move || {
        for number in 0..SENT {
            let received = received.clone();
            handle
                .call_soon_threadsafe(move || received.lock().unwrap().push(number))
                .unwrap();
        }
    };
    std::thread::spawn(flood).join().unwrap();
    let mut turns = 0;
    while seen.lock().unwrap().len() < SENT {
        let before = seen.lock().unwrap().len();
        event_loop.stop();
        event_loop.run_forever().unwrap(); // one turn
        let ran = seen.lock().unwrap().len() - before;
        assert!((1..=1_024).contains(&ran), "{ran} callbacks in one turn");
        turns += 1;
    }
    assert!(turns > 1);
    assert!(seen.lock().unwrap().iter().copied().eq(0..SENT));
    event_loop.close().unwrap();
}
