//! Answers as text. Names come from the program, so nothing of them reaches the terminal that is no letter.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

/// A member's text, fit for a terminal.
pub(crate) fn text(line: &Value, key: &str) -> String {
    let plain = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    line[key]
        .as_str()
        .unwrap_or_default()
        .chars()
        .map(plain)
        .collect()
}

pub(crate) fn number(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap_or_default()
}

pub(crate) fn is_task(line: &Value) -> bool {
    line["task"].is_u64()
}

/// What is to be said of a loop that is not simply running, and of tasks that were left off.
fn remark(line: &Value) -> Option<String> {
    let left_off = number(line, "left_off");
    if left_off > 0 {
        return Some(format!("and {left_off} more tasks"));
    }
    let thread = text(line, "thread");
    match text(line, "state").as_str() {
        "blocked" => {
            let (by, doing) = (text(line, "by"), text(line, "doing"));
            let doing = if doing.is_empty() {
                doing
            } else {
                format!("\n  {doing}")
            };
            Some(format!(
                "the loop in thread '{thread}' is blocked by {by}{doing}"
            ))
        }
        "not being run" => Some(format!("the loop in thread '{thread}' is not being run")),
        _ => None,
    }
}

pub(crate) fn remarks(answer: &[Value]) -> impl Iterator<Item = String> {
    answer
        .iter()
        .filter(|line| !is_task(line))
        .filter_map(remark)
}

/// The tasks, one per line.
pub(crate) fn table(answer: &[Value]) -> String {
    let mut out = String::new();
    if answer.iter().any(is_task) {
        out += "  TASK  NAME              WHAT IT DOES\n";
    }
    for task in answer.iter().filter(|line| is_task(line)) {
        let (name, what) = (text(task, "name"), text(task, "activity"));
        let (id, origin) = (number(task, "task"), origin(task));
        let cancelled = cancelled(task);
        let _ = writeln!(out, "{id:>6}  {name:<16}  {what}{cancelled} ({origin})");
    }
    remarks(answer).for_each(|remark| out += &(remark + "\n"));
    out
}

/// Where a task comes from, and what it has done since.
fn origin(task: &Value) -> String {
    let mut out = text(task, "spawned");
    if let Some(age) = task["age_ms"].as_u64() {
        let _ = write!(out, ", {:.1} s old", age as f64 / 1e3);
    }
    if let Some(parent) = task["parent"].as_u64() {
        let _ = write!(out, ", child of {parent}");
    }
    let polls = number(task, "polls");
    let times = if polls == 1 { "time" } else { "times" };
    let _ = write!(out, ", polled {polls} {times}");
    if let Some(running @ 1..) = task["running_us"].as_u64() {
        let _ = write!(out, ", ran {:.1?}", Duration::from_micros(running));
    }
    out
}

fn cancelled(task: &Value) -> String {
    match number(task, "cancelling") {
        0 => String::new(),
        1 => String::from(", cancelled"),
        count => format!(", cancelled {count} times"),
    }
}

/// The tasks, below each those that it waits for.
pub(crate) fn tree(answer: &[Value]) -> String {
    let mut out = String::new();
    for task in answer.iter().filter(|line| is_task(line)) {
        let indent = 2 * number(task, "depth").min(100) as usize;
        let (name, what) = (text(task, "name"), text(task, "activity"));
        let (origin, cancelled) = (origin(task), cancelled(task));
        let again = if task["again"] == true {
            " (see above)"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "{:indent$}{name} {what}{cancelled} ({origin}){again}",
            ""
        );
    }
    remarks(answer).for_each(|remark| out += &(remark + "\n"));
    out
}

/// The numbers of each loop.
pub(crate) fn metrics(answer: &[Value]) -> String {
    let mut out = String::new();
    for line in answer.iter().filter(|line| line["loop"].is_u64()) {
        let _ = writeln!(
            out,
            "loop {} in thread '{}'",
            number(line, "loop"),
            text(line, "thread")
        );
        let members = line.as_object().into_iter().flatten();
        for (key, value) in members.filter(|(key, value)| *key != "loop" && value.is_number()) {
            let _ = writeln!(out, "  {key:<17} {value}");
        }
    }
    remarks(answer).for_each(|remark| out += &(remark + "\n"));
    out
}

/// The programs, with what each of them answered.
pub(crate) fn programs(answers: &[Vec<Value>]) -> String {
    let mut out = String::from("    PID  TASKS  PROGRAM\n");
    for answer in answers {
        let Some(process) = answer.first() else {
            continue;
        };
        let tasks: u64 = answer.iter().map(|line| number(line, "tasks")).sum();
        let (pid, program) = (number(process, "pid"), text(process, "program"));
        let _ = writeln!(out, "{pid:>7}  {tasks:>5}  {program}");
        let indent = "         ";
        remarks(answer)
            .map(|remark| remark.replace('\n', &format!("\n{indent}")))
            .for_each(|remark| out += &format!("{indent}{remark}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(id: u64, name: &str) -> Value {
        json!({"loop": 1, "task": id, "name": name, "activity": "is running", "spawned": "a.rs:1",
            "cancelling": 0, "polls": 1, "depth": id - 1})
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        let shown = tree(&[task(1, "\u{1b}[2Jred\n")]);
        assert_eq!(
            shown,
            "\u{fffd}[2Jred\u{fffd} is running (a.rs:1, polled 1 time)\n"
        );
    }

    #[test]
    fn a_task_is_told_with_its_history_as_far_as_it_is_known() {
        let mut old = task(7, "old");
        old["parent"] = 3.into();
        old["age_ms"] = 12_340.into();
        old["polls"] = 5.into();
        old["running_us"] = 1_500.into();
        let origin = "a.rs:1, 12.3 s old, child of 3, polled 5 times, ran 1.5ms";
        let shown = table(&[old]);
        assert!(
            shown.ends_with(&format!("is running ({origin})\n")),
            "{shown}"
        );
    }

    #[test]
    fn what_a_task_waits_for_stands_below_it() {
        let shown = tree(&[task(1, "boss"), task(2, "worker")]);
        assert_eq!(
            shown,
            "boss is running (a.rs:1, polled 1 time)\n  worker is running (a.rs:1, polled 1 time)\n"
        );
    }
}
