//! The last minute, second by second.

use crate::observing::second::Counted;

/// Seconds that are kept: a minute, and the one that goes on.
pub(super) const KEPT: u64 = 61;

/// The last minute of one series; a second that nothing happened in takes no memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    /// By second modulo [`KEPT`], with the second that each is of.
    seconds: Vec<Option<(u64, Counted)>>,
    /// The last second in which something was counted.
    last: u64,
}

impl Window {
    /// What is counted in that second.
    pub(super) fn at(&mut self, second: u64) -> &mut Counted {
        self.last = self.last.max(second);
        if self.seconds.is_empty() {
            self.seconds.resize_with(KEPT as usize, || None);
        }
        let place = (second % KEPT) as usize;
        let (of, counted) = self.seconds[place].get_or_insert_with(|| (second, Counted::default()));
        // Of a request that ended a minute ago and is told of now, nothing is lost but its second.
        if *of < second {
            counted.clear();
            *of = second;
        }
        counted
    }

    /// Adds what was counted from one second up to another to `sum`.
    pub(super) fn add_to(&self, sum: &mut Counted, (from, to): (u64, u64)) {
        for (second, counted) in self.seconds.iter().flatten() {
            if (from..=to).contains(second) {
                sum.add(counted);
            }
        }
    }

    /// The last second in which something was counted.
    pub(super) fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(counted_in: &[u64], (from, to): (u64, u64), want: usize) {
        let mut window = Window::default();
        for second in counted_in {
            window.at(*second).batch(&crate::batching::BatchNote::that_ran(
                std::time::Instant::now(),
                std::time::Duration::from_millis(1),
            ));
        }
        let mut sum = Counted::default();
        window.add_to(&mut sum, (from, to));
        assert_eq!(sum.figures(1.0).batches.batches, want as u64, "{counted_in:?}");
    }

    #[test]
    fn a_second_that_comes_round_begins_again() {
        check(&[0, 0, 1], (0, 1), 3);
        check(&[0, 0, 1], (1, 60), 1);
        check(&[0, 0, KEPT], (0, KEPT), 1);
        check(&[5, 5 + KEPT, 6], (5, 6), 1);
        check(&[], (0, 60), 0);
    }
}
