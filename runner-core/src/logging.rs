//! Where the loop's messages go: to the program's logger, else to stderr.
//!
//! With the feature `log` every message is a record of the `log` facade with the target `asyncio`. A program that has set up
//! no logger, or is built without the feature, finds warnings and errors on stderr, as a Python program does; the other
//! levels are for those who have a logger. This file decides nothing about what is said.

use std::fmt;
use std::io::Write as _;

/// How much a message matters; asyncio's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// Returns `true` if a message of that level would reach anybody. Ask first where making the message costs something.
pub(crate) fn is_heard(level: Level) -> bool {
    #[cfg(feature = "log")]
    if let Some(heard) = facade::is_heard(level) {
        return heard;
    }
    level >= Level::Warning
}

/// Says `text`, one message. A closed or full stderr must not turn it into a failure.
pub(crate) fn say(level: Level, text: fmt::Arguments<'_>) {
    #[cfg(feature = "log")]
    if facade::say(level, text) {
        return;
    }
    if level >= Level::Warning {
        write_to_stderr(text);
    }
}

/// Writes the text and a line's end as one piece.
pub(crate) fn write_to_stderr(text: fmt::Arguments<'_>) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

#[cfg(feature = "log")]
mod facade {
    use super::{Level, fmt};

    const TARGET: &str = "asyncio";

    impl From<Level> for log::Level {
        fn from(level: Level) -> log::Level {
            match level {
                Level::Debug => log::Level::Debug,
                Level::Info => log::Level::Info,
                Level::Warning => log::Level::Warn,
                Level::Error => log::Level::Error,
            }
        }
    }

    /// `None` if the program has set up no logger: a facade that is off altogether is what it finds then.
    pub(super) fn is_heard(level: Level) -> Option<bool> {
        if log::max_level() == log::LevelFilter::Off {
            return None;
        }
        Some(log::log_enabled!(target: TARGET, level.into()))
    }

    /// `false` if nobody took it.
    pub(super) fn say(level: Level, text: fmt::Arguments<'_>) -> bool {
        let is_set_up = log::max_level() != log::LevelFilter::Off;
        if is_set_up {
            log::log!(target: TARGET, level.into(), "{text}");
        }
        is_set_up
    }
}
