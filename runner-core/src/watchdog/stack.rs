//! The backtrace of a thread that blocks its loop, as text.
//!
//! The thread walks its own stack, in the handler of a signal (`stack/interrupt.rs`), and leaves addresses. What takes time,
//! memory and locks is done here, in a third thread: names and lines for the addresses. There may be
//! names without lines, and addresses without either: it depends on what debug information the program has.

mod interrupt;

use std::env;
use std::ffi::{OsStr, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use self::interrupt::NoStack;
use self::interrupt::interrupt;
use crate::threads::start_thread;

/// Where the loop runs a task or a callback. What is further out is the same for every task. An optimised program may leave out
/// those whose last act is a call, and those that are part of the last ones then.
const RUNS_ENTRIES: &[&str] = &["run_observed", "run_timed", "run_batch", "drive", "turn"];

/// What lies between the loop and the user's code, by the files' ends. Names have no paths in a program with little debug
/// information, and there are no files in one with none.
const MACHINERY_FILES: &[&str] = &[
    "core/src/ops/function.rs",
    "core/src/panic/unwind_safe.rs",
    "std/src/panic.rs",
    "std/src/panicking.rs",
];
/// Of this crate.
const MACHINERY_ROOMS: &[&str] = &["event_loop", "task", "runner", "handle.rs", "context.rs"];
const MACHINERY: &[&str] = &[
    "runner_core::",
    "async_task::",
    "core::ops::function::",
    "core::panic::",
    "std::panic::",
    "std::panicking::",
    "__rust_try",
];

/// The calls that are under way in a thread, the innermost first.
pub(super) struct Stack(Vec<Call>);

/// One function's call. A function that was inlined has one as well, if the program's debug information knows of it.
#[derive(Debug, Clone, PartialEq)]
struct Call {
    name: String,
    place: Option<Place>,
}

#[derive(Debug, Clone, PartialEq)]
struct Place {
    file: PathBuf,
    line: u32,
}

/// What a thread has answered: addresses, the innermost first.
pub(super) struct Answer(Vec<usize>);

/// Has the thread with the system's number `thread` say where it is, if `is_blocked` says that it has been there all the time.
///
/// # Errors
///
/// When it does not say so in time, or cannot be asked.
pub(super) fn ask(thread: i32, is_blocked: impl Fn() -> bool) -> Result<Answer, NoStack> {
    let addresses = interrupt(thread, &is_blocked)?;
    if !is_blocked() {
        return Err(NoStack::WentOn);
    }
    Ok(Answer(addresses))
}

impl Answer {
    /// Finds names and lines.
    fn name_calls(self) -> Stack {
        let calls = self.0.into_iter().flat_map(calls_at).collect();
        Stack(without_the_loop(calls))
    }
}

/// Has `tell` called with names and lines, in a thread of its own, unless that is busy with another answer.
///
/// To read a program's debug information for the first time can take seconds, in which the watchdog would not see that the
/// block is over.
pub(super) fn name_calls_elsewhere(
    asked: Result<Answer, NoStack>,
    tell: impl FnOnce(Result<Stack, NoStack>) + Send + 'static,
) {
    static IS_BUSY: AtomicBool = AtomicBool::new(false);

    let answer = match asked {
        Ok(answer) => answer,
        Err(reason) => return tell(Err(reason)),
    };
    if IS_BUSY.swap(true, Ordering::Relaxed) {
        return tell(Ok(answer.name_calls()));
    }
    let main = move || {
        tell(Ok(answer.name_calls()));
        IS_BUSY.store(false, Ordering::Relaxed);
    };
    // Without a thread there is no backtrace: the block itself has been reported.
    if start_thread("loop-backtrace".into(), Box::new(main)).is_err() {
        IS_BUSY.store(false, Ordering::Relaxed);
    }
}

/// Returns the calls that an address stands for: one, and those that were inlined into it.
fn calls_at(address: usize) -> Vec<Call> {
    let mut calls = Vec::new();
    backtrace::resolve(address as *mut c_void, |symbol| {
        let name = symbol.name().map(|name| format!("{name:#}"));
        let name = name.map(|name| without_parameters(&name).to_owned());
        let place = symbol.filename().zip(symbol.lineno());
        calls.push(Call {
            name: name.unwrap_or_else(|| unknown(address)),
            place: place.map(|(file, line)| Place {
                file: file.to_owned(),
                line,
            }),
        });
    });
    if calls.is_empty() {
        let name = unknown(address);
        calls.push(Call { name, place: None });
    }
    calls
}

fn unknown(address: usize) -> String {
    format!("<unknown at {address:#x}>")
}

/// Without what a generic function was made for: it is long, and the line below says which function it is.
fn without_parameters(name: &str) -> &str {
    match name.find('<') {
        Some(begin) if begin > 0 && name.ends_with('>') => name[..begin].trim_end_matches(':'),
        _ => name,
    }
}

impl Call {
    /// Whether it is the loop, running an entry of the ready queue.
    fn runs_entries(&self) -> bool {
        let last = self.name.rsplit("::").next();
        let is_ours = self.has_path("runner_core::") || self.room() == Some("event_loop");
        is_ours && last.is_some_and(|last| RUNS_ENTRIES.contains(&last))
    }

    /// Whether it lies between the loop and the user's code.
    fn is_machinery(&self) -> bool {
        match (&self.place, self.room()) {
            (_, Some(room)) => MACHINERY_ROOMS.contains(&room),
            (Some(place), None) if MACHINERY_FILES.iter().any(|end| place.file.ends_with(end)) => {
                true
            }
            (Some(place), None) if has_crate(&place.file, "async-task") => true,
            (Some(_), None) => self.name == "__rust_try",
            (None, None) => MACHINERY.iter().any(|prefix| self.has_path(prefix)),
        }
    }

    fn has_path(&self, prefix: &str) -> bool {
        self.name.trim_start_matches('<').starts_with(prefix)
    }

    /// The room of this crate that it belongs to.
    fn room(&self) -> Option<&str> {
        let file = &self.place.as_ref()?.file;
        let mut rest = file
            .iter()
            .skip_while(|name| !is_crate(name, "runner-core"));
        rest.next()?;
        rest.next().filter(|name| *name == "src")?;
        rest.next()?.to_str()
    }
}

/// Whether the file is one of a crate's of that name, of any version.
fn has_crate(file: &Path, name: &str) -> bool {
    file.iter().any(|folder| is_crate(folder, name))
}

fn is_crate(folder: &OsStr, name: &str) -> bool {
    let rest = folder.to_str().and_then(|it| it.strip_prefix(name));
    rest.is_some_and(|it| it.is_empty() || it.starts_with('-'))
}

/// Takes away what is outside of the innermost entry of the ready queue, and the runtime's own calls just inside of it.
fn without_the_loop(mut calls: Vec<Call>) -> Vec<Call> {
    let Some(end) = calls.iter().position(Call::runs_entries) else {
        return calls;
    };
    // If there is nothing else, it is the runtime itself that blocks, or user code was inlined and nobody knows.
    let last = calls[..end].iter().rposition(|call| !call.is_machinery());
    calls.truncate(last.map_or(end, |last| last + 1));
    calls
}

impl fmt::Display for Stack {
    /// As the standard library prints one: number and name, and below them the place. Files below the current directory are
    /// told from there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = env::current_dir().ok();
        for (number, call) in self.0.iter().enumerate() {
            write!(f, "\n{number:4}: {}", call.name)?;
            if let Some(Place { file, line }) = &call.place {
                let file = here.as_deref().map_or(file.as_path(), |it| below(it, file));
                write!(f, "\n        at {}:{line}", file.display())?;
            }
        }
        Ok(())
    }
}

fn below<'a>(directory: &Path, file: &'a Path) -> &'a Path {
    file.strip_prefix(directory).unwrap_or(file)
}

#[cfg(test)]
mod tests;
