//! Context variables: values that belong to the code that is running now, and not to the thread it runs in.
//!
//! A context is one pointer to a map that is never changed while somebody else can see it, so that copying it is counting
//! a reference, and a program without context variables has only null pointers. No code of a value (its `Clone`, its
//! `Drop`) runs while the current context is taken out of its place: it may use context variables itself.
//!
//! This file does not know who enters contexts and when: a task and a callback are just somebody with a [`Snapshot`].

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ContextError;

/// A variable's value; shared, so that copying the map copies no values.
type Value = Arc<dyn Any + Send + Sync>;

/// The variables that are set, by ascending key; `None` if there are none.
type Root = Option<Arc<Vec<Entry>>>;

/// One variable that is set.
#[derive(Clone)]
struct Entry {
    /// The variable's [`ContextVar::key`].
    key: u64,
    /// What it was set to.
    value: Value,
}

fn position(root: &Root, key: u64) -> Result<usize, usize> {
    match root {
        Some(entries) => entries.binary_search_by_key(&key, |entry| entry.key),
        None => Err(0),
    }
}

fn find(root: &Root, key: u64) -> Option<Value> {
    let index = position(root, key).ok()?;
    let entries = root.as_ref()?;
    Some(Arc::clone(&entries[index].value))
}

/// Sets or removes a variable and returns what it was before. Nothing of the user's is cloned or dropped.
fn replace(root: &mut Root, key: u64, value: Option<Value>) -> Option<Value> {
    match (position(root, key), value) {
        (Ok(index), Some(value)) => {
            let entry = &mut entries_mut(root)[index];
            Some(mem::replace(&mut entry.value, value))
        }
        (Ok(index), None) => {
            let old = entries_mut(root).remove(index);
            // An empty context is a null pointer again.
            root.take_if(|entries| entries.is_empty());
            Some(old.value)
        }
        (Err(index), Some(value)) => {
            entries_mut(root).insert(index, Entry { key, value });
            None
        }
        (Err(_), None) => None,
    }
}

/// Returns the entries to be changed: the same ones if nobody else sees them, else a copy.
fn entries_mut(root: &mut Root) -> &mut Vec<Entry> {
    Arc::make_mut(root.get_or_insert_default())
}

/// Copies a root that lies in a cell.
fn peek(cell: &Cell<Root>) -> Root {
    let root = cell.take();
    cell.set(root.clone());
    root
}

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
    /// Copies the current context.
    pub(crate) fn current() -> Snapshot {
        with_current(|current| current.with_root(|root| Snapshot(root.clone()))).unwrap_or_default()
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

    /// The snapshot that was just entered is this one.
    pub(crate) fn name_current(&self) {
        let _ = CURRENT.try_with(|current| current.identity.set(self.identity));
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
}

impl Frame {
    /// Returns a frame for [`swap_current`].
    pub(crate) fn new(snapshot: Snapshot, identity: Identity) -> Frame {
        Frame {
            root: snapshot.0,
            identity,
            object: None,
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

/// The current [`Frame`], each part in a cell of its own: they are exchanged at each poll, in registers.
struct Current {
    root: Cell<Root>,
    identity: Cell<Identity>,
    object: Cell<Option<Rc<Shared>>>,
}

impl Current {
    const fn new() -> Current {
        Current {
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

fn with_taken<R>(cell: &Cell<Root>, call: impl FnOnce(&mut Root) -> R) -> R {
    let mut root = cell.take();
    let result = call(&mut root);
    cell.set(root);
    result
}

thread_local! {
    /// The current context.
    static CURRENT: Current = const { Current::new() };
}

/// Exchanges `frame` and the current context; the caller does it again to restore what was current, also on unwind.
///
/// A thread that is past its thread-local variables has no current context; `frame` stays as it is.
#[inline(always)]
pub(crate) fn swap_current(frame: &mut Frame) {
    let _ = CURRENT.try_with(|current| {
        frame.root = current.root.replace(frame.root.take());
        frame.identity = current.identity.replace(frame.identity);
        frame.object = current.object.replace(frame.object.take());
    });
}

/// Calls back with the current context, if the thread still has one. The callback must not run code of the user's.
fn with_current<R>(call: impl FnOnce(&Current) -> R) -> Option<R> {
    CURRENT.try_with(call).ok()
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

/// A variable whose value belongs to the context of the running code; declared by
/// [`context_var!`](crate::context_var).
///
/// A new task starts with a copy of the context of the code that spawned it: it sees the values set there, and what it
/// sets itself is seen by nobody else.
///
/// In a thread whose thread-local variables are being destroyed there is no context any more: variables have
/// their defaults, and setting them does nothing.
///
/// # Differences from asyncio
///
/// `get` returns an option instead of raising `LookupError`.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::context_var! {
///     /// The request that the running code works for.
///     static REQUEST_ID: u64 = 0;
/// }
///
/// assert_eq!(REQUEST_ID.get(), Some(0));
/// let token = REQUEST_ID.set(7);
/// assert_eq!(REQUEST_ID.get(), Some(7));
/// REQUEST_ID.reset(token);
/// assert_eq!(REQUEST_ID.get(), Some(0));
/// ```
pub struct ContextVar<T> {
    /// What the variable is called in messages.
    name: &'static str,
    /// Makes the value that it has where it is not set.
    default: Option<fn() -> T>,
    /// Its place in every map; zero until it is used first. An address would not do: variables may be moved.
    key: AtomicU64,
}

impl<T> ContextVar<T> {
    /// Creates a variable without a default.
    pub const fn new(name: &'static str) -> ContextVar<T> {
        let key = AtomicU64::new(0);
        ContextVar {
            name,
            default: None,
            key,
        }
    }

    /// Creates a variable with a function that makes its default.
    pub const fn with_default(name: &'static str, default: fn() -> T) -> ContextVar<T> {
        let key = AtomicU64::new(0);
        ContextVar {
            name,
            default: Some(default),
            key,
        }
    }

    /// Returns the variable's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn key(&self) -> u64 {
        match self.key.load(Ordering::Relaxed) {
            0 => self.first_key(),
            key => key,
        }
    }

    #[cold]
    fn first_key(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
        // Of two threads that get here together one wins; the other's number is never used. Nothing but the number itself
        // is handed over, so no order is needed.
        let won = self
            .key
            .compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed);
        won.map_or_else(|earlier| earlier, |_| fresh)
    }
}

impl<T: Clone + Send + Sync + 'static> ContextVar<T> {
    /// Returns the variable's value in the current context, or else its default, if it has one.
    pub fn get(&self) -> Option<T> {
        self.value_or_default(self.current())
    }

    /// Returns the variable's value in the current context, or else `value`; the default is not looked at.
    pub fn get_or(&self, value: T) -> T {
        self.current()
            .map_or(value, |current| self.value(&current).clone())
    }

    /// Returns the variable's value in another context, or else its default, if it has one.
    ///
    /// # Differences from asyncio
    ///
    /// `context[var]` does not look at the default; ask [`Context::contains`] to tell.
    pub fn get_in(&self, context: &Context) -> Option<T> {
        self.value_or_default(find(&peek(&context.shared.root), self.key()))
    }

    /// Calls a function with the variable's value in the current context, or else its default, without cloning it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// asyncio::context_var! { static USER: String; }
    ///
    /// assert!(USER.with(|user| user.is_none()));
    /// USER.set(String::from("alice"));
    /// assert_eq!(USER.with(|user| user.map(|name| name.len())), Some(5));
    /// ```
    pub fn with<R>(&self, function: impl FnOnce(Option<&T>) -> R) -> R {
        match self.current() {
            Some(current) => function(Some(self.value(&current))),
            None => function(self.default.map(|default| default()).as_ref()),
        }
    }

    /// Sets the variable in the current context; the token restores what it was before.
    ///
    /// The token may be dropped: the value stays for as long as its context.
    pub fn set(&self, value: T) -> Token<T> {
        let key = self.key();
        let value: Value = Arc::new(value);
        let mut value = Some(value);
        let set = with_current(|current| {
            let old = current.with_root(|root| replace(root, key, value.take()));
            (old, current.identity())
        });
        let (old, identity) = set.unwrap_or_default();
        Token {
            old,
            key,
            name: self.name,
            identity,
            marker: PhantomData,
        }
    }

    /// Restores the variable to what it was before the [`set`](ContextVar::set) that gave the token.
    ///
    /// A token can be used once only, which is why it is taken.
    ///
    /// # Panics
    ///
    /// When the token comes from another variable, or from a `set` in another context than the current one;
    /// [`try_reset`](ContextVar::try_reset) returns it instead.
    #[track_caller]
    pub fn reset(&self, token: Token<T>) {
        let Err(token) = self.try_reset(token) else {
            return;
        };
        let name = self.name;
        if token.key != self.key() {
            panic!(
                "`{name}` was reset with a token of `{}`; reset each variable with its own token",
                token.name
            );
        }
        panic!(
            "`{name}` was reset with a token of another context; reset it in the task and context that have set it"
        );
    }

    /// Restores the variable as [`reset`](ContextVar::reset) does.
    ///
    /// # Errors
    ///
    /// The token, when it comes from another variable, or from a `set` in another context than the current one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use runner_core as asyncio;
    /// asyncio::context_var! { static USER: &'static str; }
    ///
    /// let token = USER.set("alice");
    /// let elsewhere = asyncio::copy_context();
    /// let token = elsewhere.run(|| USER.try_reset(token))?.unwrap_err();
    /// assert!(USER.try_reset(token).is_ok());
    /// assert_eq!(USER.get(), None);
    /// # Ok::<(), asyncio::ContextError>(())
    /// ```
    pub fn try_reset(&self, mut token: Token<T>) -> Result<(), Token<T>> {
        if token.key != self.key() {
            return Err(token);
        }
        let old = token.old.take();
        let reset = with_current(|current| match current.identity() == token.identity {
            true => Ok(current.with_root(|root| replace(root, token.key, old))),
            false => Err(old),
        });
        // What the variable was until now is dropped here, where the context is back in its place.
        match reset {
            Some(Ok(_)) | None => Ok(()),
            Some(Err(old)) => Err(Token { old, ..token }),
        }
    }

    fn current(&self) -> Option<Value> {
        let key = self.key();
        with_current(|current| current.with_root(|root| find(root, key))).flatten()
    }

    fn value_or_default(&self, value: Option<Value>) -> Option<T> {
        match value {
            Some(value) => Some(self.value(&value).clone()),
            None => self.default.map(|default| default()),
        }
    }

    fn value<'a>(&self, value: &'a Value) -> &'a T {
        let value: &(dyn Any + Send + Sync) = &**value;
        value
            .downcast_ref()
            .expect("a context variable of another type: this is a bug in asyncio")
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a [`ContextVar`] was before it was set; see [`ContextVar::reset`].
pub struct Token<T> {
    /// The value before, if the variable was set at all.
    old: Option<Value>,
    /// The key of the variable.
    key: u64,
    /// The name of the variable, for the message of a `reset` that goes wrong.
    name: &'static str,
    /// The context that the variable was set in.
    identity: Identity,
    /// Ties the token to variables of its type.
    marker: PhantomData<fn() -> T>,
}

impl<T: Clone + 'static> Token<T> {
    /// Returns what the variable had been set to before, if it had been.
    pub fn old_value(&self) -> Option<T> {
        let value: &(dyn Any + Send + Sync) = &**self.old.as_ref()?;
        value.downcast_ref().cloned()
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("var", &self.name)
            .finish_non_exhaustive()
    }
}

/// Declares [`ContextVar`](crate::ContextVar)s, in the manner of `thread_local!`.
///
/// Any number of them, each with attributes, a visibility and, if wanted, a default, which is evaluated whenever the
/// variable is read where it is not set.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::context_var! {
///     /// The request that the running code works for.
///     pub static REQUEST_ID: u64 = 0;
///
///     static USER: String;
/// }
///
/// assert_eq!(REQUEST_ID.get(), Some(0));
/// assert_eq!(USER.get(), None);
/// assert_eq!(USER.name(), "USER");
/// ```
#[macro_export]
macro_rules! context_var {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $default:expr; $($rest:tt)*) => {
        $crate::context_var! { $(#[$attribute])* $visibility static $name: $type = $default }
        $crate::context_var! { $($rest)* }
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $default:expr) => {
        $(#[$attribute])*
        $visibility static $name: $crate::ContextVar<$type> =
            $crate::ContextVar::with_default(::core::stringify!($name), || $default);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::context_var! { $(#[$attribute])* $visibility static $name: $type }
        $crate::context_var! { $($rest)* }
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty) => {
        $(#[$attribute])*
        $visibility static $name: $crate::ContextVar<$type> =
            $crate::ContextVar::new(::core::stringify!($name));
    };
}

#[cfg(test)]
mod tests;
