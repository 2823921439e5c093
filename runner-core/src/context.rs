//! Context variables: values that belong to the code that is running now, and not to the thread it runs in.
//!
//! A context is one pointer to a map that is never changed while somebody else can see it, so that copying it is counting
//! a reference, and a program without context variables has only null pointers. No code of a value (its `Clone`, its
//! `Drop`) runs while the current context is taken out of its place: it may use context variables itself.
//!
//! This file does not know who enters contexts and when: a task and a callback are just somebody with a [`Snapshot`].

mod values;
mod var;

use std::cell::Cell;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::values::{Root, peek, position};
pub use self::var::{ContextVar, Token};
use crate::error::ContextError;

/// Which context a [`Token`] was made in: a number, so that it is exchanged in one step when a task is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Identity(u64);

impl Identity {
    /// Not known before it matters: the first `set` finds a number for it. For contexts that are entered only once.
    pub(crate) const UNASSIGNED: Identity = Identity(0);

    /// The context of the task with this number.
    pub(crate) const fn task(id: u64) -> Identity {
        Identity(id << 1 | 1)
    }

    /// A context that nobody else has.
    fn fresh() -> Identity {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Identity(NEXT.fetch_add(1, Ordering::Relaxed) << 1)
    }
}

/// The variables of a context, frozen: one pointer, null when none is set.
///
/// This is how a task, a callback or a job in a thread keeps its context while it is not running.
#[derive(Clone, Default)]
pub(crate) struct Snapshot(Root);

impl Snapshot {
    /// The context in which no variable is set.
    pub(crate) const EMPTY: Snapshot = Snapshot(None);

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Copies the current context.
    #[inline]
    pub(crate) fn current() -> Snapshot {
        match KEEPER.get() {
            Some(keeper) => (keeper.copy)(),
            None => Snapshot::held(),
        }
    }

    fn held() -> Snapshot {
        with_current(|current| current.with_root(|root| Snapshot(root.clone()))).unwrap_or_default()
    }

    /// Copies a snapshot that lies in a cell.
    pub(crate) fn copied(home: &Cell<Snapshot>) -> Snapshot {
        with_taken(home, |snapshot| snapshot.clone())
    }

    /// Makes the snapshot in `home` the current context until the guard is dropped, which puts it back with its changes.
    ///
    /// A few words are exchanged, nothing is allocated. Guards must be dropped in the reverse order of their making.
    #[inline(always)]
    pub(crate) fn enter(home: &Cell<Snapshot>, identity: Identity) -> Entered<'_> {
        let mut outer = Frame::new(home.take(), identity);
        swap_current(&mut outer);
        Entered {
            home,
            outer: ManuallyDrop::new(outer),
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables = self.0.as_ref().map_or(0, |entries| entries.len());
        f.debug_struct("Snapshot")
            .field("variables", &variables)
            .finish()
    }
}

/// A context that is lent to one task after the other, and to nobody else: what one leaves in it the next one finds.
///
/// It costs a task nothing to run in it, where a [`Context`], which others can enter as well, has to be entered at each poll.
pub(crate) struct Lent {
    /// What the variables are, while it is not lent.
    pub(crate) snapshot: Cell<Snapshot>,
    /// The same for all who borrow it, so that a token of one is good for the next.
    identity: Identity,
}

impl Lent {
    pub(crate) fn new(snapshot: Snapshot) -> Lent {
        Lent {
            snapshot: Cell::new(snapshot),
            identity: Identity::fresh(),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }
}

/// While it lives, a [`Snapshot`] is the current context.
#[must_use = "the snapshot is left when the guard is dropped"]
pub(crate) struct Entered<'a> {
    /// Where the snapshot is put back.
    home: &'a Cell<Snapshot>,
    /// What was current before. Empty when the guard is gone: what its destructor would look for costs more than the rest.
    outer: ManuallyDrop<Frame>,
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        swap_current(&mut self.outer);
        let empty = self.home.replace(self.outer.take_snapshot());
        debug_assert!(
            empty.0.is_none(),
            "the snapshot was taken out when it was entered"
        );
        mem::forget(empty);
    }
}

/// What is or was current: the variables themselves, or the object that holds them.
///
/// An object keeps its variables while it is entered. So they are found wherever it is asked for them, also below
/// another context that was entered on top.
#[derive(Default)]
pub(crate) struct Frame {
    /// Variables that nobody but the running code sees; none beside an object.
    root: Root,
    /// Whose they are; not used beside an object.
    identity: Identity,
    /// A [`Context`] that is entered.
    object: Option<Rc<Shared>>,
    /// Who keeps the variables, in place of all this.
    keeper: Option<&'static Keeper>,
}

impl Frame {
    /// Returns a frame for [`swap_current`].
    pub(crate) fn new(snapshot: Snapshot, identity: Identity) -> Frame {
        Frame {
            root: snapshot.0,
            identity,
            object: None,
            keeper: None,
        }
    }

    fn of_object(shared: Rc<Shared>) -> Frame {
        Frame {
            object: Some(shared),
            ..Frame::default()
        }
    }

    /// Takes the variables out of a frame that [`swap_current`] has given back.
    #[inline(always)]
    fn take_snapshot(&mut self) -> Snapshot {
        match self.object {
            None => Snapshot(self.root.take()),
            Some(_) => self.take_from_object(),
        }
    }

    #[cold]
    fn take_from_object(&mut self) -> Snapshot {
        let object = self.object.take();
        Snapshot(object.and_then(|shared| peek(&shared.root)))
    }
}

/// The current [`Frame`], each part in a cell of its own: they are exchanged at each callback, in registers.
struct Held {
    root: Cell<Root>,
    identity: Cell<Identity>,
    object: Cell<Option<Rc<Shared>>>,
}

impl Held {
    const fn new() -> Held {
        Held {
            root: Cell::new(None),
            identity: Cell::new(Identity::UNASSIGNED),
            object: Cell::new(None),
        }
    }

    /// Calls back with the variables. The callback must not run code of the user's.
    #[inline]
    fn with_root<R>(&self, call: impl FnOnce(&mut Root) -> R) -> R {
        match self.object.take() {
            None => with_taken(&self.root, call),
            Some(shared) => {
                let result = with_taken(&shared.root, call);
                self.object.set(Some(shared));
                result
            }
        }
    }

    /// Returns whose variables these are; from now on that is fixed.
    fn identity(&self) -> Identity {
        let object = self.object.take();
        let identity = match &object {
            Some(shared) => shared.identity,
            None if self.identity.get() == Identity::UNASSIGNED => Identity::fresh(),
            None => self.identity.get(),
        };
        if object.is_none() {
            self.identity.set(identity);
        }
        self.object.set(object);
        identity
    }
}

fn with_taken<T: Default, R>(cell: &Cell<T>, call: impl FnOnce(&mut T) -> R) -> R {
    let mut variables = cell.take();
    let result = call(&mut variables);
    cell.set(variables);
    result
}

/// A context that stays where it is while it is the current one.
pub(crate) struct Lodged<'a> {
    pub(crate) home: &'a Cell<Snapshot>,
    pub(crate) identity: Identity,
}

/// What is called with the current context. It runs no code of the user's.
pub(crate) type Look<'a> = dyn FnMut(&Lodged<'_>) + 'a;

/// Knows where the current context is.
pub(crate) struct Keeper {
    /// Calls back with it, once.
    pub(crate) show: fn(&mut Look<'_>),
    /// Copies its variables; the same as with `show`, but it is done for each task that is spawned.
    pub(crate) copy: fn() -> Snapshot,
}

thread_local! {
    /// The current context, unless somebody keeps it.
    static HELD: Held = const { Held::new() };
    /// Who keeps the current context. To ask when it is wanted costs less than to exchange the words of it at each poll.
    static KEEPER: Cell<Option<&'static Keeper>> = const { Cell::new(None) };
}

/// Exchanges `frame` and the current context; the caller does it again to restore what was current, also on unwind.
///
/// A thread that is past its thread-local variables has no current context; `frame` stays as it is.
#[inline(always)]
pub(crate) fn swap_current(frame: &mut Frame) {
    let _ = HELD.try_with(|held| {
        frame.root = held.root.replace(frame.root.take());
        frame.identity = held.identity.replace(frame.identity);
        frame.object = held.object.replace(frame.object.take());
        frame.keeper = KEEPER.replace(frame.keeper);
    });
}

/// While it lives, the current context is the one that a [`Keeper`] keeps.
#[must_use = "the context is left when the guard is dropped"]
pub(crate) struct Kept {
    previous: Option<&'static Keeper>,
}

impl Kept {
    /// Guards must be dropped in the reverse order of their making.
    #[inline(always)]
    pub(crate) fn by(keeper: &'static Keeper) -> Kept {
        Kept {
            previous: KEEPER.replace(Some(keeper)),
        }
    }
}

impl Drop for Kept {
    #[inline(always)]
    fn drop(&mut self) {
        KEEPER.set(self.previous);
    }
}

/// The current context, wherever it is.
enum Current<'a> {
    Held(&'a Held),
    Lodged(&'a Lodged<'a>),
}

impl Current<'_> {
    /// Calls back with the variables. The callback must not run code of the user's.
    #[inline]
    fn with_root<R>(&self, call: impl FnOnce(&mut Root) -> R) -> R {
        match self {
            Current::Held(held) => held.with_root(call),
            Current::Lodged(lodged) => with_taken(lodged.home, |snapshot| call(&mut snapshot.0)),
        }
    }

    /// Returns whose variables these are; from now on that is fixed.
    fn identity(&self) -> Identity {
        match self {
            Current::Held(held) => held.identity(),
            Current::Lodged(lodged) => lodged.identity,
        }
    }
}

/// Calls back with the current context, if the thread still has one. The callback must not run code of the user's.
fn with_current<R>(call: impl FnOnce(Current<'_>) -> R) -> Option<R> {
    let Some(keeper) = KEEPER.get() else {
        return HELD.try_with(|held| call(Current::Held(held))).ok();
    };
    let (mut call, mut result) = (Some(call), None);
    (keeper.show)(&mut |lodged| result = call.take().map(|call| call(Current::Lodged(lodged))));
    result
}

/// Values of context variables, in which code can be run.
///
/// A clone is another handle on the same context; [`copy`](Context::copy) makes a context of its own, in constant time.
/// What a variable is set to while code runs in the context stays in it.
///
/// # Differences from asyncio
///
/// Entering a context that is entered already is an error before anything was run; a main task started like that
/// hangs in Python. The variables of a context cannot be listed.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::context_var! {
///     static USER: &'static str = "nobody";
/// }
///
/// let context = asyncio::Context::new();
/// context.run(|| USER.set("alice"))?;
/// assert_eq!(USER.get(), Some("nobody"));
/// assert_eq!(USER.get_in(&context), Some("alice"));
/// context.run(|| assert_eq!(USER.get(), Some("alice")))?;
/// # Ok::<(), asyncio::ContextError>(())
/// ```
#[derive(Clone, Default)]
pub struct Context {
    /// What all handles share.
    shared: Rc<Shared>,
}

/// What all handles on a [`Context`] share.
pub(crate) struct Shared {
    /// The variables, also while the context is entered.
    root: Cell<Root>,
    /// Whether it is entered.
    entered: Cell<bool>,
    /// What tokens made in it remember.
    identity: Identity,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            root: Cell::default(),
            entered: Cell::new(false),
            identity: Identity::fresh(),
        }
    }
}

impl Context {
    /// Creates a context in which no variable is set.
    pub fn new() -> Context {
        Context::default()
    }

    /// Returns a copy: a context of its own that starts with the variables of this one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// # asyncio::context_var! { static DEPTH: u32 = 0; }
    /// let context = asyncio::copy_context();
    /// let copy = context.copy();
    /// copy.run(|| DEPTH.set(1))?;
    /// assert_eq!(DEPTH.get_in(&copy), Some(1));
    /// assert_eq!(DEPTH.get_in(&context), Some(0));
    /// # Ok::<(), asyncio::ContextError>(())
    /// ```
    pub fn copy(&self) -> Context {
        Context::from_snapshot(self.snapshot())
    }

    /// Runs a function in this context; the changes it makes stay here.
    ///
    /// A panic of the function leaves the context as usual, with the changes made so far.
    ///
    /// # Errors
    ///
    /// When the context is entered already, be it by a caller of this very function; nothing was run then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// let context = asyncio::Context::new();
    /// assert_eq!(context.run(|| 7)?, 7);
    /// assert!(context.run(|| context.run(|| ()).is_err())?);
    /// # Ok::<(), asyncio::ContextError>(())
    /// ```
    pub fn run<R>(&self, function: impl FnOnce() -> R) -> Result<R, ContextError> {
        let _entered = self.try_enter()?;
        Ok(function())
    }

    /// Returns `true` if the variable is set in this context; its default does not count.
    pub fn contains<T>(&self, var: &ContextVar<T>) -> bool {
        position(&peek(&self.shared.root), var.key()).is_ok()
    }

    /// Makes this the current context until the guard is dropped. Guards must be dropped in reverse order.
    pub(crate) fn try_enter(&self) -> Result<EnterGuard, ContextError> {
        if self.shared.entered.replace(true) {
            return Err(ContextError);
        }
        let mut outer = Frame::of_object(Rc::clone(&self.shared));
        swap_current(&mut outer);
        Ok(EnterGuard {
            context: self.clone(),
            outer,
        })
    }

    /// Returns the variables as they are now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(peek(&self.shared.root))
    }

    /// Returns a context of its own that starts with the variables of the snapshot.
    pub(crate) fn from_snapshot(snapshot: Snapshot) -> Context {
        let shared = Rc::<Shared>::default();
        shared.root.set(snapshot.0);
        Context { shared }
    }

    /// Returns `true` if the context is entered.
    pub(crate) fn is_entered(&self) -> bool {
        self.shared.entered.get()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables = self.snapshot().0.map_or(0, |entries| entries.len());
        f.debug_struct("Context")
            .field("variables", &variables)
            .field("entered", &self.is_entered())
            .finish()
    }
}

/// While it lives, a [`Context`] is the current one.
#[must_use = "the context is left when the guard is dropped"]
pub(crate) struct EnterGuard {
    /// The context, which holds its variables itself.
    context: Context,
    /// What was current before.
    outer: Frame,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        swap_current(&mut self.outer);
        self.context.shared.entered.set(false);
    }
}

/// Returns a copy of the current context: that of the task or callback that is running, else that of the thread.
///
/// It takes constant time.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// # asyncio::context_var! { static USER: &'static str = "nobody"; }
/// USER.set("alice");
/// let context = asyncio::copy_context();
/// USER.set("bob");
/// assert_eq!(context.run(|| USER.get())?, Some("alice"));
/// # Ok::<(), asyncio::ContextError>(())
/// ```
pub fn copy_context() -> Context {
    Context::from_snapshot(Snapshot::current())
}

#[cfg(test)]
mod tests;
