//! How a runner gets its loop, where the builder was told.

use std::io;

use crate::error::RunError;
use crate::event_loop::EventLoop;

/// Makes the loop, and sets it up.
#[derive(Default)]
pub(super) struct LoopMaker {
    pub(super) factory: Option<LoopFactory>,
    pub(super) set_up: Vec<LoopSetup>,
}

type LoopFactory = Box<dyn FnMut() -> io::Result<EventLoop>>;

type LoopSetup = Box<dyn FnMut(&EventLoop) -> io::Result<()>>;

impl LoopMaker {
    /// Returns the loop, and `true` if it is to be the thread's current one, which a factory's is not.
    pub(super) fn make(&mut self) -> Result<(EventLoop, bool), RunError> {
        let event_loop = match &mut self.factory {
            Some(factory) => factory(),
            None => EventLoop::new(),
        };
        let event_loop = event_loop.map_err(RunError::EventLoop)?;
        if event_loop.is_closed() {
            return Err(RunError::LoopClosed);
        }
        if event_loop.is_running() {
            return Err(RunError::AlreadyRunning);
        }
        for set_up in &mut self.set_up {
            if let Err(error) = set_up(&event_loop) {
                let _ = event_loop.close();
                return Err(RunError::EventLoop(error));
            }
        }
        Ok((event_loop, self.factory.is_none()))
    }
}
