//! Signals that are awaited: any number of listeners for each, told of every signal since they were made.
//!
//! ```
//! # use runner_core as asyncio;
//! # use std::{process::Command, time::Duration};
//! # fn press_ctrl_c() { Command::new("kill").args(["-INT", &std::process::id().to_string()]).status().unwrap(); }
//! # async fn serve() { std::future::pending().await }
//! # asyncio::run(async {
//! # asyncio::running_loop().call_soon(press_ctrl_c);
//! let server = asyncio::spawn(serve());
//! asyncio::signal::ctrl_c().await?;
//! println!("closing the listening socket first");
//! server.cancel();
//! # std::io::Result::Ok(())
//! # }).unwrap().unwrap();
//! ```
//!
//! Most programs need none of this: the runner answers Ctrl-C, and with `terminate` and `hangup` the system's requests to
//! stop, by an orderly shutdown. Listeners are for programs that want to do something else.
//!
//! This module is there on Unix only.
//
// A listener is a count and a waker behind a lock, filled by the thread of the signal listeners and emptied by whoever
// polls. It knows no loop, so it may be awaited on any thread and by any executor. That a listener keeps the runner from
// hearing a signal is the doing of `signals.rs`.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Cx, Poll, Waker, ready};

use futures_core::Stream;

use crate::signals::{Subscription, subscribe};
use crate::task::inquiry::WaitsOn;
use crate::task::{must_look_away_from_thread, spend_budget};

/// Listens to Ctrl-C (SIGINT).
///
/// Taking Ctrl-C over disables the runner's own handling: while the listener exists, no press cancels the main task, and
/// none ends the process, however often it is pressed. With the last listener the runner's ladder is back, at its first
/// press. So a program that awaits one press, and then hangs in its cleanup, can still be ended by the next ones.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// # use std::{process::Command, time::Duration};
/// # fn press_ctrl_c() { Command::new("kill").args(["-INT", &std::process::id().to_string()]).status().unwrap(); }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// asyncio::run(async {
///     let pressed = asyncio::signal::ctrl_c();
///     println!("Press Ctrl-C to stop.");
/// #   press_ctrl_c();
///     pressed.await
/// })??;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "SIGINT")]
pub fn ctrl_c() -> Listener {
    signal(libc::SIGINT)
}

/// Listens to the request to end the program (SIGTERM), which service managers and container runtimes send first.
///
/// To have it treated like Ctrl-C, rather than to handle it, use
/// [`RunnerBuilder::terminate`](crate::RunnerBuilder::terminate). While a listener exists, that handling is disabled.
#[doc(alias = "SIGTERM")]
pub fn terminate() -> Listener {
    signal(libc::SIGTERM)
}

/// Listens to SIGHUP: the terminal is gone or, by convention, a service is to read its configuration again.
///
/// # Examples
///
/// ```
/// # use runner_core as asyncio;
/// # use std::process::Command;
/// # fn hang_up() { Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status().unwrap(); }
/// # fn read_configuration() {}
/// # asyncio::run(async {
/// let mut hangups = asyncio::signal::hangup();
/// # for _ in 0..2 {
/// #     hang_up();
/// # /*
/// loop {
/// # */
///     hangups.recv().await?;
///     read_configuration();
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap().unwrap();
/// ```
#[doc(alias = "SIGHUP")]
pub fn hangup() -> Listener {
    signal(libc::SIGHUP)
}

/// Listens to SIGQUIT: Ctrl-\ on a terminal.
#[doc(alias = "SIGQUIT")]
pub fn quit() -> Listener {
    signal(libc::SIGQUIT)
}

/// Listens to SIGUSR1.
#[doc(alias = "SIGUSR1")]
pub fn user_defined1() -> Listener {
    signal(libc::SIGUSR1)
}

/// Listens to SIGUSR2.
#[doc(alias = "SIGUSR2")]
pub fn user_defined2() -> Listener {
    signal(libc::SIGUSR2)
}

/// Listens to SIGCHLD: a child process has ended, was stopped or goes on.
#[doc(alias = "SIGCHLD")]
pub fn child() -> Listener {
    signal(libc::SIGCHLD)
}

/// Listens to SIGWINCH: the terminal's size has changed.
#[doc(alias = "SIGWINCH")]
pub fn window_change() -> Listener {
    signal(libc::SIGWINCH)
}

/// Listens to the signal of this number.
///
/// # Examples
///
/// A number that cannot be listened to is told by [`check`](Listener::check), and to whoever awaits the listener.
///
/// ```
/// # use runner_core as asyncio;
/// const SIGKILL: i32 = 9;
/// let error = asyncio::signal::signal(SIGKILL).check().unwrap_err();
/// assert_eq!(error.to_string(), "sig 9 cannot be caught");
/// ```
pub fn signal(number: i32) -> Listener {
    let arrivals = Arc::new(Arrivals::default());
    let told = arrivals.clone();
    let source = match subscribe(number, Arc::new(move || told.add())) {
        Ok(subscription) => Source::Open {
            arrivals,
            _subscription: subscription,
        },
        Err(error) => Source::Refused {
            kind: error.kind(),
            text: error.to_string(),
            told: false,
        },
    };
    Listener { number, source }
}

/// Listens to one signal from the call that made it until it is dropped.
///
/// It can be awaited once (`asyncio::signal::ctrl_c().await?`), asked again and again with [`recv`](Listener::recv), or
/// used as a stream.
///
/// * Every listener is told of every signal that the process receives while it exists, whether it is polled or not. Signals
///   that nobody took yet are counted, not merged; but of standard signals that are sent faster than they are delivered,
///   the system itself makes one. Those that were not taken are lost with the listener.
/// * Callbacks of [`add_signal_handler`](crate::EventLoop::add_signal_handler) and listeners do not know of each other: all
///   of them are told.
/// * With the last one the signal does what it did before: it is the runner's again, or has the handler that the program
///   had installed by other means, or is ignored as it was.
/// * It listens from the call on, not from the first poll: made before a child process is started, it misses nothing from it.
///
/// # Errors
///
/// Awaiting it, [`recv`](Listener::recv), [`check`](Listener::check) and the stream give the same error if there is nothing
/// to listen to: there is no such signal, it cannot be caught (SIGKILL, SIGSTOP) or means that the program is broken (SIGSEGV
/// and the like), both [`InvalidInput`](io::ErrorKind::InvalidInput); or the thread that listens cannot be started. The
/// stream gives it once and is then at its end.
///
/// # Cancel safety
///
/// Awaiting it as a whole takes one signal and drops the listener. [`recv`](Listener::recv) and the stream lose nothing: a
/// signal is taken in the moment in which it is returned.
///
/// # Differences from asyncio
///
/// asyncio has callbacks only, one per signal and process.
#[must_use = "a listener that is dropped gives its signal back"]
pub struct Listener {
    number: i32,
    source: Source,
}

enum Source {
    Open {
        arrivals: Arc<Arrivals>,
        /// Ends when dropped.
        _subscription: Subscription,
    },
    /// What there is to say about it, as often as somebody asks: an `io::Error` cannot be cloned.
    Refused {
        kind: io::ErrorKind,
        text: String,
        /// The stream has given it.
        told: bool,
    },
}

/// Signals that came and were not taken yet.
#[derive(Default)]
struct Arrivals(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    count: u32,
    /// Whoever polled last.
    waker: Option<Waker>,
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On the thread of the signal listeners.
    fn add(&self) {
        let mut waiting = self.lock();
        waiting.count = waiting.count.saturating_add(1);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_take(&self, cx: &mut Cx<'_>) -> Poll<()> {
        let mut waiting = self.lock();
        if waiting.count > 0 {
            waiting.count -= 1;
            return Poll::Ready(());
        }
        match &mut waiting.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => waiting.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Listener {
    /// Waits for the next signal.
    ///
    /// # Errors
    ///
    /// See [`Listener`]; nothing else.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped or cancelled has taken no signal.
    pub async fn recv(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Takes all signals that have come, without waiting, and returns how many there were.
    ///
    /// For those to whom many are as good as one, such as a service that reads its configuration again.
    pub fn drain(&mut self) -> u32 {
        match &self.source {
            Source::Open { arrivals, .. } => std::mem::take(&mut arrivals.lock().count),
            Source::Refused { .. } => 0,
        }
    }

    /// Says whether it listens at all.
    ///
    /// # Errors
    ///
    /// See [`Listener`].
    pub fn check(&self) -> io::Result<()> {
        match &self.source {
            Source::Open { .. } => Ok(()),
            Source::Refused { kind, text, .. } => Err(io::Error::new(*kind, text.as_str())),
        }
    }

    /// Returns the number of the signal.
    pub fn number(&self) -> i32 {
        self.number
    }

    fn has_come(&self) -> bool {
        match &self.source {
            Source::Open { arrivals, .. } => arrivals.lock().count > 0,
            Source::Refused { .. } => true,
        }
    }

    fn poll_recv(&mut self, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        let what = || WaitsOn::new(format!("signal {}", self.number));
        if must_look_away_from_thread(cx, what, || self.has_come()) {
            return Poll::Pending;
        }
        let Source::Open { arrivals, .. } = &self.source else {
            return Poll::Ready(self.check());
        };
        ready!(spend_budget(cx));
        arrivals.poll_take(cx).map(Ok)
    }
}

/// Signal after signal; it ends only where there is nothing to listen to.
impl Stream for Listener {
    type Item = io::Result<()>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Option<io::Result<()>>> {
        if let Source::Refused { told: true, .. } = self.source {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_recv(cx));
        if let Source::Refused { told, .. } = &mut self.source {
            *told = true;
        }
        Poll::Ready(Some(next))
    }
}

impl IntoFuture for Listener {
    type Output = io::Result<()>;
    type IntoFuture = Once;

    fn into_future(self) -> Once {
        Once(self)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Listener");
        debug.field("number", &self.number);
        match &self.source {
            Source::Open { arrivals, .. } => debug.field("waiting", &arrivals.lock().count),
            Source::Refused { text, .. } => debug.field("refused", text),
        };
        debug.finish()
    }
}

/// Waits for one signal, which is what awaiting a [`Listener`] does. Polled again, it waits for the next one.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Once(Listener);

impl Future for Once {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv(cx)
    }
}
