//! What every source of I/O is promised: it is told of its own events and no other's, its end reaches whoever waits, and none
//! keeps the others from their turn.

mod support;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream as StdStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio::io::Async;
use asyncio::net::{UnixDatagram, UnixStream};
use asyncio::{EventLoop, sleep, timeout, yield_now};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use support::alone::alone;

const LIMIT: Duration = Duration::from_secs(10);

fn pair() -> (Async<StdStream>, StdStream) {
    let (ours, theirs) = StdStream::pair().unwrap();
    (Async::new(ours).unwrap(), theirs)
}

/// Polls once with the waker of the task that calls, and says whether it waits.
async fn is_waiting<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

// ----- the end of a source -----

#[asyncio::test]
async fn dropping_a_source_wakes_whoever_waited_on_it() -> io::Result<()> {
    let (ours, theirs) = pair();
    let ours = RefCell::new(Some(ours));
    let mut polls = 0;
    let waiter = poll_fn(|cx| {
        polls += 1;
        match &*ours.borrow() {
            None => Poll::Ready(()),
            // The future is dropped here, its waker stays.
            Some(source) => {
                let mut readable = pin!(source.readable());
                assert!(readable.as_mut().poll(cx).is_pending());
                Poll::Pending
            }
        }
    });
    let dropper = async {
        yield_now().await;
        drop(ours.take());
    };
    timeout(LIMIT, futures_lite::future::zip(waiter, dropper)).await?;
    // One poll at first, one by `dropper`'s own turn at most, one by the end of the source.
    assert!((2..=3).contains(&polls), "{polls}");
    drop(theirs);
    Ok(())
}

#[test]
fn the_end_of_the_loop_is_an_error_to_whoever_waits() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, _theirs) = pair();
    let ours = Rc::new(ours);
    let waiting = ours.clone();
    let mut read = Box::pin(async move { waiting.readable().await });
    let first = event_loop.run_until_complete(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))));
    assert!(first.unwrap().is_pending());
    event_loop.close().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = read.as_mut().poll(&mut cx) else {
        panic!("nothing will become ready any more");
    };
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    // In another loop it stays what it is.
    let error = asyncio::run(async move { ours.readable().await }).unwrap();
    assert_eq!(error.unwrap_err().to_string(), "Event loop is closed");
}

#[asyncio::test]
async fn the_peers_end_wakes_readers_and_writers_alike() -> io::Result<()> {
    let (mut ours, theirs) = UnixStream::pair()?;
    // Until no more is taken.
    while timeout(Duration::ZERO, ours.write(&[0; 65_536]))
        .await
        .is_ok()
    {}
    let (mut reader, mut writer) = ours.into_split();
    let read = asyncio::spawn(async move { reader.read(&mut [0]).await });
    let write = asyncio::spawn(async move { writer.write(&[0]).await });
    yield_now().await;
    drop(theirs);
    // What was never read makes the end a reset.
    let read = timeout(LIMIT, read).await??;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    let error = timeout(LIMIT, write).await??.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    Ok(())
}

// ----- one source's events are no other's -----

#[test]
fn a_source_with_the_number_of_an_earlier_one_has_its_own_events() {
    alone(
        "a_source_with_the_number_of_an_earlier_one_has_its_own_events",
        || asyncio::run(use_numbers_again()).unwrap().unwrap(),
    );
}

async fn use_numbers_again() -> io::Result<()> {
    let mut reused = 0;
    let mut last = None;
    for round in 0..1_000u32 {
        let (ours, mut theirs) = pair();
        let number = ours.as_fd().as_raw_fd();
        reused += u32::from(last.replace(number) == Some(number));
        assert!(is_waiting(ours.readable()).await, "an event of another one");
        theirs.write_all(&[1])?;
        match round % 3 {
            // Seen, not seen, and not even looked for.
            0 => timeout(LIMIT, ours.readable()).await??,
            1 => yield_now().await,
            _ => {}
        }
    }
    assert!(reused > 900, "numbers were hardly reused: {reused}");
    Ok(())
}

#[test]
fn a_stale_event_is_nobodys() {
    alone("a_stale_event_is_nobodys", make_an_event_stale);
}

/// Both are ready at once; what the first one does makes the event of the second one stale.
fn make_an_event_stale() {
    let event_loop = EventLoop::new().unwrap();
    let (first, mut first_peer) = StdStream::pair().unwrap();
    let (second, mut second_peer) = StdStream::pair().unwrap();
    let number = second.as_raw_fd();
    let successor = Rc::new(RefCell::new(None));
    let second = Rc::new(RefCell::new(Some(second)));
    let called = Rc::new(Cell::new(0));
    let (made, dropped, calls) = (successor.clone(), second.clone(), called.clone());
    let this = event_loop.clone();
    let first = Rc::new(first);
    let on_first = first.clone();
    event_loop
        .add_reader(&first, move || {
            assert!(this.remove_reader(&on_first));
            let Some(second) = dropped.take() else { return };
            assert!(this.remove_reader(&second));
            drop(second);
            let (ours, theirs) = StdStream::pair().unwrap();
            *made.borrow_mut() = Some((Async::new(ours).unwrap(), theirs));
        })
        .unwrap();
    event_loop
        .add_reader(second.borrow().as_ref().unwrap(), move || {
            calls.set(calls.get() + 1)
        })
        .unwrap();
    first_peer.write_all(&[1]).unwrap();
    second_peer.write_all(&[1]).unwrap();
    event_loop
        .run_until_complete(async {
            for _ in 0..200 {
                yield_now().await;
            }
            let (ours, mut theirs) = successor.take().expect("the first one was called");
            assert_eq!(ours.as_fd().as_raw_fd(), number, "the number is used again");
            assert!(is_waiting(ours.readable()).await);
            theirs.write_all(&[1]).unwrap();
            timeout(LIMIT, ours.readable()).await.unwrap().unwrap();
        })
        .unwrap();
    assert!(called.get() <= 1, "it was removed");
    event_loop.close().unwrap();
}

#[asyncio::test]
async fn many_waiters_of_one_direction_are_all_served() -> io::Result<()> {
    let (ours, theirs) = UnixDatagram::pair()?;
    let ours = Rc::new(ours);
    let waits: Vec<_> = (0..50)
        .map(|_| {
            let ours = ours.clone();
            asyncio::spawn(async move { ours.recv(&mut [0]).await })
        })
        .collect();
    yield_now().await;
    for _ in &waits {
        theirs.send(b"!").await?;
    }
    for wait in waits {
        assert_eq!(timeout(LIMIT, wait).await???, 1);
    }
    Ok(())
}

/// More are ready at once than one look at the system tells of.
#[asyncio::test]
async fn two_thousand_ready_sources_are_all_served() -> io::Result<()> {
    let mut peers = Vec::new();
    let reads: Vec<_> = (0..2_000)
        .map(|_| {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            peers.push(theirs.into_std());
            asyncio::spawn(async move { ours.read(&mut [0]).await })
        })
        .collect();
    yield_now().await;
    for peer in &mut peers {
        peer.write_all(&[1])?;
    }
    for read in reads {
        assert_eq!(timeout(LIMIT, read).await???, 1);
    }
    Ok(())
}

// ----- nobody starves -----

/// Peeks again and again: the system always has something for it.
fn always_ready() -> asyncio::Task<()> {
    asyncio::spawn(async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[1]).await.unwrap();
        loop {
            ours.peek(&mut [0]).await.unwrap();
        }
    })
}

#[asyncio::test(leftovers = "cancel")]
async fn a_source_that_is_always_ready_starves_no_timer_task_or_source() -> io::Result<()> {
    let busy: Vec<_> = (0..3).map(|_| always_ready()).collect();
    timeout(LIMIT, async {
        let other = asyncio::spawn(async {
            for _ in 0..100 {
                yield_now().await;
            }
        });
        for _ in 0..5 {
            sleep(Duration::from_millis(1)).await;
        }
        other.await.unwrap();
        let (mut ours, mut theirs) = UnixStream::pair()?;
        let read = asyncio::spawn(async move { ours.read(&mut [0]).await });
        yield_now().await;
        theirs.write_all(&[1]).await?;
        assert_eq!(read.await??, 1);
        io::Result::Ok(())
    })
    .await??;
    assert!(busy.iter().all(|task| !task.is_finished()));
    Ok(())
}

#[asyncio::test(leftovers = "cancel")]
async fn a_source_that_is_always_ready_starves_no_signal() -> io::Result<()> {
    let busy = always_ready();
    let signal = asyncio::signal::user_defined2();
    let me = std::process::id().to_string();
    let kill = asyncio::process::Command::new("kill")
        .args(["-USR2", &me])
        .status();
    assert!(timeout(LIMIT, kill).await??.success());
    timeout(LIMIT, signal).await??;
    assert!(!busy.is_finished());
    Ok(())
}

#[asyncio::test]
async fn a_callback_that_is_always_ready_starves_neither_timers_nor_tasks() -> io::Result<()> {
    let event_loop = asyncio::running_loop();
    let (ours, mut theirs) = StdStream::pair()?;
    theirs.write_all(&[1])?;
    let calls = Rc::new(Cell::new(0));
    let count = calls.clone();
    event_loop.add_reader(&ours, move || count.set(count.get() + 1))?;
    timeout(LIMIT, async {
        for _ in 0..5 {
            sleep(Duration::from_millis(1)).await;
            yield_now().await;
        }
    })
    .await?;
    assert!(calls.get() > 0);
    assert!(event_loop.remove_reader(&ours));
    Ok(())
}

/// A thousand tasks that are always ready, and one socket: it is told within one look at the system.
#[asyncio::test(leftovers = "cancel")]
async fn busy_tasks_do_not_keep_a_source_from_being_seen() -> io::Result<()> {
    let (mut ours, mut theirs) = UnixStream::pair()?;
    let read = asyncio::spawn(async move { ours.read(&mut [0]).await });
    yield_now().await;
    for _ in 0..1_000 {
        drop(asyncio::spawn(async {
            loop {
                yield_now().await;
            }
        }));
    }
    theirs.write_all(&[1]).await?;
    // One turn to see it at the latest, one to run the reader, and this task's own.
    for _ in 0..4 {
        yield_now().await;
    }
    assert!(read.is_finished());
    Ok(())
}

// ----- pipes and other descriptors -----

#[asyncio::test]
async fn a_pipe_that_is_full_makes_its_writer_wait_and_loses_nothing() -> io::Result<()> {
    let (mut reader, mut writer) = asyncio::io::pipe()?;
    let bytes: Vec<u8> = (0..1_000_000u32).map(|it| (it / 3) as u8).collect();
    let sent = bytes.clone();
    let write = asyncio::spawn(async move { writer.write_all(&sent).await });
    yield_now().await;
    assert!(!write.is_finished());
    let mut received = Vec::new();
    timeout(LIMIT, reader.read_to_end(&mut received)).await??;
    assert!(received == bytes);
    write.await??;
    Ok(())
}

#[asyncio::test]
async fn writing_to_a_pipe_that_nobody_reads_is_an_error() -> io::Result<()> {
    let (reader, mut writer) = asyncio::io::pipe()?;
    drop(reader);
    let error = writer.write(&[1]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    Ok(())
}

#[asyncio::test]
async fn a_pipe_goes_to_a_thread_in_the_mode_that_it_expects() -> io::Result<()> {
    let (reader, mut writer) = asyncio::io::pipe()?;
    let mut reader = std::fs::File::from(reader.into_blocking()?);
    let thread = asyncio::to_thread(move || {
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).map(|_| text)
    });
    let thread = asyncio::spawn(thread);
    yield_now().await;
    writer.write_all(b"waited for").await?;
    writer.close().await?;
    assert_eq!(timeout(LIMIT, thread).await???.unwrap(), "waited for");
    Ok(())
}

#[asyncio::test]
async fn anything_with_a_descriptor_has_the_traits_of_futures_io() -> io::Result<()> {
    let (mut ours, theirs) = pair();
    let mut theirs = Async::new(theirs)?;
    ours.write_all(b"hello").await?;
    ours.flush().await?;
    let mut buffer = [0; 5];
    theirs.read_exact(&mut buffer).await?;
    assert_eq!(&buffer, b"hello");
    let back = theirs.into_blocking()?;
    drop(ours);
    // It would be an error in the other mode, had there been no end.
    assert_eq!(io::Read::read(&mut &back, &mut buffer)?, 0);
    Ok(())
}
