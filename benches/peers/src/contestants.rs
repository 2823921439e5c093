//! Who takes part. To add a contestant, write its file and name it here.

mod asyncio;
mod bare;
#[cfg(feature = "compio")]
mod compio;
mod epoll;
#[cfg(feature = "glommio")]
mod glommio;
#[cfg(feature = "monoio")]
mod monoio;
mod python;
mod smol;
mod tokio;
mod tokio_local;

use crate::workloads::{Run, Workload};

/// One runtime.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// How it is used here.
    pub(crate) about: &'static str,
    /// The crates whose versions the report states.
    pub(crate) crates: &'static [&'static str],
    pub(crate) kind: Kind,
    /// Above 1, it does so many times fewer operations, and those only once: it would take too long otherwise.
    pub(crate) slowness: fn(Workload) -> usize,
    /// Called once in the process that measures, before the workload: two contestants of one file choose their way here.
    pub(crate) prepare: fn(),
    /// The smallest program, as far as it has one.
    pub(crate) hello: Hello,
    /// Its function for a workload, if it can do that.
    pub(crate) run: fn(Workload) -> Option<Run>,
}

/// The smallest program that a contestant makes: it prints a word and ends.
#[derive(Clone, Copy)]
pub(crate) enum Hello {
    /// No program of its own.
    None,
    /// A package with these dependencies, `=` standing for the version that is measured here, and this `main.rs`.
    Package {
        dependencies: &'static [(&'static str, &'static str)],
        main: &'static str,
    },
    /// A Python program.
    Python(&'static str),
}

/// What a contestant is compared as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This project.
    Ours,
    /// Another runtime.
    Peer,
    /// No runtime: a limit that none can pass.
    Limit,
}

/// In the order of the table's columns; ours is the first.
pub(crate) const ALL: &[&Contestant] = &[
    &asyncio::CONTESTANT,
    &tokio::CONTESTANT,
    &tokio_local::CONTESTANT,
    &smol::CONTESTANT,
    #[cfg(feature = "monoio")]
    &monoio::EPOLL,
    #[cfg(feature = "monoio")]
    &monoio::URING,
    #[cfg(feature = "compio")]
    &compio::EPOLL,
    #[cfg(feature = "compio")]
    &compio::URING,
    #[cfg(feature = "glommio")]
    &glommio::CONTESTANT,
    &python::ASYNCIO,
    &python::UVLOOP,
    &bare::CONTESTANT,
    &epoll::CONTESTANT,
];

/// Finds the contestant with this name.
pub(crate) fn named(name: &str) -> Option<&'static Contestant> {
    ALL.iter().copied().find(|known| known.name == name)
}
