//! Blocking jobs: the default executor, `to_thread`, and their ends.

mod support;

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use asyncio::{EventLoop, Runner, ThreadPoolExecutor, context_var};

use support::trace::{PanicOnDrop, Trace, reports_of};

/// Ample: reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(20);

// ----- 5.5 -----

/// semantics 5.5; test_run_in_executor
#[asyncio::test]
async fn a_job_runs_in_another_thread_and_gives_its_value() {
    let here = std::thread::current().id();
    let there = asyncio::running_loop().run_in_executor(|| std::thread::current().id());
    assert_ne!(there.await.unwrap(), here);
}

/// semantics 5.5, 3.3: the default executor is made at first use, its threads are `asyncio_N`.
#[asyncio::test]
async fn the_default_executors_threads_are_numbered() {
    let name = asyncio::to_thread(|| std::thread::current().name().map(String::from));
    assert_eq!(name.await.unwrap().as_deref(), Some("asyncio_0"));
}

/// test_threads.py: called once, with its arguments.
#[asyncio::test]
async fn a_function_is_called_exactly_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let sum = |a: u32, b: u32| {
        asyncio::to_thread(move || {
            count.fetch_add(1, Ordering::Relaxed);
            a + b
        })
    };
    assert_eq!(sum(3, 4).await.unwrap(), 7);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// Nothing happens before `to_thread` is awaited.
#[asyncio::test]
async fn to_thread_is_lazy() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    drop(asyncio::to_thread(move || {
        count.fetch_add(1, Ordering::Relaxed)
    }));
    asyncio::to_thread(|| ()).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    assert_eq!(Arc::strong_count(&calls), 1);
}

/// test_threads.py: 10 concurrent; here they wait for one another, so that they really are.
#[asyncio::test]
async fn jobs_run_side_by_side() {
    let executor = ThreadPoolExecutor::with_max_workers(8);
    asyncio::running_loop().set_default_executor(executor);
    let barrier = Arc::new(std::sync::Barrier::new(8));
    let jobs: Vec<_> = (0..8)
        .map(|_| {
            let barrier = barrier.clone();
            asyncio::running_loop().run_in_executor(move || barrier.wait().is_leader())
        })
        .collect();
    let mut leaders = 0;
    for job in jobs {
        leaders += u32::from(job.await.unwrap());
    }
    assert_eq!(leaders, 1);
}

/// semantics 5.5: explicit executors work beside the default one.
#[asyncio::test]
async fn a_programs_own_executor_is_awaited_like_the_default_one() {
    let executor = ThreadPoolExecutor::builder()
        .thread_name_prefix("own")
        .build();
    let name = executor.submit(|| std::thread::current().name().map(String::from));
    assert_eq!(name.await.unwrap().as_deref(), Some("own_0"));
}

/// semantics 5.5; test_set_default_executor
#[asyncio::test]
async fn the_default_executor_can_be_replaced() {
    let executor = ThreadPoolExecutor::builder()
        .thread_name_prefix("mine")
        .build();
    asyncio::running_loop().set_default_executor(executor);
    let name = asyncio::to_thread(|| std::thread::current().name().map(String::from));
    assert_eq!(name.await.unwrap().as_deref(), Some("mine_0"));
}

/// One worker takes the jobs in their order.
#[asyncio::test]
async fn one_worker_takes_jobs_first_in_first_out() {
    let trace = Trace::new();
    asyncio::running_loop().set_default_executor(ThreadPoolExecutor::with_max_workers(1));
    let jobs: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| asyncio::running_loop().run_in_executor(trace.noter(name)))
        .collect();
    for job in jobs {
        job.await.unwrap();
    }
    assert_eq!(trace.take(), ["a", "b", "c"]);
}

context_var! {
    static WHO: &'static str = "nobody";
}

/// semantics 5.5, 1.9; test_threads.py: visible in the thread, changes not visible back.
#[asyncio::test]
async fn a_job_sees_a_copy_of_the_context() {
    WHO.set("main");
    let seen = asyncio::to_thread(|| {
        let seen = WHO.get();
        WHO.set("thread");
        (seen, WHO.get())
    });
    assert_eq!(seen.await.unwrap(), (Some("main"), Some("thread")));
    assert_eq!(WHO.get(), Some("main"));
    // The worker is used again, and nothing of the last job's context is left in it.
    WHO.set("second");
    assert_eq!(
        asyncio::to_thread(|| WHO.get()).await.unwrap(),
        Some("second")
    );
}

// ----- panics -----

/// test_threads.py; P07
#[asyncio::test]
async fn a_jobs_panic_reaches_the_awaiter_and_the_worker_survives() {
    asyncio::running_loop().set_default_executor(ThreadPoolExecutor::with_max_workers(1));
    let line = line!() + 1;
    let job = asyncio::to_thread(|| panic!("out of cheese"));
    let outcome: Result<(), _> = job.await;
    let error = outcome.unwrap_err();
    assert!(error.is_panic() && !error.is_cancelled());
    let place = error.spawn_location();
    assert_eq!((place.file(), place.line()), (file!(), line));
    assert!(error.to_string().contains("out of cheese"));
    let payload = error.into_panic();
    assert_eq!(payload.downcast_ref(), Some(&"out of cheese"));
    let name = asyncio::to_thread(|| std::thread::current().name().map(String::from));
    assert_eq!(name.await.unwrap().as_deref(), Some("asyncio_0"));
}

/// E07: the value of a job that nobody awaits any more is dropped in the worker; a panic there is contained.
#[asyncio::test]
async fn a_value_nobody_receives_may_panic_when_it_is_dropped() {
    asyncio::running_loop().set_default_executor(ThreadPoolExecutor::with_max_workers(1));
    let job = asyncio::running_loop().run_in_executor(|| PanicOnDrop("in the worker"));
    job.detach();
    assert_eq!(asyncio::to_thread(|| 7).await.unwrap(), 7);
}

/// E07: what a job captured is dropped once, wherever the job ends.
#[asyncio::test]
async fn a_job_taken_back_is_never_run_and_its_captures_are_dropped() {
    let trace = Trace::new();
    asyncio::running_loop().set_default_executor(ThreadPoolExecutor::with_max_workers(1));
    let (release, stuck) = mpsc::channel::<()>();
    let first = asyncio::running_loop().run_in_executor(move || stuck.recv().is_ok());
    let (notes, dropped) = (trace.clone(), trace.on_drop("captures dropped"));
    let queued = asyncio::running_loop().run_in_executor(move || {
        notes.note("ran");
        drop(dropped);
    });
    drop(queued);
    release.send(()).unwrap();
    first.await.unwrap();
    asyncio::to_thread(|| ()).await.unwrap();
    assert_eq!(trace.take(), ["captures dropped"]);
}

// ----- cancellation -----

/// semantics 3.3; C07; test_run_in_executor_cancel: the awaiter ends now, the job runs to its end.
#[asyncio::test]
async fn cancelling_the_awaiter_of_a_running_job_only_detaches_it() {
    let (begun, begins) = mpsc::channel();
    let (release, stuck) = mpsc::channel::<()>();
    let (done, ends) = mpsc::channel();
    let waiting = asyncio::spawn(asyncio::to_thread(move || {
        begun.send(()).unwrap();
        stuck.recv().unwrap();
        done.send("ran to its end").unwrap();
    }));
    asyncio::yield_now().await;
    begins.recv_timeout(PATIENCE).unwrap();
    waiting.cancel();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert!(ends.try_recv().is_err());
    release.send(()).unwrap();
    assert_eq!(ends.recv_timeout(PATIENCE), Ok("ran to its end"));
}

/// semantics 3.3: a job still queued is really cancelled.
#[asyncio::test]
async fn cancelling_the_awaiter_of_a_queued_job_takes_the_job_back() {
    let trace = Trace::new();
    asyncio::running_loop().set_default_executor(ThreadPoolExecutor::with_max_workers(1));
    let (release, stuck) = mpsc::channel::<()>();
    let first = asyncio::running_loop().run_in_executor(move || stuck.recv().is_ok());
    let waiting = asyncio::spawn(asyncio::to_thread(trace.noter("ran")));
    asyncio::yield_now().await;
    waiting.cancel();
    assert!(waiting.await.unwrap_err().is_cancelled());
    release.send(()).unwrap();
    first.await.unwrap();
    asyncio::to_thread(|| ()).await.unwrap();
    assert!(trace.take().is_empty());
}

/// api 3: a pending cancellation goes before a job's result, which is still there afterwards.
#[asyncio::test]
async fn a_cancellation_loses_no_finished_jobs_result() {
    let task = asyncio::spawn(async {
        let mut job = asyncio::running_loop().run_in_executor(|| 7);
        while !job.is_finished() {
            asyncio::yield_now().await;
        }
        asyncio::current_task().unwrap().cancel();
        asyncio::catch_cancelled(&mut job).await.unwrap_err();
        job.await.unwrap()
    });
    assert_eq!(task.await.unwrap(), 7);
}

/// api 3, the same for a job of the program's own executor.
#[asyncio::test]
async fn a_cancellation_loses_no_result_of_the_programs_own_executor() {
    let task = asyncio::spawn(async {
        let executor = ThreadPoolExecutor::with_max_workers(1);
        let mut job = executor.submit(|| 7);
        while !job.is_finished() {
            asyncio::yield_now().await;
        }
        asyncio::current_task().unwrap().cancel();
        let caught = asyncio::catch_cancelled(&mut job).await;
        assert!(
            caught.is_err(),
            "the cancellation was not delivered at the await"
        );
        job.await.unwrap()
    });
    assert_eq!(task.await.unwrap(), 7);
}

// ----- shutdown: 3.3 -----

/// semantics 3.3; E05
#[asyncio::test]
async fn after_the_shutdown_every_job_is_refused() {
    let event_loop = asyncio::running_loop();
    assert_eq!(asyncio::to_thread(|| 1).await.unwrap(), 1);
    assert!(event_loop.shutdown_default_executor(None).await.is_empty());
    let dropped = Trace::new();
    let captured = dropped.on_drop("dropped");
    let error = asyncio::to_thread(move || drop(captured))
        .await
        .unwrap_err();
    assert!(error.is_executor_shutdown());
    assert!(
        error
            .to_string()
            .contains("Executor shutdown has been called")
    );
    assert_eq!(dropped.take(), ["dropped"]);
    // Explicit executors still work.
    let other = ThreadPoolExecutor::with_max_workers(1);
    assert_eq!(other.submit(|| 2).await.unwrap(), 2);
}

/// semantics 3.3: without an executor there is nothing to shut down, and none comes later.
#[asyncio::test]
async fn shutting_down_before_the_first_job_refuses_the_first_job() {
    let event_loop = asyncio::running_loop();
    assert!(event_loop.shutdown_default_executor(None).await.is_empty());
    assert!(
        asyncio::to_thread(|| ())
            .await
            .unwrap_err()
            .is_executor_shutdown()
    );
}

/// semantics 3.3: the flag is set first, and running jobs are awaited.
#[asyncio::test]
async fn the_shutdown_waits_for_running_jobs() {
    let event_loop = asyncio::running_loop();
    let (begun, begins) = mpsc::channel();
    let (release, stuck) = mpsc::channel::<()>();
    let trace = Trace::new();
    let notes = trace.clone();
    let job = event_loop.run_in_executor(move || {
        begun.send(()).unwrap();
        stuck.recv().unwrap();
        notes.note("job ended");
    });
    begins.recv_timeout(PATIENCE).unwrap();
    let shutdown = asyncio::spawn(event_loop.shutdown_default_executor(None));
    asyncio::yield_now().await;
    assert!(
        asyncio::to_thread(|| ())
            .await
            .unwrap_err()
            .is_executor_shutdown()
    );
    assert!(!shutdown.is_finished());
    trace.note("released");
    release.send(()).unwrap();
    assert!(shutdown.await.unwrap().is_empty());
    assert_eq!(trace.take(), ["released", "job ended"]);
    job.await.unwrap();
}

/// semantics 3.3; test_shutdown_default_executor_timeout; E04. By the real clock, as a virtual one waits for jobs.
#[asyncio::test]
async fn a_shutdown_with_a_limit_names_the_jobs_that_are_left() {
    let event_loop = asyncio::running_loop();
    let (begun, begins) = mpsc::channel();
    let (release, stuck) = mpsc::channel::<()>();
    let line = line!() + 1;
    let job = event_loop.run_in_executor(move || {
        begun.send(()).unwrap();
        let _released = stuck.recv();
    });
    job.detach();
    begins.recv_timeout(PATIENCE).unwrap();
    let left = event_loop
        .shutdown_default_executor(Duration::from_millis(5))
        .await;
    let [job] = &left[..] else { panic!("{left:?}") };
    assert_eq!(
        (job.location().file(), job.location().line()),
        (file!(), line)
    );
    release.send(()).unwrap();
}

/// E05: a job submitted by a destructor while the loop closes is refused.
#[test]
fn a_job_submitted_by_a_destructor_during_close_is_refused() {
    struct Submits(EventLoop, Trace);
    impl Drop for Submits {
        fn drop(&mut self) {
            let notes = self.1.clone();
            self.0.run_in_executor(move || notes.note("ran")).detach();
            self.1.note("submitted");
        }
    }
    let trace = Trace::new();
    let event_loop = EventLoop::new().unwrap();
    let executor = ThreadPoolExecutor::with_max_workers(1);
    event_loop.set_default_executor(executor.clone());
    let submits = Submits(event_loop.clone(), trace.clone());
    event_loop.call_soon(move || drop(submits));
    event_loop.close().unwrap();
    // Either it came before the executor's end, and ran, or it was refused; it neither hangs nor panics.
    assert!(executor.shutdown(true, Some(PATIENCE)).is_complete());
    assert_eq!(trace.take()[0], "submitted");
    assert!(event_loop.is_closed());
}

/// semantics 5.5: if the loop is closed when the job ends, the result is dropped quietly.
#[test]
fn a_job_that_ends_after_its_loop_is_dropped_quietly() {
    let event_loop = EventLoop::new().unwrap();
    let executor = ThreadPoolExecutor::with_max_workers(1);
    event_loop.set_default_executor(executor.clone());
    let reports = reports_of(&event_loop);
    let (begun, begins) = mpsc::channel();
    let (release, stuck) = mpsc::channel::<()>();
    let trace = Trace::new();
    let value = trace.on_drop("value dropped");
    let task = event_loop.spawn(asyncio::to_thread(move || {
        begun.send(()).unwrap();
        stuck.recv().unwrap();
        value
    }));
    event_loop.stop();
    event_loop.run_forever().unwrap();
    begins.recv_timeout(PATIENCE).unwrap();
    event_loop.close().unwrap();
    assert!(task.is_cancelled());
    release.send(()).unwrap();
    assert!(executor.shutdown(true, Some(PATIENCE)).is_complete());
    assert_eq!(trace.take(), ["value dropped"]);
    assert!(reports.take().is_empty());
}

/// semantics 8.1: a job can learn that the shutdown has begun, and end.
#[test]
fn a_job_with_a_stop_token_ends_with_the_runner() {
    let runner = Runner::new();
    let trace = Trace::new();
    let notes = trace.clone();
    runner
        .run(async move {
            let (begun, begins) = mpsc::channel();
            drop(asyncio::spawn(asyncio::to_thread_with(move |stop| {
                begun.send(()).unwrap();
                assert!(stop.sleep(Duration::MAX));
                assert!(stop.is_stopped());
                notes.note("told");
            })));
            asyncio::yield_now().await;
            begins.recv_timeout(PATIENCE).unwrap();
        })
        .unwrap();
    assert!(runner.close().unwrap().is_clean());
    assert_eq!(trace.take(), ["told"]);
}

/// E14
#[asyncio::test]
async fn a_huge_pool_starts_only_the_threads_it_needs() {
    let executor = ThreadPoolExecutor::with_max_workers(usize::MAX);
    asyncio::running_loop().set_default_executor(executor.clone());
    assert_eq!(asyncio::to_thread(|| 7).await.unwrap(), 7);
    assert!(executor.shutdown(true, Some(Duration::MAX)).is_complete());
}

/// E09, sized for a quick test: many jobs queued, each is run exactly once.
#[asyncio::test]
async fn ten_thousand_jobs_each_run_once() {
    asyncio::running_loop().set_default_executor(ThreadPoolExecutor::with_max_workers(4));
    let sum = Arc::new(AtomicUsize::new(0));
    let jobs: Vec<_> = (1..=10_000)
        .map(|number| {
            let sum = sum.clone();
            asyncio::running_loop().run_in_executor(move || {
                sum.fetch_add(number, Ordering::Relaxed);
            })
        })
        .collect();
    for job in jobs {
        job.await.unwrap();
    }
    assert_eq!(sum.load(Ordering::Relaxed), 50_005_000);
}

/// E11: a submit that races the shutdown runs once or fails once.
#[test]
fn a_submit_that_races_the_shutdown_runs_or_is_refused() {
    for _ in 0..50 {
        let executor = ThreadPoolExecutor::with_max_workers(2);
        let ran = Arc::new(AtomicUsize::new(0));
        let (other, count) = (executor.clone(), ran.clone());
        let submitter = std::thread::spawn(move || {
            (0..20)
                .map(|_| {
                    let count = count.clone();
                    other.submit(move || count.fetch_add(1, Ordering::Relaxed))
                })
                .collect::<Vec<_>>()
        });
        executor.begin_shutdown();
        let jobs = submitter.join().unwrap();
        let succeeded = asyncio::run(async move {
            let mut succeeded = 0;
            for job in jobs {
                match job.await {
                    Ok(_number) => succeeded += 1,
                    Err(error) => assert!(error.is_executor_shutdown()),
                }
            }
            succeeded
        });
        assert_eq!(succeeded.unwrap(), ran.load(Ordering::Relaxed));
    }
}

/// E10: a job that ends its own executor does not wait for itself.
#[asyncio::test]
async fn a_job_may_shut_its_own_executor_down() {
    let executor = ThreadPoolExecutor::with_max_workers(1);
    let itself = executor.clone();
    let job = executor.submit(move || itself.shutdown(true, None).is_complete());
    assert!(job.await.unwrap());
    assert!(
        executor
            .submit(|| ())
            .await
            .unwrap_err()
            .is_executor_shutdown()
    );
}

/// A job may run a loop of its own: the standard way out of nesting.
#[asyncio::test]
async fn a_job_may_run_a_loop_of_its_own() {
    let value = asyncio::to_thread(|| {
        asyncio::run(async {
            let left = asyncio::spawn(pending::<()>());
            left.cancel();
            left.await.unwrap_err().is_cancelled()
        })
    });
    assert!(value.await.unwrap().unwrap());
}
