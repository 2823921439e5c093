//! Dumps, call graphs and metrics as data, for whatever format a program uses with `serde`.
//!
//! Members have the names that they have on the inspection socket, and mean the same; a test in `runner/inspection/`
//! compares both. Nothing is read back: a task's line is a place in this program.

use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Activity, CallGraph, TaskDump, TaskState, WaitsOn};
use crate::event_loop::Metrics;
use crate::exception::TaskInfo;

/// A list whose members are told as they come.
struct List<F>(F);

impl<F, I> Serialize for List<F>
where
    F: Fn() -> I,
    I: IntoIterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

/// Something as it is printed.
struct Printed<T>(T);

impl<T: std::fmt::Display> Serialize for Printed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A member that is there or not.
fn write_option<S: SerializeStruct>(
    out: &mut S,
    key: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), S::Error> {
    match value {
        Some(value) => out.serialize_field(key, &value),
        None => out.skip_field(key),
    }
}

/// The line that spawned the task.
fn spawned(info: &TaskInfo) -> Printed<String> {
    let location = info.spawn_location();
    Printed(format!("{}:{}", location.file(), location.line()))
}

/// The members of a [`TaskState`].
const TASK_STATE: usize = 12;

fn write_task<S: SerializeStruct>(out: &mut S, task: &TaskState) -> Result<(), S::Error> {
    let (info, activity) = (task.info(), task.activity());
    out.serialize_field("task", &info.id())?;
    out.serialize_field("name", info.name())?;
    out.serialize_field("state", activity.word())?;
    out.serialize_field("activity", &Printed(activity))?;
    out.serialize_field("spawned", &spawned(info))?;
    out.serialize_field("cancelling", &task.cancelling())?;
    out.serialize_field("polls", &task.polls())?;
    write_option(out, "parent", task.parent().map(TaskInfo::id))?;
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    write_option(out, "age_ms", task.age().map(millis))?;
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    write_option(out, "running_us", task.running().map(micros))?;
    out.serialize_field("awaits", &List(|| task.awaits().map(TaskInfo::id)))?;
    out.serialize_field("waits_for", activity.waits_on())
}

impl Serialize for TaskDump {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("TaskDump", 1)?;
        out.serialize_field("tasks", self.tasks())?;
        out.end()
    }
}

impl Serialize for TaskState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("TaskState", TASK_STATE)?;
        write_task(&mut out, self)?;
        out.end()
    }
}

impl Serialize for CallGraph {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let circle = self.is_circle().then_some(true);
        let count = TASK_STATE + 1 + usize::from(circle.is_some());
        let mut out = serializer.serialize_struct("CallGraph", count)?;
        write_task(&mut out, self.task())?;
        write_option(&mut out, "circle", circle)?;
        out.serialize_field("awaited_by", self.awaited_by())?;
        out.end()
    }
}

impl Serialize for Activity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Activity", 3)?;
        out.serialize_field("state", self.word())?;
        out.serialize_field("activity", &Printed(self))?;
        out.serialize_field("waits_for", self.waits_on())?;
        out.end()
    }
}

impl Serialize for WaitsOn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As on the socket: a number that some hundred thousand years fit into.
        let micros = |left: std::time::Duration| u64::try_from(left.as_micros());
        let left = self
            .time_left()
            .map(|left| micros(left).unwrap_or(u64::MAX));
        let count = 2 + usize::from(left.is_some());
        let mut out = serializer.serialize_struct("WaitsOn", count)?;
        out.serialize_field("what", &Printed(self))?;
        write_option(&mut out, "left_us", left)?;
        out.serialize_field("tasks", self.tasks())?;
        out.end()
    }
}

impl Serialize for TaskInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("TaskInfo", 3)?;
        out.serialize_field("task", &self.id())?;
        out.serialize_field("name", self.name())?;
        out.serialize_field("spawned", &spawned(self))?;
        out.end()
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let count = 10 + usize::from(self.busy.is_some());
        let mut out = serializer.serialize_struct("Metrics", count)?;
        out.serialize_field("tasks", &self.tasks)?;
        out.serialize_field("ready", &self.ready)?;
        out.serialize_field("polls", &self.polls)?;
        out.serialize_field("parks", &self.parks)?;
        out.serialize_field("remote_wakes", &self.remote_wakes)?;
        out.serialize_field("spawned", &self.spawned)?;
        out.serialize_field("timers", &self.timers)?;
        out.serialize_field("late_timers", &self.late_timers)?;
        out.serialize_field("executor_threads", &self.executor_threads)?;
        out.serialize_field("executor_queue", &self.executor_queue)?;
        write_option(&mut out, "busy", self.busy)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::rc::Rc;

    use serde_json::{Value, json, to_value};

    use super::super::{call_graph, dump_tasks};
    use super::Duration;
    use crate::{EventLoop, Runner, Task, running_loop, sleep, spawn, task, timeout, yield_now};

    /// On a clock that stands still unless everybody waits.
    fn run(main: impl Future<Output = ()> + 'static) {
        let clock = || EventLoop::builder().virtual_time().build();
        let runner = Runner::builder().loop_factory(clock).build();
        runner.run(main).unwrap();
    }

    fn line(line: u32) -> String {
        format!("{}:{line}", file!())
    }

    #[test]
    fn a_dump_has_every_task_with_what_it_waits_for() {
        run(async {
            let (worker, first) = (task().name("worker").spawn(pending::<()>()), line!());
            let id = worker.id();
            drop(task().name("boss").spawn(timeout(Duration::MAX, worker)));
            yield_now().await;
            let dump = to_value(dump_tasks()).unwrap();
            assert_eq!(dump["tasks"].as_array().unwrap().len(), 3);
            assert_eq!(
                dump["tasks"][0]["state"], "running",
                "the one that asks: {dump}"
            );
            let worker = json!({
                "task": id, "name": "worker", "state": "waiting",
                "activity": "waits for something that is not asyncio's",
                "spawned": line(first), "cancelling": 0, "polls": 1, "parent": dump["tasks"][0]["task"],
                "awaits": [], "waits_for": [],
            });
            assert_eq!(dump["tasks"][1], worker);
            let boss = &dump["tasks"][2];
            assert_eq!(boss["awaits"], json!([id]));
            let on = json!([
                {"what": "a timeout (for ever)", "tasks": []},
                {"what": "task 'worker'",
                 "tasks": [{"task": id, "name": "worker", "spawned": line(first)}]},
            ]);
            let mut told: Vec<Value> = boss["waits_for"].as_array().unwrap().clone();
            told.sort_by_key(Value::to_string);
            assert_eq!(Value::from(told), on);
        });
    }

    #[test]
    fn time_is_told_in_microseconds() {
        run(async {
            let sleeper = spawn(sleep(Duration::from_micros(8_000_007)));
            yield_now().await;
            let graph = to_value(call_graph(&sleeper)).unwrap();
            let on = json!([{"what": "sleep (8.0s left)", "left_us": 8_000_007, "tasks": []}]);
            assert_eq!(graph["waits_for"], on);
            sleeper.cancel();
        });
    }

    #[test]
    fn a_task_that_is_ready_still_says_what_it_waited_for() {
        run(async {
            let sleeper = spawn(sleep(Duration::from_secs(1)));
            sleep(Duration::from_secs(1)).await;
            drop(spawn(pending::<()>()));
            let dump = dump_tasks();
            let activity = to_value(dump.tasks()[1].activity()).unwrap();
            let new = to_value(dump.tasks()[2].activity()).unwrap();
            assert_eq!(activity["state"], "ready", "{activity}");
            let begun = json!({"state": "new", "activity": "has not begun", "waits_for": []});
            assert_eq!(new, begun);
            sleeper.await.unwrap();
        });
    }

    #[test]
    fn a_call_graph_goes_up_to_those_that_nobody_waits_for() {
        run(async {
            let worker = task().name("worker").spawn(pending::<()>());
            let reference = worker.task_ref();
            drop(task().name("boss").spawn(worker));
            yield_now().await;
            let graph = to_value(call_graph(&reference)).unwrap();
            assert_eq!(graph["name"], "worker");
            assert_eq!(graph["awaited_by"][0]["name"], "boss");
            assert_eq!(graph["awaited_by"][0]["awaited_by"], json!([]));
            assert_eq!(graph.get("circle"), None);
        });
    }

    #[test]
    fn a_circle_ends_where_it_closes() {
        let event_loop = EventLoop::new().unwrap();
        let asking = async {
            let late = Rc::new(Cell::new(None::<Task<()>>));
            let place = late.clone();
            let first = spawn(async move {
                yield_now().await;
                let _never = place.take().expect("it was put there").await;
            });
            let reference = first.task_ref();
            late.set(Some(spawn(async move {
                let _never = first.await;
            })));
            yield_now().await;
            yield_now().await;
            to_value(call_graph(&reference)).unwrap()
        };
        let graph = event_loop.run_until_complete(asking).unwrap();
        event_loop.close().unwrap();
        let again = &graph["awaited_by"][0]["awaited_by"][0];
        assert_eq!(
            (&again["task"], &again["circle"]),
            (&graph["task"], &json!(true))
        );
        assert_eq!(again["awaited_by"], json!([]));
    }

    #[test]
    fn metrics_tell_how_busy_a_loop_is_only_if_that_is_measured() {
        run(async {
            let event_loop = running_loop();
            let told = to_value(event_loop.metrics()).unwrap();
            assert_eq!((&told["tasks"], told.get("busy")), (&json!(1), None));
            event_loop.set_metrics(true);
            let told = to_value(event_loop.metrics()).unwrap();
            assert!(told["busy"].is_f64(), "{told}");
        });
    }
}
