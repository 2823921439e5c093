//! What tokio-console is told: a program of its own is watched over its gRPC endpoint, as the client does it.
#![cfg(unix)]

#[path = "../../../tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use console_api::async_ops::{AsyncOp, Stats as WaitStats};
use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, Update};
use console_api::resources::resource::kind::{Kind, Known};
use console_api::resources::{Resource, Stats as ResourceStats};
use console_api::tasks::{Stats, Task};
use console_api::{Field, Location};
use support::child::{Child, SIGINT, Setup};
use tokio::time::{sleep, timeout};

/// Reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that a client was told.
#[derive(Default)]
struct Told {
    tasks: HashMap<u64, Task>,
    stats: HashMap<u64, Stats>,
    resources: HashMap<u64, Resource>,
    resource_stats: HashMap<u64, ResourceStats>,
    waits: HashMap<u64, AsyncOp>,
    wait_stats: HashMap<u64, WaitStats>,
    lost: u64,
}

impl Told {
    fn add(&mut self, update: Update) {
        if let Some(update) = update.task_update {
            let tasks = update.new_tasks.into_iter();
            self.tasks.extend(tasks.map(|it| (it.id.unwrap().id, it)));
            self.stats.extend(update.stats_update);
            self.lost += update.dropped_events;
        }
        if let Some(update) = update.resource_update {
            let resources = update.new_resources.into_iter();
            let resources = resources.map(|it| (it.id.unwrap().id, it));
            self.resources.extend(resources);
            self.resource_stats.extend(update.stats_update);
            self.lost += update.dropped_events;
        }
        if let Some(update) = update.async_op_update {
            let waits = update.new_async_ops.into_iter();
            self.waits.extend(waits.map(|it| (it.id.unwrap().id, it)));
            self.wait_stats.extend(update.stats_update);
            self.lost += update.dropped_events;
        }
    }

    /// The first of this name, with its figures.
    fn task(&self, name: &str) -> Option<(&Task, &Stats)> {
        let mut named = self.tasks.iter();
        let (id, task) = named.find(|(_, task)| field(task, "task.name") == name)?;
        Some((task, self.stats.get(id)?))
    }

    fn polls(&self, name: &str) -> u64 {
        self.task(name).map_or(0, |(_, stats)| polls(stats))
    }
}

/// How many wakers of the task there are; the client warns of a waiting task without any.
fn wakers(stats: &Stats) -> u64 {
    stats.waker_clones - stats.waker_drops
}

fn polls(stats: &Stats) -> u64 {
    stats.poll_stats.as_ref().map_or(0, |it| it.polls)
}

/// A field's text, or nothing.
fn field(task: &Task, name: &str) -> String {
    let is_it = |field: &&Field| matches!(&field.name, Some(Name::StrName(it)) if it == name);
    match task.fields.iter().find(is_it).map(|it| &it.value) {
        Some(Some(Value::StrVal(text) | Value::DebugVal(text))) => text.clone(),
        Some(Some(Value::U64Val(number))) => number.to_string(),
        _ => String::new(),
    }
}

/// The line of `watched.rs` that is said to have spawned it.
fn spawned_by(task: &Task) -> &'static str {
    let location: &Location = task.location.as_ref().expect("it was spawned somewhere");
    assert!(
        location.file().ends_with("src/bin/watched.rs"),
        "{location:?}"
    );
    let line = location.line.unwrap() as usize;
    include_str!("../src/bin/watched.rs")
        .lines()
        .nth(line - 1)
        .unwrap()
}

/// A program under way, and where it can be asked.
fn start() -> (Child, String) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut command = Command::new(env!("CARGO_BIN_EXE_watched"));
    command.env("TOKIO_CONSOLE_BIND", &address);
    command.env("TOKIO_CONSOLE_PUBLISH_INTERVAL", "20ms");
    let mut child = Setup::new(command).deadline(PATIENCE * 2).start();
    child.wait_for_line("to be watched");
    (child, format!("http://{address}"))
}

/// Watches a program until `enough` has been told, and gives it back.
fn watch(enough: impl Fn(&Told) -> bool) -> (Child, Told) {
    let (child, address) = start();
    let mut told = Told::default();
    let watching = async {
        // The server begins to listen on a thread of its own, some time.
        let mut client = loop {
            match InstrumentClient::connect(address.clone()).await {
                Ok(client) => break client,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        };
        let updates = client.watch_updates(InstrumentRequest {}).await.unwrap();
        let mut updates = updates.into_inner();
        while !enough(&told) {
            let update = updates.message().await.unwrap();
            told.add(update.expect("the program runs"));
        }
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let watched = runtime.block_on(async { timeout(PATIENCE, watching).await });
    assert!(watched.is_ok(), "too little was told: {:?}", told.tasks);
    assert_eq!(told.lost, 0);
    (child, told)
}

#[test]
fn tasks_are_shown_with_their_names_and_the_lines_that_spawned_them() {
    let (_child, told) = watch(|told| told.task("resizer").is_some());
    let (task, stats) = told.task("resizer").unwrap();
    assert_eq!(field(task, "kind"), "task");
    assert!(field(task, "task.id").parse::<u64>().unwrap() > 0);
    assert_eq!(
        spawned_by(task).trim(),
        r#"drop(task().name("resizer").spawn(resize()));"#
    );
    assert!(stats.created_at.is_some() && stats.dropped_at.is_none());
}

#[test]
fn tasks_that_are_older_than_the_subscriber_are_shown_too() {
    let (_child, told) = watch(|told| told.polls("early bird") > 3 && told.polls("Task-1") > 0);
    let (main, _) = told.task("Task-1").unwrap();
    assert!(spawned_by(main).contains("main"), "{main:?}");
}

#[test]
fn polls_and_wakes_are_counted_and_those_by_the_task_itself_told_apart() {
    let (_child, told) = watch(|told| {
        let wakes = told.task("impatient").map_or(0, |(_, stats)| stats.wakes);
        let waits = told
            .task("early bird")
            .is_some_and(|(_, it)| wakers(it) == 1);
        wakes > 50 && told.polls("early bird") > 3 && waits
    });
    let (_, impatient) = told.task("impatient").unwrap();
    let polled = impatient.poll_stats.as_ref().unwrap();
    // It goes round ten times for each sleep, and each round is a wake by itself.
    assert!(
        impatient.self_wakes * 11 >= impatient.wakes * 9,
        "{impatient:?}"
    );
    assert!(impatient.self_wakes < impatient.wakes, "{impatient:?}");
    assert!(polled.polls.abs_diff(impatient.wakes) <= 2, "{impatient:?}");
    assert!(polled.busy_time.is_some() && polled.last_poll_started.is_some());
    let (_, early) = told.task("early bird").unwrap();
    assert_eq!(early.self_wakes, 0);
    assert!(early.wakes > 0 && early.last_wake.is_some());
}

#[test]
fn clones_and_drops_of_wakers_are_counted() {
    // While it waits it has left one waker with somebody: with a thread that does its job, then with a timer.
    let (_child, told) = watch(|told| {
        let resizer = told.task("resizer").map(|(_, stats)| stats);
        resizer.is_some_and(|it| it.waker_clones >= 6 && wakers(it) == 1)
    });
    let (_, resizer) = told.task("resizer").unwrap();
    // Each of those wakes it, and is gone with that.
    assert!(resizer.waker_drops >= 5, "{resizer:?}");
    assert!(resizer.waker_clones <= resizer.wakes + 1, "{resizer:?}");
    // It asks for its next turn by reference, and needs no waker of its own for that.
    let (_, impatient) = told.task("impatient").unwrap();
    assert!(impatient.waker_clones < impatient.wakes, "{impatient:?}");
}

#[test]
fn a_task_that_has_ended_is_shown_as_ended() {
    let (_child, told) = watch(|told| {
        let greeter = told.task("greeter");
        greeter.is_some_and(|(_, stats)| stats.dropped_at.is_some())
    });
    let (_, greeter) = told.task("greeter").unwrap();
    assert_eq!(polls(greeter), 4);
    // One for each of its sleeps.
    assert_eq!((greeter.waker_clones, greeter.waker_drops), (3, 3));
    let (_, resizer) = told.task("resizer").unwrap();
    assert!(resizer.dropped_at.is_none());
}

#[test]
fn blocking_jobs_are_tasks_of_the_kind_blocking() {
    let ended = |told: &Told| {
        let job = told.task("job");
        job.is_some_and(|(_, stats)| stats.dropped_at.is_some())
    };
    let (_child, told) = watch(ended);
    let (job, stats) = told.task("job").unwrap();
    assert_eq!(field(job, "kind"), "blocking");
    assert_eq!(
        spawned_by(job).trim(),
        "let job = to_thread(|| thread::sleep(PERIOD));"
    );
    assert_eq!(polls(stats), 1);
    let busy = stats.poll_stats.as_ref().and_then(|it| it.busy_time);
    let busy = Duration::try_from(busy.unwrap()).unwrap();
    assert!(busy >= Duration::from_millis(50), "{busy:?}");
}

#[test]
fn timers_are_resources_that_tasks_wait_for() {
    let (_child, told) = watch(|told| {
        let mut waits = told.wait_stats.values();
        waits.any(|it| it.task_id.is_some() && it.dropped_at.is_some())
    });
    let mut waits = told.wait_stats.iter();
    let (id, stats) = waits.find(|(_, it)| it.task_id.is_some()).unwrap();
    assert!(told.tasks.contains_key(&stats.task_id.unwrap().id));
    assert!(stats.poll_stats.as_ref().unwrap().polls > 0);
    let wait = &told.waits[id];
    assert_eq!(wait.source, "Timer::wait");
    let timer = &told.resources[&wait.resource_id.unwrap().id];
    assert_eq!(timer.concrete_type, "Timer");
    let attributes = &told.resource_stats[&timer.id.unwrap().id].attributes;
    let duration = attributes[0].field.as_ref().unwrap();
    assert_eq!(duration.value, Some(Value::U64Val(50)));
    assert_eq!(attributes[0].unit.as_deref(), Some("ms"));
    let kind = timer.kind.as_ref().and_then(|it| it.kind.clone());
    assert_eq!(kind, Some(Kind::Known(Known::Timer as i32)));
}

#[test]
fn the_page_about_debugging_shows_the_lines_of_the_program() {
    let page = include_str!("../../../docs/debugging.md");
    let names = [
        "Task-1",
        "early bird",
        "resizer",
        "impatient",
        "greeter",
        "job",
    ];
    let (_child, told) = watch(|told| names.iter().all(|name| told.task(name).is_some()));
    for name in names {
        let (task, _) = told.task(name).unwrap();
        let location = task.location.as_ref().unwrap();
        let (line, column) = (location.line.unwrap(), location.column.unwrap());
        let shown = format!(" src/bin/watched.rs:{line}:{column} ");
        let mut rows = page.lines();
        let row = rows.find(|row| row.contains(&format!(" {name} ")) && row.contains(".rs:"));
        assert!(row.unwrap().contains(&shown), "{row:?} and {location:?}");
    }
}

#[test]
fn a_program_that_is_watched_ends_in_order_when_it_is_interrupted() {
    let (mut child, _) = watch(|told| told.task("greeter").is_some());
    child.wait_for_line("greeted");
    child.signal(SIGINT);
    let finished = child.finish();
    finished
        .died_of(SIGINT)
        .said("goodbye")
        .never_said("panicked");
}
