//! hyper-util's own tests of its client with a pool, and of its proxies, on this loop and in the tokio context that it gives.
//!
//! `build.rs` puts this crate's attribute in the place of tokio's, and this file's runtime in the place of tokio's. Sockets,
//! timers and tasks remain tokio's, as hyper-util wants them.

#![forbid(unsafe_code)]
// The style of the files that are included is their authors' affair.
#![allow(rust_2018_idioms, unreachable_pub, dead_code, clippy::all)]

/// What those tests take from tokio's module of that name.
mod runtime {
    use std::io;

    use asyncio::{Runner, tokio_compat};

    pub(crate) struct Builder(());

    impl Builder {
        pub(crate) fn new_current_thread() -> Builder {
            Builder(())
        }

        pub(crate) fn enable_all(&mut self) -> &mut Builder {
            self
        }

        pub(crate) fn build(&mut self) -> io::Result<Runtime> {
            Ok(Runtime(Runner::new()))
        }
    }

    pub struct Runtime(Runner);

    impl Runtime {
        pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
            let done = self.0.run(tokio_compat(future));
            done.expect("no loop runs here yet")
        }

        pub(crate) fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) {
            let event_loop = self.0.event_loop().expect("the runner is open");
            drop(event_loop.spawn(tokio_compat(future)));
        }
    }
}

mod legacy_client {
    include!(concat!(env!("OUT_DIR"), "/legacy_client.rs"));
}

mod proxy {
    include!(concat!(env!("OUT_DIR"), "/proxy.rs"));
}
