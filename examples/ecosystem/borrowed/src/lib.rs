//! Nothing: this package is for its tests.

#![forbid(unsafe_code)]
