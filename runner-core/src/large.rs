//! Futures that are too big to be handed from function to function.
//!
//! In an unoptimised build each call copies its argument, some twenty times from `run` to the task's allocation; a main
//! function whose future holds a few hundred kilobytes then overflows the stack. A large one is boxed at the door.

/// From this size on, an allocation more costs less than the copies.
const LARGE: usize = 16 * 1024;

/// Returns `true` if `F` is to be boxed at the door.
///
/// Asked in a `const` block, so that the compiler sees it before it makes code: the door is then compiled for one of the two
/// types. Otherwise each task that a program spawns would be compiled for both, and the other half thrown away.
pub(crate) const fn is_large<F>() -> bool {
    size_of::<F>() > LARGE
}
