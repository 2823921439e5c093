//! Answers as text. Names come from the program, so nothing of them reaches the terminal that is no letter.

use std::fmt::Write as _;

use serde_json::Value;

/// A member's text, fit for a terminal.
fn text(line: &Value, key: &str) -> String {
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

fn number(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap_or_default()
}

fn is_task(line: &Value) -> bool {
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

fn remarks(answer: &[Value]) -> impl Iterator<Item = String> {
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
        let (id, spawned) = (number(task, "task"), text(task, "spawned"));
        let cancelled = cancelled(task);
        let _ = writeln!(out, "{id:>6}  {name:<16}  {what}{cancelled} ({spawned})");
    }
    remarks(answer).for_each(|remark| out += &(remark + "\n"));
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
        let (spawned, cancelled) = (text(task, "spawned"), cancelled(task));
        let again = if task["again"] == true {
            " (see above)"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "{:indent$}{name} {what}{cancelled} ({spawned}){again}",
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

/// One picture of the live view: a head, and the tasks that have run longest since the picture before.
pub(crate) fn picture(
    answer: &[Value],
    before: &[Value],
    seconds: f64,
    size: (usize, usize),
) -> String {
    let (columns, rows) = size;
    let running = |answer: &[Value], id: u64| {
        let task = answer.iter().find(|line| number(line, "task") == id);
        task.map_or((0, 0), |it| (number(it, "running_us"), number(it, "polls")))
    };
    let mut tasks: Vec<(f64, f64, &Value)> = answer
        .iter()
        .filter(|line| is_task(line))
        .map(|task| {
            let (now, then) = (
                running(answer, number(task, "task")),
                running(before, number(task, "task")),
            );
            let share = now.0.saturating_sub(then.0) as f64 / 1e4 / seconds;
            (share, now.1.saturating_sub(then.1) as f64 / seconds, task)
        })
        .collect();
    tasks.sort_by(|one, other| other.0.total_cmp(&one.0));
    let count: u64 = answer.iter().map(|line| number(line, "tasks")).sum();
    let program = answer.first().map(|line| text(line, "program"));
    let mut lines = vec![format!(
        "{} - {count} tasks; q ends this",
        program.unwrap_or_default()
    )];
    lines.extend(remarks(answer).filter(|remark| !remark.starts_with("and ")));
    lines.push(String::from(
        "  BUSY    POLLS/s    TASK  NAME              WHAT IT DOES",
    ));
    for (share, polls, task) in tasks {
        let (id, name) = (number(task, "task"), text(task, "name"));
        let (what, spawned) = (text(task, "activity"), text(task, "spawned"));
        let line = format!("{share:>5.1}% {polls:>10.0} {id:>7}  {name:<16}  {what} ({spawned})");
        lines.push(line);
    }
    let lines = lines.iter().flat_map(|line| line.lines()).take(rows);
    let cut = lines.map(|line| line.chars().take(columns).collect::<String>());
    cut.collect::<Vec<_>>().join("\r\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(id: u64, name: &str, running_us: u64, polls: u64) -> Value {
        json!({"loop": 1, "task": id, "name": name, "activity": "is running", "spawned": "a.rs:1",
            "running_us": running_us, "polls": polls, "cancelling": 0, "depth": id - 1})
    }

    #[test]
    fn the_busiest_since_the_last_picture_stands_first() {
        let head = json!({"pid": 1, "program": "p", "loops": 1});
        let before = [
            head.clone(),
            task(1, "was busy", 900_000, 9),
            task(2, "is busy", 0, 0),
        ];
        let now = [
            head,
            task(1, "was busy", 900_000, 9),
            task(2, "is busy", 500_000, 10),
        ];
        let picture = picture(&now, &before, 2.0, (80, 24));
        let lines: Vec<&str> = picture.split("\r\n").collect();
        assert_eq!(
            lines[2],
            " 25.0%          5       2  is busy           is running (a.rs:1)"
        );
        assert!(
            lines[3].starts_with("  0.0%          0       1  was busy"),
            "{picture}"
        );
    }

    #[test]
    fn a_picture_is_never_larger_than_the_terminal() {
        let tasks: Vec<Value> = (1..50).map(|id| task(id, &"é".repeat(200), 0, 0)).collect();
        let picture = picture(&tasks, &[], 1.0, (20, 7));
        assert_eq!(picture.split("\r\n").count(), 7);
        assert!(picture.split("\r\n").all(|line| line.chars().count() <= 20));
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        let shown = tree(&[task(1, "\u{1b}[2Jred\n", 0, 0)]);
        assert_eq!(shown, "\u{fffd}[2Jred\u{fffd} is running (a.rs:1)\n");
    }

    #[test]
    fn what_a_task_waits_for_stands_below_it() {
        let shown = tree(&[task(1, "boss", 0, 0), task(2, "worker", 0, 0)]);
        assert_eq!(
            shown,
            "boss is running (a.rs:1)\n  worker is running (a.rs:1)\n"
        );
    }
}
