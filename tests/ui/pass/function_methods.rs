//! `self`, `Self` and the generics of the `impl` around.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs)]

use std::fmt::Debug;

/// Holds a value.
#[derive(Debug)]
pub struct Holder<T>(T);

impl<T: Clone + Debug> Holder<T> {
    /// Makes one.
    #[asyncio::main]
    pub async fn new(value: T) -> Self {
        Holder(value)
    }

    /// Copies the value.
    #[asyncio::main]
    pub async fn get(&self) -> T {
        self.0.clone()
    }

    /// Replaces the value.
    #[asyncio::main]
    pub async fn set(&mut self, value: T) -> &mut T {
        self.0 = value;
        &mut self.0
    }

    #[asyncio::main]
    async fn listed(value: T) -> Vec<T> {
        vec![value]
    }

    #[asyncio::main]
    async fn main(self: Box<Self>) -> T {
        self.0
    }
}

trait Server {
    fn run(&self) -> usize;
}

impl Server for str {
    #[asyncio::main]
    async fn run(&self) -> usize {
        self.len()
    }
}

fn main() {
    let mut holder = Holder::new(1);
    *holder.set(2) += 1;
    assert_eq!(holder.get(), 3);
    assert_eq!(Holder::listed(5), [5]);
    assert_eq!(Box::new(holder).main(), 3);
    assert_eq!("ab".run(), 2);
}
