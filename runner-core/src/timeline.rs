//! A program's life as a file that Perfetto and other viewers of Chrome's trace format draw.
//!
//! Whoever records appends to a text in memory; a thread writes it out every [`PERIOD`]. What is in the file is always a whole
//! array: its end is written with every piece, and overwritten by the next one. So a process that dies of whatever leaves a
//! file that can be read, in which the last milliseconds are missing at worst. What is under way is in that end as well, so
//! that a step that never came back is seen.
//!
//! This file knows names, lines and times, and not what they are of.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::fork::ForkGuard;
use crate::json::{Object, object};
use crate::logging::{Level, say};
use crate::threads::start_thread;

#[cfg(test)]
mod tests;

/// Between two writes: what a process that is killed loses at most.
const PERIOD: Duration = Duration::from_millis(20);

/// What a file may hold unless told otherwise; some 400 000 polls, which viewers still show smoothly.
pub(crate) const DEFAULT_LIMIT: u64 = 64 << 20;

const END: &str = "\n]\n";

/// The files of this process, which are continued when a later loop names one again.
static FILES: Mutex<Vec<(PathBuf, Timeline)>> = Mutex::new(Vec::new());

/// No user code runs under the locks, so a poisoned one is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes out what all files of this process still miss, as far as that can be done at once: the process is about to die.
pub(crate) fn flush_all() {
    if let Ok(files) = FILES.try_lock() {
        files.iter().for_each(|(_, timeline)| {
            if let Ok(mut output) = timeline.0.output.try_lock() {
                timeline.0.write_out(&mut output);
            }
        });
    }
}

/// One file; clones are handles of the same.
#[derive(Clone)]
pub(crate) struct Timeline(Arc<Shared>);

struct Shared {
    /// What times are counted from.
    began: Instant,
    limit: u64,
    events: Mutex<Events>,
    /// There is something to write.
    filled: Condvar,
    /// Taken before `events`, if both are.
    output: Mutex<Output>,
    /// A forked child has the file, but it is its parent's.
    fork: ForkGuard,
}

/// What is recorded and not written.
#[derive(Default)]
struct Events {
    text: String,
    /// Recorded ever, in bytes.
    length: u64,
    is_full: bool,
    /// The threads that were introduced.
    threads: Vec<i32>,
    /// Spans that have begun, with their numbers, in the order in which they did: about one for each thread.
    underway: Vec<(u64, Begun)>,
    next_span: u64,
}

/// The file.
struct Output {
    file: File,
    /// Where the array's end lies.
    end: u64,
    length: u64,
    is_broken: bool,
}

/// What is said of an event beside its name.
#[derive(Clone, Default)]
pub(crate) struct Details {
    pub(crate) task: Option<u64>,
    /// A line of the program, and what happened there.
    pub(crate) location: Option<(&'static str, &'static Location<'static>)>,
    /// Whatever else there is to say, and what it is.
    pub(crate) text: Option<(&'static str, String)>,
}

impl Details {
    fn write(&self, args: &mut Object<'_>) {
        if let Some(task) = self.task {
            args.number("task", task);
        }
        if let Some((what, at)) = self.location {
            args.text(what, &format!("{}:{}", at.file(), at.line()));
        }
        if let Some((what, text)) = &self.text {
            args.text(what, text);
        }
    }
}

/// The first half of a span.
struct Begun {
    name: Cow<'static, str>,
    category: &'static str,
    thread: i32,
    at: Instant,
    details: Details,
}

/// Something that takes time on this thread; recorded when this is dropped.
pub(crate) struct Span {
    timeline: Timeline,
    number: u64,
}

/// The begin and the end of a task's life.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Begin,
    End,
}

impl Timeline {
    /// Opens the file, or continues it if this process has opened it before. `%p` in its name becomes the process's number.
    ///
    /// # Errors
    ///
    /// When the file cannot be made, or the thread that writes it cannot be started.
    pub(crate) fn open(path: &Path, limit: u64) -> io::Result<Timeline> {
        let path = match path.to_str() {
            Some(text) => PathBuf::from(text.replace("%p", &std::process::id().to_string())),
            None => path.to_owned(),
        };
        let mut files = lock(&FILES);
        let known = files.iter().find(|(known, _)| *known == path);
        if let Some((_, timeline)) = known.filter(|(_, it)| !it.0.fork.is_forked()) {
            return Ok(timeline.clone());
        }
        let timeline = Timeline::start(File::create(&path)?, limit)?;
        files.retain(|(known, _)| *known != path);
        files.push((path, timeline.clone()));
        Ok(timeline)
    }

    fn start(file: File, limit: u64) -> io::Result<Timeline> {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            limit,
            events: Mutex::default(),
            filled: Condvar::new(),
            output: Mutex::new(Output {
                file,
                end: 0,
                length: 0,
                is_broken: false,
            }),
            fork: ForkGuard::new(),
        });
        let held = shared.clone();
        start_thread("asyncio-trace".into(), Box::new(move || held.run()))?;
        Ok(Timeline(shared))
    }

    /// Begins something that takes time on this thread.
    pub(crate) fn span(
        &self,
        category: &'static str,
        name: impl Into<Cow<'static, str>>,
        details: Details,
    ) -> Span {
        let begun = Begun {
            name: name.into(),
            category,
            thread: thread_number(),
            at: Instant::now(),
            details,
        };
        let mut events = lock(&self.0.events);
        self.0.introduce_thread(&mut events);
        let number = events.next_span;
        events.next_span += 1;
        events.underway.push((number, begun));
        Span {
            timeline: self.clone(),
            number,
        }
    }

    /// Records something that takes no time.
    pub(crate) fn instant(&self, category: &'static str, name: &str, details: &Details) {
        let at = Instant::now();
        self.record(|event, shared| {
            shared.write_head(event, "i", category, name, thread_number(), at);
            event.text("s", "t");
            event.object("args", |args| details.write(args));
        });
    }

    /// Records that a task's life begins or ends.
    pub(crate) fn life(&self, life: Life, task: u64, name: &str, details: &Details) {
        let at = Instant::now();
        let phase = if life == Life::Begin { "b" } else { "e" };
        self.record(|event, shared| {
            shared.write_head(event, phase, "task", name, thread_number(), at);
            event.number("id", task);
            event.object("args", |args| details.write(args));
        });
    }

    /// Writes out what was recorded.
    pub(crate) fn flush(&self) {
        self.0.write_out(&mut lock(&self.0.output));
    }

    fn record(&self, write: impl FnOnce(&mut Object<'_>, &Shared)) {
        self.0.add(&mut lock(&self.0.events), write);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let end = Instant::now();
        let shared = &*self.timeline.0;
        let mut events = lock(&shared.events);
        let is_it = |(number, _): &(u64, Begun)| *number == self.number;
        let Some(place) = events.underway.iter().rposition(is_it) else {
            return;
        };
        let (_, begun) = events.underway.remove(place);
        shared.add(&mut events, |event, shared| {
            shared.write_begun(event, "X", &begun);
            event.number("dur", Micros(end - begun.at));
            event.object("args", |args| begun.details.write(args));
        });
    }
}

impl Shared {
    /// Adds one event, unless there is no room any more.
    fn add(&self, events: &mut Events, write: impl FnOnce(&mut Object<'_>, &Shared)) {
        if events.is_full {
            return;
        }
        self.introduce_thread(events);
        let was_empty = events.text.is_empty();
        self.append(events, |event| write(event, self));
        if events.length >= self.limit {
            events.is_full = true;
            let name = format!(
                "the limit of {} bytes was reached: nothing more is recorded",
                self.limit
            );
            self.append(events, |event| {
                self.write_head(event, "i", "trace", &name, thread_number(), Instant::now());
                event.text("s", "g");
            });
        }
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn append(&self, events: &mut Events, write: impl FnOnce(&mut Object<'_>)) {
        let before = events.text.len();
        events.text.push_str(separator(events.length));
        object(&mut events.text, write);
        events.length += (events.text.len() - before) as u64;
    }

    /// Says a thread's name before its first event, and wakes up whoever writes: the thread may not come back from that.
    fn introduce_thread(&self, events: &mut Events) {
        let number = thread_number();
        if events.is_full || events.threads.contains(&number) {
            return;
        }
        events.threads.push(number);
        self.filled.notify_one();
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed");
        self.append(events, |event| {
            event.text("name", "thread_name").text("ph", "M");
            event.number("pid", std::process::id());
            event.number("tid", number);
            event.object("args", |args| {
                args.text("name", name);
            });
        });
    }

    fn write_head(
        &self,
        event: &mut Object<'_>,
        phase: &str,
        category: &str,
        name: &str,
        thread: i32,
        at: Instant,
    ) {
        event.text("name", name).text("cat", category);
        event.text("ph", phase).number("pid", std::process::id());
        event.number("tid", thread);
        let since_begin = at.saturating_duration_since(self.began);
        event.number("ts", Micros(since_begin));
    }

    fn write_begun(&self, event: &mut Object<'_>, phase: &str, begun: &Begun) {
        let (category, name, thread) = (begun.category, &begun.name, begun.thread);
        self.write_head(event, phase, category, name, thread, begun.at);
    }

    /// The thread that writes: soon after something was recorded, and never more often than once per [`PERIOD`].
    fn run(&self) {
        loop {
            let events = lock(&self.events);
            let filled = self
                .filled
                .wait_while(events, |events| events.text.is_empty());
            drop(filled);
            thread::sleep(PERIOD);
            self.write_out(&mut lock(&self.output));
        }
    }

    fn write_out(&self, output: &mut Output) {
        if output.is_broken || self.fork.is_forked() {
            return;
        }
        let mut events = lock(&self.events);
        let mut text = std::mem::take(&mut events.text);
        let tail = self.tail(&events);
        drop(events);
        let body = text.len() as u64;
        text.push_str(&tail);
        if let Err(error) = output.write(&text, body) {
            output.is_broken = true;
            let why = format_args!("The trace ends here: it cannot be written: {error}");
            say(Level::Warning, why);
        }
    }

    /// What stands at the file's end until more is written: what is under way, and the array's end.
    fn tail(&self, events: &Events) -> String {
        let mut tail = String::new();
        let mut length = events.length;
        for (_, begun) in &events.underway {
            tail.push_str(separator(length));
            object(&mut tail, |event| {
                self.write_begun(event, "B", begun);
                event.object("args", |args| begun.details.write(args));
            });
            length += tail.len() as u64;
        }
        if length == 0 {
            tail.push('[');
        }
        tail + END
    }
}

/// What stands before an event.
fn separator(length: u64) -> &'static str {
    if length == 0 { "[\n" } else { ",\n" }
}

impl Output {
    /// Writes over the end of what is there; the first `body` bytes stay.
    fn write(&mut self, text: &str, body: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(text.as_bytes())?;
        let length = self.end + text.len() as u64;
        if length < self.length {
            self.file.set_len(length)?;
        }
        self.end += body;
        self.length = length;
        Ok(())
    }
}

/// Microseconds with three places, as the format has them.
struct Micros(Duration);

impl Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        write!(f, "{}.{:03}", nanos / 1000, nanos % 1000)
    }
}

/// This thread's number; the system's where it has one that can be asked for safely.
fn thread_number() -> i32 {
    thread_local! {
        static NUMBER: Cell<i32> = const { Cell::new(0) };
    }
    let known = NUMBER.try_with(Cell::get).unwrap_or(0);
    if known != 0 {
        return known;
    }
    let number = new_thread_number();
    let _ = NUMBER.try_with(|it| it.set(number));
    number
}

#[cfg(target_os = "linux")]
fn new_thread_number() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

#[cfg(not(target_os = "linux"))]
fn new_thread_number() -> i32 {
    use std::sync::atomic::{AtomicI32, Ordering};
    static NEXT: AtomicI32 = AtomicI32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
