//! The public contract, call by call: what stands here must keep compiling, and do what it says.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use asyncio::driver::{PollingDriver, VirtualTime};
use asyncio::{
    CancelHandle, CancelReason, CancelledError, Context, EventLoop, ExceptionContext, Handle,
    JoinError, LoopHandle, RemoteTask, RunError, Runner, RunnerState, ShutdownReport, Task,
    TaskRef, ThreadPoolExecutor, TimeoutError, TimerHandle, runner,
};

#[asyncio::main]
async fn fallible() -> Result<(), Box<dyn std::error::Error>> {
    Ok(())
}

#[asyncio::main(
    debug,
    loop_factory = || EventLoop::builder().build(),
    terminate,
    shutdown_timeout = Duration::from_secs(20),
    crate = ::asyncio,
)]
async fn with_every_option() -> ExitCode {
    assert!(asyncio::running_loop().debug());
    ExitCode::from(7)
}

#[runner::main(debug = cfg!(not(debug_assertions)), loop_factory = EventLoop::new)]
async fn through_the_module(number: u32) -> u32 {
    number + 1
}

#[runner::test]
async fn a_test_may_fail_with_an_error() -> Result<(), RunError> {
    Ok(())
}

#[asyncio::test(
    debug = false,
    timeout = Duration::from_secs(5),
    virtual_time,
    seeds = 3,
    leftovers = "cancel",
    shutdown_timeout = "5s",
    crate = asyncio
)]
async fn a_test_takes_every_option() {
    asyncio::sleep(Duration::from_secs(1)).await;
}

#[test]
fn entry_points_are_plain_functions() {
    fallible().unwrap();
    assert_eq!(with_every_option(), ExitCode::from(7));
    assert_eq!(through_the_module(1), 2);
}

#[test]
fn a_runner_does_what_the_contract_says() {
    let value: Result<u32, RunError> = asyncio::run(async { 1 });
    assert_eq!(value.unwrap(), 1);

    let runner = Runner::builder()
        .debug(true)
        .loop_factory(EventLoop::new)
        .interrupt(false)
        .terminate(false)
        .hangup(false)
        .shutdown_timeout(Duration::from_secs(1))
        .build();
    assert_eq!(runner.state(), RunnerState::Created);
    let borrowed = String::from("neither 'static nor Send");
    assert_eq!(runner.run(async { borrowed.len() }).unwrap(), 24);
    assert_eq!(runner.state(), RunnerState::Initialized);
    let context = Context::new();
    assert_eq!(runner.run_in(&context, async { 2 }).unwrap(), 2);
    let event_loop: EventLoop = runner.event_loop().unwrap();
    assert!(!event_loop.is_running());
    let report: ShutdownReport = runner.close().unwrap();
    assert!(report.is_clean());
    assert_eq!(runner.state(), RunnerState::Closed);
    assert!(matches!(runner.run(async {}), Err(RunError::Closed)));
    assert_eq!(RunError::Closed.exit_code(), ExitCode::FAILURE);
    let exited = asyncio::run(async {
        asyncio::at_exit(async { asyncio::sleep(Duration::ZERO).await });
        asyncio::exit(3);
    });
    assert_eq!(exited.unwrap_err().exit_code(), ExitCode::from(3));
    drop(Runner::new());
}

#[test]
fn a_loop_does_what_the_contract_says() {
    let event_loop: EventLoop = asyncio::new_event_loop().unwrap();
    asyncio::set_event_loop(event_loop.clone());
    assert_eq!(asyncio::event_loop(), event_loop);
    asyncio::set_event_loop(None);

    let built = EventLoop::builder()
        .debug(false)
        .driver(VirtualTime::new(PollingDriver::new()))
        .virtual_time()
        .seed(1)
        .executor(ThreadPoolExecutor::new())
        .slow_callback_duration(Duration::from_millis(50))
        .build()
        .unwrap();
    built.close().unwrap();

    let soon: Handle = event_loop.call_soon(|| ());
    soon.cancel();
    let later: TimerHandle = event_loop.call_later(Duration::from_secs(1), || ());
    later.cancel();
    let now: Instant = event_loop.time();
    let at: TimerHandle = event_loop.call_at(now, || ());
    at.cancel();
    event_loop.set_debug(false);
    event_loop.set_slow_callback_duration(Duration::from_millis(100));
    event_loop
        .set_exception_handler(|event_loop, context| event_loop.default_exception_handler(context));
    event_loop.set_default_executor(ThreadPoolExecutor::new());
    assert!(!event_loop.debug() && !event_loop.is_running() && !event_loop.is_closed());

    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    event_loop.add_reader(&reader, || ()).unwrap();
    event_loop.add_writer(&writer, || ()).unwrap();
    assert!(event_loop.remove_reader(&reader) && event_loop.remove_writer(&writer));
    event_loop.add_signal_handler(12, || ()).unwrap();
    assert!(event_loop.remove_signal_handler(12));
    // Dropped unawaited, they listen to nothing any more.
    drop(asyncio::signal::terminate().into_future());
    drop(async { asyncio::signal::ctrl_c().await.is_ok() });

    let handle: LoopHandle = event_loop.handle();
    let named: Task<u32> = event_loop
        .task()
        .name("x")
        .context(Context::new())
        .spawn(async { 1 });
    let remote: RemoteTask<u32> = handle.spawn(async { 2 });
    handle.call_soon_threadsafe(|| ()).unwrap();
    assert!(!handle.is_closed());
    let here = event_loop.clone();
    let results = event_loop.run_until_complete(async move {
        let job = here.run_in_executor(|| 3).await.unwrap();
        assert_eq!(asyncio::running_loop(), here);
        here.shutdown_asyncgens().await;
        here.shutdown_default_executor(Duration::from_secs(1)).await;
        (named.await.unwrap(), remote.await.unwrap(), job)
    });
    assert_eq!(results.unwrap(), (1, 2, 3));
    assert!(event_loop.all_tasks().is_empty());
    event_loop.call_exception_handler(ExceptionContext::new("the contract calls the handler"));
    event_loop.stop();
    event_loop.run_forever().unwrap();
    event_loop.close().unwrap();
    assert!(event_loop.is_closed() && handle.is_closed());
}

#[asyncio::test]
async fn tasks_and_cancellation_do_what_the_contract_says() {
    let task: Task<()> = asyncio::spawn(std::future::pending());
    task.set_name("worker");
    assert_eq!(task.name(), "worker");
    assert_eq!(task.spawn_location().file(), file!());
    assert_eq!(
        (task.cancelling(), task.is_finished(), task.is_cancelled()),
        (0, false, false)
    );
    let main: TaskRef = asyncio::current_task().unwrap();
    let all: Vec<TaskRef> = asyncio::all_tasks();
    assert_eq!(
        all.iter().map(TaskRef::id).collect::<Vec<_>>(),
        [main.id(), task.id()]
    );
    task.add_done_callback(|task| assert!(task.is_cancelled()));
    let _from_any_thread: CancelHandle = task.cancel_handle();
    assert!(task.cancel_with("enough"));
    assert_eq!(task.uncancel(), 0);
    assert!(task.cancel());
    let error: JoinError = task.await.unwrap_err();
    assert!(error.is_cancelled() && !error.is_panic());

    let error = asyncio::spawn(async { panic!("on purpose") })
        .await
        .unwrap_err();
    assert!(error.is_panic() && error.try_into_panic().is_ok());

    let caught: Result<u32, CancelledError> = asyncio::catch_cancelled(async { 1 }).await;
    assert_eq!(caught.unwrap(), 1);
    assert_eq!(
        asyncio::finally(async { 2 }, async || asyncio::yield_now().await).await,
        2
    );
    let timed: Result<u32, TimeoutError> =
        asyncio::timeout(Duration::from_secs(1), async { 3 }).await;
    assert_eq!(timed.unwrap(), 3);
    assert_eq!(
        asyncio::timeout_at(Instant::now(), async { 4 }).await,
        Ok(4)
    );
    asyncio::sleep_until(Instant::now()).await;
    assert_eq!(asyncio::to_thread(|| 5).await.unwrap(), 5);

    let raising: Task<u32> = asyncio::spawn(async {
        match asyncio::catch_cancelled(std::future::pending::<u32>()).await {
            Ok(value) => value,
            Err(cancelled) => {
                assert_eq!(
                    (cancelled.message(), cancelled.reason()),
                    (None, CancelReason::User)
                );
                cancelled.raise().await
            }
        }
    });
    asyncio::yield_now().await;
    raising.cancel();
    assert!(raising.await.unwrap_err().is_cancelled());
}
