//! How a connection is awaited, whatever kind it is.
//!
//! A shortage of descriptors lasts, and a loop that accepts, logs the error and accepts again would take all of the
//! processor: such an error is held back for a moment.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use super::socket;
use crate::io::Async;
use crate::sleep::sleep;

/// How long `accept` waits before it reports that no descriptor is left: short enough to go on soon when one is given
/// back, long enough that trying again and again costs nothing.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Waits for what `accept` takes out of the listener's queue.
pub(super) async fn next<L: AsFd, C>(
    listener: &Async<L>,
    accept: impl FnMut(&L) -> io::Result<C>,
) -> io::Result<C> {
    let accepted = listener.read_with(accept).await;
    if accepted.as_ref().is_err_and(socket::is_exhausted) {
        sleep(EXHAUSTED_PAUSE).await;
    }
    accepted
}
