//! `EventLoop::metrics`: each number, brought about and counted.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use asyncio::{
    EventLoop, Metrics, ThreadPoolExecutor, running_loop, sleep, spawn, to_thread, yield_now,
};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn metrics() -> Metrics {
    running_loop().metrics()
}

#[asyncio::test]
async fn a_fresh_loop_has_one_task_and_nothing_else() {
    let now = metrics();
    assert_eq!(
        (now.tasks, now.spawned, now.ready, now.timers),
        (1, 1, 0, 0)
    );
    assert_eq!((now.polls, now.parks, now.remote_wakes), (1, 0, 0));
    assert_eq!((now.executor_threads, now.executor_queue), (0, 0));
    assert_eq!((now.late_timers, now.busy), (0, None));
}

#[asyncio::test]
async fn what_is_ready_is_counted() {
    drop(spawn(async {}));
    running_loop().call_soon(|| ());
    assert_eq!(metrics().ready, 2);
    yield_now().await;
    assert_eq!(metrics().ready, 0);
}

#[asyncio::test]
async fn polls_and_callbacks_are_counted_however_many_there_are() {
    let before = metrics().polls;
    for _ in 0..1000 {
        yield_now().await;
    }
    running_loop().call_soon(|| ());
    yield_now().await;
    assert_eq!(metrics().polls - before, 1002);
}

#[asyncio::test]
async fn tasks_that_ended_are_counted_as_spawned_only() {
    for _ in 0..10 {
        spawn(async {}).await.unwrap();
    }
    let now = metrics();
    assert_eq!((now.tasks, now.spawned), (1, 11));
}

#[asyncio::test(virtual_time)]
async fn each_wait_is_counted() {
    let before = metrics().parks;
    for _ in 0..5 {
        sleep(HOUR).await;
    }
    assert_eq!(metrics().parks - before, 5);
}

#[asyncio::test]
async fn timers_are_counted_until_they_fire_or_are_given_up() {
    let event_loop = running_loop();
    let callback = event_loop.call_later(HOUR, || ());
    let sleeper = spawn(sleep(HOUR));
    yield_now().await;
    assert_eq!(metrics().timers, 2);
    callback.cancel();
    sleeper.cancel();
    let _ = sleeper.await;
    assert_eq!(metrics().timers, 0);
}

#[asyncio::test]
async fn wakes_from_other_threads_are_counted_and_those_of_its_own_are_not() {
    let handle = running_loop().handle();
    handle.call_soon_threadsafe(|| ()).unwrap();
    yield_now().await;
    assert_eq!(metrics().remote_wakes, 0);
    thread::spawn(move || (0..3).for_each(|_| handle.call_soon_threadsafe(|| ()).unwrap()))
        .join()
        .unwrap();
    yield_now().await;
    assert_eq!(metrics().remote_wakes, 3);
}

#[asyncio::test]
async fn threads_and_queued_jobs_of_the_executor_are_counted() {
    let event_loop = running_loop();
    event_loop.set_default_executor(ThreadPoolExecutor::with_max_workers(1));
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let first = event_loop.run_in_executor(move || {
        begun.send(()).unwrap();
        let _ = held.recv();
    });
    has_begun.recv().unwrap();
    let second = event_loop.run_in_executor(|| ());
    let now = metrics();
    assert_eq!((now.executor_threads, now.executor_queue), (1, 1));
    drop(release);
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(metrics().executor_queue, 0);
}

#[asyncio::test]
async fn busy_is_what_is_not_waited() {
    let event_loop = running_loop();
    event_loop.set_metrics(true);
    sleep(100 * MS).await;
    let idle = metrics().busy.unwrap();
    assert!((0.0..0.9).contains(&idle), "{idle}");
    event_loop.set_metrics(true);
    thread::sleep(100 * MS);
    let busy = metrics().busy.unwrap();
    assert_eq!(busy, 1.0);
    event_loop.set_metrics(false);
    assert_eq!(metrics().busy, None);
}

/// Not in debug mode, which counts them as well.
#[asyncio::test(debug = false)]
async fn late_timers_are_counted_once_that_is_switched_on() {
    let event_loop = running_loop();
    event_loop.set_slow_callback_duration(100 * MS);
    for (is_on, late) in [(false, 0), (true, 2), (false, 0)] {
        event_loop.set_metrics(is_on);
        event_loop.call_later(MS, || ());
        let in_time = event_loop.call_later(HOUR, || ());
        let sleeper = spawn(sleep(MS));
        yield_now().await;
        thread::sleep(150 * MS);
        sleeper.await.unwrap();
        assert_eq!(metrics().late_timers, late);
        in_time.cancel();
    }
}

#[asyncio::test]
async fn another_thread_may_ask() {
    let handle = running_loop().handle();
    let now = to_thread(move || handle.metrics().join().unwrap())
        .await
        .unwrap();
    // The test itself and the one that answers.
    assert_eq!(now.tasks, 2);
}

#[test]
fn a_closed_loop_still_has_its_numbers() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.run_until_complete(async {}).unwrap();
    event_loop.close().unwrap();
    let now = event_loop.metrics();
    assert_eq!((now.tasks, now.spawned, now.polls), (0, 1, 1));
    assert!(
        event_loop
            .handle()
            .metrics()
            .join()
            .unwrap_err()
            .is_cancelled()
    );
}
