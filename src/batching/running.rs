//! A batch on its way through an instance, so that it can be stopped once nobody waits for any of it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::runtime::Stop;

/// A batch on its way through an instance.
#[derive(Debug)]
pub(super) struct Running {
    callers: AtomicUsize,
    /// None before the run and once it is over: the instance is running something else then.
    stop: Mutex<Option<Arc<dyn Stop>>>,
}

impl Running {
    /// A batch for so many callers, which does not run yet.
    pub(super) fn new(callers: usize) -> Self {
        Self { callers: AtomicUsize::new(callers), stop: Mutex::new(None) }
    }

    /// Notes that the run begins, unless every caller left: says whether it may.
    pub(super) fn begin(&self, stop: Option<Arc<dyn Stop>>) -> bool {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = stop;
        self.callers.load(Ordering::Acquire) > 0
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
}
