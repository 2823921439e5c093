//! hyper's way to spawn.

use std::future::Future;

/// Spawns what hyper asks for as tasks of the running loop; futures need not be `Send`.
///
/// The tasks are detached, as hyper wants them. What is left of them when the runner closes is cancelled like every task.
///
/// # Panics
///
/// When hyper spawns something outside of a running loop.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor(());

impl Executor {
    /// Makes one; all are alike.
    pub fn new() -> Executor {
        Executor(())
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(runner_core::spawn(future));
    }
}
