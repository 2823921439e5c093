//! Who waits, in the order of arrival: the queue behind every primitive of this room.
//!
//! A waiter has a place, which it can leave from anywhere in the queue. When its turn has come its place is *granted*: it is
//! out of the queue, and the place remembers that until the waiter takes the grant, or leaves and has to pass it on. Nothing
//! is called here: whoever grants gets the waker, and wakes it when nothing is borrowed any more.

use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::task::Waker;

use slab::Slab;

/// The first waiter's place lies in the queue itself, so that one waiter at a time never costs an allocation.
pub(super) struct WaiterQueue<W = Waker> {
    /// The place with the key 0.
    inline: Option<Place<W>>,
    /// The places of the others; their keys are one higher than here. They are used again, and never given back.
    more: Slab<Place<W>>,
    /// The key of the one who waits longest, or `NOBODY`.
    first: u32,
    /// The key of the one who came last, or `NOBODY`.
    last: u32,
    /// How many places are granted.
    granted: u32,
    /// How many ever came.
    arrivals: u64,
    /// All of it belongs to the thread whose tasks wait.
    _stays: PhantomData<Rc<()>>,
}

/// A waiter's place.
#[derive(Clone, Copy)]
pub(super) struct Key(u32);

struct Place<W> {
    /// What is done when the turn has come; gone once it has.
    waiting: Option<W>,
    /// The neighbour who came before, or `NOBODY`.
    previous: u32,
    /// The neighbour who came later, or `NOBODY`. In a granted place: what the granter had to say.
    next: u32,
    /// The number of this arrival.
    arrival: u64,
}

const NOBODY: u32 = u32::MAX;

impl<W> WaiterQueue<W> {
    pub(super) const fn new() -> WaiterQueue<W> {
        WaiterQueue {
            inline: None,
            more: Slab::new(),
            first: NOBODY,
            last: NOBODY,
            granted: 0,
            arrivals: 0,
            _stays: PhantomData,
        }
    }

    /// Returns `true` if somebody waits whose turn has not come.
    #[inline]
    pub(super) fn is_anybody_waiting(&self) -> bool {
        self.first != NOBODY
    }

    /// The number of waiters whose turn has come, and who have not run since.
    #[inline]
    pub(super) fn granted(&self) -> usize {
        self.granted as usize
    }

    /// Waits behind all others.
    #[inline]
    pub(super) fn enter(&mut self, waiting: W) -> Key {
        self.arrivals += 1;
        let key = self.insert(Place {
            waiting: Some(waiting),
            previous: self.last,
            next: NOBODY,
            arrival: self.arrivals,
        });
        match self.last {
            NOBODY => self.first = key,
            last => self.place(last).next = key,
        }
        self.last = key;
        Key(key)
    }

    /// Waits again, where this place was: its turn had come in vain.
    #[cold]
    pub(super) fn wait_again(&mut self, Key(key): Key, waiting: W) {
        let arrival = self.place(key).arrival;
        let (mut previous, mut next) = (NOBODY, self.first);
        // Before it are only others whose turn had come in vain.
        while next != NOBODY && self.place(next).arrival < arrival {
            (previous, next) = (next, self.place(next).next);
        }
        *self.place(key) = Place {
            waiting: Some(waiting),
            previous,
            next,
            arrival,
        };
        match previous {
            NOBODY => self.first = key,
            previous => self.place(previous).next = key,
        }
        match next {
            NOBODY => self.last = key,
            next => self.place(next).previous = key,
        }
        self.granted -= 1;
    }

    /// Gives the turn of this place to somebody who came before it and waits again, and waits on; `None` if there is nobody.
    #[inline]
    pub(super) fn give_way(&mut self, key: Key, waiting: &W) -> Option<W>
    where
        W: Clone,
    {
        let arrival = self.place(key.0).arrival;
        let is_first = self.first == NOBODY || self.place(self.first).arrival > arrival;
        if is_first || !self.is_granted(key) {
            return None;
        }
        self.wait_again(key, waiting.clone());
        self.grant()
    }

    /// Gives its turn to whoever waits longest, who is then to be woken.
    #[inline]
    pub(super) fn grant(&mut self) -> Option<W> {
        self.grant_with(0)
    }

    /// The same, and tells the waiter a number.
    #[inline]
    pub(super) fn grant_with(&mut self, said: u32) -> Option<W> {
        match self.first {
            NOBODY => None,
            first => self.grant_first(first, said),
        }
    }

    fn grant_first(&mut self, key: u32, said: u32) -> Option<W> {
        let place = self.place(key);
        let next = std::mem::replace(&mut place.next, said);
        let waiting = place.waiting.take();
        self.first = next;
        match next {
            NOBODY => self.last = NOBODY,
            next => self.place(next).previous = NOBODY,
        }
        self.granted += 1;
        waiting
    }

    /// Gives their turn to all who wait.
    #[inline]
    pub(super) fn grant_all(&mut self) -> Granted<W> {
        let first = self.grant();
        let more = std::iter::from_fn(|| self.grant()).collect();
        Granted { first, more }
    }

    /// Returns what is done when the turn has come, or `None` if it has.
    #[inline]
    pub(super) fn waiting(&mut self, key: Key) -> Option<&mut W> {
        self.place(key.0).waiting.as_mut()
    }

    /// Returns `true` if the turn of this place has come.
    #[inline]
    pub(super) fn is_granted(&mut self, Key(key): Key) -> bool {
        self.place(key).waiting.is_none()
    }

    /// Gives the place up if its turn has come. Returns what the granter said.
    #[inline]
    pub(super) fn take_grant(&mut self, key: &mut Option<Key>) -> Option<u32> {
        let place = (*key)?.0;
        if self.place(place).waiting.is_some() {
            return None;
        }
        *key = None;
        self.granted -= 1;
        Some(self.remove(place).next)
    }

    /// Gives the place up. `Err` if its turn had come: the grant is to be passed on.
    pub(super) fn leave(&mut self, Key(key): Key) -> Result<W, Granting> {
        let Place {
            waiting,
            previous,
            next,
            ..
        } = self.remove(key);
        let Some(waiting) = waiting else {
            self.granted -= 1;
            return Err(Granting);
        };
        match previous {
            NOBODY => self.first = next,
            previous => self.place(previous).next = next,
        }
        match next {
            NOBODY => self.last = previous,
            next => self.place(next).previous = previous,
        }
        Ok(waiting)
    }

    #[inline]
    fn insert(&mut self, place: Place<W>) -> u32 {
        if self.inline.is_none() {
            self.inline = Some(place);
            return 0;
        }
        let key = self.more.insert(place) + 1;
        u32::try_from(key)
            .ok()
            .filter(|key| *key != NOBODY)
            .expect("more than four billion waiters")
    }

    #[inline]
    fn place(&mut self, key: u32) -> &mut Place<W> {
        let place = match key {
            0 => self.inline.as_mut(),
            key => self.more.get_mut(key as usize - 1),
        };
        place.expect("a waiter has a place until it leaves (a bug of this crate)")
    }

    #[inline]
    fn remove(&mut self, key: u32) -> Place<W> {
        let place = match key {
            0 => self.inline.take(),
            key => self.more.try_remove(key as usize - 1),
        };
        place.expect("a waiter has a place until it leaves (a bug of this crate)")
    }
}

impl WaiterQueue {
    /// Waits, with a place that is there already or with a new one behind all others. Returns a waker that is of no use any
    /// more, to be dropped when nothing is borrowed.
    #[inline]
    pub(super) fn wait(&mut self, key: &mut Option<Key>, waker: &Waker) -> Option<Waker> {
        let Some(key) = *key else {
            *key = Some(self.enter(waker.clone()));
            return None;
        };
        let known = self.waiting(key)?;
        if known.will_wake(waker) {
            return None;
        }
        Some(std::mem::replace(known, waker.clone()))
    }
}

/// The turn of somebody who left had come.
#[derive(Debug)]
pub(super) struct Granting;

/// Those whose turn has come together.
#[must_use = "they are to be woken"]
pub(super) struct Granted<W = Waker> {
    first: Option<W>,
    more: Vec<W>,
}

impl<W> Granted<W> {
    /// Another one is told before them.
    pub(super) fn preceded_by(mut self, first: Option<W>) -> Granted<W> {
        if let Some(first) = first {
            let second = self.first.replace(first);
            self.more.splice(0..0, second);
        }
        self
    }

    /// In the order in which they waited.
    #[inline]
    pub(super) fn for_each(self, mut tell: impl FnMut(W)) {
        if self.more.is_empty() {
            if let Some(only) = self.first {
                tell(only);
            }
        } else {
            self.for_each_of_many(tell);
        }
    }

    fn for_each_of_many(self, mut tell: impl FnMut(W)) {
        let mut panicked = None;
        for waiting in self.first.into_iter().chain(self.more) {
            // A foreign waker that panics does not keep the others from being woken.
            if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| tell(waiting))) {
                panicked.get_or_insert(payload);
            }
        }
        if let Some(payload) = panicked {
            panic::resume_unwind(payload);
        }
    }
}

impl Granted {
    pub(super) fn wake(self) {
        self.for_each(Waker::wake);
    }
}
