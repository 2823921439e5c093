//! What one loop answers, and what is said for it while it does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::debug::{TaskDump, TaskState, dump_tasks_among};
use crate::decimal::Seconds;
use crate::event_loop::{EventLoop, LoopHandle, Metrics, running_loop};
use crate::json::{Object, object};
use crate::threads::handover;
use crate::watchdog::Beat;

/// A loop is given so long to begin its answer.
const PATIENCE: Duration = Duration::from_millis(200);
/// And so long to end it.
const LONGEST_ANSWER: Duration = Duration::from_secs(4);
/// Tasks that one answer tells of.
const MAX_TASKS: usize = 2_000;
/// The same where the busiest are told.
const MAX_BUSIEST: usize = 100;
/// Letters of a name, or of what a task waits for.
const MAX_TEXT: usize = 300;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Ps,
    Tree,
    Metrics,
    Top,
}

impl Request {
    pub(super) fn read(line: &[u8]) -> Option<Request> {
        match line.trim_ascii() {
            b"ps" => Some(Request::Ps),
            b"tree" => Some(Request::Tree),
            b"metrics" => Some(Request::Metrics),
            b"top" => Some(Request::Top),
            _ => None,
        }
    }
}

/// The first line of an answer.
pub(super) fn process_line(loops: usize) -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name());
    line(|it| {
        it.number("pid", std::process::id());
        it.text("program", &program.unwrap_or_default().to_string_lossy());
        it.number("loops", loops);
    })
}

fn line(fill: impl FnOnce(&mut Object<'_>)) -> String {
    let mut text = String::new();
    object(&mut text, fill);
    text.push('\n');
    text
}

fn shortened(text: &str) -> &str {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// One loop, as those see it who ask.
pub(super) struct Asked {
    number: u64,
    handle: LoopHandle,
    beat: Arc<Beat>,
    /// Held by who asks: one at a time.
    turn: Mutex<()>,
    /// A question lies before the loop.
    is_asked: Arc<AtomicBool>,
}

impl Asked {
    pub(super) fn new(number: u64, handle: LoopHandle, beat: Arc<Beat>) -> Asked {
        Asked {
            number,
            handle,
            beat,
            turn: Mutex::default(),
            is_asked: Arc::default(),
        }
    }

    /// Asks the loop, and waits for a moment.
    pub(super) fn ask(&self, request: Request) -> String {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + PATIENCE;
        while self.is_asked.load(Ordering::Acquire) {
            if Instant::now() >= end {
                return self.answer_from_outside();
            }
            thread::sleep(Duration::from_millis(1));
        }
        let (giver, taker) = handover();
        self.is_asked.store(true, Ordering::Release);
        let (number, beat, is_asked) = (self.number, self.beat.clone(), self.is_asked.clone());
        let asked = self.handle.call_soon_threadsafe(move || {
            is_asked.store(false, Ordering::Release);
            // Not for somebody who has gone: nobody can make the loop work for later.
            if Instant::now() < end + PATIENCE {
                giver.give(answer(request, number, &beat, &running_loop()));
            }
        });
        if asked.is_err() {
            return String::new();
        }
        let left = end.saturating_duration_since(Instant::now());
        let mut answer = taker.take_within(left);
        if answer.is_err() && !self.is_asked.load(Ordering::Acquire) {
            // It has begun, so it is not blocked: there are many tasks, or the machine has much to do.
            answer = taker.take_within(LONGEST_ANSWER);
        }
        answer.unwrap_or_else(|_| self.answer_from_outside())
    }

    /// Has the loop measure no more, if nobody wants that when it comes to it.
    pub(super) fn stop_times(&self, nobody_wants: impl Fn() -> bool + Send + 'static) {
        let _closed = self.handle.call_soon_threadsafe(move || {
            if nobody_wants() {
                running_loop().core().set_run_times(false);
            }
        });
    }

    fn answer_from_outside(&self) -> String {
        let thread = self.beat.thread();
        line(|it| {
            it.number("loop", self.number).text("thread", thread.name());
            if self.beat.word().is_idle() {
                it.text("state", "not being run");
                return;
            }
            it.text("state", "blocked");
            it.text("by", shortened(&self.beat.step().to_string()));
            let doing = thread.state(None).to_string();
            it.text("doing", doing.trim());
        })
    }
}

/// On the loop's thread.
fn answer(request: Request, number: u64, beat: &Beat, event_loop: &EventLoop) -> String {
    let metrics = event_loop.metrics();
    let mut text = line(|it| {
        it.number("loop", number);
        it.text("thread", beat.thread().name());
        it.text("state", "running");
        it.number("tasks", metrics.tasks);
        if request == Request::Metrics {
            write_metrics(it, &metrics);
        }
    });
    let mut left_off = 0;
    match request {
        Request::Metrics => {}
        Request::Ps => {
            let (dump, rest) = oldest(event_loop);
            left_off = rest;
            dump.tasks()
                .iter()
                .for_each(|it| text += &task_line(number, it, None));
        }
        Request::Tree => {
            let (dump, rest) = oldest(event_loop);
            left_off = rest;
            dump.for_each_in_tree(|task, depth, is_again| {
                text += &task_line(number, task, Some((depth, is_again)));
            });
        }
        Request::Top => {
            let (lines, rest) = busiest(number, event_loop);
            left_off = rest;
            text += &lines;
        }
    }
    if left_off > 0 {
        text += &line(|it| {
            it.number("loop", number).number("left_off", left_off);
        });
    }
    text
}

/// All but the number of tasks, which is told with every answer.
pub(super) fn write_metrics(it: &mut Object<'_>, metrics: &Metrics) {
    it.number("ready", metrics.ready);
    it.number("polls", metrics.polls);
    it.number("parks", metrics.parks);
    it.number("remote_wakes", metrics.remote_wakes);
    it.number("spawned", metrics.spawned);
    it.number("timers", metrics.timers);
    it.number("late_timers", metrics.late_timers);
    it.number("executor_threads", metrics.executor_threads);
    it.number("executor_queue", metrics.executor_queue);
    if let Some(busy) = metrics.busy {
        // A share, which is printed like a number of seconds.
        it.number("busy", Seconds(Duration::from_secs_f64(busy)));
    }
}

fn oldest(event_loop: &EventLoop) -> (TaskDump, usize) {
    let mut tasks = event_loop.all_tasks();
    let left_off = tasks.len().saturating_sub(MAX_TASKS);
    tasks.truncate(MAX_TASKS);
    (dump_tasks_among(event_loop, &tasks), left_off)
}

/// From the first question on it is measured who runs for how long.
fn busiest(number: u64, event_loop: &EventLoop) -> (String, usize) {
    let core = event_loop.core();
    core.set_run_times(true);
    let mut tasks = event_loop.all_tasks();
    tasks.sort_by_cached_key(|task| std::cmp::Reverse(core.run_time(task.id())));
    let left_off = tasks.len().saturating_sub(MAX_BUSIEST);
    tasks.truncate(MAX_BUSIEST);
    let dump = dump_tasks_among(event_loop, &tasks);
    let lines = dump
        .tasks()
        .iter()
        .map(|task| line(|it| write_task(it, number, task)));
    (lines.collect(), left_off)
}

pub(super) fn task_line(number: u64, task: &TaskState, place: Option<(usize, bool)>) -> String {
    line(|it| {
        write_task(it, number, task);
        if let Some((depth, is_again)) = place {
            it.number("depth", depth);
            if is_again {
                it.number("again", true);
            }
        }
    })
}

fn write_task(it: &mut Object<'_>, number: u64, task: &TaskState) {
    let (info, location) = (task.info(), task.info().spawn_location());
    let state = task.activity().word();
    it.number("loop", number).number("task", info.id());
    it.text("name", shortened(info.name())).text("state", state);
    it.text("activity", shortened(&task.activity().to_string()));
    it.text(
        "spawned",
        &format!("{}:{}", location.file(), location.line()),
    );
    it.number("cancelling", task.cancelling());
    it.number("polls", task.polls());
    if let Some(parent) = task.parent() {
        it.number("parent", parent.id());
    }
    if let Some(age) = task.age() {
        it.number("age_ms", age.as_millis());
    }
    if let Some(running) = task.running() {
        it.number("running_us", running.as_micros());
    }
    it.numbers("awaits", task.awaits().map(|awaited| awaited.id()));
}
