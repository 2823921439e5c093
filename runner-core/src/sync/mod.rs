//! Tasks that wait for each other: asyncio's queues, locks, events, semaphores, conditions, barriers and futures.
//!
//! All of it belongs to one thread, so nothing here is atomic and no system lock is taken; waiting allocates nothing while no
//! more wait than ever before. Whoever waits longest comes first. What was granted to a task that is cancelled, or whose
//! future is dropped, goes to the next one: neither an item nor a permit nor a notification is lost.
//!
//! # Sharing
//!
//! The primitives are plain values, as `Mutex`, `Condvar` and `Barrier` of the standard library are: put one into the
//! structure that it protects, borrow it within a task, and share it between tasks in an [`Rc`](std::rc::Rc). [`Future`]
//! alone is a handle to be cloned, because each task that awaits it does so with one of its own.
//!
//! ```
//! # use runner_core as asyncio;
//! use std::rc::Rc;
//! use asyncio::sync::Queue;
//!
//! asyncio::run(async {
//!     let queue = Rc::new(Queue::bounded(2));
//!     let producer = asyncio::spawn({
//!         let queue = queue.clone();
//!         async move {
//!             for number in 1..=3 {
//!                 queue.put(number).await.unwrap();
//!             }
//!             queue.shutdown(false);
//!         }
//!     });
//!     let mut sum = 0;
//!     while let Ok(number) = queue.get().await {
//!         sum += number;
//!     }
//!     producer.await.unwrap();
//!     assert_eq!(sum, 6);
//! })
//! .unwrap();
//! ```
//!
//! # Differences from asyncio
//!
//! What has to be given back is given back by a guard, when it is dropped. What goes wrong at run time is a typed error; what
//! is a mistake of the program (`RuntimeError` and `ValueError` there) panics at the caller's line.
//!
//! A pending cancellation is delivered before a call takes anything, also where asyncio would not have waited.

mod barrier;
mod condition;
mod event;
mod future;
mod lock;
mod queue;
mod semaphore;
mod waiter_queue;

pub use self::barrier::{Barrier, BrokenBarrierError};
pub use self::condition::Condition;
pub use self::event::Event;
pub use self::future::{Future, InvalidStateError};
pub use self::lock::{Lock, LockGuard};
pub use self::queue::{GetError, PutError, Queue, QueueShutDown};
pub use self::semaphore::{Semaphore, SemaphorePermit};
