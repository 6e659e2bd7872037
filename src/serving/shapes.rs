//! Which shapes a version's batches can have, as far as each should have been run once before it serves.

use std::{fmt, time::Duration};

use crate::batching::{Buckets, CostTable};

/// Units of a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) units: usize,
    pub(super) length: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.units, self.length)
    }
}

impl Shape {
    /// How long a run of it will take.
    pub(super) fn predicted(self, cost: &CostTable) -> Duration {
        cost.predict(self.units.saturating_mul(cost.weight(self.length)))
    }
}

/// Every bucket up to the longest length, with one unit and as a full batch of at most so many; the small ones first.
///
/// A full batch is one of the preferred size, which the table has where the options have none.
pub(super) fn shapes(
    buckets: &Buckets,
    longest: usize,
    cost: &CostTable,
    (preferred_units, most_units): (usize, usize),
) -> Vec<Shape> {
    let lengths = buckets.bounds_up_to(longest);
    let full = |length: usize| {
        let size = match preferred_units {
            0 => cost.preferred_size().unwrap_or(1),
            units => units.saturating_mul(cost.usual_weight()),
        };
        (size / cost.weight(length)).clamp(1, most_units.max(1))
    };
    let small = lengths.iter().map(|&length| Shape { units: 1, length });
    let full = lengths.iter().map(|&length| Shape { units: full(length), length });
    small.chain(full.filter(|shape| shape.units > 1)).collect()
}

/// What became of shapes on one instance.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    /// Those that were run.
    pub(super) ran: usize,
    /// Those that there was no time for, or that the graph takes no made-up inputs of.
    pub(super) left_out: Vec<Shape>,
}

impl Warmth {
    /// The shapes that were left out, for people; empty where none was.
    pub(super) fn missing(&self) -> String {
        const TOLD: usize = 8;
        let told = self.left_out.iter().take(TOLD).map(Shape::to_string);
        let mut told: Vec<String> = told.collect();
        if self.left_out.len() > TOLD {
            told.push(format!("and {} more", self.left_out.len() - TOLD));
        }
        told.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use crate::batching::CostPoint;

    use super::*;

    #[track_caller]
    fn check(bounds: &[usize], longest: usize, preferred: usize, most: usize, want: &str) {
        let points = [(32, 100.0), (128, 200.0), (256, 400.0)];
        let points = points.map(|(size, run_us)| CostPoint { size, run_us });
        let cost = CostTable::new(points.into());
        let shapes = shapes(&Buckets::new(bounds), longest, &cost, (preferred, most));
        let told: Vec<String> = shapes.iter().map(Shape::to_string).collect();
        assert_eq!(told.join(" "), want);
    }

    #[test]
    fn every_bucket_is_there_small_and_full() {
        check(&[16, 64], 64, 0, 4096, "1x16 1x64 8x16 2x64");
        check(&[16, 64], 40, 0, 4096, "1x16 1x40 8x16 3x40");
        check(&[16, 64], 40, 0, 5, "1x16 1x40 5x16 3x40");
        check(&[16, 64], 64, 4, 4096, "1x16 1x64 8x16 2x64");
        check(&[256], 256, 0, 4096, "1x256");
        check(&[], 1, 0, 4096, "1x1 128x1");
        check(&[], 3, 0, 4096, "1x1 1x2 1x3 128x1 64x2 42x3");
    }

    #[test]
    fn steps_reach_the_longest_and_end_there() {
        let shapes = shapes(&Buckets::default(), 100, &CostTable::default(), (0, 8));
        let lengths: Vec<usize> = shapes.iter().map(|shape| shape.length).collect();
        assert_eq!(lengths.len(), 16 + 8 + 8 + 5);
        assert_eq!(lengths[31..], [64, 72, 80, 88, 96, 100]);
    }

    #[test]
    fn what_was_left_out_is_told_in_one_line() {
        let left_out: Vec<Shape> = (1..=10).map(|length| Shape { units: 2, length }).collect();
        let told = Warmth { ran: 1, left_out }.missing();
        assert_eq!(told, "2x1 2x2 2x3 2x4 2x5 2x6 2x7 2x8 and 2 more");
        assert_eq!(Warmth::default().missing(), "");
    }
}
