//! The pool of threads: who runs what, what comes back, and what a shutdown leaves.

use std::collections::HashSet;
use std::io;
use std::marker::PhantomPinned;
use std::panic::{self, Location};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::executor::Job;

use super::{ExecutorReport, StopToken, ThreadPoolExecutor, ThreadPoolExecutorBuilder};

/// Far longer than any of it takes; a test that needs it has failed.
const LIMIT: Duration = Duration::from_secs(20);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let start = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        thread::park_timeout(LIMIT);
        assert!(start.elapsed() < LIMIT, "still pending after {LIMIT:?}");
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Its worker never retires: that would put right what a test is to find wrong.
fn one_worker() -> ThreadPoolExecutor {
    ThreadPoolExecutor::builder()
        .max_workers(1)
        .keep_alive(Duration::MAX)
        .build()
}

fn workers(executor: &ThreadPoolExecutor) -> usize {
    executor.owner.pool.lock().workers
}

/// Waits for a state of the pool that no channel tells about.
fn eventually(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "did not happen in {LIMIT:?}");
        thread::yield_now();
    }
}

/// A job that says when it has begun and ends when it is told to.
fn gate(executor: &ThreadPoolExecutor) -> (Job<()>, Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let job = executor.submit(move || {
        begun.send(()).unwrap();
        let _ = released.recv();
    });
    has_begun.recv_timeout(LIMIT).unwrap();
    (job, release)
}

/// Counts its drops.
#[derive(Clone)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics when it is dropped, without the hook's message, and says that it was.
struct Bomb(Sender<()>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
        panic::resume_unwind(Box::new("bomb"));
    }
}

fn failing(
    builder: ThreadPoolExecutorBuilder,
    fails: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> ThreadPoolExecutor {
    let failpoint = move |index| match fails(index) {
        true => Err(io::ErrorKind::WouldBlock.into()),
        false => Ok(()),
    };
    let failpoint = Some(Arc::new(failpoint) as _);
    ThreadPoolExecutorBuilder {
        failpoint,
        ..builder
    }
    .build()
}

#[test]
fn types_go_where_they_are_needed() {
    fn send<T: Send>() {}
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<ThreadPoolExecutor>();
    send_and_sync::<StopToken>();
    send_and_sync::<ExecutorReport>();
    send::<Job<std::cell::Cell<u8>>>();
    fn unpin<T: Unpin>() {}
    unpin::<Job<PhantomPinned>>();
}

#[test]
fn no_thread_is_started_before_a_job_comes() {
    let executor = ThreadPoolExecutor::new();
    assert_eq!(workers(&executor), 0);
    assert_eq!(block_on(executor.submit(|| 7)).unwrap(), 7);
    assert_eq!(workers(&executor), 1);
}

#[test]
fn an_idle_worker_is_used_again() {
    let executor = ThreadPoolExecutor::new();
    let names: HashSet<String> = (0..2000)
        .map(|_| {
            block_on(executor.submit(|| thread::current().name().unwrap().to_owned())).unwrap()
        })
        .collect();
    assert_eq!(names, HashSet::from(["asyncio_0".to_owned()]));
}

#[test]
fn a_job_is_done_for_the_counters_when_its_awaiter_learns_of_it() {
    let executor = ThreadPoolExecutor::new();
    for _ in 0..1000 {
        let job = executor.submit(|| ());
        block_on(job).unwrap();
        assert_eq!(executor.outstanding(), 0);
        assert!(executor.running_jobs().is_empty());
    }
}

#[test]
fn jobs_that_need_each_other_get_a_thread_each() {
    let executor = ThreadPoolExecutor::with_max_workers(4);
    for _ in 0..50 {
        let barrier = Arc::new(Barrier::new(4));
        let jobs: Vec<_> = (0..4)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                executor.submit(move || barrier.wait().is_leader())
            })
            .collect();
        let leaders = jobs.into_iter().map(|job| block_on(job).unwrap());
        assert_eq!(leaders.filter(|leader| *leader).count(), 1);
        assert!(workers(&executor) <= 4);
    }
}

#[test]
fn there_are_never_more_than_max_workers() {
    let executor = ThreadPoolExecutor::with_max_workers(2);
    let (first, second) = (gate(&executor), gate(&executor));
    let jobs: Vec<_> = (0..100)
        .map(|number| executor.submit(move || number))
        .collect();
    assert_eq!(workers(&executor), 2);
    assert_eq!(executor.outstanding(), 102);
    drop((first.1, second.1));
    let sum: u32 = jobs.into_iter().map(|job| block_on(job).unwrap()).sum();
    assert_eq!(sum, 4950);
    assert_eq!(workers(&executor), 2);
}

#[test]
fn one_worker_runs_jobs_in_the_order_of_their_coming() {
    let executor = one_worker();
    let order = Arc::new(Mutex::new(Vec::new()));
    let jobs: Vec<_> = (0..100)
        .map(|number| {
            let order = Arc::clone(&order);
            executor.submit(move || order.lock().unwrap().push(number))
        })
        .collect();
    for job in jobs {
        block_on(job).unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
}

#[test]
fn threads_are_named_by_prefix_and_number() {
    let executor = ThreadPoolExecutor::builder()
        .max_workers(2)
        .thread_name_prefix("resolver")
        .build();
    let (_first, _release) = gate(&executor);
    let name = block_on(executor.submit(|| thread::current().name().map(str::to_owned)));
    assert_eq!(name.unwrap().as_deref(), Some("resolver_1"));
}

#[test]
fn misuse_of_the_builder_panics() {
    let builder = ThreadPoolExecutor::builder;
    assert!(panic::catch_unwind(|| builder().max_workers(0)).is_err());
    assert!(panic::catch_unwind(|| builder().thread_name_prefix("a\0b")).is_err());
    let huge = ThreadPoolExecutor::builder()
        .max_workers(usize::MAX)
        .keep_alive(Duration::MAX)
        .build();
    assert_eq!(block_on(huge.submit(|| 7)).unwrap(), 7);
}

#[test]
fn a_panic_is_carried_back_and_the_worker_survives() {
    let executor = one_worker();
    let line = line!() + 1;
    let job = executor.submit(|| -> u32 { panic::resume_unwind(Box::new(42_u8)) });
    let error = block_on(job).unwrap_err();
    assert!(error.is_panic());
    assert_eq!(error.spawn_location().line(), line);
    assert!(error.to_string().starts_with("executor job"), "{error}");
    assert_eq!(*error.into_panic().downcast::<u8>().unwrap(), 42);
    assert_eq!(block_on(executor.submit(|| 7)).unwrap(), 7);
    assert_eq!(workers(&executor), 1);
}

#[test]
fn a_job_dropped_in_the_queue_is_never_run() {
    let executor = one_worker();
    let (gate, release) = gate(&executor);
    let drops = Arc::new(AtomicUsize::new(0));
    let captured = Counted(Arc::clone(&drops));
    drop(executor.submit(move || {
        let _captured = captured;
        unreachable!("the job was taken back");
    }));
    drop(release);
    block_on(gate).unwrap();
    eventually(|| executor.outstanding() == 0);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    block_on(executor.submit(|| ())).unwrap();
}

#[test]
fn a_detached_job_is_run() {
    let executor = one_worker();
    let (gate, release) = gate(&executor);
    let (sender, receiver) = mpsc::channel();
    executor.submit(move || sender.send(7)).detach();
    drop(release);
    assert_eq!(receiver.recv_timeout(LIMIT), Ok(7));
    block_on(gate).unwrap();
}

#[test]
fn a_running_job_that_is_dropped_runs_to_its_end_and_its_value_is_dropped_there() {
    let executor = one_worker();
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (bomb, exploded) = mpsc::channel();
    let job = executor.submit(move || {
        begun.send(()).unwrap();
        let _ = released.recv();
        Bomb(bomb)
    });
    has_begun.recv_timeout(LIMIT).unwrap();
    drop(job);
    assert!(exploded.try_recv().is_err());
    drop(release);
    exploded.recv_timeout(LIMIT).unwrap();
    assert_eq!(block_on(executor.submit(|| 7)).unwrap(), 7);
    assert_eq!(workers(&executor), 1);
}

#[test]
fn destructors_that_panic_are_contained_wherever_they_run() {
    let executor = one_worker();
    let (sender, exploded) = mpsc::channel();
    let bomb = || Bomb(sender.clone());

    // A payload nobody takes, in the worker.
    let (payload, (gate_job, release)) = (bomb(), gate(&executor));
    let job = executor.submit(move || -> () { panic::resume_unwind(Box::new(payload)) });
    job.detach();
    drop(release);
    exploded.recv_timeout(LIMIT).unwrap();
    block_on(gate_job).unwrap();

    // A value that was ready, in the thread that drops the job.
    let value = bomb();
    let job = executor.submit(move || value);
    eventually(|| job.is_finished());
    drop(job);
    exploded.recv_timeout(LIMIT).unwrap();

    // A capture of a job taken back, in the worker.
    let (capture, (gate_job, release)) = (bomb(), gate(&executor));
    drop(executor.submit(move || drop(capture)));
    drop(release);
    exploded.recv_timeout(LIMIT).unwrap();
    block_on(gate_job).unwrap();
    assert_eq!(block_on(executor.submit(|| 7)).unwrap(), 7);

    // A capture of a job that is refused, and of one dropped by the shutdown, in the thread that does that.
    let (capture, (gate_job, release)) = (bomb(), gate(&executor));
    let queued = executor.submit(move || drop(capture));
    executor.begin_shutdown();
    exploded.recv_timeout(LIMIT).unwrap();
    assert!(block_on(queued).unwrap_err().is_executor_shutdown());
    let capture = bomb();
    let refused = executor.submit(move || drop(capture));
    exploded.recv_timeout(LIMIT).unwrap();
    assert!(block_on(refused).unwrap_err().is_executor_shutdown());
    drop(release);
    block_on(gate_job).unwrap();
}

#[test]
fn a_payload_that_panics_with_itself_does_not_kill_the_worker() {
    struct Hydra;
    impl Drop for Hydra {
        fn drop(&mut self) {
            panic::resume_unwind(Box::new(Hydra));
        }
    }
    let executor = one_worker();
    let (gate, release) = gate(&executor);
    executor
        .submit(|| -> () { panic::resume_unwind(Box::new(Hydra)) })
        .detach();
    drop(release);
    block_on(gate).unwrap();
    assert_eq!(block_on(executor.submit(|| 7)).unwrap(), 7);
}

#[test]
fn a_value_whose_destructor_waits_for_another_job_gets_a_worker_for_it() {
    /// Dropped in the worker, which was counted on already when the closure ended.
    struct Waits(ThreadPoolExecutor, Sender<u32>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let value = block_on(self.0.submit(|| 7)).unwrap();
            self.1.send(value).unwrap();
        }
    }
    let executor = ThreadPoolExecutor::with_max_workers(2);
    let (gate, release) = {
        let (begun, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (sender, receiver) = mpsc::channel();
        let waits = Waits(executor.clone(), sender);
        let job = executor.submit(move || {
            begun.send(()).unwrap();
            let _ = released.recv();
            waits
        });
        has_begun.recv_timeout(LIMIT).unwrap();
        drop(job);
        (receiver, release)
    };
    drop(release);
    assert_eq!(gate.recv_timeout(LIMIT), Ok(7));
}

#[test]
fn a_worker_that_withdraws_is_replaced_for_the_job_that_counted_on_it() {
    let executor = ThreadPoolExecutor::with_max_workers(2);
    let (gate, release) = gate(&executor);
    let pool = &executor.owner.pool;
    pool.lock().offer(0);
    let job = executor.submit(|| 7);
    assert_eq!(workers(&executor), 1, "the offered worker is counted on");
    let mut state = pool.lock();
    assert!(state.withdraw(0));
    pool.grow(&mut state).unwrap();
    drop(state);
    assert_eq!(block_on(job).unwrap(), 7);
    assert_eq!(workers(&executor), 2);
    drop(release);
    block_on(gate).unwrap();
}

#[test]
fn without_any_thread_the_job_comes_back_as_an_error_once() {
    let fails = Arc::new(AtomicUsize::new(2));
    let left = Arc::clone(&fails);
    let fail = move |_| {
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
    };
    let executor = failing(ThreadPoolExecutor::builder(), fail);
    let drops = Arc::new(AtomicUsize::new(0));
    for round in 1..=2 {
        let captured = Counted(Arc::clone(&drops));
        let job = executor.submit(move || drop(captured));
        assert_eq!(
            drops.load(Ordering::SeqCst),
            round,
            "dropped when it was refused"
        );
        assert!(job.is_finished());
        let error = block_on(job).unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        let source = source.downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.kind(), io::ErrorKind::WouldBlock);
        assert_eq!((executor.outstanding(), workers(&executor)), (0, 0));
    }
    assert_eq!(
        block_on(executor.submit(|| 7)).unwrap(),
        7,
        "the limit was lifted"
    );
}

#[test]
fn without_a_second_thread_the_job_waits_for_the_first() {
    let forbidden = Arc::new(AtomicUsize::new(1));
    let limit = Arc::clone(&forbidden);
    let fail = move |index| index >= limit.load(Ordering::SeqCst);
    let executor = failing(ThreadPoolExecutor::builder().max_workers(8), fail);
    let (gate_job, release) = gate(&executor);
    let mut job = executor.submit(|| 7);
    assert!(poll_once(&mut job).is_pending());
    assert_eq!((executor.outstanding(), workers(&executor)), (2, 1));
    drop(release);
    assert_eq!(block_on(job).unwrap(), 7);
    block_on(gate_job).unwrap();

    forbidden.store(8, Ordering::SeqCst);
    let (_first, _second) = (gate(&executor), gate(&executor));
    assert_eq!(workers(&executor), 2, "the pool grows again");
}

#[test]
fn shutdown_drops_what_is_queued_and_waits_for_what_runs() {
    let executor = one_worker();
    let (mut running, release) = gate(&executor);
    let queued = executor.submit(|| unreachable!());
    executor.begin_shutdown();
    assert!(block_on(queued).unwrap_err().is_executor_shutdown());
    assert!(poll_once(&mut running).is_pending());
    let waiter = {
        let executor = executor.clone();
        thread::spawn(move || executor.shutdown(true, None))
    };
    drop(release);
    assert!(waiter.join().unwrap().is_complete());
    block_on(running).unwrap();
    assert!(executor.shutdown(true, Some(Duration::MAX)).is_complete());
    assert!(executor.shutdown(false, None).is_complete());
    eventually(|| workers(&executor) == 0);
}

#[test]
fn shutdown_of_an_unused_executor_is_complete() {
    let executor = ThreadPoolExecutor::new();
    assert!(executor.shutdown(true, None).is_complete());
    let error = block_on(executor.submit(|| ())).unwrap_err();
    assert!(error.is_executor_shutdown());
    assert_eq!(error.spawn_location().file(), file!());
    assert!(
        error
            .to_string()
            .contains("Executor shutdown has been called"),
        "{error}"
    );
}

#[test]
fn an_overrun_is_reported_with_the_job_and_since_when() {
    let executor = ThreadPoolExecutor::with_max_workers(2);
    let before = Instant::now();
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let line = line!() + 1;
    let job = executor.submit(move || {
        begun.send(()).unwrap();
        released.recv()
    });
    has_begun.recv_timeout(LIMIT).unwrap();
    for (wait, timeout) in [
        (true, Some(Duration::from_millis(5))),
        (false, None),
        (true, Some(Duration::ZERO)),
    ] {
        let report = executor.shutdown(wait, timeout);
        assert!(!report.is_complete());
        let [overrun] = report.running() else {
            panic!("{report:?}")
        };
        assert_eq!(
            (overrun.location().file(), overrun.location().line()),
            (file!(), line)
        );
        assert!(overrun.since() >= before && overrun.since() <= Instant::now());
        assert!(overrun.to_string().contains("running for 0."), "{overrun}");
    }
    drop(release);
    assert!(executor.shutdown(true, None).is_complete());
    assert!(block_on(job).unwrap().is_err());
}

#[test]
fn a_job_may_shut_its_own_executor_down() {
    let executor = ThreadPoolExecutor::with_max_workers(2);
    let (other, release) = gate(&executor);
    let job = {
        let executor = executor.clone();
        executor.clone().submit(move || {
            let early = executor.shutdown(true, Some(Duration::from_millis(5)));
            drop(release);
            (early, executor.shutdown(true, None))
        })
    };
    let (early, late) = block_on(job).unwrap();
    assert_eq!(early.running().len(), 1, "the other, not itself");
    assert!(late.is_complete());
    block_on(other).unwrap();
}

#[test]
fn jobs_that_shut_down_at_once_do_not_wait_for_each_other() {
    let executor = ThreadPoolExecutor::with_max_workers(3);
    let barrier = Arc::new(Barrier::new(3));
    let jobs: Vec<_> = (0..3)
        .map(|number| {
            let (executor, barrier) = (executor.clone(), Arc::clone(&barrier));
            executor.clone().submit(move || {
                barrier.wait();
                match number {
                    0 => block_on(std::future::poll_fn(|cx| executor.poll_idle(cx))),
                    _ => drop(executor.shutdown(true, None)),
                }
            })
        })
        .collect();
    for job in jobs {
        block_on(job).unwrap();
    }
    assert!(executor.shutdown(true, None).is_complete());
}

#[test]
fn a_job_that_begins_to_wait_sets_others_free_at_once() {
    for second_polls in [false, true] {
        let executor = ThreadPoolExecutor::with_max_workers(2);
        let (begin, may_begin) = mpsc::channel::<()>();
        let (first_done, first_is_done) = mpsc::channel();
        let (has_begun, begun) = mpsc::channel();
        let second = executor.clone();
        let second = executor.submit(move || {
            has_begun.send(()).unwrap();
            may_begin.recv_timeout(LIMIT).unwrap();
            if second_polls {
                let mut cx = Context::from_waker(Waker::noop());
                let _ = second.poll_idle(&mut cx);
            } else {
                let _ = second.shutdown(true, None);
            }
            // It still runs, and would for ever if the first had to wait for it.
            first_is_done.recv_timeout(LIMIT)
        });
        // Else the shutdown would drop it.
        begun.recv_timeout(LIMIT).unwrap();
        let first = executor.clone();
        let first = executor.submit(move || {
            let report = first.shutdown(true, None);
            first_done.send(()).unwrap();
            report.running().len()
        });
        let first_waits = || {
            executor.owner.pool.lock().seats[1]
                .as_ref()
                .is_some_and(|seat| seat.waits)
        };
        eventually(first_waits);
        begin.send(()).unwrap();
        assert_eq!(block_on(second).unwrap(), Ok(()));
        assert_eq!(block_on(first).unwrap(), 1);
    }
}

#[test]
fn poll_idle_wakes_when_the_last_job_ends() {
    struct Signal(Mutex<Sender<()>>);
    impl Wake for Signal {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().send(()).unwrap();
        }
    }
    let executor = ThreadPoolExecutor::with_max_workers(2);
    let (sender, woken): (_, Receiver<()>) = mpsc::channel();
    let waker = Waker::from(Arc::new(Signal(Mutex::new(sender))));
    let mut cx = Context::from_waker(&waker);
    assert!(executor.poll_idle(&mut cx).is_ready());
    let (first, second) = (gate(&executor), gate(&executor));
    executor.begin_shutdown();
    drop(first.1);
    // A job is off the list of the running ones a moment before its worker is back, which wakes everybody who waits.
    let busy = |seat: &Option<super::Seat>| seat.as_ref().is_some_and(|seat| seat.job.is_some());
    while executor
        .owner
        .pool
        .lock()
        .seats
        .iter()
        .filter(|seat| busy(seat))
        .count()
        > 1
    {
        thread::yield_now();
    }
    assert!(executor.poll_idle(&mut cx).is_pending());
    assert!(executor.poll_idle(&mut cx).is_pending());
    assert_eq!(executor.owner.pool.lock().idle_wakers.len(), 1);
    drop(second.1);
    loop {
        woken.recv_timeout(LIMIT).unwrap();
        if executor.poll_idle(&mut cx).is_ready() {
            break;
        }
    }
    assert!(executor.owner.pool.lock().idle_wakers.is_empty());
}

#[test]
fn begin_shutdown_wakes_those_who_wait_for_the_queue() {
    let executor = one_worker();
    let (_gate, _release) = gate(&executor);
    block_on(async {
        let queued = executor.submit(|| ());
        let mut polled = 0;
        std::future::poll_fn(|cx| {
            polled += 1;
            if polled == 1 {
                assert!(executor.poll_idle(cx).is_pending());
                executor.begin_shutdown();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        assert!(queued.await.unwrap_err().is_executor_shutdown());
    });
}

#[test]
fn idle_workers_retire_and_others_take_their_place() {
    let executor = ThreadPoolExecutor::builder()
        .max_workers(3)
        .keep_alive(Duration::from_millis(1))
        .build();
    for _ in 0..5 {
        let gates = [gate(&executor), gate(&executor), gate(&executor)];
        assert_eq!(workers(&executor), 3);
        for (job, release) in gates {
            drop(release);
            block_on(job).unwrap();
        }
        eventually(|| workers(&executor) == 0);
    }
    assert_eq!(
        executor.owner.pool.lock().seats.len(),
        3,
        "seats are taken again"
    );
}

#[test]
fn no_job_is_lost_between_retiring_and_submitting() {
    let executor = ThreadPoolExecutor::builder()
        .max_workers(2)
        .keep_alive(Duration::ZERO)
        .build();
    for number in 0..500 {
        assert_eq!(block_on(executor.submit(move || number)).unwrap(), number);
    }
}

#[test]
fn the_last_handle_sends_the_workers_home_when_the_queue_is_empty() {
    let executor = one_worker();
    let (gate, release) = gate(&executor);
    let pool = Arc::clone(&executor.owner.pool);
    let job = executor.submit(|| 7);
    let token = executor.stop_token();
    drop(executor);
    drop(release);
    assert_eq!(block_on(job).unwrap(), 7, "what was queued is still run");
    block_on(gate).unwrap();
    eventually(|| pool.lock().workers == 0);
    assert!(!token.is_stopped());
}

#[test]
fn the_last_handle_does_not_leave_idle_workers_behind() {
    let executor = ThreadPoolExecutor::builder()
        .keep_alive(Duration::MAX)
        .build();
    block_on(executor.submit(|| ())).unwrap();
    let pool = Arc::clone(&executor.owner.pool);
    eventually(|| pool.lock().waiting == 1);
    drop(executor.clone());
    assert_eq!(pool.lock().workers, 1);
    drop(executor);
    eventually(|| pool.lock().workers == 0);
}

#[test]
fn a_stop_token_is_slept_on_until_the_shutdown() {
    let executor = ThreadPoolExecutor::with_max_workers(3);
    let (begun, has_begun) = mpsc::channel();
    let second_begun = begun.clone();
    let sleeper = executor.submit_with(move |stop| {
        let slept = stop.sleep(Duration::from_millis(1));
        begun.send(()).unwrap();
        (slept, stop.sleep(Duration::MAX), stop.sleep(LIMIT))
    });
    let waiter = executor.submit_with(move |stop| {
        second_begun.send(()).unwrap();
        stop.wait();
        stop.is_stopped()
    });
    has_begun.recv_timeout(LIMIT).unwrap();
    has_begun.recv_timeout(LIMIT).unwrap();
    let start = Instant::now();
    assert!(executor.shutdown(true, Some(LIMIT)).is_complete());
    assert!(start.elapsed() < LIMIT);
    assert_eq!(block_on(sleeper).unwrap(), (false, true, true));
    assert!(block_on(waiter).unwrap());
}

#[test]
fn submitting_while_shutting_down_runs_or_refuses_each_job_once() {
    for round in 0..200 {
        let executor = ThreadPoolExecutor::with_max_workers(1 + round % 3);
        let (ran, drops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let barrier = Barrier::new(3);
        let submit = || {
            barrier.wait();
            let jobs: Vec<_> = (0..20)
                .map(|_| {
                    let (ran, captured) = (Arc::clone(&ran), Counted(Arc::clone(&drops)));
                    executor.submit(move || {
                        let _captured = captured;
                        ran.fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            let outcomes = jobs.into_iter().map(block_on);
            outcomes.filter(|outcome| outcome.is_ok()).count()
        };
        let done: usize = thread::scope(|scope| {
            let submitters = [scope.spawn(submit), scope.spawn(submit)];
            barrier.wait();
            if round % 2 == 0 {
                thread::yield_now();
            }
            assert!(executor.shutdown(true, Some(LIMIT)).is_complete());
            submitters
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(ran.load(Ordering::SeqCst), done);
        assert_eq!(drops.load(Ordering::SeqCst), 40);
        assert_eq!(executor.outstanding(), 0);
    }
}

#[test]
fn jobs_dropped_at_any_moment_are_run_at_most_once_and_lose_nothing() {
    let executor = ThreadPoolExecutor::with_max_workers(3);
    let drops = Arc::new(AtomicUsize::new(0));
    for round in 0..2000 {
        let captured = Counted(Arc::clone(&drops));
        let mut job = executor.submit(move || captured);
        for _ in 0..round % 4 {
            thread::yield_now();
        }
        if round % 2 == 0 {
            let _ = poll_once(&mut job);
        }
        drop(job);
    }
    assert!(block_on(executor.submit(|| ())).is_ok());
    eventually(|| executor.outstanding() == 0);
    let _ = executor.shutdown(true, None);
    assert_eq!(drops.load(Ordering::SeqCst), 2000);
}

#[test]
fn polling_a_job_after_its_end_panics() {
    let executor = one_worker();
    let mut job = executor.submit(|| 7);
    assert_eq!(block_on(&mut job).unwrap(), 7);
    assert!(job.is_finished());
    assert!(panic::catch_unwind(panic::AssertUnwindSafe(|| poll_once(&mut job))).is_err());
    let here: &Location<'_> = Location::caller();
    assert!(format!("{job:?}").contains(here.file()), "{job:?}");
}
