//! A context variable, what it was before it was set, and the macro that declares it.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::values::{Value, find, peek, replace};
use super::{Context, Identity, with_current};

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

    pub(super) fn key(&self) -> u64 {
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
