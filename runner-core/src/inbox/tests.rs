//! What lies in the inbox, and what it says of that.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Inbox;
use crate::driver::Notify;

#[derive(Debug)]
struct Nobody;

impl Notify for Nobody {
    fn notify(&self) {}
}

fn opened() -> (Inbox<&'static str>, u64) {
    let inbox = Inbox::new();
    let generation = inbox.open(Arc::new(Nobody));
    (inbox, generation)
}

fn collected(inbox: &Inbox<&'static str>) -> Vec<&'static str> {
    let mut mail = VecDeque::new();
    inbox.collect(&mut mail);
    mail.into()
}

/// A press of Ctrl-C was lost that came before `call_soon` between two turns, which takes the mail out to keep its order.
#[test]
fn collecting_leaves_a_signals_request_announced() {
    let (inbox, generation) = opened();
    inbox.interrupt();
    inbox.push(generation, "letter").unwrap();
    assert_eq!(collected(&inbox), ["letter"]);
    assert!(inbox.has_mail());
    assert!(!inbox.fall_asleep());
    assert!(inbox.take_interrupt());
}

#[test]
fn nothing_is_announced_once_the_request_and_the_mail_are_taken() {
    let (inbox, generation) = opened();
    inbox.interrupt();
    inbox.push(generation, "letter").unwrap();
    assert!(inbox.take_interrupt());
    assert_eq!(collected(&inbox), ["letter"]);
    assert!(!inbox.has_mail() && !inbox.take_interrupt());
    assert!(inbox.fall_asleep());
}
