//! How much goes on at once: the bounds, the places among the calls in flight, and the word to drain.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::ranking::RankError;

/// How many calls and requests of streams go on at once, and for how long.
#[derive(Debug, Clone)]
pub(super) struct FlowOptions {
    pub(super) max_in_flight: usize,
    pub(super) max_in_flight_per_stream: usize,
    pub(super) max_deadline: Duration,
    pub(super) stream_idle_timeout: Duration,
}

/// What the services of one server share.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) options: FlowOptions,
    pub(super) draining: CancellationToken,
    in_flight: Arc<Semaphore>,
}

impl Flow {
    pub(super) fn new(options: FlowOptions, draining: CancellationToken) -> Self {
        Self { in_flight: Arc::new(Semaphore::new(options.max_in_flight)), options, draining }
    }

    /// How many places among the calls in flight are taken.
    pub(super) fn in_flight(&self) -> usize {
        self.options.max_in_flight.saturating_sub(self.in_flight.available_permits())
    }

    /// Takes a place among the calls in flight, which is free again when it is dropped.
    ///
    /// # Errors
    /// [`RankError::TooManyInFlight`].
    pub(super) fn admit(&self) -> Result<OwnedSemaphorePermit, RankError> {
        let limit = self.options.max_in_flight;
        Arc::clone(&self.in_flight)
            .try_acquire_owned()
            .map_err(|_| RankError::TooManyInFlight { limit })
    }
}
