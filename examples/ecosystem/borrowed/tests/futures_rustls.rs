//! futures-rustls's own round trips, unchanged, over this crate's sockets and on its loop: between client and server of TLS,
//! once with a name that the certificate has, and once with another one.
//!
//! They are written for smol, and find this file's module of that name instead.

#![forbid(unsafe_code)]
// The style of the file that is included is its authors' affair.
#![allow(rust_2018_idioms, clippy::all)]

use futures_rustls::{pki_types, rustls};

/// What those tests take from smol.
mod smol {
    use std::future::Future;
    use std::time::Duration;

    pub(crate) use asyncio::net;

    pub(crate) struct Timer;

    impl Timer {
        pub(crate) async fn after(duration: Duration) {
            asyncio::sleep(duration).await;
        }
    }

    /// A task that can be let go of.
    pub(crate) struct Task(asyncio::Task<()>);

    impl Task {
        pub(crate) fn detach(self) {
            drop(self.0);
        }
    }

    pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) -> Task {
        Task(asyncio::spawn(future))
    }

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        asyncio::run(future).expect("no loop runs here yet")
    }
}

include!(concat!(env!("OUT_DIR"), "/futures_rustls.rs"));
