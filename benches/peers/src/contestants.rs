//! Who takes part. To add a contestant, write its file, name it here, and give it a feature in Cargo.toml.

#[cfg(feature = "asyncio")]
mod asyncio;
#[cfg(feature = "bare")]
mod bare;
#[cfg(feature = "compio")]
mod compio;
#[cfg(feature = "epoll")]
mod epoll;
#[cfg(feature = "glommio")]
mod glommio;
#[cfg(feature = "monoio")]
mod monoio;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "smol")]
mod smol;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "tokio")]
mod tokio_local;

use crate::workloads::{Run, Workload};

/// One runtime.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// How it is used here.
    pub(crate) about: &'static str,
    /// The crates whose versions the report states.
    pub(crate) crates: &'static [&'static str],
    /// The feature of this package that stands for it: the program that it is measured in is built with that alone.
    pub(crate) feature: &'static str,
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
    /// This project. The first of these is compared with all others.
    Ours,
    /// Another runtime.
    Peer,
    /// No runtime: a limit that none can pass.
    Limit,
}

/// In the order of the table's columns; the first is compared with the others.
pub(crate) const ALL: &[&Contestant] = &[
    #[cfg(feature = "asyncio")]
    &asyncio::CONTESTANT,
    #[cfg(feature = "asyncio")]
    &asyncio::IN_MAIN,
    #[cfg(feature = "tokio")]
    &tokio::CONTESTANT,
    #[cfg(feature = "tokio")]
    &tokio_local::CONTESTANT,
    #[cfg(feature = "smol")]
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
    #[cfg(feature = "python")]
    &python::ASYNCIO,
    #[cfg(feature = "python")]
    &python::UVLOOP,
    #[cfg(feature = "bare")]
    &bare::CONTESTANT,
    #[cfg(feature = "epoll")]
    &epoll::CONTESTANT,
];

/// Finds the contestant with this name.
pub(crate) fn named(name: &str) -> Option<&'static Contestant> {
    ALL.iter().copied().find(|known| known.name == name)
}
