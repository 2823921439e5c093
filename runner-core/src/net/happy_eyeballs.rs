//! Connecting to a host with several addresses: RFC 8305, "Happy Eyeballs".
//!
//! The addresses of both families take turns. An attempt that fails makes room for the next one at once; one that takes long
//! goes on beside the next one. The first connection is taken, and the other attempts are dropped. This file knows no
//! sockets: an attempt is any future.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context as Cx, Poll};
use std::time::Duration;

use super::addrs::no_address;
use crate::sleep::{Sleep, sleep};

/// How long an attempt is waited for before the next one begins; the RFC's "Connection Attempt Delay".
const STAGGER: Duration = Duration::from_millis(250);

/// Tries `addresses` until one of them is good for `attempt`.
///
/// # Errors
///
/// That of the attempt that failed last.
pub(super) async fn first_connected<T, F: Future<Output = io::Result<T>>>(
    mut addresses: impl Iterator<Item = SocketAddr>,
    mut attempt: impl FnMut(SocketAddr) -> F,
) -> io::Result<T> {
    let (first, second) = (addresses.next(), addresses.next());
    if let (Some(only), None) = (first, second) {
        // Most often there is one, which needs no race.
        return attempt(only).await;
    }
    let mut addresses = take_turns(first.into_iter().chain(second).chain(addresses));
    let mut race = Race {
        running: Vec::new(),
        next: sleep(STAGGER),
        failure: None,
    };
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(connected) = race.poll_attempts(cx) {
                return Poll::Ready(Ok(connected));
            }
            if addresses.is_empty() && race.running.is_empty() {
                return Poll::Ready(Err(race.failure.take().unwrap_or_else(no_address)));
            }
            if addresses.is_empty() || !race.wants_another(cx) {
                return Poll::Pending;
            }
            addresses
                .pop_front()
                .map(&mut attempt)
                .into_iter()
                .for_each(|begun| race.begin(begun));
        }
    })
    .await
}

/// The attempts that were begun.
struct Race<F> {
    running: Vec<Pin<Box<F>>>,
    /// Ends when the next one may begin.
    next: Sleep,
    /// Why the last one failed.
    failure: Option<io::Error>,
}

impl<T, F: Future<Output = io::Result<T>>> Race<F> {
    fn begin(&mut self, attempt: F) {
        self.running.push(Box::pin(attempt));
        self.next = sleep(STAGGER);
    }

    /// Polls all; those that fail are dropped, and make room for the next one.
    fn poll_attempts(&mut self, cx: &mut Cx<'_>) -> Poll<T> {
        let mut index = 0;
        while let Some(attempt) = self.running.get_mut(index) {
            match attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(connected)) => return Poll::Ready(connected),
                Poll::Ready(Err(error)) => {
                    self.failure = Some(error);
                    self.running.remove(index);
                    self.next = sleep(Duration::ZERO);
                }
                Poll::Pending => index += 1,
            }
        }
        Poll::Pending
    }

    fn wants_another(&mut self, cx: &mut Cx<'_>) -> bool {
        self.running.is_empty() || Pin::new(&mut self.next).poll(cx).is_ready()
    }
}

/// Orders the addresses so that the families alternate; the resolver's first one stays first.
fn take_turns(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut ordered = VecDeque::new();
    let mut held_back = VecDeque::new();
    for address in addresses {
        push_in_turn(&mut ordered, &mut held_back, address);
    }
    ordered.extend(held_back);
    ordered
}

/// Appends `address` and whatever fits behind it, or holds it back until one of the other family comes.
fn push_in_turn(
    ordered: &mut VecDeque<SocketAddr>,
    held_back: &mut VecDeque<SocketAddr>,
    address: SocketAddr,
) {
    let is_same_family = |last: &SocketAddr| last.is_ipv6() == address.is_ipv6();
    if ordered.back().is_some_and(is_same_family) {
        held_back.push_back(address);
        return;
    }
    ordered.push_back(address);
    // Those that wait are all of the other family.
    ordered.extend(held_back.pop_front());
}

#[cfg(test)]
mod tests;
