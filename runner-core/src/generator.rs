//! Async generators: a stream written as code that emits values, and whose cleanup is awaited however it ends.
//!
//! The body is an ordinary future that suspends at each `emit`. Closing it delivers a cancellation at the point where it
//! is suspended, so that catch scopes and `finally` in it run, with awaits; what nobody catches drops the body. Dropped
//! unfinished, a generator is closed by a task of its own. This file knows the loop's registry, and no runner.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context as Cx, Poll};

use futures_core::Stream;

use crate::cancel::delivery::Delivery;
use crate::error::CancelReason;
use crate::event_loop::{CloseAsync, EventLoop, try_running_loop};
use crate::exception::ExceptionContext;
use crate::task::inquiry::WaitsOn;
use crate::task::stand::Standing;
use crate::task::{awaits_answer, is_cancel_pending, is_request_passing, must_look_away};

/// Makes a stream of the values that `body` emits.
///
/// The body begins with the first [`next`](AsyncGenerator::next), and runs only while somebody waits for a value.
///
/// # Cancel safety
///
/// Inside the body as everywhere: a cancellation of the consuming task while it waits for a value reaches the innermost
/// catch scope of the body first. If it passes through the body, the generator is over.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// asyncio::run(async {
///     let mut squares = asyncio::generator(async |y| {
///         for n in 1..=3 {
///             y.emit(n * n).await;
///         }
///     });
///     let mut seen = Vec::new();
///     while let Some(square) = squares.next().await {
///         seen.push(square);
///     }
///     assert_eq!(seen, [1, 4, 9]);
/// })
/// .unwrap();
/// ```
#[track_caller]
pub fn generator<T, F>(body: F) -> AsyncGenerator<T>
where
    T: 'static,
    F: AsyncFnOnce(Yielder<T>) + 'static,
{
    let slot = Rc::new(Cell::new(None));
    let yielder = Yielder { slot: slot.clone() };
    let body: Body = Box::pin(async move { body(yielder).await });
    let state = State {
        body: RefCell::new(Some(body)),
        slot,
        started: Cell::new(None),
        location: Location::caller(),
    };
    AsyncGenerator {
        state: Rc::new(state),
    }
}

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// What the body of a generator emits its values through.
pub struct Yielder<T> {
    slot: Rc<Cell<Option<T>>>,
}

impl<T> Yielder<T> {
    /// Gives `value` to whoever waits for the next one, and goes on when the one after that is asked for.
    ///
    /// # Cancel safety
    ///
    /// Closing the generator is delivered here. A value that was emitted and not received yet is dropped then.
    pub async fn emit(&self, value: T) {
        let mut value = Some(value);
        poll_fn(|cx| {
            if let Some(value) = value.take() {
                // The consumer takes it right after this poll.
                self.slot.set(Some(value));
                return Poll::Pending;
            }
            if must_look_away(cx, || WaitsOn::new("whoever takes the next value")) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Yielder")
    }
}

/// An async generator; made by [`generator`].
///
/// Dropped before it is done, it is closed in the background, by a task of the loop in which it was started.
#[must_use = "a generator does nothing until it is iterated"]
pub struct AsyncGenerator<T: 'static> {
    state: Rc<State<T>>,
}

/// What the handle and the loop's registry share.
struct State<T> {
    /// Gone when the generator is done; taken out while it is polled.
    body: RefCell<Option<Body>>,
    /// From `emit` to `next`.
    slot: Rc<Cell<Option<T>>>,
    /// The loop of the first iteration, and the key in its registry.
    started: Cell<Option<(EventLoop, usize)>>,
    /// The line that made the generator.
    location: &'static Location<'static>,
}

impl<T: 'static> AsyncGenerator<T> {
    /// Waits for the next value; `None` when the generator is done.
    ///
    /// # Panics
    ///
    /// With the body's panic, which ends the generator.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the body where it waits; the next call goes on from there.
    #[doc(alias = "__anext__")]
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.state.poll_next(cx)).await
    }

    /// Ends the generator, and waits for its cleanup. Does nothing when it is done or was never started.
    ///
    /// # Panics
    ///
    /// With the body's panic, and when the body emits another value while it is being closed.
    ///
    /// # Cancel safety
    ///
    /// A cancellation of the task that waits here interrupts the cleanup at its innermost catch scope.
    pub async fn aclose(&mut self) {
        Closing::new(self.state.clone()).await;
    }
}

impl<T> State<T> {
    fn poll_next(self: &Rc<Self>, cx: &mut Cx<'_>) -> Poll<Option<T>>
    where
        T: 'static,
    {
        if self.body.borrow().is_none() {
            return Poll::Ready(None);
        }
        self.enter_loop();
        let polled = self.poll_body(cx);
        if let Some(value) = self.slot.take() {
            return Poll::Ready(Some(value));
        }
        match polled {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => {
                self.let_pass(cx);
                Poll::Pending
            }
        }
    }

    /// The body waits. A request that nobody in it took passes through, and takes the body along. Does somebody beside the
    /// generator take it then, the one who waits here learns of the end.
    fn let_pass(&self, cx: &mut Cx<'_>) {
        if is_request_passing() && !awaits_answer() {
            self.finish();
            must_look_away(cx, || WaitsOn::new("an asynchronous generator"));
        }
    }

    /// Polls the body, which is over if it returns or panics.
    fn poll_body(&self, cx: &mut Cx<'_>) -> Poll<()> {
        let Some(mut body) = self.body.borrow_mut().take() else {
            panic!(
                "asynchronous generator is already running; await its value elsewhere, not in its own body"
            );
        };
        match panic::catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(cx))) {
            Ok(Poll::Pending) => {
                *self.body.borrow_mut() = Some(body);
                Poll::Pending
            }
            Ok(Poll::Ready(())) => {
                self.finish();
                Poll::Ready(())
            }
            Err(payload) => {
                self.finish();
                panic::resume_unwind(payload)
            }
        }
    }

    /// Enters the loop's registry, once.
    fn enter_loop(self: &Rc<Self>)
    where
        T: 'static,
    {
        let started = self.started.take().or_else(|| {
            let event_loop = try_running_loop()?;
            let generator: Weak<dyn CloseAsync> = Rc::<Self>::downgrade(self);
            let key = event_loop.core().enter_asyncgen(generator);
            Some((event_loop, key))
        });
        self.started.set(started);
    }

    /// Drops what is left of the body, and leaves the loop's registry.
    fn finish(&self) {
        if let Some((event_loop, key)) = self.started.take() {
            event_loop.core().leave_asyncgen(key);
        }
        let body = self.body.borrow_mut().take();
        drop(body);
        drop(self.slot.take());
    }
}

/// Delivers the end into the body, and waits until it has come out.
struct Closing<T> {
    state: Rc<State<T>>,
    delivery: Delivery,
    standing: Standing,
}

impl<T> Closing<T> {
    fn new(state: Rc<State<T>>) -> Closing<T> {
        Closing {
            state,
            delivery: Delivery::default(),
            standing: Standing::default(),
        }
    }

    fn is_started(&self) -> bool {
        let started = self.state.started.take();
        let is_started = started.is_some();
        self.state.started.set(started);
        is_started
    }
}

impl<T> Future for Closing<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<()> {
        if !self.is_started() || self.state.body.borrow().is_none() {
            // Never iterated: there is nothing to clean up.
            self.state.finish();
            return Poll::Ready(());
        }
        let this = &mut *self;
        let (state, delivery) = (this.state.clone(), &mut this.delivery);
        delivery.resume(cx);
        let within = this.standing.enter(cx);
        if delivery.is_idle() && !is_cancel_pending() {
            delivery.send(CancelReason::User, &this.standing);
        }
        let polled = state.poll_body(cx);
        drop(within);
        if polled.is_ready() {
            delivery.settle();
            this.standing.leave();
            return Poll::Ready(());
        }
        if delivery.came_back(&this.standing) {
            state.finish();
            this.standing.leave();
            return Poll::Ready(());
        }
        if let Some(value) = state.slot.take() {
            delivery.settle();
            drop(value);
            state.finish();
            panic!("async generator ignored its close: it emitted a value during its cleanup");
        }
        this.standing.wait(cx);
        delivery.suspend();
        state.let_pass(cx);
        Poll::Pending
    }
}

impl<T: 'static> CloseAsync for State<T> {
    fn location(&self) -> &'static Location<'static> {
        self.location
    }

    fn close(self: Rc<Self>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let exceptions = match try_running_loop() {
                Some(event_loop) => event_loop.core().scheduler.exceptions.clone(),
                None => return self.finish(),
            };
            let mut closing = Closing::new(self);
            let closed = poll_fn(|cx| {
                match panic::catch_unwind(AssertUnwindSafe(|| Pin::new(&mut closing).poll(cx))) {
                    Ok(poll) => poll.map(Ok),
                    Err(payload) => Poll::Ready(Err(payload)),
                }
            });
            if let Err(payload) = closed.await {
                let message = "an error occurred during closing of asynchronous generator";
                exceptions.report(ExceptionContext::new(message).with_panic(payload));
            }
        })
    }
}

impl<T: 'static> Drop for AsyncGenerator<T> {
    fn drop(&mut self) {
        let state = self.state.clone();
        let Some((event_loop, key)) = state.started.take() else {
            return;
        };
        state.started.set(Some((event_loop.clone(), key)));
        if event_loop.is_closed() || event_loop.core().scheduler.is_closing() {
            return state.finish();
        }
        event_loop.core().finalize_asyncgen(state);
    }
}

impl<T: 'static> Stream for AsyncGenerator<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Option<T>> {
        self.state.poll_next(cx)
    }
}

impl<T: 'static> fmt::Debug for AsyncGenerator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.state.body.borrow().is_none();
        write!(f, "<AsyncGenerator done={done}>")
    }
}
