//! tokio's context: what works inside, where it is, and how all of it ends with the loop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use asyncio::{EventLoop, Runner, tokio_compat};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;

/// Short enough to wait for, and long enough for nobody to be that slow by accident.
const SHORT: Duration = Duration::from_millis(100);

/// Reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// Never reached.
const FOREVER: Duration = Duration::from_secs(3600);

fn runner() -> Runner {
    Runner::builder().shutdown_timeout(PATIENCE).build()
}

fn has_context() -> bool {
    Handle::try_current().is_ok()
}

/// Says when it was dropped, and whether that was inside of the context.
struct Guard(mpsc::Sender<bool>);

impl Guard {
    fn new() -> (Guard, mpsc::Receiver<bool>) {
        let (sender, receiver) = mpsc::channel();
        (Guard(sender), receiver)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(has_context());
    }
}

/// Waits until `is_true`, for what other threads do without telling.
fn wait_until(is_true: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < end, "it never became true");
        thread::yield_now();
    }
}

// ----- what works inside -----

#[asyncio::test(timeout = "20s")]
async fn tasks_timers_sockets_and_blocking_jobs_of_tokio_work_inside() {
    let answer = tokio_compat(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut word = [0; 5];
            stream.read_exact(&mut word).await.unwrap();
            tokio::task::spawn_blocking(move || word.reverse())
                .await
                .unwrap();
            word.reverse();
            stream.write_all(&word).await.unwrap();
        });
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        server.await.unwrap();
        answer
    });
    assert_eq!(answer.await, "olleh");
}

#[asyncio::test(timeout = "20s")]
async fn a_future_inside_stays_on_the_loops_thread_and_waits_for_the_loop_as_well() {
    let home = thread::current().id();
    let local = std::rc::Rc::new(1);
    let task = asyncio::spawn(tokio_compat(async move {
        asyncio::sleep(Duration::from_millis(1)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        (*local, thread::current().id())
    }));
    assert_eq!(task.await.unwrap(), (1, home));
}

#[asyncio::test(timeout = "20s")]
async fn every_future_of_a_loop_has_the_same_tokio_on_a_thread_beside() {
    async fn place() -> (thread::ThreadId, Option<String>) {
        let place = tokio::spawn(async {
            let thread = thread::current();
            (thread.id(), thread.name().map(str::to_owned))
        });
        place.await.unwrap()
    }
    let first = tokio_compat(place()).await;
    let nested = tokio_compat(async { tokio_compat(place()).await }).await;
    let in_task = asyncio::spawn(tokio_compat(place())).await.unwrap();
    assert_eq!((&first, &first), (&nested, &in_task));
    assert_ne!(first.0, thread::current().id());
    assert_eq!(first.1.as_deref(), Some("asyncio-tokio"));
}

#[asyncio::test(timeout = "20s")]
async fn a_panic_inside_goes_on() {
    let task = asyncio::spawn(tokio_compat(async { panic!("on purpose") }));
    let panic = task.await.unwrap_err().into_panic();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "on purpose");
}

#[asyncio::test(timeout = "20s")]
async fn a_timeout_of_the_loop_ends_a_wait_of_tokios() {
    let waiting = tokio_compat(tokio_sleep(FOREVER));
    assert!(asyncio::timeout(SHORT, waiting).await.is_err());
}

/// Made inside, as tokio's sleep needs the context for that already.
async fn tokio_sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

// ----- where the context is -----

#[asyncio::test(timeout = "20s")]
async fn the_context_is_around_the_future_alone() {
    assert!(!has_context());
    tokio_compat(async {
        assert!(has_context());
        let task = asyncio::spawn(async { has_context() });
        assert!(!task.await.unwrap());
        assert!(has_context());
    })
    .await;
    assert!(!has_context());
}

#[asyncio::test(tokio, timeout = "20s")]
async fn with_the_option_all_that_runs_on_the_loop_has_it() {
    assert!(has_context());
    let task = asyncio::spawn(async { has_context() });
    assert!(task.await.unwrap());
    let (sender, receiver) = mpsc::channel();
    asyncio::running_loop().call_soon(move || sender.send(has_context()).unwrap());
    asyncio::yield_now().await;
    assert!(receiver.try_recv().unwrap());
}

#[asyncio::test(tokio = false)]
async fn the_option_may_be_off() {
    assert!(!has_context());
}

#[asyncio::test(tokio, seeds = 2, timeout = "20s")]
async fn with_seeds_every_run_has_it() {
    tokio_sleep(Duration::from_millis(1)).await;
}

#[asyncio::main(tokio)]
async fn sleep_in_tokio() -> bool {
    tokio_sleep(Duration::from_millis(1)).await;
    has_context()
}

#[test]
fn after_a_function_with_the_option_the_context_is_gone() {
    for _ in 0..3 {
        assert!(sleep_in_tokio());
        assert!(!has_context());
    }
}

#[asyncio::test(timeout = "20s")]
async fn a_cancelled_future_is_dropped_inside_of_the_context() {
    let (guard, dropped) = Guard::new();
    let task = asyncio::spawn(tokio_compat(async move {
        let _guard = guard;
        tokio_sleep(FOREVER).await;
    }));
    asyncio::yield_now().await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(dropped.try_recv().unwrap());
}

#[asyncio::test(timeout = "20s")]
async fn tasks_that_a_cancelled_future_has_started_go_on() {
    let (sender, receiver) = mpsc::channel();
    let task = asyncio::spawn(tokio_compat(async move {
        let go_on = async move {
            tokio_sleep(Duration::from_millis(10)).await;
            sender.send(()).unwrap();
        };
        tokio::spawn(go_on).await.unwrap();
    }));
    asyncio::yield_now().await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    asyncio::to_thread(move || receiver.recv_timeout(PATIENCE))
        .await
        .unwrap()
        .unwrap();
}

#[asyncio::test(timeout = "20s")]
async fn what_a_future_holds_is_dropped_inside_of_the_context_when_it_is_done_or_was_never_polled()
{
    let (guard, dropped) = Guard::new();
    /// Done at its first poll, and still there.
    struct Done(#[allow(dead_code, reason = "it is there to be dropped")] Guard);
    impl Future for Done {
        type Output = ();
        fn poll(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<()> {
            std::task::Poll::Ready(())
        }
    }
    tokio_compat(Done(guard)).await;
    assert!(dropped.try_recv().unwrap());
    let (guard, dropped) = Guard::new();
    drop(tokio_compat(Done(guard)));
    assert!(dropped.try_recv().unwrap());
}

#[test]
fn with_the_option_what_is_cut_off_is_dropped_inside_of_the_context() {
    let hold = |guard: Guard| async move {
        let _guard = guard;
        asyncio::sleep(FOREVER).await;
    };
    let (main, main_dropped) = Guard::new();
    let (hook, hook_dropped) = Guard::new();
    let runner = Runner::builder()
        .loop_setup(asyncio::tokio_context)
        .shutdown_timeout(SHORT)
        .build();
    let stopped = runner.run(async {
        asyncio::at_exit(hold(hook));
        asyncio::running_loop().stop();
        hold(main).await;
    });
    assert!(matches!(stopped, Err(asyncio::RunError::Stopped)));
    assert!(main_dropped.try_recv().unwrap());
    runner.close().unwrap();
    assert!(hook_dropped.try_recv().unwrap());
    assert!(!has_context());
}

// ----- how it ends -----

#[test]
fn nothing_is_started_before_the_first_poll() {
    let runner = runner();
    runner
        .run(async {
            drop(tokio_compat(async {}));
            assert!(!has_context());
        })
        .unwrap();
    assert!(runner.close().unwrap().abandoned_companions().is_empty());
}

#[test]
fn tasks_of_tokio_that_are_left_are_dropped_before_the_close_is_over() {
    let (guard, dropped) = Guard::new();
    let runner = runner();
    runner
        .run(tokio_compat(async {
            let task = async {
                let _guard = guard;
                tokio_sleep(FOREVER).await;
            };
            drop(tokio::spawn(task));
            tokio::task::yield_now().await;
        }))
        .unwrap();
    assert!(dropped.try_recv().is_err());
    assert!(runner.close().unwrap().is_clean());
    dropped.try_recv().unwrap();
}

#[test]
fn tokio_goes_on_from_run_to_run_and_ends_with_the_runner() {
    let runner = runner();
    let (slept, has_slept) = mpsc::channel();
    runner
        .run(tokio_compat(async {
            drop(tokio::spawn(async move {
                tokio_sleep(Duration::from_millis(10)).await;
                slept.send(()).unwrap();
            }));
        }))
        .unwrap();
    has_slept.recv_timeout(PATIENCE).unwrap();
    let thread = runner.run(tokio_compat(async {
        tokio::spawn(async { own_thread() }).await
    }));
    let thread = thread.unwrap().unwrap();
    assert!(thread.exists());
    assert!(runner.close().unwrap().is_clean());
    wait_until(|| !thread.exists());
}

/// The place where Linux tells of this thread for as long as it lives.
fn own_thread() -> PathBuf {
    Path::new("/proc").join(std::fs::read_link("/proc/thread-self").unwrap())
}

#[test]
fn a_blocking_job_is_waited_for() {
    let is_done = Arc::new(AtomicBool::new(false));
    let (begun, has_begun) = mpsc::channel();
    let done = is_done.clone();
    let runner = runner();
    runner
        .run(tokio_compat(async {
            drop(tokio::task::spawn_blocking(move || {
                begun.send(()).unwrap();
                thread::sleep(SHORT);
                done.store(true, Ordering::SeqCst);
            }));
        }))
        .unwrap();
    has_begun.recv_timeout(PATIENCE).unwrap();
    assert!(runner.close().unwrap().is_clean());
    assert!(is_done.load(Ordering::SeqCst));
}

/// Closes a runner in whose tokio something hangs until it is told to end, and returns what the report says of it.
fn leftovers(hang: impl FnOnce(Box<dyn FnOnce() + Send>)) -> String {
    let (begun, has_begun) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let runner = Runner::builder().shutdown_timeout(SHORT).build();
    let block = move || {
        begun.send(()).unwrap();
        let _ = ended.recv_timeout(PATIENCE);
    };
    runner
        .run(tokio_compat(async { hang(Box::new(block)) }))
        .unwrap();
    has_begun.recv_timeout(PATIENCE).unwrap();
    let report = runner.close().unwrap();
    drop(end);
    assert!(!report.is_clean());
    let [abandoned] = report.abandoned_companions() else {
        panic!("{report:?}");
    };
    assert_eq!(abandoned.name(), "tokio");
    abandoned.leftovers().to_owned()
}

#[test]
fn a_blocking_job_that_takes_too_long_is_told_of_and_left_behind() {
    let leftovers = leftovers(|block| drop(tokio::task::spawn_blocking(block)));
    assert_eq!(leftovers, "tasks: 0, blocking jobs: 1");
}

#[test]
fn a_task_that_never_awaits_is_told_of_and_left_behind() {
    let leftovers = leftovers(|block| drop(tokio::spawn(async { block() })));
    assert_eq!(leftovers, "tasks: 1, blocking jobs: 0");
}

#[test]
fn cleanups_hooks_and_blocking_jobs_still_have_tokio() {
    let (sender, receiver) = mpsc::channel();
    let runner = runner();
    let say = move |what: &'static str| {
        let sender = sender.clone();
        async move {
            tokio::spawn(tokio_sleep(Duration::from_millis(1)))
                .await
                .unwrap();
            sender.send(what).unwrap();
        }
    };
    runner
        .run(async {
            let (hook, cleanup) = (say("hook"), say("cleanup"));
            asyncio::at_exit(tokio_compat(hook));
            let waiting = asyncio::sleep(FOREVER);
            let cleaned = asyncio::finally(waiting, async || tokio_compat(cleanup).await);
            drop(asyncio::spawn(cleaned));
            let context = tokio_compat(async { Handle::current() }).await;
            let (begun, has_begun) = mpsc::channel();
            let job = move || {
                begun.send(()).unwrap();
                // By then the shutdown has come to the executor.
                thread::sleep(SHORT);
                context.block_on(say("job"));
            };
            drop(asyncio::spawn(asyncio::to_thread(job)));
            asyncio::yield_now().await;
            has_begun.recv_timeout(PATIENCE).unwrap();
        })
        .unwrap();
    assert!(runner.close().unwrap().is_clean());
    let mut said: Vec<_> = receiver.try_iter().collect();
    said.sort_unstable();
    assert_eq!(said, ["cleanup", "hook", "job"]);
}

#[test]
fn a_panic_of_main_leaves_no_task_of_tokio() {
    let (guard, dropped) = Guard::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        asyncio::run(tokio_compat(async {
            drop(tokio::spawn(async {
                let _guard = guard;
                tokio_sleep(FOREVER).await;
            }));
            panic!("on purpose");
        }))
    }));
    assert!(panicked.is_err());
    dropped.try_recv().unwrap();
}

#[test]
fn a_loop_that_is_driven_by_hand_takes_tokio_with_it() {
    let (guard, dropped) = Guard::new();
    let event_loop = EventLoop::new().unwrap();
    let thread = event_loop
        .run_until_complete(tokio_compat(async {
            drop(tokio::spawn(async {
                let _guard = guard;
                tokio_sleep(FOREVER).await;
            }));
            tokio::spawn(async { own_thread() }).await.unwrap()
        }))
        .unwrap();
    event_loop.close().unwrap();
    dropped.recv_timeout(PATIENCE).unwrap();
    wait_until(|| !thread.exists());
}

#[test]
fn outside_of_a_loop_there_is_a_clear_panic() {
    let mut future = std::pin::pin!(tokio_compat(async {}));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = future.as_mut().poll(&mut cx);
    }));
    let text = polled.unwrap_err();
    let text = text.downcast::<&str>().unwrap();
    assert!(text.starts_with("no running event loop"), "{text}");
}
