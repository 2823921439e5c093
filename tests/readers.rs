//! Callbacks for descriptors: `add_reader`, `add_writer` and their ends.
#![cfg(unix)]

mod support;

use std::cell::Cell;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use asyncio::{EventLoop, context_var};

use support::trace::{Trace, reports_of};

fn event_loop() -> EventLoop {
    EventLoop::builder().virtual_time().build().unwrap()
}

/// Looks at what is ready and runs it. A look finds what is ready; what it found runs in the same turn.
fn run_turns(event_loop: &EventLoop, turns: usize) {
    for _ in 0..turns {
        event_loop.stop();
        event_loop.run_forever().unwrap();
    }
}

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours, theirs)
}

/// semantics 5.6; test_reader_callback
#[test]
fn a_reader_is_called_when_there_is_something_to_read() {
    let event_loop = event_loop();
    let (ours, mut theirs) = pair();
    let (trace, mut reader) = (Trace::new(), ours.try_clone().unwrap());
    let notes = trace.clone();
    event_loop
        .add_reader(&ours, move || {
            let mut buffer = [0; 16];
            let length = reader.read(&mut buffer).unwrap();
            notes.note(String::from_utf8_lossy(&buffer[..length]));
        })
        .unwrap();
    run_turns(&event_loop, 3);
    assert!(trace.take().is_empty()); // nothing sent, nothing called
    theirs.write_all(b"hello").unwrap();
    run_turns(&event_loop, 3);
    assert_eq!(trace.take(), ["hello"]);
    drop(theirs);
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), [""]); // the end is something to read
}

/// semantics 5.6; test_writer_callback
#[test]
fn a_writer_is_called_when_there_is_room() {
    let event_loop = event_loop();
    let (ours, mut theirs) = pair();
    let (trace, mut filler) = (Trace::new(), ours.try_clone().unwrap());
    while filler.write(&[0; 4096]).is_ok() {}
    let notes = trace.clone();
    event_loop
        .add_writer(&ours, move || notes.note("room"))
        .unwrap();
    run_turns(&event_loop, 3);
    assert!(trace.take().is_empty());
    let mut buffer = vec![0; 1 << 16];
    while theirs.read(&mut buffer).is_ok() {}
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["room"]);
}

/// semantics 5.6: level-triggered, called in every turn until the bytes are read, and once per turn.
#[test]
fn readers_are_level_triggered() {
    let event_loop = event_loop();
    let (mut ours, mut theirs) = pair();
    let trace = Trace::new();
    let notes = trace.clone();
    event_loop
        .add_reader(&ours, move || notes.note("readable"))
        .unwrap();
    theirs.write_all(b"!").unwrap();
    run_turns(&event_loop, 3);
    assert_eq!(trace.take(), ["readable", "readable", "readable"]);
    ours.read_exact(&mut [0]).unwrap();
    run_turns(&event_loop, 3);
    assert!(trace.take().is_empty());
}

/// semantics 5.6
#[test]
fn writers_are_level_triggered() {
    let event_loop = event_loop();
    let (ours, _theirs) = pair();
    let trace = Trace::new();
    let notes = trace.clone();
    event_loop
        .add_writer(&ours, move || notes.note("writable"))
        .unwrap();
    run_turns(&event_loop, 2);
    assert_eq!(trace.take(), ["writable", "writable"]);
    assert!(event_loop.remove_writer(&ours));
    run_turns(&event_loop, 2);
    assert!(trace.take().is_empty());
}

/// semantics 5.1 step 3
#[test]
fn the_reader_of_a_descriptor_runs_before_its_writer() {
    let event_loop = event_loop();
    let (ours, mut theirs) = pair();
    let trace = Trace::new();
    let (reads, writes) = (trace.clone(), trace.clone());
    event_loop
        .add_writer(&ours, move || writes.note("writer"))
        .unwrap();
    event_loop
        .add_reader(&ours, move || reads.note("reader"))
        .unwrap();
    theirs.write_all(b"!").unwrap();
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["reader", "writer"]);
}

/// semantics 5.6: adding again replaces.
#[test]
fn adding_a_reader_again_replaces_it() {
    let event_loop = event_loop();
    let (ours, mut theirs) = pair();
    let trace = Trace::new();
    let (first, second) = (trace.clone(), trace.clone());
    let dropped = trace.on_drop("the first is dropped");
    event_loop
        .add_reader(&ours, move || {
            first.note("first");
            let _kept = &dropped;
        })
        .unwrap();
    event_loop
        .add_reader(&ours, move || second.note("second"))
        .unwrap();
    assert_eq!(trace.take(), ["the first is dropped"]);
    theirs.write_all(b"!").unwrap();
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["second"]);
}

/// semantics 5.6: the old handle is cancelled, also when its call waits in the queue already.
#[test]
fn a_replaced_callback_is_not_called_even_if_it_was_due() {
    let event_loop = event_loop();
    let (ours, mut theirs) = pair();
    let ours = Rc::new(ours);
    let trace = Trace::new();
    let (old, new) = (trace.clone(), trace.clone());
    event_loop
        .add_writer(&*ours, move || old.note("old writer"))
        .unwrap();
    // Found ready in the same look as the writer, and run before it.
    let (inside, same) = (event_loop.clone(), ours.clone());
    event_loop
        .add_reader(&*ours, move || {
            let new = new.clone();
            inside
                .add_writer(&*same, move || new.note("new writer"))
                .unwrap();
            assert!(inside.remove_reader(&*same));
        })
        .unwrap();
    theirs.write_all(b"!").unwrap();
    run_turns(&event_loop, 2);
    assert_eq!(trace.take(), ["new writer"]);
}

/// semantics 5.6: `remove_*` says whether there was something.
#[test]
fn removing_tells_whether_there_was_something() {
    let event_loop = event_loop();
    let (ours, _theirs) = pair();
    assert!(!event_loop.remove_reader(&ours));
    assert!(!event_loop.remove_writer(&ours));
    event_loop.add_reader(&ours, || ()).unwrap();
    assert!(!event_loop.remove_writer(&ours));
    assert!(event_loop.remove_reader(&ours));
    assert!(!event_loop.remove_reader(&ours));
}

/// semantics 5.6: a removed reader is not called, even if its call was due.
#[test]
fn a_reader_may_remove_itself_and_the_writer_beside_it() {
    let event_loop = event_loop();
    let (ours, mut theirs) = pair();
    let ours = Rc::new(ours);
    let trace = Trace::new();
    let (inside, same, notes, writes) = (
        event_loop.clone(),
        ours.clone(),
        trace.clone(),
        trace.clone(),
    );
    event_loop
        .add_reader(&*ours, move || {
            notes.note("reader");
            assert!(inside.remove_writer(&*same));
            assert!(inside.remove_reader(&*same));
        })
        .unwrap();
    event_loop
        .add_writer(&*ours, move || writes.note("the writer was due"))
        .unwrap();
    theirs.write_all(b"!").unwrap();
    run_turns(&event_loop, 3);
    assert_eq!(trace.take(), ["reader"]);
}

/// A reader may replace itself from inside.
#[test]
fn a_reader_may_replace_itself() {
    let event_loop = event_loop();
    let (ours, mut theirs) = pair();
    let ours = Rc::new(ours);
    let trace = Trace::new();
    let (inside, same, notes) = (event_loop.clone(), ours.clone(), trace.clone());
    event_loop
        .add_reader(&*ours, move || {
            notes.note("first");
            let notes = notes.clone();
            inside
                .add_reader(&*same, move || notes.note("second"))
                .unwrap();
        })
        .unwrap();
    theirs.write_all(b"!").unwrap();
    run_turns(&event_loop, 3);
    assert_eq!(trace.take(), ["first", "second", "second"]);
}

/// Removing one direction leaves the other.
#[test]
fn removing_the_reader_keeps_the_writer() {
    let event_loop = event_loop();
    let (ours, mut theirs) = pair();
    let trace = Trace::new();
    let (reads, writes) = (trace.clone(), trace.clone());
    event_loop
        .add_reader(&ours, move || reads.note("reader"))
        .unwrap();
    event_loop
        .add_writer(&ours, move || writes.note("writer"))
        .unwrap();
    theirs.write_all(b"!").unwrap();
    assert!(event_loop.remove_reader(&ours));
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["writer"]);
}

/// semantics 5.6: what is always ready cannot be watched, and says so.
#[test]
fn a_regular_file_is_refused() {
    let event_loop = event_loop();
    let file = File::open(file!()).unwrap();
    let error = event_loop.add_reader(&file, || ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(event_loop.add_writer(&file, || ()).is_err());
    // Nothing is left of the attempt.
    assert!(!event_loop.remove_reader(&file));
    assert!(!event_loop.remove_writer(&file));
}

/// semantics 5.6: a descriptor of an I/O object of this loop cannot have callbacks as well.
#[asyncio::test]
async fn the_descriptor_of_an_io_object_is_refused() {
    let (ours, mut theirs) = pair();
    let ours = asyncio::io::Async::new(ours).unwrap();
    theirs.write_all(b"!").unwrap();
    ours.readable().await.unwrap();
    let event_loop = asyncio::running_loop();
    let error = event_loop.add_reader(&ours, || ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(!event_loop.remove_reader(&ours));
    // And the object is as it was.
    let byte = ours.read_with(|mut socket| {
        let mut byte = [0];
        socket.read(&mut byte).map(|_| byte[0])
    });
    assert_eq!(byte.await.unwrap(), b'!');
}

/// I04: a number that was closed and given to another descriptor belongs to that one.
#[test]
fn a_reused_number_is_watched_anew() {
    let event_loop = event_loop();
    let trace = Trace::new();
    for name in ["first life", "second life"] {
        let (ours, mut theirs) = pair();
        let notes = trace.clone();
        event_loop
            .add_reader(&ours, move || notes.note(name))
            .unwrap();
        theirs.write_all(b"!").unwrap();
        run_turns(&event_loop, 1);
        assert_eq!(trace.take(), [name]);
        assert!(event_loop.remove_reader(&ours));
    }
}

/// semantics 5.7, P12: a reader that panics is reported, stays, and the loop goes on.
#[test]
fn a_reader_that_panics_is_reported_and_keeps_its_place() {
    let event_loop = event_loop();
    let reports = reports_of(&event_loop);
    let (ours, mut theirs) = pair();
    let calls = Rc::new(Cell::new(0));
    let count = calls.clone();
    event_loop
        .add_reader(&ours, move || {
            count.set(count.get() + 1);
            assert!(count.get() > 1, "the first call");
        })
        .unwrap();
    theirs.write_all(b"!").unwrap();
    run_turns(&event_loop, 2);
    assert_eq!(calls.get(), 2);
    assert_eq!(
        reports.take(),
        ["Exception in callback: the first call [-]"]
    );
}

context_var! {
    static WHO: &'static str = "nobody";
}

/// semantics 5.2: a callback runs in a copy of the context in which it was added.
#[test]
fn a_reader_runs_in_the_context_of_its_add_reader() {
    let event_loop = event_loop();
    let (ours, mut theirs) = pair();
    let trace = Trace::new();
    let notes = trace.clone();
    WHO.set("whoever added it");
    event_loop
        .add_reader(&ours, move || notes.note(WHO.get().unwrap()))
        .unwrap();
    WHO.set("somebody else");
    theirs.write_all(b"!").unwrap();
    run_turns(&event_loop, 1);
    assert_eq!(trace.take(), ["whoever added it"]);
}

/// test_single_selecter_event_callback_after_stopping: a stop runs no callback twice, and loses none.
#[test]
fn a_stop_neither_doubles_nor_loses_an_event() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = pair();
    let (trace, mut reader) = (Trace::new(), ours.try_clone().unwrap());
    let (notes, stopper) = (trace.clone(), event_loop.clone());
    event_loop
        .add_reader(&ours, move || {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            notes.note((byte[0] as char).to_string());
            stopper.stop();
        })
        .unwrap();
    theirs.write_all(b"ab").unwrap();
    event_loop.run_forever().unwrap();
    assert_eq!(trace.take(), ["a"]);
    event_loop.run_forever().unwrap();
    assert_eq!(trace.take(), ["b"]);
}

/// semantics 3.4: close drops the callbacks.
#[test]
fn close_drops_readers_and_writers() {
    let event_loop = event_loop();
    let (ours, _theirs) = pair();
    let trace = Trace::new();
    let (reader, writer) = (trace.on_drop("dropped"), trace.on_drop("dropped"));
    event_loop
        .add_reader(&ours, move || {
            let _kept = &reader;
        })
        .unwrap();
    event_loop
        .add_writer(&ours, move || {
            let _kept = &writer;
        })
        .unwrap();
    event_loop.close().unwrap();
    assert_eq!(trace.take(), ["dropped", "dropped"]);
}

/// A look at readiness does not move a virtual clock.
#[asyncio::test(virtual_time)]
async fn readiness_goes_before_the_next_timer() {
    let (ours, mut theirs) = pair();
    theirs.write_all(b"!").unwrap();
    let event_loop = asyncio::running_loop();
    let begin = event_loop.time();
    let ours = asyncio::io::Async::new(ours).unwrap();
    asyncio::timeout(Duration::from_secs(1), ours.readable())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(event_loop.time(), begin);
}
