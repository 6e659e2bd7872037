//! Drives one queue in this process: requests at random moments, whatever becomes of those before them.

use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use hdrhistogram::Histogram;
use tokio_util::sync::CancellationToken;

use crate::{
    batching::{BatchError, Work},
    cli::{course::Course, tune::point::Tally},
    deadline::Deadline,
    error_code::ErrorCode,
    serving::ModelHandle,
    tensor::Tensor,
};

/// Longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 100_000_000;

/// The requests of one measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Requests a second.
    pub(super) rate: f64,
    /// How long they come.
    pub(super) lasts: Duration,
    /// Their deadline.
    pub(super) slo: Duration,
    /// What their moments are drawn from.
    pub(super) seed: u64,
}

/// Sends requests in turn at the moments of a Poisson process, and waits for the last; `None` where it was stopped.
pub(super) async fn drive(
    model: &ModelHandle,
    requests: &[Vec<Tensor>],
    load: &Load,
    stop: &CancellationToken,
) -> Result<Option<Tally>, String> {
    let longest = Histogram::new_with_bounds(1, LONGEST_US, 3).map_err(|e| e.to_string())?;
    let mut tally = Tally::new(longest);
    let begin = Instant::now();
    let course = Course::steady(load.rate, load.slo);
    let ends = CancellationToken::new();
    let _ends = ends.clone().drop_guard();
    let mut arriving = course.arrivals(load.seed, (begin, begin + load.lasts), ends);
    let (mut open, mut waiting) = (true, FuturesUnordered::new());
    let mut inputs = requests.iter().cycle();
    while open || !waiting.is_empty() {
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            due = arriving.recv(), if open => match (due, inputs.next()) {
                (Some(due), Some(inputs)) => waiting.push(answer(model, inputs, (due, load.slo))),
                _ => open = false,
            },
            Some((due, came, failed)) = waiting.next() => {
                tally.note(came.saturating_duration_since(due), load.slo, failed);
            }
        }
    }
    Ok(Some(tally))
}

/// When a request was due, when it was over, and what it failed of.
type Ended = (Instant, Instant, Option<BatchError>);

/// Sends one request and waits for its end.
async fn answer(model: &ModelHandle, inputs: &[Tensor], (due, slo): (Instant, Duration)) -> Ended {
    let work = Work::new(inputs.to_vec(), Deadline::after(due, slo));
    let failed = model.run(work).await.err();
    (due, Instant::now(), failed)
}

impl Tally {
    fn new(latency_us: Histogram<u64>) -> Self {
        Self { sent: 0, in_time: 0, refused: 0, expired: 0, failed: 0, failure: None, latency_us }
    }

    fn note(&mut self, took: Duration, slo: Duration, failed: Option<BatchError>) {
        self.sent += 1;
        let Some(error) = failed else {
            self.in_time += u64::from(took <= slo);
            self.latency_us.saturating_record(took.as_micros() as u64);
            return;
        };
        match error.code() {
            ErrorCode::ResourceExhausted => self.refused += 1,
            ErrorCode::DeadlineExceeded => self.expired += 1,
            _ => {
                self.failed += 1;
                self.failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_counted_once() {
        let mut tally = Tally::new(Histogram::new(3).unwrap());
        let ms = Duration::from_millis;
        tally.note(ms(5), ms(10), None);
        tally.note(ms(11), ms(10), None);
        tally.note(ms(10), ms(10), Some(BatchError::ExpiredInQueue));
        tally.note(ms(1), ms(10), Some(BatchError::Panicked("seeded".to_owned())));
        let limit = "1 requests".to_owned();
        let full = BatchError::QueueFull { model: "m".to_owned(), limit, retry_after: ms(1) };
        tally.note(ms(1), ms(10), Some(full));
        let counts = (tally.in_time, tally.refused, tally.expired, tally.failed);
        assert_eq!((tally.sent, counts), (5, (1, 1, 1, 1)));
        assert_eq!(tally.latency_us.len(), 2);
        assert!(tally.failure.is_some_and(|told| told.contains("seeded")));
    }
}
