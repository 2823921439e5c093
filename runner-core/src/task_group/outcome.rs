//! How a group tells whether a child, or its body, has failed.

use super::error::BoxError;

/// What a group's child or body returns: a value, or a `Result` whose error is a failure of the group.
///
/// Implemented for `Result<T, E>` where `E` converts into a boxed error, for `!`, and for every other type that has a
/// default, such as `()`, numbers and strings. `Kind` tells them apart and is always inferred. A value without a default is returned
/// as `Ok(value)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not tell a task group whether it is a failure",
    label = "neither a `Result` with a sendable error, nor a value with a default",
    note = "return `Ok(value)`, or an error that converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait TaskOutcome<Kind> {
    /// The value of a success.
    type Value;

    /// Splits it into value and failure.
    ///
    /// # Errors
    ///
    /// The failure, boxed.
    fn into_result(self) -> Result<Self::Value, BoxError>;
}

/// Marks outcomes that may fail.
#[derive(Debug)]
pub enum Fallible {}

/// Marks outcomes that are values.
#[derive(Debug)]
pub enum Infallible {}

impl<T, E: Into<BoxError>> TaskOutcome<Fallible> for Result<T, E> {
    type Value = T;

    fn into_result(self) -> Result<T, BoxError> {
        self.map_err(E::into)
    }
}

/// No `Result` has a default, so never both hold.
impl<T: Default> TaskOutcome<Infallible> for T {
    type Value = T;

    fn into_result(self) -> Result<T, BoxError> {
        Ok(self)
    }
}

/// Marks what never returns.
#[derive(Debug)]
pub enum Diverging {}

/// `!`, which stable Rust has no name for except as what a function returns.
type Never = <fn() -> ! as Returns>::Output;

/// Names what a function returns.
pub trait Returns {
    /// What it returns.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

/// What a block ends in that only panics or loops.
impl TaskOutcome<Diverging> for Never {
    type Value = Never;

    fn into_result(self) -> Result<Never, BoxError> {
        self
    }
}
