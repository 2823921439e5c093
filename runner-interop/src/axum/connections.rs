//! The tasks that serve: one for each connection, and one for each request of HTTP/2.
//!
//! None of them outlives the one who serves. This file knows neither HTTP nor why anything stops.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use runner_core::TaskRef;
use runner_core::sync::Event;

/// The set of all of them. Dropped, it cancels those that are left.
#[derive(Default)]
pub(super) struct Connections {
    tasks: Rc<Tasks>,
}

#[derive(Default)]
struct Tasks {
    /// Those that have not ended, by number.
    running: RefCell<HashMap<u64, TaskRef>>,
    /// One of them has ended. Cleared by whoever waits for it.
    has_ended: Event,
}

impl Connections {
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(future);
    }

    /// What hyper is to spawn its parts of the connections with.
    pub(super) fn spawner(&self) -> Spawner {
        Spawner {
            tasks: self.tasks.clone(),
        }
    }

    /// Waits until each of them has ended.
    pub(super) async fn ended(&self) {
        while !self.tasks.running.borrow().is_empty() {
            self.tasks.has_ended.clear();
            self.tasks.has_ended.wait().await;
        }
    }

    pub(super) fn cancel(&self) {
        for task in self.tasks.running.borrow().values() {
            task.cancel();
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Tasks {
    /// Spawns a task that nobody joins: if it panics, the exception handler is told.
    fn spawn(self: &Rc<Self>, future: impl Future<Output = ()> + 'static) {
        let task = runner_core::spawn(future);
        let tasks = self.clone();
        task.add_done_callback(move |task| {
            tasks.running.borrow_mut().remove(&task.id());
            tasks.has_ended.set();
        });
        let task = task.task_ref();
        self.running.borrow_mut().insert(task.id(), task);
    }
}

/// Spawns into the set, for hyper.
#[derive(Clone)]
pub(super) struct Spawner {
    tasks: Rc<Tasks>,
}

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        self.tasks.spawn(async {
            future.await;
        });
    }
}
