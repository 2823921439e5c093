//! Who takes part. To add a contestant, write its file and name it here.

mod asyncio;
mod bare;
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
    /// Does so many times fewer operations, and those only once: it would take too long otherwise.
    pub(crate) slowness: usize,
    /// Called once in the process that measures, before the workload: two contestants of one file choose their way here.
    pub(crate) prepare: fn(),
    /// Its function for a workload, if it can do that.
    pub(crate) run: fn(Workload) -> Option<Run>,
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
    &bare::CONTESTANT,
];

/// Finds the contestant with this name.
pub(crate) fn named(name: &str) -> Option<&'static Contestant> {
    ALL.iter().copied().find(|known| known.name == name)
}
