//! A task on its way from another thread, which has woken it, to its loop.

use std::collections::VecDeque;
use std::ptr::NonNull;

use super::cell::TaskCell;
use super::inboxes::InboxNumber;
use super::main_task::Block;
use super::raw::Runnable;
use super::ready::{MAIN, Packed, Ready};
use super::scheduler::Mail;
use crate::inbox::{FREE_BITS, Inbox};

/// A runnable that only its loop may open.
pub(crate) struct Parcel(Packed);

// SAFETY: a `Runnable` may be moved to another thread as long as it is neither run nor dropped there and the metadata is
// not touched concurrently. A parcel offers nothing but `open`, whose caller is the loop's thread; the inbox that holds it
// is emptied by that thread before it closes, so none is dropped elsewhere.
unsafe impl Send for Parcel {}

/// A task lies in front of an inbox as the ready queue keeps it, with its mark; callbacks, whose mark is taken there, do not.
const _: () = assert!(
    align_of::<TaskCell>() > MAIN | FREE_BITS
        && align_of::<Block>() > MAIN | FREE_BITS
        && MAIN & FREE_BITS == 0
);

/// Hands a task to its loop, which is another thread's.
#[cold]
pub(super) fn send(runnable: Runnable, inbox: InboxNumber) {
    let inbox = inbox.inbox();
    let packed = Packed::new(Ready::Task(runnable));
    if let Err(raw) = inbox.put_first(packed.into_raw()) {
        // SAFETY: it was given back.
        let packed = unsafe { Packed::from_raw(raw) };
        inbox.push_unchecked(Mail::Task(Parcel(packed)));
    }
}

impl Parcel {
    /// Opens what lay in front of an inbox.
    fn in_front(raw: NonNull<()>) -> Parcel {
        // SAFETY: nobody but `send` puts anything in front of an inbox of [`Mail`], and each comes out once.
        Parcel(unsafe { Packed::from_raw(raw) })
    }

    /// Takes the runnable out, on the thread of the loop that owns `inbox`.
    pub(super) fn open(self, inbox: InboxNumber) -> Packed {
        let is_ours = |entry: &Ready| match entry {
            Ready::Task(runnable) => runnable.metadata().inbox == inbox,
            Ready::Callback(_) => false,
        };
        debug_assert!(
            self.0.with(is_ours),
            "a task arrived at another loop (a bug of this crate)"
        );
        self.0
    }
}

impl Inbox<Mail> {
    /// Takes out the task that is there, if that is all.
    #[inline]
    pub(super) fn take_parcel(&self) -> Option<Parcel> {
        self.take_only().map(Parcel::in_front)
    }

    /// Takes everything out, and appends it to `mail`.
    pub(super) fn collect_mail(&self, mail: &mut VecDeque<Mail>) {
        self.collect(mail, |raw| Mail::Task(Parcel::in_front(raw)));
    }
}
