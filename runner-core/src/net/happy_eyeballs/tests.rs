//! When which attempt begins and which one wins, on a clock that jumps.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::*;
use crate::driver::VirtualTime;
use crate::{EventLoop, Runner, running_loop};

const MS: Duration = Duration::from_millis(1);

fn v4(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 80))
}

fn v6(last: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, last], 80))
}

/// How each attempt ends, and after which time.
type Script = Vec<(SocketAddr, Duration, Result<(), io::ErrorKind>)>;

/// Says that an attempt was dropped before it ended.
struct Dropped {
    log: Rc<RefCell<Vec<String>>>,
    address: SocketAddr,
    ended: bool,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if !self.ended {
            let line = format!("{} dropped", self.address.ip());
            self.log.borrow_mut().push(line);
        }
    }
}

/// Plays the script; returns the address that won, or the error, and what happened when.
fn play(script: Script) -> (Result<SocketAddr, io::ErrorKind>, Vec<String>) {
    let runner = Runner::builder()
        .loop_factory(|| EventLoop::builder().driver(VirtualTime::default()).build());
    runner
        .build()
        .run(async move {
            let log = Rc::new(RefCell::new(Vec::new()));
            let start = running_loop().time();
            let addresses: Vec<SocketAddr> = script.iter().map(|step| step.0).collect();
            let attempt = |address| {
                let log = log.clone();
                let step = script.iter().find(|step| step.0 == address).copied();
                async move {
                    let (_, time, result) = step.unwrap();
                    let mut dropped = Dropped {
                        log: log.clone(),
                        address,
                        ended: false,
                    };
                    let after = since(start);
                    log.borrow_mut()
                        .push(format!("{} at {after}", address.ip()));
                    sleep(time).await;
                    dropped.ended = true;
                    result.map(|()| address).map_err(io::Error::from)
                }
            };
            let first = first_connected(addresses.into_iter(), attempt).await;
            log.borrow_mut().push(format!("end at {}", since(start)));
            let log = log.take();
            (first.map_err(|error| error.kind()), log)
        })
        .unwrap()
}

fn since(start: Instant) -> u128 {
    (running_loop().time() - start).as_millis()
}

#[test]
fn families_take_turns_and_the_first_address_stays_first() {
    let order = |addresses: &[SocketAddr]| Vec::from(take_turns(addresses.iter().copied()));
    assert_eq!(
        order(&[v6(1), v6(2), v6(3), v4(1), v4(2)]),
        [v6(1), v4(1), v6(2), v4(2), v6(3)]
    );
    assert_eq!(
        order(&[v4(1), v6(1), v4(2), v4(3), v6(2)]),
        [v4(1), v6(1), v4(2), v6(2), v4(3)]
    );
    assert_eq!(order(&[v4(1), v4(2)]), [v4(1), v4(2)]);
    assert_eq!(order(&[]), []);
}

#[test]
fn the_next_attempt_begins_after_a_quarter_of_a_second_and_may_win() {
    let (first, log) = play(vec![
        (v6(1), 10_000 * MS, Ok(())),
        (v4(1), 20 * MS, Ok(())),
        (v4(2), MS, Ok(())),
    ]);
    assert_eq!(first, Ok(v4(1)));
    let expected = ["::1 at 0", "127.0.0.1 at 250", "::1 dropped", "end at 270"];
    assert_eq!(log, expected);
}

#[test]
fn an_attempt_that_takes_long_still_wins_if_the_others_take_longer() {
    let (first, log) = play(vec![
        (v6(1), 300 * MS, Ok(())),
        (v4(1), 10_000 * MS, Ok(())),
    ]);
    assert_eq!(first, Ok(v6(1)));
    assert!(log.contains(&"end at 300".to_owned()), "{log:?}");
}

#[test]
fn an_attempt_that_fails_makes_room_at_once() {
    let (first, log) = play(vec![
        (v6(1), 10 * MS, Err(io::ErrorKind::NetworkUnreachable)),
        (v4(1), 5 * MS, Ok(())),
    ]);
    assert_eq!(first, Ok(v4(1)));
    assert_eq!(log, ["::1 at 0", "127.0.0.1 at 10", "end at 15"]);
}

#[test]
fn the_error_is_that_of_the_last_to_fail() {
    let (first, log) = play(vec![
        (v6(1), 400 * MS, Err(io::ErrorKind::TimedOut)),
        (v4(1), 10 * MS, Err(io::ErrorKind::ConnectionRefused)),
    ]);
    assert_eq!(first, Err(io::ErrorKind::TimedOut));
    assert_eq!(log, ["::1 at 0", "127.0.0.1 at 250", "end at 400"]);
    assert_eq!(play(vec![]).0, Err(io::ErrorKind::InvalidInput));
}
