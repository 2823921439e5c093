//! A request on its way through a task of the model, and who holds on to it.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::reference::{Machine, Number, ScopeNumber};
use super::trace::Request;

/// A request, and the scope that made it for the code inside, which alone claims it when it comes back out.
#[derive(Clone)]
pub(super) struct Cancellation {
    pub(super) request: Request,
    pub(super) scope: Option<ScopeNumber>,
    /// Whoever raised it, in a branch beside the one that has it now.
    pub(super) hold: Option<Rc<Hold>>,
}

/// Wakes a task where a request was raised once nobody has the request any longer.
pub(super) struct Hold {
    task: Number,
    wakes: Cell<bool>,
    let_go: LetGo,
    _others: Vec<Rc<Hold>>,
}

/// The tasks of all requests that were let go, to be woken.
pub(super) type LetGo = Rc<RefCell<Vec<Number>>>;

/// A request that is being raised.
pub(super) struct Raising {
    cancellation: Cancellation,
    /// Alive while the request is pending, or somebody has it.
    hold: Weak<Hold>,
}

impl Cancellation {
    pub(super) fn from_outside(request: Request) -> Cancellation {
        Cancellation {
            request,
            scope: None,
            hold: None,
        }
    }
}

impl Raising {
    pub(super) fn new(cancellation: Cancellation) -> Raising {
        Raising {
            cancellation,
            hold: Weak::new(),
        }
    }
}

impl Drop for Raising {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.upgrade() {
            hold.wakes.set(false);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.wakes.get() {
            self.let_go.borrow_mut().push(self.task);
        }
    }
}

impl Machine<'_> {
    fn hold(
        &self,
        task: Number,
        wakes: bool,
        others: impl IntoIterator<Item = Rc<Hold>>,
    ) -> Rc<Hold> {
        Rc::new(Hold {
            task,
            wakes: Cell::new(wakes),
            let_go: self.let_go.clone(),
            _others: others.into_iter().collect(),
        })
    }

    /// Makes a request pending again that was delivered before, unless it still is, or somebody beside has it.
    pub(super) fn raise(&mut self, number: Number, raising: &mut Raising) {
        if raising.hold.upgrade().is_some() {
            return;
        }
        self.redeliver(number, &raising.cancellation);
        let with = self.task(number).hold.take();
        let hold = self.hold(number, true, with);
        raising.hold = Rc::downgrade(&hold);
        self.task(number).hold = Some(hold);
        self.wake(number);
    }

    /// One from outside that is pending stays what it is.
    fn redeliver(&mut self, number: Number, cancellation: &Cancellation) {
        let task = self.task(number);
        if !task.pending || task.scope.is_some() {
            task.make_pending(cancellation.request, cancellation.scope);
        }
    }

    /// Makes a request pending beside an error, which stands even if there is no further await.
    pub(super) fn raise_afterwards(&mut self, number: Number, mut cancellation: Cancellation) {
        let alone = !self.task(number).pending;
        self.redeliver(number, &cancellation);
        self.task(number).afterwards |= alone;
        if let Some(hold) = cancellation.hold.take() {
            let with = self.task(number).hold.take();
            let both = self.hold(number, false, [hold].into_iter().chain(with));
            self.task(number).hold = Some(both);
        }
        self.wake(number);
    }

    pub(super) fn wake_those_let_go(&mut self) {
        for number in self.let_go.take() {
            self.wake(number);
        }
    }
}
