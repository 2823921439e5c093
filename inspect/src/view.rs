//! One picture of the live view: who has run longest since the picture before, laid out for a screen of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::Stylize as _;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Row, Table};
use serde_json::Value;

use crate::print::{is_task, number, remarks, text};

/// Columns that a name gets at least, and what it gets on a screen that is wide.
const NAME: (u16, u16) = (16, 32);
/// A screen from this width on is wide.
const WIDE: u16 = 120;

/// What is drawn.
pub(crate) struct Picture {
    head: String,
    /// Of loops that are not simply running.
    remarks: Vec<String>,
    /// Busiest first.
    tasks: Vec<Shown>,
    /// Tasks that the answer does not tell of.
    left_off: u64,
}

/// One task's line.
struct Shown {
    /// Percent of the time in which it ran.
    busy: f64,
    polls: f64,
    id: u64,
    name: String,
    what: String,
}

impl Picture {
    /// Compares two answers that were given so many seconds after one another.
    pub(crate) fn new(answer: &[Value], before: &[Value], seconds: f64) -> Picture {
        let mut tasks: Vec<Shown> = answer
            .iter()
            .filter(|line| is_task(line))
            .map(|task| Shown::new(task, before, seconds))
            .collect();
        tasks.sort_by(|one, other| other.busy.total_cmp(&one.busy));
        let count: u64 = answer.iter().map(|line| number(line, "tasks")).sum();
        let program = answer.first().map(|line| text(line, "program"));
        let head = format!(
            "{} - {count} tasks; q ends this",
            program.unwrap_or_default()
        );
        let remarks = remarks(answer).filter(|remark| !remark.starts_with("and "));
        Picture {
            head,
            remarks: remarks.collect(),
            tasks,
            left_off: answer.iter().map(|line| number(line, "left_off")).sum(),
        }
    }

    /// How many tasks there are to be scrolled through.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Draws it, with the tasks from the one numbered `first` on.
    pub(crate) fn draw(&self, frame: &mut Frame<'_>, first: usize) {
        let remarks: Vec<&str> = self.remarks.iter().flat_map(|it| it.lines()).collect();
        let heights = [1, u16::try_from(remarks.len()).unwrap_or(u16::MAX)];
        let [head, remarked, table] = Layout::vertical([
            Constraint::Max(heights[0]),
            Constraint::Max(heights[1]),
            Constraint::Fill(1),
        ])
        .areas(frame.area());
        frame.render_widget(Line::from(self.head.as_str()).bold(), head);
        let remarked_text: Text<'_> = remarks.into_iter().map(Line::from).collect();
        frame.render_widget(remarked_text, remarked);
        frame.render_widget(self.table(frame.area().width, first), table);
    }

    fn table(&self, width: u16, first: usize) -> Table<'_> {
        let (narrow, wide) = NAME;
        let name = if width < WIDE { narrow } else { wide };
        let header = Row::new([
            Line::from("BUSY").right_aligned(),
            Line::from("POLLS/s").right_aligned(),
            Line::from("TASK").right_aligned(),
            Line::from("NAME"),
            Line::from("WHAT IT DOES"),
        ]);
        let rest = (self.left_off > 0).then(|| self.rest());
        let rows = self.tasks.iter().skip(first).map(Shown::row).chain(rest);
        let widths = [
            Constraint::Length(6),
            Constraint::Length(9),
            Constraint::Length(7),
            Constraint::Length(name),
            Constraint::Fill(1),
        ];
        Table::new(rows, widths)
            .header(header.reversed())
            .column_spacing(2)
    }

    fn rest(&self) -> Row<'_> {
        let more = format!("and {} more tasks", self.left_off);
        Row::new([String::new(), String::new(), String::new(), more])
    }
}

impl Shown {
    fn new(task: &Value, before: &[Value], seconds: f64) -> Shown {
        let id = number(task, "task");
        let before = before.iter().find(|line| number(line, "task") == id);
        let is_new = task["age_ms"]
            .as_u64()
            .is_some_and(|age| age as f64 <= seconds * 1e3);
        let since = |key| {
            let now = number(task, key);
            // Of one that was not among the busiest it is not known how much of it is of late.
            let unseen = if is_new { 0 } else { now };
            let before = before.map_or(unseen, |line| number(line, key));
            now.saturating_sub(before) as f64
        };
        let (what, spawned) = (text(task, "activity"), text(task, "spawned"));
        Shown {
            busy: since("running_us") / 1e4 / seconds,
            polls: since("polls") / seconds,
            id,
            name: text(task, "name"),
            what: format!("{what} ({spawned})"),
        }
    }

    fn row(&self) -> Row<'_> {
        Row::new([
            Line::from(format!("{:.1}%", self.busy)).right_aligned(),
            Line::from(format!("{:.0}", self.polls)).right_aligned(),
            Line::from(self.id.to_string()).right_aligned(),
            Line::from(self.name.as_str()),
            Line::from(self.what.as_str()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    fn task(id: u64, name: &str, running_us: u64, polls: u64) -> Value {
        json!({"loop": 1, "task": id, "name": name, "activity": "is running", "spawned": "a.rs:1",
            "running_us": running_us, "polls": polls, "cancelling": 0})
    }

    fn head() -> Value {
        json!({"pid": 1, "program": "p", "loops": 1})
    }

    /// The lines of a screen, without what is blank at their ends.
    fn drawn(picture: &Picture, first: usize, (columns, rows): (u16, u16)) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| picture.draw(frame, first)).unwrap();
        let buffer = terminal.backend().buffer();
        let cells = buffer.content.chunks(usize::from(columns.max(1)));
        cells
            .map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>())
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    #[test]
    fn the_busiest_since_the_last_picture_stands_first() {
        let before = [
            head(),
            task(1, "was busy", 900_000, 9),
            task(2, "is busy", 0, 0),
        ];
        let now = [
            head(),
            task(1, "was busy", 900_000, 9),
            task(2, "is busy", 500_000, 10),
        ];
        let lines = drawn(&Picture::new(&now, &before, 2.0), 0, (80, 24));
        assert_eq!(
            lines[..4],
            [
                "p - 0 tasks; q ends this",
                "  BUSY    POLLS/s     TASK  NAME              WHAT IT DOES",
                " 25.0%          5        2  is busy           is running (a.rs:1)",
                "  0.0%          0        1  was busy          is running (a.rs:1)",
            ]
        );
        assert!(lines[4..].iter().all(String::is_empty), "{lines:?}");
    }

    #[test]
    fn what_is_said_of_a_blocked_loop_stands_above_the_tasks() {
        let blocked = json!({"loop": 1, "thread": "main", "state": "blocked", "by": "<Task name='a\u{1b}b'>",
            "doing": "its thread 'main' sleeps"});
        let lines = drawn(&Picture::new(&[head(), blocked], &[], 1.0), 0, (80, 5));
        assert_eq!(
            lines[1],
            "the loop in thread 'main' is blocked by <Task name='a\u{fffd}b'>"
        );
        assert_eq!(lines[2], "  its thread 'main' sleeps");
        assert!(lines[3].contains("WHAT IT DOES"), "{lines:?}");
    }

    #[test]
    fn tasks_beyond_the_screen_are_scrolled_to_and_those_left_off_are_counted() {
        let mut answer = vec![head()];
        answer.extend((1..=9).map(|id| task(id, &format!("task {id}"), 100 - id, 0)));
        answer.push(json!({"loop": 1, "left_off": 7}));
        let picture = Picture::new(&answer, &[], 1.0);
        assert_eq!(picture.len(), 9);
        let names = |first| {
            let lines = drawn(&picture, first, (80, 5));
            let names = lines[2..].iter().map(|line| line[28..].trim_end());
            names
                .map(|name| name.split("  ").next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(0), ["task 1", "task 2", "task 3"]);
        assert_eq!(names(7), ["task 8", "task 9", "and 7 more tasks"]);
    }

    #[test]
    fn a_picture_fits_every_screen() {
        let mut answer = vec![head()];
        answer.extend((1..50).map(|id| task(id, &"é".repeat(200), 0, 0)));
        let picture = Picture::new(&answer, &[], 1.0);
        for size in [(0, 0), (1, 1), (3, 10), (60, 10), (500, 3)] {
            let lines = drawn(&picture, 0, size);
            assert!(lines.len() <= usize::from(size.1), "{size:?}: {lines:?}");
        }
        // What there is no room for is cut, and the columns stay where they are.
        let lines = drawn(&picture, 0, (60, 10));
        assert_eq!(
            lines[9],
            format!(
                "  0.0%          0        8  {}  is running (a.",
                "é".repeat(16)
            )
        );
        let lines = drawn(&picture, 0, (200, 10));
        assert!(lines[9].contains(&format!(" {}  is running (a.rs:1)", "é".repeat(32))));
    }
}
