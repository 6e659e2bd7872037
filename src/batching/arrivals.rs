//! How long it takes until the next request comes, as far as the last ones tell.

use std::time::{Duration, Instant};

/// How much of a new gap goes into what is expected.
const LEARNING_RATE: f64 = 0.1;

/// The mean gap between arrivals, the latest ones counting most.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arrivals {
    last: Option<Instant>,
    gap_s: Option<f64>,
}

impl Arrivals {
    /// Notes an arrival.
    pub(super) fn note(&mut self, now: Instant) {
        if let Some(last) = self.last {
            let gap = now.saturating_duration_since(last).as_secs_f64();
            let before = self.gap_s.unwrap_or(gap);
            self.gap_s = Some(before + LEARNING_RATE * (gap - before));
        }
        self.last = Some(now);
    }

    /// The expected gap, which is no shorter than nobody has come for; none before there were two arrivals.
    pub(super) fn gap(&self, now: Instant) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.last?);
        Some(Duration::from_secs_f64(self.gap_s?).max(silence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_follows_the_rate_and_the_silence() {
        let (mut arrivals, mut now) = (Arrivals::default(), Instant::now());
        assert_eq!(arrivals.gap(now), None);
        for ms in [vec![10; 100], vec![2; 100]].concat() {
            now += Duration::from_millis(ms);
            arrivals.note(now);
        }
        let gap = arrivals.gap(now).unwrap();
        assert!(gap.as_micros().abs_diff(2000) < 10, "{gap:?}");
        assert_eq!(arrivals.gap(now + Duration::from_secs(1)).unwrap().as_millis(), 1000);
    }
}
