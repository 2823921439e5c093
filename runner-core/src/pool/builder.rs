//! What can be chosen about an executor, and what is chosen where nobody says.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

#[cfg(test)]
use super::Failpoint;
use super::{Owner, Pool, StopToken, ThreadPoolExecutor};

/// What can be chosen about a [`ThreadPoolExecutor`].
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::thread;
///
/// let executor = asyncio::ThreadPoolExecutor::builder()
///     .max_workers(2)
///     .thread_name_prefix("resolver")
///     .build();
/// asyncio::run(async {
///     let name = executor.submit(|| thread::current().name().map(String::from)).await;
///     assert_eq!(name.unwrap().as_deref(), Some("resolver_0"));
/// })
/// .unwrap();
/// ```
#[derive(Clone)]
pub struct ThreadPoolExecutorBuilder {
    /// How many threads there may be at once; by default it depends on the machine.
    pub(super) max_workers: Option<usize>,
    /// What stands before `_0` in the threads' names.
    pub(super) thread_name_prefix: String,
    /// How long a worker stays without work.
    pub(super) keep_alive: Duration,
    /// Asked before a thread is started, so that a test can make that fail.
    #[cfg(test)]
    pub(super) failpoint: Option<Failpoint>,
}

impl ThreadPoolExecutorBuilder {
    /// Sets how many threads there may be at once.
    ///
    /// # Panics
    ///
    /// When `max_workers` is zero.
    #[track_caller]
    pub fn max_workers(mut self, max_workers: usize) -> ThreadPoolExecutorBuilder {
        assert!(
            max_workers > 0,
            "max_workers must be greater than 0; leave the call out to get the default"
        );
        self.max_workers = Some(max_workers);
        self
    }

    /// Sets what stands before `_0`, `_1`, ... in the threads' names.
    ///
    /// # Panics
    ///
    /// When the prefix contains a NUL character, which no thread's name can have.
    #[track_caller]
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> ThreadPoolExecutorBuilder {
        let prefix = prefix.into();
        assert!(
            !prefix.contains('\0'),
            "thread_name_prefix must not contain NUL characters; remove them"
        );
        self.thread_name_prefix = prefix;
        self
    }

    /// Sets how long a thread without work stays before it ends; 10 seconds by default, `Duration::MAX` for ever.
    pub fn keep_alive(mut self, keep_alive: Duration) -> ThreadPoolExecutorBuilder {
        self.keep_alive = keep_alive;
        self
    }

    /// Creates the executor; no thread is started yet.
    pub fn build(self) -> ThreadPoolExecutor {
        let pool = Arc::new(Pool {
            state: Mutex::default(),
            work: Condvar::new(),
            quiet: Condvar::new(),
            stop: StopToken::default(),
            max_workers: self.max_workers.unwrap_or_else(default_max_workers),
            thread_name_prefix: self.thread_name_prefix,
            keep_alive: self.keep_alive,
            #[cfg(test)]
            failpoint: self.failpoint,
        });
        let owner = Arc::new(Owner { pool });
        ThreadPoolExecutor { owner }
    }
}

impl fmt::Debug for ThreadPoolExecutorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolExecutorBuilder")
            .field("max_workers", &self.max_workers)
            .field("thread_name_prefix", &self.thread_name_prefix)
            .field("keep_alive", &self.keep_alive)
            .finish()
    }
}

fn default_max_workers() -> usize {
    // A machine that does not say how many processors it has is taken to have one, as CPython does.
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    cpus.saturating_add(4).min(32)
}
