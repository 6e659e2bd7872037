//! How two answers to the same request differ.

use std::collections::HashMap;

use crate::{cli::replay::answer::Answer, serving::kendall_tau};

/// What two answers have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    /// Kendall's tau-b over the candidates that both have scored; none where there are fewer than two.
    pub(super) tau: Option<f64>,
    /// Whether all stands in the same place.
    pub(super) is_same_order: bool,
    /// Whether the best one is the same; none where there is none.
    pub(super) is_same_first: Option<bool>,
    /// The share of the best items of the one that are among those of the other.
    pub(super) overlap: Option<f64>,
    /// The mean of the differences of scores, and the largest one, without their signs.
    pub(super) score_difference: Option<(f64, f64)>,
}

impl Pair {
    /// Compares an answer with the one that it is measured by, of which the first `top` items count as the best.
    pub(super) fn of(answer: &Answer, by: &Answer, top: usize) -> Self {
        let scored: HashMap<u32, f32> =
            answer.items.iter().filter_map(|(at, score)| Some((*at, (*score)?))).collect();
        let common: Vec<(f32, f32)> =
            by.items.iter().filter_map(|(at, score)| Some(((*score)?, *scored.get(at)?))).collect();
        let (of_by, of_answer): (Vec<f32>, Vec<f32>) = common.iter().copied().unzip();
        let differences = common.iter().map(|(a, b)| f64::from((a - b).abs()));
        let sum: f64 = differences.clone().sum();
        let largest = differences.fold(0.0, f64::max);
        let order = |answer: &Answer| answer.items.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        let (ours, theirs) = (order(answer), order(by));
        let best = &theirs[..theirs.len().min(top)];
        let found = best.iter().filter(|at| ours.iter().take(top).any(|our| our == *at)).count();
        Self {
            tau: kendall_tau(&of_by, &of_answer),
            is_same_order: ours == theirs,
            is_same_first: theirs.first().map(|first| ours.first() == Some(first)),
            overlap: (!best.is_empty()).then(|| found as f64 / best.len() as f64),
            score_difference: (!common.is_empty()).then(|| (sum / common.len() as f64, largest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(items: &[(u32, f32)]) -> Answer {
        let items = items.iter().map(|(at, score)| (*at, Some(*score))).collect();
        Answer { items, ..Answer::default() }
    }

    #[track_caller]
    fn check(one: &[(u32, f32)], other: &[(u32, f32)], want: (Option<f64>, bool, f64)) {
        let pair = Pair::of(&answer(one), &answer(other), 2);
        assert_eq!((pair.tau, pair.is_same_order, pair.overlap.unwrap()), want);
    }

    #[test]
    fn orders_are_compared_where_both_have_scores() {
        let three = [(0, 3.0), (1, 2.0), (2, 1.0)];
        check(&three, &three, (Some(1.0), true, 1.0));
        check(&[(2, 3.0), (1, 2.0), (0, 1.0)], &three, (Some(-1.0), false, 0.5));
        check(&[(0, 1.0)], &three, (None, false, 0.5));
        check(&[(5, 1.0), (6, 0.5)], &three, (None, false, 0.0));
        let pair = Pair::of(&answer(&[(0, 3.5), (1, 2.0)]), &answer(&three), 2);
        assert_eq!((pair.score_difference, pair.is_same_first), (Some((0.25, 0.5)), Some(true)));
        let none = Pair::of(&answer(&[]), &answer(&[]), 2);
        assert_eq!((none.tau, none.overlap, none.is_same_first), (None, None, None));
    }
}
