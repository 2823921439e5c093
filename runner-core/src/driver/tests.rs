//! The drivers by their contract; every claim about waiting is made of each way to wait.

use super::*;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const SOURCE: Token = Token(7);

/// What keeps a driver open: a source and its peer, if it needs one.
type Silent = Option<(UnixStream, UnixStream)>;

/// The drivers that must all behave alike, each with a name for the messages and the source that it was opened for,
/// which never becomes ready.
fn drivers() -> Vec<(&'static str, PollingDriver, Silent)> {
    let mut drivers = vec![("parked", PollingDriver::new(), None)];
    for (name, mut driver) in pollers() {
        let silent = pair();
        register(&mut driver, &silent.0, Interest::level(true, false));
        drivers.push((name, driver, Some(silent)));
    }
    drivers
}

/// The drivers that have sources, not opened yet.
fn pollers() -> [(&'static str, PollingDriver); 2] {
    [
        ("of this system", PollingDriver::new()),
        ("portable", PollingDriver::portable()),
    ]
}

fn pair() -> (UnixStream, UnixStream) {
    let (one, other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    (one, other)
}

/// Closes the connection; to drop the peer is not enough while a child of another test holds a copy.
fn close(peer: &UnixStream) {
    peer.shutdown(Shutdown::Both).unwrap();
}

fn register(driver: &mut PollingDriver, source: &UnixStream, interest: Interest) {
    driver.register(source.as_fd(), SOURCE, interest).unwrap();
}

/// What is ready now.
fn look(driver: &mut PollingDriver) -> Vec<Readiness> {
    wait(driver, Wait::look())
}

fn wait(driver: &mut impl Driver, wait: Wait) -> Vec<Readiness> {
    let mut events = Events::new();
    driver.wait(wait, &mut events).unwrap();
    events.drain().collect()
}

/// Longer than any of these tests takes, so that a wait that ended before was ended by something.
fn long(driver: &impl Driver) -> Wait {
    Wait::until(driver.now() + Duration::from_secs(20))
}

fn is_soon(start: Instant) -> bool {
    start.elapsed() < Duration::from_secs(10)
}

/// Notifies from another thread, after a pause that lets the wait begin. The test is right without the pause as well: it
/// then merely sees a notification that came before the wait. Returns what says whether it has come.
fn notify_soon(notifier: Arc<dyn Notify>) -> Arc<AtomicBool> {
    let notified = Arc::new(AtomicBool::new(false));
    let come = notified.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(2));
        come.store(true, Ordering::SeqCst);
        notifier.notify();
    });
    notified
}

#[test]
fn no_wait_ends_before_its_deadline() {
    let mut micros = 1;
    for (name, mut driver, _silent) in drivers() {
        for _ in 0..100 {
            micros = micros * 7919 % 2003; // 0 to 2 ms in no order
            let deadline = Instant::now() + Duration::from_micros(micros);
            while driver.now() < deadline {
                assert_eq!(wait(&mut driver, Wait::until(deadline)), [], "{name}");
                // Nothing but this deadline was ever armed, so there is no other reason to end.
                assert!(Instant::now() >= deadline, "{name}: early");
            }
        }
    }
}

#[test]
fn an_earlier_deadline_than_the_armed_one_is_kept() {
    for (name, mut driver, _silent) in drivers() {
        let notifier = driver.notifier();
        let far = long(&driver);
        notifier.notify();
        wait(&mut driver, far); // arms it, and is ended at once
        let start = Instant::now();
        let near = start + Duration::from_millis(2);
        while driver.now() < near {
            wait(&mut driver, Wait::until(near));
        }
        assert!(is_soon(start), "{name}");
    }
}

#[test]
fn a_later_deadline_than_the_armed_one_is_kept_too() {
    for (name, mut driver, _silent) in drivers() {
        let near = Instant::now() + Duration::from_millis(1);
        let far = near + Duration::from_millis(2);
        driver.notifier().notify();
        wait(&mut driver, Wait::until(near));
        let mut waits = 0;
        while driver.now() < far {
            wait(&mut driver, Wait::until(far));
            waits += 1;
        }
        assert!(waits <= 3, "{name}: {waits} waits"); // one for the old deadline, one for the new, one to spare
    }
}

#[test]
fn deadlines_that_are_past_do_not_block() {
    for (name, mut driver, _silent) in drivers() {
        let start = Instant::now();
        for _ in 0..1_000 {
            wait(&mut driver, Wait::until(start));
            wait(&mut driver, Wait::look());
        }
        assert!(is_soon(start), "{name}");
    }
}

#[test]
fn the_farthest_deadlines_are_not_errors() {
    let mut farthest = Instant::now();
    for power in (0..63).rev() {
        let step = Duration::from_secs(1 << power);
        farthest = farthest.checked_add(step).unwrap_or(farthest);
    }
    for (_, mut driver, _silent) in drivers() {
        let notifier = driver.notifier();
        notifier.notify();
        wait(&mut driver, Wait::until(farthest));
        let notified = notify_soon(notifier);
        wait(&mut driver, Wait::until(farthest));
        assert!(notified.load(Ordering::SeqCst), "ended by itself");
    }
}

#[test]
fn a_notification_before_the_wait_ends_it() {
    for (name, mut driver, _silent) in drivers() {
        let start = Instant::now();
        for _ in 0..100 {
            driver.notifier().notify();
            driver.notifier().notify();
            let limit = long(&driver);
            wait(&mut driver, limit);
        }
        assert!(is_soon(start), "{name}");
    }
}

#[test]
fn notifications_count_as_one_until_a_wait_has_seen_them() {
    for (name, mut driver, _silent) in drivers() {
        for _ in 0..10 {
            driver.notifier().notify();
        }
        wait(&mut driver, Wait::forever());
        let deadline = Instant::now() + Duration::from_millis(2);
        wait(&mut driver, Wait::until(deadline));
        assert!(Instant::now() >= deadline, "{name}: ended twice");
    }
}

#[test]
fn a_notification_from_another_thread_ends_a_wait() {
    for (_, mut driver, _silent) in drivers() {
        let notifier = driver.notifier();
        let notified = notify_soon(notifier);
        wait(&mut driver, Wait::forever());
        assert!(notified.load(Ordering::SeqCst), "ended by itself");
    }
}

#[test]
fn a_foreign_unpark_does_not_end_a_wait() {
    let mut driver = PollingDriver::new();
    let deadline = Instant::now() + Duration::from_millis(2);
    thread::current().unpark();
    wait(&mut driver, Wait::until(deadline));
    assert!(Instant::now() >= deadline);
}

#[test]
fn a_notification_is_not_lost_when_the_poller_is_opened_meanwhile() {
    for round in 0..200 {
        for (_, mut driver) in pollers() {
            let notifier = driver.notifier();
            let helper = thread::spawn(move || {
                for _ in 0..round * 10 {
                    std::hint::spin_loop();
                }
                notifier.notify();
            });
            let (source, _peer) = pair();
            register(&mut driver, &source, Interest::level(true, false));
            wait(&mut driver, Wait::forever()); // hangs if it is
            helper.join().unwrap();
        }
    }
}

#[test]
fn a_notification_left_for_the_parked_thread_ends_the_first_wait_on_the_poller() {
    for (_, mut driver) in pollers() {
        driver.notifier().notify();
        let (source, _peer) = pair();
        register(&mut driver, &source, Interest::level(true, false));
        wait(&mut driver, Wait::forever());
    }
}

#[test]
fn every_wake_arrives_under_load() {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    const ROUNDS: u32 = 5_000;
    for (name, mut driver, _silent) in drivers() {
        // The loop's protocol, with a counter for an inbox.
        let shared = Arc::new((AtomicU32::new(0), AtomicBool::new(false)));
        let (inbox, asleep) = &*shared;
        let helper = thread::spawn({
            let (shared, notifier) = (shared.clone(), driver.notifier());
            move || {
                for _ in 0..ROUNDS {
                    shared.0.fetch_add(1, Ordering::SeqCst);
                    if shared.1.swap(false, Ordering::SeqCst) {
                        notifier.notify();
                    }
                }
            }
        });
        let start = Instant::now();
        let mut seen = 0;
        while seen < ROUNDS {
            asleep.store(true, Ordering::SeqCst);
            if inbox.load(Ordering::SeqCst) == seen {
                let limit = long(&driver);
                wait(&mut driver, limit);
            }
            asleep.store(false, Ordering::SeqCst);
            seen = inbox.load(Ordering::SeqCst);
        }
        assert!(is_soon(start), "{name}");
        helper.join().unwrap();
    }
}

#[test]
fn a_notifier_outlives_its_driver_harmlessly() {
    for (_, driver, _silent) in drivers() {
        let notifier = driver.notifier();
        drop(driver);
        notifier.notify();
    }
}

#[test]
fn an_edge_is_reported_once() {
    for (name, mut driver) in pollers() {
        let (mut source, mut peer) = pair();
        register(&mut driver, &source, Interest::edge());
        let [first] = look(&mut driver)[..] else {
            panic!("{name}: no report of room to write")
        };
        assert!(
            first.token == SOURCE && first.writable && !first.readable,
            "{name}: {first:?}"
        );
        assert_eq!(look(&mut driver), [], "{name}");

        peer.write_all(b"one").unwrap();
        let [data] = look(&mut driver)[..] else {
            panic!("{name}: no report of data")
        };
        assert!(data.readable && !data.write_closed, "{name}: {data:?}");
        assert_eq!(look(&mut driver), [], "{name}: told twice");

        peer.write_all(b"two").unwrap(); // more, though nothing was read
        assert_eq!(look(&mut driver).len(), 1, "{name}");
        let mut buffer = [0; 16];
        assert_eq!(source.read(&mut buffer).unwrap(), 6);
    }
}

#[test]
fn a_half_closed_peer_is_told_apart_from_a_silent_one() {
    let (source, mut peer) = pair();
    let mut driver = PollingDriver::new();
    register(&mut driver, &source, Interest::edge());
    peer.write_all(b"last words").unwrap();
    let data = look(&mut driver)[0];
    // Only Linux can promise that there is no end yet.
    assert_eq!(data.read_closed, !cfg!(target_os = "linux"));
    peer.shutdown(Shutdown::Write).unwrap();
    let end = look(&mut driver)[0];
    assert!(
        end.readable && end.read_closed && !end.write_closed,
        "{end:?}"
    );
}

#[test]
fn an_end_that_comes_with_the_data_shows() {
    for (name, mut driver) in pollers() {
        let (source, mut peer) = pair();
        register(&mut driver, &source, Interest::edge());
        look(&mut driver);
        peer.write_all(b"last words").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let end = look(&mut driver)[0];
        assert!(end.readable && end.read_closed, "{name}: {end:?}");
    }
}

#[test]
fn a_closed_peer_closes_both_directions() {
    for (name, mut driver) in pollers() {
        let (source, peer) = pair();
        register(&mut driver, &source, Interest::edge());
        look(&mut driver);
        close(&peer);
        let end = look(&mut driver)[0];
        let all = end.readable && end.writable && end.read_closed && end.write_closed;
        assert!(all, "{name}: {end:?}");
        assert_eq!(look(&mut driver), [], "{name}: told twice");
    }
}

#[test]
fn a_level_is_reported_for_as_long_as_it_lasts() {
    for (name, mut driver) in pollers() {
        let (mut source, mut peer) = pair();
        register(&mut driver, &source, Interest::level(true, false));
        assert_eq!(look(&mut driver), [], "{name}: nothing to read");
        peer.write_all(b"data").unwrap();
        for _ in 0..3 {
            let [data] = look(&mut driver)[..] else {
                panic!("{name}: no report")
            };
            assert!(data.readable && !data.writable, "{name}: {data:?}");
        }
        assert_eq!(source.read(&mut [0; 16]).unwrap(), 4);
        assert_eq!(look(&mut driver), [], "{name}");
    }
}

#[test]
fn a_writer_is_not_woken_by_an_end_it_does_not_read() {
    let (mut source, peer) = pair();
    while source.write(&[0; 4096]).is_ok() {}
    let mut driver = PollingDriver::new();
    register(&mut driver, &source, Interest::level(false, true));
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(look(&mut driver), []);
}

#[test]
fn an_end_that_nobody_wants_does_not_spin() {
    for (name, mut driver) in pollers() {
        let (source, peer) = pair();
        register(&mut driver, &source, Interest::level(false, false));
        close(&peer);
        assert!(look(&mut driver).len() <= 1, "{name}");
        assert_eq!(look(&mut driver), [], "{name}: told twice");
    }
}

#[test]
fn a_changed_interest_counts_from_then_on() {
    for (name, mut driver) in pollers() {
        let (source, mut peer) = pair();
        register(&mut driver, &source, Interest::level(false, true));
        peer.write_all(b"data").unwrap();
        assert!(!look(&mut driver)[0].readable, "{name}");
        let changed = Interest::level(true, false);
        driver.modify(source.as_fd(), Token(8), changed).unwrap();
        let data = look(&mut driver)[0];
        assert!(
            data.token == Token(8) && data.readable && !data.writable,
            "{name}: {data:?}"
        );
    }
}

#[test]
fn a_deregistered_source_is_silent_and_may_come_back() {
    for (name, mut driver) in pollers() {
        let (source, mut peer) = pair();
        register(&mut driver, &source, Interest::level(true, true));
        peer.write_all(b"data").unwrap();
        assert_eq!(look(&mut driver).len(), 1, "{name}");
        driver.deregister(source.as_fd(), SOURCE).unwrap();
        assert_eq!(look(&mut driver), [], "{name}");
        register(&mut driver, &source, Interest::edge());
        assert_eq!(look(&mut driver).len(), 1, "{name}");
    }
}

#[test]
fn mistakes_are_told_by_their_kind() {
    for (name, mut driver) in pollers() {
        let (source, _peer) = pair();
        let absent = driver.deregister(source.as_fd(), SOURCE).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound, "{name}, unopened");
        let absent = driver
            .modify(source.as_fd(), SOURCE, Interest::edge())
            .unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound, "{name}, unopened");

        register(&mut driver, &source, Interest::edge());
        let twice = driver
            .register(source.as_fd(), SOURCE, Interest::edge())
            .unwrap_err();
        assert_eq!(twice.kind(), io::ErrorKind::AlreadyExists, "{name}");
        driver.deregister(source.as_fd(), SOURCE).unwrap();
        let absent = driver
            .modify(source.as_fd(), SOURCE, Interest::edge())
            .unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound, "{name}");

        for key in [usize::MAX, usize::MAX - 1, usize::MAX - 2] {
            let taken = driver
                .register(source.as_fd(), Token(key), Interest::edge())
                .unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        driver
            .register(source.as_fd(), Token(usize::MAX - 3), Interest::edge())
            .unwrap();
        assert_eq!(look(&mut driver)[0].token, Token(usize::MAX - 3), "{name}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_regular_file_is_refused() {
    for (name, mut driver) in pollers() {
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let refused = driver
            .register(file.as_fd(), SOURCE, Interest::edge())
            .unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{name}");
    }
}

#[test]
fn reports_are_appended() {
    for (name, mut driver) in pollers() {
        let (source, _peer) = pair();
        register(&mut driver, &source, Interest::level(false, true));
        let mut events = Events::new();
        for count in 1..4 {
            driver.wait(Wait::look(), &mut events).unwrap();
            assert_eq!(events.len(), count, "{name}");
        }
        events.clear();
        assert!(events.is_empty());
    }
}

/// The open descriptors of this process, as many as a driver alone could add.
#[cfg(target_os = "linux")]
fn open_descriptors() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let is_ours = |target: &std::path::PathBuf| target.to_string_lossy().contains("anon_inode");
    targets.filter(is_ours).collect()
}

/// Runs `body` in a forked child, where this test is the only thread, and returns its exit code.
#[cfg(target_os = "linux")]
fn in_child(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child calls only what these tests put there: allocation, which glibc keeps usable after a fork, and
    // system calls; it leaves by `_exit`, so no destructor or buffer of the parent's runs twice.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(99);
        // SAFETY: ends the process, which is all that is left to do here; no memory is touched.
        unsafe { libc::_exit(code) };
    }
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: `child` is this process's own, waited for once, and `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "the child died: {status:#x}");
    libc::WEXITSTATUS(status)
}

#[test]
#[cfg(target_os = "linux")]
fn no_descriptor_is_held_before_the_first_registration_and_none_after_the_last_use() {
    // In a child, because other tests of this process open and close theirs meanwhile.
    let code = in_child(|| {
        let before = open_descriptors();
        let mut driver = PollingDriver::new();
        let deadline = Instant::now() + Duration::from_millis(1);
        wait(&mut driver, Wait::until(deadline));
        driver.notifier().notify();
        wait(&mut driver, Wait::forever());
        if open_descriptors() != before {
            return 1;
        }
        let (source, _peer) = pair();
        register(&mut driver, &source, Interest::edge());
        let opened = open_descriptors().len() - before.len();
        if opened != 5 {
            return 100 + opened as i32; // an epoll, and an eventfd and a timerfd each of polling's and of ours
        }
        drop(driver);
        if open_descriptors() != before { 2 } else { 0 }
    });
    assert_eq!(code, 0);
}

#[test]
#[cfg(target_os = "linux")]
fn every_descriptor_is_closed_on_exec() {
    let code = in_child(|| {
        let mut driver = PollingDriver::new();
        let (source, _peer) = pair();
        register(&mut driver, &source, Interest::edge());
        (3..64)
            // SAFETY: reads the flags of a number, which may be closed: that is an error and counts as fine.
            .filter(|&fd| match unsafe { libc::fcntl(fd, libc::F_GETFD) } {
                -1 => false,
                flags => flags & libc::FD_CLOEXEC == 0 && is_anonymous(fd),
            })
            .count() as i32
    });
    assert_eq!(code, 0);
}

#[cfg(target_os = "linux")]
fn is_anonymous(fd: i32) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{fd}"))
        .is_ok_and(|target| target.to_string_lossy().contains("anon_inode"))
}

#[test]
#[cfg(target_os = "linux")]
fn a_forked_child_leaves_the_poller_of_its_parent_alone() {
    for (name, driver) in pollers() {
        let mut slot = Some(driver);
        let driver = slot.as_mut().unwrap();
        let (mut source, mut peer) = pair();
        register(driver, &source, Interest::edge());
        look(driver);
        let code = in_child(|| {
            let mut driver = slot.take().unwrap();
            let notifier = driver.notifier();
            let refusals = [
                driver.wait(Wait::look(), &mut Events::new()).is_err(),
                driver.deregister(source.as_fd(), SOURCE).is_err(),
                driver
                    .modify(source.as_fd(), SOURCE, Interest::edge())
                    .is_err(),
                driver
                    .register(peer.as_fd(), SOURCE, Interest::edge())
                    .is_err(),
            ];
            notifier.notify();
            drop(driver);
            notifier.notify();
            drop(notifier);
            i32::from(refusals.contains(&false))
        });
        assert_eq!(code, 0, "{name}");

        // Sources, notifications and deadlines of the parent still work.
        let driver = slot.as_mut().unwrap();
        let deadline = Instant::now() + Duration::from_millis(2);
        assert_eq!(wait(driver, Wait::until(deadline)), [], "{name}");
        assert!(Instant::now() >= deadline, "{name}: woken by the child");
        peer.write_all(b"data").unwrap();
        let limit = long(driver);
        assert!(wait(driver, limit)[0].readable, "{name}");
        assert_eq!(source.read(&mut [0; 16]).unwrap(), 4);
        driver.notifier().notify();
        wait(driver, Wait::forever());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_forked_child_keeps_no_descriptor_of_the_poller() {
    let mut driver = PollingDriver::new();
    let (source, _peer) = pair();
    register(&mut driver, &source, Interest::edge());
    let mut slot = Some(driver);
    let code = in_child(|| {
        let before = open_descriptors().len();
        slot.take().unwrap().forget();
        (before - open_descriptors().len()) as i32
    });
    assert_eq!(code, 5);
    drop(slot); // the parent's
}

#[test]
#[cfg(target_os = "linux")]
fn a_forked_child_can_make_a_driver_of_its_own() {
    for portable in [false, true] {
        let code = in_child(|| {
            let [(_, ours), (_, fallback)] = pollers();
            let mut driver = if portable { fallback } else { ours };
            let (source, mut peer) = pair();
            register(&mut driver, &source, Interest::level(true, false));
            peer.write_all(b"data").unwrap();
            driver.notifier().notify();
            i32::from(!look(&mut driver)[0].readable)
        });
        assert_eq!(code, 0);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_driver_without_sources_survives_a_fork() {
    let mut driver = PollingDriver::new();
    driver.notifier().notify();
    let code = in_child(|| {
        wait(&mut driver, Wait::forever());
        let (source, _peer) = pair();
        register(&mut driver, &source, Interest::level(false, true));
        driver.notifier().notify();
        wait(&mut driver, Wait::forever()).len() as i32
    });
    assert_eq!(code, 1);
    wait(&mut driver, Wait::forever());
}

#[test]
fn a_virtual_clock_jumps_to_the_deadline_when_nothing_is_to_be_done() {
    let mut driver = VirtualTime::default();
    let real = Instant::now();
    let start = driver.now();
    for hours in 1..=1_000 {
        let deadline = start + Duration::from_secs(hours * 60 * 60);
        assert_eq!(wait(&mut driver, Wait::until(deadline)), []);
        assert_eq!(driver.now(), deadline);
    }
    assert!(is_soon(real));
}

#[test]
fn a_virtual_clock_stands_still_otherwise() {
    let mut driver = VirtualTime::default();
    let start = driver.now();
    let later = start + Duration::from_secs(60);
    while Instant::now() <= start {
        std::hint::spin_loop();
    }
    assert_eq!(driver.now(), start);
    wait(&mut driver, Wait::look());
    wait(&mut driver, Wait::until(start));
    driver.notifier().notify();
    wait(&mut driver, Wait::until(later));
    assert_eq!(driver.now(), start, "a notification comes before the jump");
    wait(&mut driver, Wait::until(later));
    assert_eq!(driver.now(), later);
    wait(&mut driver, Wait::until(start));
    assert_eq!(driver.now(), later, "never backwards");
}

#[test]
fn a_virtual_clock_does_not_jump_past_what_is_ready() {
    for (_, inner) in pollers() {
        let mut driver = VirtualTime::new(inner);
        let start = driver.now();
        let (source, mut peer) = pair();
        driver
            .register(source.as_fd(), SOURCE, Interest::edge())
            .unwrap();
        wait(&mut driver, Wait::look());
        peer.write_all(b"data").unwrap();
        let deadline = start + Duration::from_secs(60);
        assert!(wait(&mut driver, Wait::until(deadline))[0].readable);
        assert_eq!(driver.now(), start);
        driver.deregister(source.as_fd(), SOURCE).unwrap();
        wait(&mut driver, Wait::until(deadline));
        assert_eq!(driver.now(), deadline);
    }
}

#[test]
fn a_virtual_clock_waits_for_work_outside() {
    let mut driver = VirtualTime::default();
    let start = driver.now();
    let notifier = driver.notifier();
    let notified = notify_soon(notifier);
    let soon = start + Duration::from_micros(1);
    wait(&mut driver, Wait::until(soon).with_outside_work(1));
    assert!(notified.load(Ordering::SeqCst), "ended by itself");
    assert_eq!(driver.now(), start);
    wait(&mut driver, Wait::until(soon).with_outside_work(0));
    assert_eq!(driver.now(), soon);
}

#[test]
fn a_virtual_wait_without_a_deadline_is_for_real() {
    let mut driver = VirtualTime::default();
    let start = driver.now();
    let notifier = driver.notifier();
    let notified = notify_soon(notifier);
    wait(&mut driver, Wait::forever());
    assert!(notified.load(Ordering::SeqCst), "ended by itself");
    assert_eq!(driver.now(), start);
}

#[test]
fn a_virtual_clock_can_be_advanced_from_outside() {
    let driver = VirtualTime::default();
    let clock = driver.handle();
    let start = clock.now();
    clock.clone().advance(Duration::from_secs(5));
    assert_eq!(driver.now(), start + Duration::from_secs(5));
    assert_eq!(clock.now(), driver.now());
}
