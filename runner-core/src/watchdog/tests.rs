//! What the watchdog says, with the times of its looks given.

use std::panic::Location;

use super::*;

const MS: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_millis(800);
const PERIOD: Duration = Duration::from_millis(100);

/// A watch over `beat`, and the times of its looks.
fn begin(beat: &Arc<Beat>) -> (Watch, Instant) {
    let watch = Watch::new(beat.clone(), LIMIT);
    let began = watch.since;
    (watch, began)
}

/// Looks in each of so many periods, and returns what was said.
fn look_often(watch: &mut Watch, now: &mut Instant, looks: u32) -> Vec<String> {
    (0..looks)
        .filter_map(|_| {
            *now += watch.period();
            watch.look(*now)
        })
        .collect()
}

#[test]
fn a_poll_that_lasts_is_told_once_and_once_more_when_it_is_over() {
    let beat = Arc::new(Beat::new());
    let (mut watch, mut now) = begin(&beat);
    beat.poll(7, Location::caller());
    let said = look_often(&mut watch, &mut now, 9);
    assert_eq!(said.len(), 1, "{said:?}");
    let beginning =
        "The event loop has been blocked for 0.8 seconds by <Task name='Task-7' spawned at ";
    assert!(said[0].starts_with(beginning), "{said:?}");
    assert_eq!(look_often(&mut watch, &mut now, 100), [""; 0]);
    beat.rest();
    let said = look_often(&mut watch, &mut now, 100);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("The event loop was blocked for 2.8 seconds by <Task name='Task-7'")
    );
}

#[test]
fn a_poll_that_is_shorter_than_the_limit_is_not_told() {
    let beat = Arc::new(Beat::new());
    let (mut watch, mut now) = begin(&beat);
    for _ in 0..10 {
        beat.poll(7, Location::caller());
        assert_eq!(look_often(&mut watch, &mut now, 7), [""; 0]);
    }
}

#[test]
fn many_polls_of_one_task_are_no_block() {
    let beat = Arc::new(Beat::new());
    let (mut watch, mut now) = begin(&beat);
    for _ in 0..100 {
        beat.poll(7, Location::caller());
        assert_eq!(look_often(&mut watch, &mut now, 1), [""; 0]);
    }
}

#[test]
fn a_loop_that_waits_is_not_blocked() {
    let beat = Arc::new(Beat::new());
    let (mut watch, mut now) = begin(&beat);
    assert_eq!(look_often(&mut watch, &mut now, 100), [""; 0]);
    beat.call(Location::caller());
    beat.rest();
    assert_eq!(look_often(&mut watch, &mut now, 100), [""; 0]);
}

#[test]
fn time_in_which_the_watchdog_itself_was_held_up_does_not_count() {
    let beat = Arc::new(Beat::new());
    let (mut watch, mut now) = begin(&beat);
    beat.call(Location::caller());
    assert_eq!(look_often(&mut watch, &mut now, 4), [""; 0]);
    now += 3600 * 1000 * MS;
    assert_eq!(watch.look(now), None);
    assert_eq!(look_often(&mut watch, &mut now, 7), [""; 0]);
    let said = look_often(&mut watch, &mut now, 1);
    assert!(
        said[0]
            .starts_with("The event loop has been blocked for 0.8 seconds by <Handle created at ")
    );
}

#[test]
fn names_are_known_from_when_they_are_given_to_the_tasks_end() {
    let beat = Arc::new(Beat::new());
    beat.poll(u64::from(u32::MAX), Location::caller());
    let task = || beat.step().to_string();
    assert!(task().starts_with("<Task name='Task-4294967295'"));
    note_name(u64::from(u32::MAX), "named");
    assert!(task().starts_with("<Task name='named'"));
    forget_name(u64::from(u32::MAX));
    assert!(task().starts_with("<Task name='Task-4294967295'"));
}

#[test]
fn looks_are_taken_an_eighth_of_the_limit_apart_but_often_enough() {
    let beat = Arc::new(Beat::new());
    let period = |limit| Watch::new(beat.clone(), limit).period();
    assert_eq!(period(LIMIT), PERIOD);
    assert_eq!(period(Duration::ZERO), SHORTEST_PERIOD);
    assert_eq!(period(Duration::MAX), LONGEST_PERIOD);
}
