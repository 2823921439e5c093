//! What a subscriber of `tracing` is told, as `console-subscriber` would count it.

use std::cell::Cell;
use std::fmt::Write as _;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Metadata, Subscriber};

use super::*;
use crate::task::stand::Standing;
use crate::{ThreadPoolExecutor, running_loop, sleep, spawn, task, yield_now};

const HOUR: Duration = Duration::from_secs(3600);

/// Subscribers are the process's affair: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Writes down what it is told, one line for each, as `console-subscriber` would count it.
#[derive(Clone, Default)]
struct Notes {
    lines: Arc<Mutex<Vec<String>>>,
    /// What each span is, and how many handles there are of it.
    spans: Arc<Mutex<HashMap<u64, (String, u32)>>>,
    next: Arc<AtomicU64>,
    /// Whom each event wakes.
    wakes: Arc<Mutex<Option<Waker>>>,
}

/// What a span or event says of itself.
#[derive(Default)]
struct Said {
    text: String,
    /// The span of the task that it is about.
    task: Option<u64>,
}

impl Visit for Said {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "task.id" => self.task = Some(value),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if !field.name().starts_with("loc.") {
            write!(self.text, " {value:?}").unwrap();
        }
    }
}

impl Notes {
    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn about(&self, what: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .filter(|it| it.contains(what))
            .cloned()
            .collect()
    }

    fn name(&self, id: &Id) -> String {
        self.spans.lock().unwrap()[&id.into_u64()].0.clone()
    }

    fn listen(&self) -> DefaultGuard {
        set_default(self.clone())
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.name().starts_with("runtime.") || metadata.is_event()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut said = Said::default();
        span.record(&mut said);
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let name = said.text.trim().to_owned();
        self.add(format!("begin {name}"));
        self.spans.lock().unwrap().insert(id, (name, 1));
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if let Some(waker) = &*self.wakes.lock().unwrap() {
            waker.wake_by_ref();
        }
        let mut said = Said::default();
        event.record(&mut said);
        let about = said.task.map(|id| self.name(&Id::from_u64(id)));
        let (target, about) = (event.metadata().target(), about.unwrap_or_default());
        self.add(format!("{target}{} {about}", said.text));
    }

    fn enter(&self, span: &Id) {
        self.add(format!("enter {}", self.name(span)));
    }

    fn exit(&self, span: &Id) {
        self.add(format!("exit {}", self.name(span)));
    }

    fn clone_span(&self, span: &Id) -> Id {
        let mut spans = self.spans.lock().unwrap();
        spans.get_mut(&span.into_u64()).unwrap().1 += 1;
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut spans = self.spans.lock().unwrap();
        let (_, count) = spans.get_mut(&span.into_u64()).unwrap();
        *count -= 1;
        let is_last = *count == 0;
        drop(spans);
        if is_last {
            self.add(format!("end {}", self.name(&span)));
        }
        is_last
    }
}

/// Listens for as long as the second value lives, in which no other test does.
fn listen() -> (Notes, impl Sized) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let notes = Notes::default();
    let listening = notes.listen();
    (notes, (listening, turn))
}

fn is_shown() -> bool {
    running_loop()
        .core()
        .scheduler
        .observed
        .has(Interest::CONSOLE)
}

fn run(main: impl Future<Output = ()>) {
    crate::run(main).unwrap();
}

#[test]
fn a_loop_is_looked_at_while_somebody_listens_and_no_longer() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // One that goes is noticed when `tracing` asks anew who wants what, as it does for each one that comes.
    tracing_core::callsite::rebuild_interest_cache();
    run(async {
        assert!(!is_shown());
        let listening = Notes::default().listen();
        yield_now().await;
        assert!(is_shown());
        drop(listening);
        tracing_core::callsite::rebuild_interest_cache();
        yield_now().await;
        assert!(!is_shown());
        assert!(running_loop().core().recording().is_none());
    });
}

#[test]
fn each_step_of_a_task_is_an_enter_and_an_exit() {
    let (notes, _listening) = listen();
    run(async {
        task().name("twice").spawn(yield_now()).await.unwrap();
    });
    let about = notes.about("\"twice\"");
    // It wakes itself inside of its first step, which is how it is told that it was itself.
    let wake = "tokio::task::waker \"waker.wake_by_ref\"";
    let each = ["begin", "enter", wake, "exit", "enter", "exit", "end"];
    assert_eq!(about.len(), each.len(), "{about:?}");
    for (line, word) in about.iter().zip(each) {
        assert!(line.starts_with(word), "{about:?}");
    }
}

#[test]
fn a_task_whose_future_is_dropped_by_another_ends_then() {
    let (notes, _listening) = listen();
    let seen = notes.clone();
    run(async move {
        let lost = task().name("lost").spawn(pending::<()>());
        yield_now().await;
        let lost = lost.task_ref();
        let dropper = async move {
            running_loop().core().scheduler.drop_task(&lost);
        };
        spawn(dropper).await.unwrap();
        assert_eq!(seen.about("end \"task\" \"lost\"").len(), 1);
    });
    assert_eq!(notes.about("end \"task\" \"lost\"").len(), 1);
}

/// How often wakers of that task were cloned and dropped, and the task woken, as `console-subscriber` counts it.
fn wakers(notes: &Notes, task: &str) -> (usize, usize, usize) {
    let count = |operation: &str| {
        let line = format!("tokio::task::waker \"{operation}\" \"task\" {task:?}");
        notes.about(&line).len()
    };
    let by_value = count("waker.wake");
    (
        count("waker.clone"),
        count("waker.drop") + by_value,
        count("waker.wake_by_ref") + by_value,
    )
}

#[test]
fn every_clone_and_drop_of_a_waker_is_told_from_whatever_thread() {
    let (notes, _listening) = listen();
    let seen = notes.clone();
    run(async move {
        let given = Rc::new(Cell::new(None::<Waker>));
        let place = given.clone();
        let waiting = task()
            .name("waiting")
            .spawn(std::future::poll_fn(move |cx| {
                place.set(Some(cx.waker().clone()));
                std::task::Poll::<()>::Pending
            }));
        yield_now().await;
        assert_eq!(wakers(&seen, "waiting"), (1, 0, 0));
        let waker = given.take().unwrap();
        let copies = vec![waker.clone(); 3];
        // `vec!` takes the original as well.
        assert_eq!(wakers(&seen, "waiting"), (4, 0, 0));
        drop(copies);
        assert_eq!(wakers(&seen, "waiting"), (4, 3, 0));
        waker.wake_by_ref();
        assert_eq!(wakers(&seen, "waiting"), (4, 3, 1), "at once");
        yield_now().await;
        // Its step has taken another one, and the wake was not told again when it was found in the queue.
        assert_eq!(wakers(&seen, "waiting"), (5, 3, 1));
        let elsewhere = seen.clone();
        let other = std::thread::spawn(move || {
            let _listening = elsewhere.listen();
            waker.wake();
        });
        other.join().unwrap();
        assert_eq!(wakers(&seen, "waiting"), (5, 4, 2));
        while wakers(&seen, "waiting").0 == 5 {
            yield_now().await;
        }
        // The one before was given up for it.
        assert_eq!(wakers(&seen, "waiting"), (6, 5, 2));
        waiting.cancel();
        yield_now().await;
        // Asked by the loop itself, which needs no waker of the future's.
        assert_eq!(wakers(&seen, "waiting").2, 3);
        assert_eq!(seen.about("end \"task\" \"waiting\"").len(), 1);
        drop(given.take());
    });
}

/// Whoever is polled with it needs no place of its own among those that are woken for a cancellation.
#[test]
fn a_waker_that_is_told_of_counts_as_the_tasks_own() {
    let (_notes, _listening) = listen();
    run(async {
        let shown = task().name("shown");
        let polled = shown.spawn(std::future::poll_fn(|cx| {
            assert!(crate::console::waker::inside(cx.waker()).is_some());
            assert!(!Standing::is_needed(cx));
            std::task::Poll::Ready(())
        }));
        polled.await.unwrap();
    });
}

#[test]
fn a_task_that_nobody_can_wake_has_no_waker() {
    let (notes, _listening) = listen();
    let seen = notes.clone();
    run(async move {
        let lost = task().name("lost").spawn(pending::<()>());
        let waits = task().name("waits").spawn(sleep(HOUR));
        yield_now().await;
        let (clones, drops, _) = wakers(&seen, "lost");
        assert_eq!(clones, drops);
        let (clones, drops, _) = wakers(&seen, "waits");
        assert_eq!(clones, drops + 1);
        drop((lost, waits));
    });
}

#[test]
fn a_task_that_waits_already_is_said_to_have_a_waker_until_it_has_one_that_is_known() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    tracing_core::callsite::rebuild_interest_cache();
    let notes = Notes::default();
    let seen = notes.clone();
    run(async move {
        let event = Rc::new(crate::sync::Event::new());
        let waited = event.clone();
        let old = task().name("old").spawn(async move {
            loop {
                waited.wait().await;
                waited.clear();
            }
        });
        yield_now().await;
        let _listening = seen.listen();
        yield_now().await;
        assert_eq!(wakers(&seen, "old"), (1, 0, 0));
        event.set();
        yield_now().await;
        // The unknown one has woken it. What it waits with now is known.
        assert_eq!(wakers(&seen, "old"), (2, 1, 1));
        event.set();
        assert_eq!(wakers(&seen, "old"), (2, 2, 2));
        yield_now().await;
        assert_eq!(wakers(&seen, "old"), (3, 2, 2));
        drop(old);
    });
}

#[test]
fn a_job_that_is_given_up_ends_without_a_step() {
    let (notes, _listening) = listen();
    run(async {
        let executor = ThreadPoolExecutor::builder().max_workers(1).build();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = executor.submit(move || wait.recv().is_err());
        let second = executor.submit(|| ());
        drop(second);
        drop(go);
        assert!(first.await.unwrap());
        assert!(executor.shutdown(true, None).is_complete());
    });
    let jobs = notes.about("\"blocking\"");
    let count = |word: &str| jobs.iter().filter(|it| it.starts_with(word)).count();
    // The first one's step was on a thread that tells another subscriber, but its span is this one's.
    assert_eq!(
        (count("begin"), count("enter"), count("end")),
        (2, 1, 2),
        "{jobs:?}"
    );
}

#[test]
fn timers_end_when_they_fire_and_when_they_are_given_up() {
    let (notes, _listening) = listen();
    let seen = notes.clone();
    run(async move {
        let count = |word: &str| seen.about(word).len();
        sleep(Duration::from_millis(1)).await;
        assert_eq!((count("begin \"Timer\""), count("end \"Timer\"")), (1, 1));
        let fired = Rc::new(Cell::new(false));
        let fires = fired.clone();
        let handle = running_loop().call_later(HOUR, || ());
        running_loop().call_later(Duration::from_millis(1), move || fires.set(true));
        assert_eq!(count("begin \"TimerHandle\""), 2);
        handle.cancel();
        assert_eq!(count("end \"TimerHandle\""), 1);
        let sleeper = spawn(sleep(HOUR));
        sleep(Duration::from_millis(2)).await;
        assert!(fired.get());
        assert_eq!(count("end \"TimerHandle\""), 2);
        drop(sleeper);
    });
    // The sleeper's went with the shutdown.
    assert_eq!(
        notes.about("begin \"Timer\"").len(),
        notes.about("end \"Timer\"").len()
    );
}

#[test]
fn a_sleep_that_is_polled_again_is_one_timer_with_two_polls_and_wakes_whoever_polled_last() {
    let (notes, _listening) = listen();
    run(async {
        let mut sleeping = Box::pin(sleep(Duration::from_millis(5)));
        let mut cx = std::task::Context::from_waker(Waker::noop());
        assert!(sleeping.as_mut().poll(&mut cx).is_pending());
        sleeping.await;
    });
    assert_eq!(notes.about("begin \"Timer\"").len(), 1);
    assert_eq!(notes.about("poll_op \"poll_elapsed\" false").len(), 2);
}

#[test]
fn a_subscriber_may_wake_tasks_of_the_loop_that_it_is_told_of() {
    let (notes, _listening) = listen();
    let inside = notes.clone();
    run(async move {
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        let told = task().name("told").spawn(std::future::poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            // Once per round: what it causes by being woken is not told to it again.
            let before = inside.wakes.lock().unwrap().take();
            // That is told, too, so no longer under the subscriber's own lock.
            drop(before);
            if counted.get() == 1 {
                *inside.wakes.lock().unwrap() = Some(cx.waker().clone());
            }
            std::task::Poll::<()>::Pending
        }));
        yield_now().await;
        spawn(yield_now()).await.unwrap();
        assert!(polls.get() > 1);
        drop(told);
    });
}
