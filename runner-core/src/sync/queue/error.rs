//! What putting into a queue and getting out of it can fail with.

use std::error::Error;
use std::fmt;

/// The queue was shut down: it takes nothing any more, or nothing is left in it.
///
/// Out of [`Queue::put`](super::Queue::put) it gives back the item that was not put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueShutDown<T = ()> {
    item: T,
}

impl<T> QueueShutDown<T> {
    pub(super) fn new(item: T) -> QueueShutDown<T> {
        QueueShutDown { item }
    }

    /// Returns the item that was not put.
    pub fn into_inner(self) -> T {
        self.item
    }
}

/// Why [`Queue::put_nowait`](super::Queue::put_nowait) did not put the item, which is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutError<T> {
    /// There is no room.
    QueueFull(T),
    /// The queue was shut down.
    QueueShutDown(T),
}

impl<T> PutError<T> {
    /// Returns the item that was not put.
    pub fn into_inner(self) -> T {
        match self {
            PutError::QueueFull(item) | PutError::QueueShutDown(item) => item,
        }
    }
}

/// Why [`Queue::get_nowait`](super::Queue::get_nowait) did not return an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GetError {
    /// There is none now.
    QueueEmpty,
    /// There is none, and there will be none: the queue was shut down.
    QueueShutDown,
}

const SHUT_DOWN: &str = "the queue was shut down";

impl<T> fmt::Display for QueueShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHUT_DOWN)
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::QueueFull(_) => "no room in the queue",
            PutError::QueueShutDown(_) => SHUT_DOWN,
        })
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GetError::QueueEmpty => "no item in the queue",
            GetError::QueueShutDown => SHUT_DOWN,
        })
    }
}

// The item need not be `Debug` in order that a `Result` can be unwrapped.
impl<T> fmt::Debug for QueueShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueShutDown")
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::QueueFull(_) => "QueueFull(..)",
            PutError::QueueShutDown(_) => "QueueShutDown(..)",
        })
    }
}

impl<T> Error for QueueShutDown<T> {}
impl<T> Error for PutError<T> {}
impl Error for GetError {}
