//! What is in the file, at each moment.

use std::env;
use std::fs;

use super::*;

fn path(name: &str) -> PathBuf {
    env::temp_dir().join(format!("asyncio-{}-{name}.json", std::process::id()))
}

/// The file's text, and the file gone.
fn read(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    fs::remove_file(path).unwrap();
    text
}

fn details() -> Details {
    Details::default()
}

#[test]
fn a_file_without_events_is_an_empty_array() {
    let path = path("empty");
    Timeline::open(&path, DEFAULT_LIMIT).unwrap().flush();
    assert_eq!(read(&path), "[\n]\n");
}

#[test]
fn a_span_that_has_not_ended_stands_at_the_end_until_it_has() {
    let path = path("underway");
    let timeline = Timeline::open(&path, DEFAULT_LIMIT).unwrap();
    let span = timeline.span(
        "poll",
        "a name that is rather long, so that the end shrinks",
        details(),
    );
    timeline.flush();
    let text = fs::read_to_string(&path).unwrap();
    // The thread is introduced before: it may not come back.
    let events: Vec<&str> = text.lines().collect();
    assert!(events[1].contains("\"thread_name\""), "{text}");
    assert!(events[2].starts_with("{\"name\":\"a name"), "{text}");
    assert!(
        text.contains("\"ph\":\"B\"") && text.ends_with("}\n]\n"),
        "{text}"
    );
    drop(span);
    timeline.flush();
    let text = read(&path);
    assert!(
        text.contains("\"ph\":\"X\"") && text.ends_with("}\n]\n"),
        "{text}"
    );
    assert!(!text.contains("\"ph\":\"B\""), "{text}");
    assert_eq!(text.matches("a name").count(), 1, "{text}");
}

#[test]
fn what_is_written_last_says_that_the_limit_was_reached() {
    let path = path("limit");
    let timeline = Timeline::open(&path, 500).unwrap();
    for _ in 0..100 {
        timeline.instant("wake", "again", &details());
        timeline.flush();
    }
    let text = read(&path);
    assert!(text.len() < 1000, "{} bytes", text.len());
    let last = text.lines().rev().nth(1).unwrap();
    assert!(
        last.contains("the limit of 500 bytes was reached"),
        "{text}"
    );
    assert_eq!(text.matches("was reached").count(), 1, "{text}");
}

#[test]
fn a_file_that_is_opened_again_is_continued() {
    let path = path("again");
    for name in ["first", "second"] {
        let timeline = Timeline::open(&path, DEFAULT_LIMIT).unwrap();
        timeline.instant("wake", name, &details());
        timeline.flush();
    }
    let text = read(&path);
    assert!(text.contains("first") && text.contains("second"), "{text}");
}

#[test]
fn times_are_microseconds_with_three_places() {
    assert_eq!(
        Micros(Duration::from_nanos(1_234_005)).to_string(),
        "1234.005"
    );
    assert_eq!(Micros(Duration::ZERO).to_string(), "0.000");
}
