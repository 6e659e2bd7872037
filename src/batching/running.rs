//! A batch that is running, so that it can be stopped once nobody waits for any of it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::runtime::Stop;

/// A batch that is running.
#[derive(Debug)]
pub(super) struct Running {
    callers: AtomicUsize,
    /// None once the run is over: the instance may be running something else by then.
    stop: Mutex<Option<Arc<dyn Stop>>>,
}

impl Running {
    /// A batch for so many callers.
    pub(super) fn new(callers: usize, stop: Option<Arc<dyn Stop>>) -> Self {
        Self { callers: AtomicUsize::new(callers), stop: Mutex::new(stop) }
    }

    /// Notes that a caller left; the last one stops the run.
    pub(super) fn leave(&self) {
        if self.callers.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(stop) = self.stop.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
        {
            stop.stop();
        }
    }

    /// Notes that the run is over; from here on nothing is stopped.
    pub(super) fn over(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether every caller left.
    pub(super) fn abandoned(&self) -> bool {
        self.callers.load(Ordering::Acquire) == 0
    }
}
