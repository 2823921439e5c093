//! Values that stay on their thread while a handle, which may be sent anywhere, stands for them.
//!
//! Libraries that were written for many threads ask for `Send` where a loop of one thread never sends anything. The values
//! lie in a table of their thread, and a handle is a key to it. No promise to the compiler is needed.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

use runner_core::io::{AsyncRead, AsyncWrite};
use slab::Slab;

thread_local! {
    static VALUES: Values = Values {
        home: Arc::new(Home { thread: thread::current().id(), abandoned: Mutex::default() }),
        slots: RefCell::default(),
    };
}

/// A thread's table. Each value is shared with whoever uses it now, so that no use of it locks the table.
struct Values {
    home: Arc<Home>,
    slots: RefCell<Slab<Rc<dyn Any>>>,
}

/// What handles know of the thread that their values are on.
struct Home {
    thread: ThreadId,
    /// The keys of handles that were dropped on other threads.
    abandoned: Mutex<Vec<usize>>,
}

impl Values {
    fn insert(&self, value: Rc<dyn Any>) -> usize {
        self.drop_abandoned();
        self.slots.borrow_mut().insert(value)
    }

    fn drop_abandoned(&self) {
        let lock = || self.home.abandoned.lock();
        let keys = std::mem::take(&mut *lock().unwrap_or_else(PoisonError::into_inner));
        keys.into_iter().for_each(|key| self.remove(key));
    }

    fn remove(&self, key: usize) {
        let value = self.slots.borrow_mut().try_remove(key);
        // Its destructor is somebody else's code, which may use the table.
        drop(value);
    }
}

/// Stands for a value that stays on the thread where it was given away; may itself be sent and shared.
///
/// It is what its value is: a future, or a stream of bytes. On any other thread it panics when it is polled as a future, and
/// gives an error when it is read or written. Dropped on its own thread, it drops its value at once; dropped on another one,
/// when that thread makes the next such handle, or ends.
///
/// # Cancel safety
///
/// That of its value.
///
/// # Examples
///
/// ```
/// # mod asyncio { pub use runner_core::*; pub use runner_interop::hyper; }
/// use asyncio::hyper::OnThread;
/// use std::time::Duration;
///
/// fn needs_send<F: Future + Send>(future: F) -> F {
///     future
/// }
///
/// asyncio::run(async {
///     // A sleep belongs to its loop, and cannot be sent to another thread.
///     let sleep = OnThread::future(asyncio::sleep(Duration::from_millis(1)));
///     needs_send(async move { sleep.await }).await;
/// })
/// .unwrap();
/// ```
pub struct OnThread<T: ?Sized> {
    home: Arc<Home>,
    key: usize,
    /// `Send` and `Sync` whatever `T` is, and no owner of it.
    kind: PhantomData<fn() -> Box<T>>,
}

impl<T: 'static> OnThread<T> {
    /// Leaves `value` on this thread.
    pub fn new(value: T) -> OnThread<T> {
        VALUES.with(|values| OnThread {
            home: values.home.clone(),
            key: values.insert(Rc::new(RefCell::new(value))),
            kind: PhantomData,
        })
    }

    /// Gives `use_it` the value, or returns `None` on any other thread.
    ///
    /// # Panics
    ///
    /// When `use_it` is called inside of itself for the same value.
    pub fn with<R>(&self, use_it: impl FnOnce(&mut T) -> R) -> Option<R> {
        let value = VALUES.try_with(|values| {
            let is_here = Arc::ptr_eq(&values.home, &self.home);
            is_here.then(|| values.slots.borrow()[self.key].clone())
        });
        let value = value.ok().flatten()?;
        let value = value.downcast_ref::<RefCell<T>>();
        let mut value = value.expect("the key of a value of this type").borrow_mut();
        Some(use_it(&mut value))
    }
}

impl<F: Future + 'static> OnThread<Pin<Box<F>>> {
    /// Leaves a future on this thread, where it is polled.
    pub fn future(future: F) -> OnThread<Pin<Box<F>>> {
        OnThread::new(Box::pin(future))
    }
}

impl<T: ?Sized> Drop for OnThread<T> {
    fn drop(&mut self) {
        let removed = VALUES.try_with(|values| {
            let is_here = Arc::ptr_eq(&values.home, &self.home);
            is_here.then(|| values.remove(self.key))
        });
        // The thread may also be at its end, and its values gone.
        if !matches!(removed, Ok(Some(()))) {
            let abandoned = self.home.abandoned.lock();
            abandoned
                .unwrap_or_else(PoisonError::into_inner)
                .push(self.key);
        }
    }
}

impl<T: ?Sized> fmt::Debug for OnThread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("OnThread");
        shown.field("thread", &self.home.thread).finish()
    }
}

impl<F: Future + Unpin + 'static> Future for OnThread<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self.with(|future| Pin::new(future).poll(cx));
        polled.unwrap_or_else(|| panic!("{}", elsewhere(&self.home)))
    }
}

impl<T: AsyncRead + Unpin + 'static> AsyncRead for OnThread<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.with(|stream| Pin::new(stream).poll_read(cx, buffer));
        polled.unwrap_or_else(|| refused(&self.home))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.with(|stream| Pin::new(stream).poll_read_vectored(cx, buffers));
        polled.unwrap_or_else(|| refused(&self.home))
    }
}

impl<T: AsyncWrite + Unpin + 'static> AsyncWrite for OnThread<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.with(|stream| Pin::new(stream).poll_write(cx, bytes));
        polled.unwrap_or_else(|| refused(&self.home))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.with(|stream| Pin::new(stream).poll_write_vectored(cx, buffers));
        polled.unwrap_or_else(|| refused(&self.home))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.with(|stream| Pin::new(stream).poll_flush(cx));
        polled.unwrap_or_else(|| refused(&self.home))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.with(|stream| Pin::new(stream).poll_close(cx));
        polled.unwrap_or_else(|| refused(&self.home))
    }
}

fn elsewhere(home: &Home) -> String {
    let here = thread::current().id();
    let home = home.thread;
    format!("a value that stays on thread {home:?} was used on thread {here:?}")
}

fn refused<T>(home: &Home) -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::other(elsewhere(home))))
}

#[cfg(test)]
mod tests {
    //! Who owns the value, and when it goes, whichever thread lets go of its handle.

    use super::*;

    /// How many values of a type the table of this thread holds.
    fn count() -> usize {
        VALUES.with(|values| values.slots.borrow().len())
    }

    #[test]
    fn a_value_goes_with_its_handle() {
        let value = Rc::new(());
        let handle = OnThread::new(value.clone());
        assert_eq!(Rc::strong_count(&value), 2);
        drop(handle);
        assert_eq!((Rc::strong_count(&value), count()), (1, 0));
    }

    #[test]
    fn another_thread_cannot_use_a_value_and_does_not_drop_it() {
        let value = Rc::new(());
        let handle = OnThread::new(value.clone());
        let seen = thread::spawn(move || handle.with(|_| ()));
        assert_eq!(seen.join().unwrap(), None);
        assert_eq!(Rc::strong_count(&value), 2);
        let next = OnThread::new(());
        assert_eq!((Rc::strong_count(&value), count()), (1, 1));
        drop(next);
    }

    #[test]
    fn a_destructor_may_use_the_table() {
        struct Nested(Option<OnThread<u8>>);
        impl Drop for Nested {
            fn drop(&mut self) {
                let inner = self.0.take().unwrap();
                assert_eq!(inner.with(|number| *number), Some(7));
            }
        }
        drop(OnThread::new(Nested(Some(OnThread::new(7)))));
        assert_eq!(count(), 0);
    }

    #[test]
    fn a_stream_refuses_to_be_used_on_another_thread() {
        let stream = OnThread::new(futures_lite::io::Cursor::new(vec![1]));
        let read = move || {
            let mut stream = stream;
            let mut cx = Context::from_waker(std::task::Waker::noop());
            Pin::new(&mut stream).poll_read(&mut cx, &mut [0])
        };
        let Poll::Ready(Err(error)) = thread::spawn(read).join().unwrap() else {
            panic!("it was read");
        };
        let text = error.to_string();
        assert!(text.starts_with("a value that stays on thread"), "{text}");
    }
}
