//! What answers tell of the batches that they were in.
//!
//! Each of a batch's requests tells of it, so each counts for its share: one over the requests of the batch. Of a request that was
//! cut, the answer tells of the last batch alone, which then stands for all of them.

use std::collections::BTreeMap;

use crate::transport::pb;

/// Sums over batches.
#[derive(Debug, Clone, Default)]
pub(super) struct BatchSums {
    answers: f64,
    batches: f64,
    rows: f64,
    requests: f64,
    fill: f64,
    padded_rows: f64,
    run_us: f64,
    join_us: f64,
    closed: BTreeMap<&'static str, f64>,
}

impl BatchSums {
    /// Adds the batches of one answer.
    pub(super) fn add(&mut self, timings: &pb::Timings) {
        let Some(batch) = &timings.batch else { return };
        let share = 1.0 / f64::from(batch.requests.max(1));
        let weight = share * f64::from(timings.batches.max(1));
        let (rows, padding) = (f64::from(batch.rows), f64::from(batch.padding_share));
        self.answers += 1.0;
        self.batches += weight;
        self.rows += weight * rows;
        self.requests += weight * f64::from(batch.requests);
        self.fill += weight * f64::from(batch.fill);
        self.padded_rows += weight * rows / (1.0 - padding.clamp(0.0, 0.999));
        self.run_us += share * f64::from(timings.run_us);
        self.join_us += share * f64::from(timings.assemble_us) + f64::from(timings.scatter_us);
        *self.closed.entry(batch.closed().as_str_name()).or_default() += weight;
    }

    /// The figures; none where no answer told of a batch.
    pub(super) fn figures(&self) -> Vec<(&'static str, f64)> {
        if self.batches == 0.0 {
            return Vec::new();
        }
        vec![
            ("batch_rows", self.rows / self.batches),
            ("batch_requests", self.requests / self.batches),
            ("batch_fill", self.fill / self.batches),
            ("padded_over_real", self.padded_rows / self.rows),
            ("run_us_a_request", self.run_us / self.answers),
            ("join_us_a_request", self.join_us / self.answers),
        ]
    }

    /// The share of batches by why they were closed, in per cent.
    pub(super) fn closed_percent(&self) -> BTreeMap<&'static str, f64> {
        let percent = |(&why, weight): (&&'static str, &f64)| (why, weight / self.batches * 100.0);
        self.closed.iter().map(percent).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timings(rows: u32, requests: u32, padding_share: f32) -> pb::Timings {
        let batch = pb::Batch { rows, requests, fill: 0.5, padding_share, closed: 2 };
        let us = 100;
        pb::Timings {
            batches: 1,
            run_us: us,
            assemble_us: us,
            batch: Some(batch),
            ..Default::default()
        }
    }

    #[test]
    fn a_batch_counts_once_however_many_tell_of_it() {
        let mut sums = BatchSums::default();
        (0..4).for_each(|_| sums.add(&timings(8, 4, 0.5)));
        sums.add(&timings(2, 1, 0.0));
        let figures: BTreeMap<_, _> = sums.figures().into_iter().collect();
        assert_eq!(figures["batch_rows"], 5.0);
        assert_eq!(figures["batch_requests"], 2.5);
        assert_eq!(figures["padded_over_real"], 18.0 / 10.0);
        assert_eq!(figures["run_us_a_request"], 200.0 / 5.0);
        assert_eq!(sums.closed_percent(), BTreeMap::from([("CLOSED_SHARE", 100.0)]));
    }

    #[test]
    fn without_batches_there_are_no_figures() {
        let mut sums = BatchSums::default();
        sums.add(&pb::Timings::default());
        assert!(sums.figures().is_empty() && sums.closed_percent().is_empty());
    }
}
