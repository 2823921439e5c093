//! hyper's clock and its alarms, which are sleeps of the running loop.
//!
//! hyper's alarms must be `Send` and `Sync`. The sleep behind one is neither, so it stays in its thread's table.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use runner_core::Sleep;

use crate::on_thread::OnThread;

/// Tells hyper the time, and wakes it: on the clock of the running loop, also when that is virtual.
///
/// # Panics
///
/// When hyper waits outside of a running loop, or on another thread than the one where it asked to be woken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer(());

impl Timer {
    /// Makes one; all are alike.
    pub fn new() -> Timer {
        Timer(())
    }
}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let sleep = match self.now().checked_add(duration) {
            Some(deadline) => runner_core::sleep_until(deadline),
            None => runner_core::sleep(duration),
        };
        Box::pin(Alarm(OnThread::new(sleep)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Alarm(OnThread::new(runner_core::sleep_until(deadline))))
    }

    fn now(&self) -> Instant {
        runner_core::try_running_loop().map_or_else(Instant::now, |event_loop| event_loop.time())
    }

    /// Sets an alarm of this kind anew in its place.
    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        let set = |alarm: Pin<&mut Alarm>| {
            alarm
                .0
                .with(|sleep| *sleep = runner_core::sleep_until(deadline))
        };
        let alarm = sleep.as_mut().downcast_mut_pin::<Alarm>();
        if alarm.and_then(set).is_none() {
            *sleep = self.sleep_until(deadline);
        }
    }
}

/// One alarm; called off when it is dropped.
struct Alarm(OnThread<Sleep>);

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl hyper::rt::Sleep for Alarm {}
