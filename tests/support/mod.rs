//! One copy of every helper of the tests.

// Each test file uses a part of this.
#![allow(dead_code)]

pub(crate) mod alone;
#[cfg(unix)]
pub(crate) mod child;
pub(crate) mod trace;
