//! The time line: what is in it, and that it can be read whatever the process has died of.
//!
//! Real children, which are told where to write by the environment or the builder. The viewer's side is played by a reader of
//! JSON of somebody else's.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::pending;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use asyncio::{DetachedPanic, Runner, sleep, yield_now};
use serde_json::Value;
use support::child::{Child, Entry, Program, SIGINT, Setup, Test, run_programs, scenario};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(10);

const TESTS: &[Entry] = &[
    (
        "a program's polls, spawns, wakes, timers, jobs, waits and shutdown phases are drawn",
        everything_is_drawn,
    ),
    (
        "the builder names the file, with the process's number in it",
        the_builder_names_the_file,
    ),
    (
        "the file can be read while the program runs, with what is under way",
        the_file_can_be_read_while_the_program_runs,
    ),
    ("Ctrl-C leaves a whole file", ctrl_c_leaves_a_whole_file),
    (
        "a loop that hangs and is killed by the ladder is drawn up to the poll that hangs",
        a_loop_that_hangs_is_drawn,
    ),
    (
        "a kill that nobody can catch leaves a file that can be read",
        a_kill_leaves_a_file_that_can_be_read,
    ),
    ("a panic leaves a whole file", a_panic_leaves_a_whole_file),
    (
        "a file that is full says so in its last event",
        a_full_file_says_so,
    ),
    (
        "a file that cannot be written is said, and nothing else happens",
        a_file_that_cannot_be_written_is_said,
    ),
    (
        "names that JSON cannot hold as they are come back as they were",
        names_come_back,
    ),
    (
        "each worker has a track of its own, with its thread's name",
        each_worker_has_a_track,
    ),
    (
        "workers that run at the same time stand side by side",
        workers_stand_side_by_side,
    ),
    (
        "Ctrl-C leaves a whole file of all workers",
        ctrl_c_leaves_a_whole_file_of_all_workers,
    ),
    (
        "a worker that hangs is drawn up to the poll that hangs",
        a_worker_that_hangs_is_drawn,
    ),
    (
        "a file that all workers write is bounded",
        a_file_that_all_workers_write_is_bounded,
    ),
    (
        "without being asked the program writes nothing and starts no thread",
        without_being_asked_nothing_happens,
    ),
];

macro_rules! programs {
    ($($name:ident)*) => {
        const PROGRAMS: &[Program] = &[$((stringify!($name), || { $name(); ExitCode::SUCCESS })),*];
    };
}

programs! {
    does_everything named_by_builder waits hangs panics polls_much odd_names counts_threads
    has_three_workers meets_workers waits_with_workers hangs_in_a_worker all_poll_much
}

fn main() -> ExitCode {
    let tests = TESTS.iter().map(|&(name, test)| Test::new(name, test));
    run_programs(PROGRAMS, tests.collect())
}

/// A file of its own, gone with this.
struct TraceFile(PathBuf);

impl TraceFile {
    fn new() -> TraceFile {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("asyncio-time-line-{}-{number}.json", std::process::id());
        TraceFile(std::env::temp_dir().join(name))
    }

    fn setup(&self, program: &str) -> Setup {
        let mut command = scenario(program);
        command.env("ASYNCIO_TRACE", &self.0);
        Setup::new(command)
    }

    /// The events so far, if the file is whole.
    fn try_read(&self) -> Option<Vec<Value>> {
        let text = fs::read_to_string(&self.0).ok()?;
        match serde_json::from_str(&text).ok()? {
            Value::Array(events) => Some(events),
            other => panic!("no array: {other}"),
        }
    }

    fn read(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).unwrap();
        self.try_read()
            .unwrap_or_else(|| panic!("it is not whole: {text}"))
    }
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn is(event: &Value, phase: &str, category: &str, name: &str) -> bool {
    event["ph"] == phase && event["cat"] == category && event["name"] == name
}

/// The only event like that.
fn only<'a>(events: &'a [Value], phase: &str, category: &str, name: &str) -> &'a Value {
    let found: Vec<&Value> = events
        .iter()
        .filter(|event| is(event, phase, category, name))
        .collect();
    assert_eq!(found.len(), 1, "{phase} {category} {name}: {events:#?}");
    found[0]
}

fn count(events: &[Value], phase: &str, category: &str, name: &str) -> usize {
    events
        .iter()
        .filter(|event| is(event, phase, category, name))
        .count()
}

#[asyncio::main]
async fn does_everything() {
    asyncio::current_task().unwrap().set_name("main");
    let child = asyncio::task().name("child").spawn(async {
        sleep(5 * MS).await;
        asyncio::to_thread(|| std::thread::sleep(2 * MS))
            .await
            .unwrap();
    });
    asyncio::running_loop().call_soon(|| {});
    drop(asyncio::task().name("left").spawn(sleep(HOUR)));
    child.await.unwrap();
}

fn everything_is_drawn() {
    let file = TraceFile::new();
    file.setup("does_everything")
        .start()
        .finish()
        .exited_with(0);
    let events = file.read();

    let begin = only(&events, "b", "task", "child");
    assert_eq!(begin["args"]["by"], "main");
    let spawned = begin["args"]["spawned"].as_str().unwrap();
    assert!(spawned.starts_with("tests/time_line.rs:"), "{spawned}");
    let end = only(&events, "e", "task", "child");
    assert_eq!(
        (&end["id"], &end["args"]["end"]),
        (&begin["id"], &"returned".into())
    );
    let left = only(&events, "e", "task", "left");
    assert_eq!(left["args"]["end"], "cancelled");

    // Its first step, after the sleep, after the job.
    assert_eq!(count(&events, "X", "poll", "child"), 3);
    let poll = events.iter().find(|it| is(it, "X", "poll", "child"));
    let poll = poll.unwrap();
    assert_eq!(poll["args"]["task"], begin["id"]);
    assert_eq!(poll["args"]["spawned"], begin["args"]["spawned"]);
    assert!(poll["ts"].as_f64().unwrap() >= begin["ts"].as_f64().unwrap());
    assert!(poll["dur"].as_f64().unwrap() > 0.0);

    assert_eq!(
        only(&events, "i", "wake", "wake main")["args"]["by"],
        "child"
    );
    let wakes = events.iter().filter(|it| is(it, "i", "wake", "wake child"));
    let wakers: Vec<&Value> = wakes.map(|wake| &wake["args"]["by"]).collect();
    // Alone in the queue both times: nobody but the step itself is there to be looked at.
    assert_eq!(wakers, ["a timer, an event or another thread"; 2]);
    assert_eq!(count(&events, "X", "callback", "callback"), 1);
    assert!(count(&events, "i", "timer", "timers fire") >= 1);
    assert!(count(&events, "X", "loop", "wait") >= 2);
    let job = only(&events, "X", "job", "job");
    assert!(job["dur"].as_f64().unwrap() >= 2000.0, "{job}");
    assert_ne!(job["tid"], poll["tid"]);
    only(&events, "X", "runner", "run");
    only(&events, "X", "shutdown", "stop the executor");
    only(&events, "X", "shutdown", "close async generators");
    assert!(count(&events, "X", "shutdown", "end tasks") >= 1);

    let threads: Vec<&Value> = events.iter().filter(|event| event["ph"] == "M").collect();
    let names: Vec<&str> = threads
        .iter()
        .map(|thread| thread["args"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["main", "asyncio_0"]);
    assert!(
        events
            .iter()
            .all(|event| event["pid"].is_u64() && event["tid"].is_u64())
    );
}

fn named_by_builder() {
    let path = std::env::temp_dir().join("asyncio-time-line-%p.json");
    let runner = Runner::builder().trace(path).build();
    runner.run(yield_now()).unwrap();
    println!("{}", std::process::id());
}

fn the_builder_names_the_file() {
    // What the builder says goes before what the environment says.
    let unused = TraceFile::new();
    let finished = unused.setup("named_by_builder").start().finish();
    finished.exited_with(0);
    let name = format!("asyncio-time-line-{}.json", finished.stdout.trim());
    let file = TraceFile(std::env::temp_dir().join(name));
    only(&file.read(), "X", "runner", "run");
    assert!(!unused.0.exists());
}

#[asyncio::main]
async fn waits() {
    println!("ready");
    pending::<()>().await;
}

/// Reads until `condition` holds, as somebody does who looks at a file that is being written.
fn wait_until(file: &TraceFile, condition: impl Fn(&[Value]) -> bool) {
    let began = Instant::now();
    while !file.try_read().is_some_and(|events| condition(&events)) {
        assert!(began.elapsed() < PATIENCE, "{:#?}", file.try_read());
        std::thread::sleep(MS);
    }
}

fn the_file_can_be_read_while_the_program_runs() {
    let file = TraceFile::new();
    let mut child = file.setup("waits").start();
    child.wait_for_line("ready");
    wait_until(&file, |events| count(events, "B", "loop", "wait") == 1);
    assert_eq!(count(&file.read(), "B", "runner", "run"), 1);
    child.press_ctrl_c();
    child.finish().died_of(SIGINT);
}

fn ctrl_c_leaves_a_whole_file() {
    let file = TraceFile::new();
    let mut child = file.setup("waits").start();
    child.wait_for_line("ready");
    child.press_ctrl_c();
    child.finish().died_of(SIGINT);
    let events = file.read();
    only(&events, "X", "runner", "run");
    only(&events, "X", "shutdown", "stop the executor");
    assert!(events.iter().all(|event| event["ph"] != "B"), "{events:#?}");
}

#[asyncio::main]
async fn hangs() {
    asyncio::current_task().unwrap().set_name("stubborn");
    yield_now().await;
    println!("ready");
    std::thread::sleep(HOUR);
}

fn a_loop_that_hangs_is_drawn() {
    let file = TraceFile::new();
    let mut child = file.setup("hangs").on_terminal().echoing().start();
    child.wait_for_line("ready");
    child.press_and_wait();
    child.press_ctrl_c();
    child.finish().died_of(SIGINT);
    let events = file.read();
    only(&events, "B", "poll", "stubborn");
}

fn a_kill_leaves_a_file_that_can_be_read() {
    let file = TraceFile::new();
    let mut child = file.setup("hangs").start();
    child.wait_for_line("ready");
    wait_until(&file, |events| count(events, "B", "poll", "stubborn") == 1);
    child.signal(libc::SIGKILL);
    child.finish().died_of(libc::SIGKILL);
    only(&file.read(), "B", "poll", "stubborn");
}

fn panics() {
    let runner = Runner::builder()
        .detached_panic(DetachedPanic::Stop)
        .build();
    runner
        .run(async {
            drop(
                asyncio::task()
                    .name("clumsy")
                    .spawn(async { panic!("out of cheese") }),
            );
            pending::<()>().await;
        })
        .unwrap();
}

fn a_panic_leaves_a_whole_file() {
    let file = TraceFile::new();
    file.setup("panics").start().finish().exited_with(101);
    let events = file.read();
    assert_eq!(
        only(&events, "e", "task", "clumsy")["args"]["end"],
        "failed"
    );
    only(&events, "X", "shutdown", "stop the executor");
}

#[asyncio::main]
async fn polls_much() {
    for _ in 0..1000 {
        yield_now().await;
    }
}

fn a_full_file_says_so() {
    let file = TraceFile::new();
    let mut command = scenario("polls_much");
    command.env("ASYNCIO_TRACE", &file.0);
    command.env("ASYNCIO_TRACE_LIMIT", "10000");
    Setup::new(command).start().finish().exited_with(0);
    let length = fs::metadata(&file.0).unwrap().len();
    assert!((10_000..11_000).contains(&length), "{length} bytes");
    let events = file.read();
    let last = events.last().unwrap()["name"].as_str().unwrap();
    assert_eq!(
        last,
        "the limit of 10000 bytes was reached: nothing more is recorded"
    );
}

fn a_file_that_cannot_be_written_is_said() {
    let mut command = scenario("does_everything");
    command.env("ASYNCIO_TRACE", "/nowhere/at/all.json");
    let finished = Child::start(command).finish();
    finished.exited_with(0);
    let begin = "There will be no trace: cannot write /nowhere/at/all.json: ";
    assert!(finished.stderr.starts_with(begin), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
}

const ODD: &str = "a \"quoted\" \\ name\nwith\u{0}\u{1b}[31m é\u{2028}😀";

#[asyncio::main]
async fn odd_names() {
    asyncio::task().name(ODD).spawn(yield_now()).await.unwrap();
}

fn names_come_back() {
    let file = TraceFile::new();
    file.setup("odd_names").start().finish().exited_with(0);
    let events = file.read();
    only(&events, "b", "task", ODD);
    assert_eq!(count(&events, "X", "poll", ODD), 2);
}

/// Runs what `make` makes for each worker's number on that worker, and waits for all.
async fn on_each_worker<F: Future<Output = ()> + 'static>(
    make: impl Fn(usize) -> F + Clone + Send + 'static,
) {
    let start = |worker: asyncio::Worker| {
        let make = make.clone();
        asyncio::spawn_on(worker, move || async move {
            let index = asyncio::worker().index();
            let task = asyncio::task().name(format!("on {index}"));
            task.spawn(make(index)).await.unwrap();
        })
    };
    let tasks: Vec<_> = asyncio::workers().into_iter().map(start).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// The numbers of the threads, by their names; each name is said once.
fn threads(events: &[Value]) -> BTreeMap<&str, u64> {
    let said = events.iter().filter(|event| event["name"] == "thread_name");
    let mut threads = BTreeMap::new();
    for event in said {
        let name = event["args"]["name"].as_str().unwrap();
        let before = threads.insert(name, event["tid"].as_u64().unwrap());
        assert_eq!((&event["ph"], before), (&"M".into(), None), "{events:#?}");
    }
    threads
}

const LOOPS: [&str; 3] = ["main", "asyncio-loop-1", "asyncio-loop-2"];

#[asyncio::main(workers = 3)]
async fn has_three_workers() {
    on_each_worker(|_| async {
        sleep(2 * MS).await;
        yield_now().await;
    })
    .await;
}

fn each_worker_has_a_track() {
    let file = TraceFile::new();
    file.setup("has_three_workers")
        .start()
        .finish()
        .exited_with(0);
    let events = file.read();
    let threads = threads(&events);
    let names: BTreeSet<&str> = threads.keys().copied().collect();
    assert_eq!(names, LOOPS.into());
    let numbers: BTreeSet<u64> = threads.values().copied().collect();
    assert_eq!(numbers.len(), 3);
    for (index, name) in LOOPS.iter().enumerate() {
        let own = |event: &&Value| event["tid"] == threads[name];
        let track: Vec<Value> = events.iter().filter(own).cloned().collect();
        let task = format!("on {index}");
        assert_eq!(
            count(&events, "X", "poll", &task),
            3,
            "its begin, its sleep, its turn"
        );
        assert_eq!(count(&track, "X", "poll", &task), 3);
        only(&track, "b", "task", &task);
        assert_eq!(only(&track, "e", "task", &task)["args"]["end"], "returned");
        assert!(count(&track, "i", "timer", "timers fire") >= 1);
        assert!(count(&track, "X", "loop", "wait") >= 1);
        only(&track, "X", "shutdown", "close async generators");
        // What a viewer has to nest: no step of a thread overlaps another.
        let mut steps: Vec<(f64, f64)> = track
            .iter()
            .filter(|it| it["cat"] == "poll" || it["cat"] == "callback" || it["name"] == "wait")
            .map(|it| (it["ts"].as_f64().unwrap(), it["dur"].as_f64().unwrap()))
            .collect();
        steps.sort_by(|one, other| one.0.total_cmp(&other.0));
        let is_before = |pair: &[(f64, f64)]| pair[0].0 + pair[0].1 <= pair[1].0 + 0.001;
        assert!(steps.windows(2).all(is_before), "{track:#?}");
    }
    assert_eq!(count(&events, "X", "runner", "run"), 1, "the first one's");
}

#[asyncio::main(workers = 3)]
async fn meets_workers() {
    // Nobody passes before all are inside of a poll.
    let all = Arc::new(Barrier::new(3));
    on_each_worker(move |_| {
        let all = all.clone();
        async move {
            yield_now().await;
            all.wait();
        }
    })
    .await;
}

fn workers_stand_side_by_side() {
    let file = TraceFile::new();
    file.setup("meets_workers").start().finish().exited_with(0);
    let events = file.read();
    let longest = |index: usize| {
        let polls = events
            .iter()
            .filter(|it| is(it, "X", "poll", &format!("on {index}")));
        let spans = polls.map(|it| (it["ts"].as_f64().unwrap(), it["dur"].as_f64().unwrap()));
        spans
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .unwrap()
    };
    let met = [0, 1, 2].map(longest);
    let last_begin = met.iter().map(|it| it.0).fold(0.0, f64::max);
    let first_end = met.iter().map(|it| it.0 + it.1).fold(f64::MAX, f64::min);
    assert!(last_begin <= first_end, "{met:?}");
}

#[asyncio::main(workers = 3)]
async fn waits_with_workers() {
    let said = Arc::new(AtomicU32::new(0));
    on_each_worker(move |_| {
        let said = said.clone();
        async move {
            yield_now().await;
            if said.fetch_add(1, Ordering::SeqCst) == 2 {
                println!("ready");
            }
            pending::<()>().await;
        }
    })
    .await;
}

fn ctrl_c_leaves_a_whole_file_of_all_workers() {
    let file = TraceFile::new();
    let mut child = file.setup("waits_with_workers").start();
    child.wait_for_line("ready");
    child.press_ctrl_c();
    child.finish().died_of(SIGINT);
    let events = file.read();
    assert_eq!(threads(&events).len(), 3);
    for index in 0..3 {
        let end = only(&events, "e", "task", &format!("on {index}"));
        assert_eq!(end["args"]["end"], "cancelled");
    }
    assert_eq!(count(&events, "X", "shutdown", "stop the executor"), 3);
    assert!(events.iter().all(|event| event["ph"] != "B"), "{events:#?}");
}

#[asyncio::main(workers = 3)]
async fn hangs_in_a_worker() {
    on_each_worker(|index| async move {
        if index == 1 {
            println!("ready");
            std::thread::sleep(HOUR);
        }
        pending::<()>().await;
    })
    .await;
}

fn a_worker_that_hangs_is_drawn() {
    let file = TraceFile::new();
    let mut child = file.setup("hangs_in_a_worker").start();
    child.wait_for_line("ready");
    wait_until(&file, |events| count(events, "B", "poll", "on 1") == 1);
    child.signal(libc::SIGKILL);
    child.finish().died_of(libc::SIGKILL);
    let events = file.read();
    let hung = only(&events, "B", "poll", "on 1");
    assert_eq!(hung["tid"], threads(&events)["asyncio-loop-1"]);
}

#[asyncio::main(workers = 3)]
async fn all_poll_much() {
    on_each_worker(|_| async {
        for _ in 0..1000 {
            yield_now().await;
        }
    })
    .await;
}

fn a_file_that_all_workers_write_is_bounded() {
    let file = TraceFile::new();
    let mut command = scenario("all_poll_much");
    command.env("ASYNCIO_TRACE", &file.0);
    command.env("ASYNCIO_TRACE_LIMIT", "10000");
    Setup::new(command).start().finish().exited_with(0);
    let length = fs::metadata(&file.0).unwrap().len();
    assert!((10_000..11_000).contains(&length), "{length} bytes");
    let full = "the limit of 10000 bytes was reached: nothing more is recorded";
    only(&file.read(), "i", "trace", full);
}

#[asyncio::main]
async fn counts_threads() {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names = threads.map(|it| fs::read_to_string(it.unwrap().path().join("comm")).unwrap());
    let names: Vec<String> = names.collect();
    assert!(
        !names.iter().any(|name| name.starts_with("asyncio-")),
        "{names:?}"
    );
}

fn without_being_asked_nothing_happens() {
    if cfg!(target_os = "linux") {
        let mut command = scenario("counts_threads");
        command.env("ASYNCIO_TRACE", "");
        let finished = Child::start(command).finish();
        finished.exited_with(0);
        assert_eq!(finished.stderr, "");
    }
}
