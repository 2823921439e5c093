//! `wait`: until some or all of several tasks have ended, without taking their results.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Cx, Poll};
use std::time::Duration;

use crate::event_loop::Timeout;
use crate::task::inquiry::WaitsOn;
use crate::task::watch::Watch;
use crate::task::{TaskRef, must_look_away};

/// When [`wait`] is to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// As soon as one task has ended.
    FirstCompleted,
    /// As soon as one has panicked; when all have ended if none does. A task that was cancelled has not failed, and an
    /// `Err` that it returns is a value like any other.
    FirstException,
    /// When all have ended.
    AllCompleted,
}

/// Waits for tasks, and gives them back: those that have ended, and the others, each in the order in which they were given.
///
/// Takes anything that refers to tasks: [`Task`](crate::Task)s, [`TaskRef`]s, or references to them. Nothing is cancelled,
/// and no result is taken: await the tasks that have ended for that.
///
/// # Cancel safety
///
/// The tasks go on. Give references to keep the handles.
///
/// # Differences from asyncio
///
/// The timeout is a [method](Wait::timeout). No tasks at all are no error: the wait is over at once. Futures are refused by
/// the compiler.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// use std::time::Duration;
///
/// asyncio::run(async {
///     let tasks = [1, 1000].map(|ms| asyncio::spawn(asyncio::sleep(Duration::from_millis(ms))));
///     let (done, pending) = asyncio::wait(&tasks, asyncio::ReturnWhen::FirstCompleted).await;
///     assert_eq!((done.len(), pending.len()), (1, 1));
///     assert!(tasks[0].is_finished());
/// })
/// .unwrap();
/// ```
pub fn wait<I>(tasks: I, return_when: ReturnWhen) -> Wait<I::Item>
where
    I: IntoIterator,
    I::Item: AsRef<TaskRef>,
{
    let tasks: Vec<_> = tasks.into_iter().collect();
    let watch = Watch::new();
    for (index, task) in tasks.iter().enumerate() {
        watch.add(task.as_ref(), index);
    }
    Wait {
        left: tasks.len(),
        tasks,
        watch,
        return_when,
        limit: None,
    }
}

/// The future of [`wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<R: AsRef<TaskRef>> {
    /// Empty once it is over.
    tasks: Vec<R>,
    watch: Rc<Watch>,
    /// Tasks whose end was not seen yet.
    left: usize,
    return_when: ReturnWhen,
    limit: Option<Timeout>,
}

impl<R: AsRef<TaskRef>> Wait<R> {
    /// Returns after this time in any case, counted from the first poll. Nothing is cancelled then either.
    pub fn timeout(mut self, duration: Duration) -> Wait<R> {
        self.limit = Some(Timeout::after(duration));
        self
    }

    /// Takes note of the ends that came; `true` if they are what is waited for.
    fn poll_ends(&mut self, cx: &mut Cx<'_>) -> bool {
        let mut is_over = self.left == 0;
        while !is_over {
            let Poll::Ready(index) = self.watch.poll_next(cx) else {
                return false;
            };
            self.left -= 1;
            is_over = self.left == 0
                || match self.return_when {
                    ReturnWhen::FirstCompleted => true,
                    ReturnWhen::FirstException => self.tasks[index].as_ref().cell().is_failed(),
                    ReturnWhen::AllCompleted => false,
                };
        }
        true
    }

    fn poll_limit(&mut self, cx: &mut Cx<'_>) -> bool {
        self.limit
            .as_mut()
            .is_some_and(|limit| limit.poll(cx).is_ready())
    }
}

impl<R: AsRef<TaskRef>> Unpin for Wait<R> {}

impl<R: AsRef<TaskRef>> Future for Wait<R> {
    type Output = (Vec<R>, Vec<R>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Self::Output> {
        let tasks = || self.tasks.iter().map(AsRef::as_ref);
        if must_look_away(cx, || WaitsOn::task_ends(tasks(), "wait"))
            || !(self.poll_ends(cx) || self.poll_limit(cx))
        {
            return Poll::Pending;
        }
        self.stop_watching();
        let tasks = std::mem::take(&mut self.tasks).into_iter();
        Poll::Ready(tasks.partition(|task| task.as_ref().is_finished()))
    }
}

impl<R: AsRef<TaskRef>> Wait<R> {
    fn stop_watching(&self) {
        for task in &self.tasks {
            self.watch.remove(task.as_ref());
        }
    }
}

impl<R: AsRef<TaskRef>> Drop for Wait<R> {
    fn drop(&mut self) {
        self.stop_watching();
    }
}

impl<R: AsRef<TaskRef>> fmt::Debug for Wait<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Wait tasks={} left={}>", self.tasks.len(), self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Runner, spawn};

    /// A program that waits again and again for the same long task must not pile anything up in it.
    #[test]
    fn a_wait_that_is_over_leaves_nothing_with_the_tasks() {
        let main = async {
            let long = spawn(std::future::pending::<()>());
            for _ in 0..3 {
                let short = spawn(async {});
                let (done, _) = wait(
                    [long.task_ref(), short.task_ref()],
                    ReturnWhen::FirstCompleted,
                )
                .await;
                assert_eq!(done.len(), 1);
            }
            drop(wait([long.task_ref()], ReturnWhen::AllCompleted));
            assert_eq!(long.task_ref().cell().watch_count(), 0);
        };
        Runner::new().run(main).unwrap();
    }
}
