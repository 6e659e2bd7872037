//! How alike two orders of the same candidates are.

use std::cmp::Ordering;

/// The Kendall tau-b of two lists of scores of the same candidates, from -1 to 1; none for fewer than two candidates.
///
/// Candidates that share a score are tied. Two lists that each tie everything are the same order (1); where only one does, it says nothing
/// of the other (0). Costs O(n log n).
///
/// Source: W. R. Knight, "A computer method for calculating Kendall's tau with ungrouped data", JASA 61 (1966).
pub fn kendall_tau(a: &[f32], b: &[f32]) -> Option<f64> {
    let count = a.len().min(b.len());
    if count < 2 {
        return None;
    }
    // Adding zero makes one zero of the two.
    let mut pairs: Vec<(f32, f32)> = a.iter().zip(b).map(|(a, b)| (a + 0.0, b + 0.0)).collect();
    pairs.sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1)));
    let tied_in_a = tied(&pairs, |x, y| x.0.total_cmp(&y.0));
    let tied_in_both = tied(&pairs, |x, y| x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1)));
    let mut second: Vec<f32> = pairs.iter().map(|pair| pair.1).collect();
    let swaps = sort_counting(&mut second, &mut vec![0.0; count]);
    let tied_in_b = tied(&second, f32::total_cmp);
    let all = pairs_of(count);
    let (in_a, in_b) = (all - tied_in_a, all - tied_in_b);
    Some(match (in_a, in_b) {
        (0, 0) => 1.0,
        (0, _) | (_, 0) => 0.0,
        _ => {
            let concordant_or_not = (all - tied_in_a - tied_in_b + tied_in_both) as f64;
            (concordant_or_not - 2.0 * swaps as f64) / (in_a as f64 * in_b as f64).sqrt()
        }
    })
}

/// The share of the first `k` of one list of scored candidates that are among the first `k` of another, from 0 to 1; none where the first
/// has no candidates.
///
/// Candidates are named by their positions in the request, by which ties are broken.
pub fn top_k_overlap(of: &[(u32, f32)], among: &[(u32, f32)], k: usize) -> Option<f64> {
    let wanted = first(of, k);
    let mut got = first(among, k);
    got.sort_unstable();
    let found = wanted.iter().filter(|at| got.binary_search(at).is_ok()).count();
    (!wanted.is_empty()).then(|| found as f64 / wanted.len() as f64)
}

fn first(scored: &[(u32, f32)], k: usize) -> Vec<u32> {
    let order = |x: &(u32, f32), y: &(u32, f32)| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0));
    let mut all = scored.to_vec();
    if (1..all.len()).contains(&k) {
        all.select_nth_unstable_by(k - 1, order);
    }
    all.truncate(k);
    all.into_iter().map(|(at, _)| at).collect()
}

fn pairs_of(count: usize) -> u64 {
    let count = count as u64;
    count * count.saturating_sub(1) / 2
}

/// Pairs of equals in a sorted list.
fn tied<T>(sorted: &[T], order: impl Fn(&T, &T) -> Ordering) -> u64 {
    let runs = sorted.chunk_by(|x, y| order(x, y).is_eq());
    runs.map(|run| pairs_of(run.len())).sum()
}

/// Sorts by merging, and counts the pairs that stood the other way round.
fn sort_counting(values: &mut [f32], spare: &mut [f32]) -> u64 {
    if values.len() < 2 {
        return 0;
    }
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    let mut swaps = sort_counting(left, spare) + sort_counting(right, spare);
    let (mut l, mut r) = (0, 0);
    let merged = &mut spare[..left.len() + right.len()];
    for slot in merged.iter_mut() {
        let from_left =
            r == right.len() || (l < left.len() && left[l].total_cmp(&right[r]).is_le());
        if from_left {
            *slot = left[l];
            l += 1;
        } else {
            *slot = right[r];
            r += 1;
            swaps += (left.len() - l) as u64;
        }
    }
    values.copy_from_slice(merged);
    swaps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the definition has it, pair by pair.
    fn by_definition(a: &[f32], b: &[f32]) -> f64 {
        let (mut difference, mut in_a, mut in_b) = (0.0, 0.0, 0.0);
        for i in 0..a.len() {
            for j in 0..i {
                let sign = |x: f32, y: f32| match x.total_cmp(&y) {
                    Ordering::Less => -1.0,
                    Ordering::Equal => 0.0,
                    Ordering::Greater => 1.0,
                };
                let (x, y): (f64, f64) = (sign(a[i], a[j]), sign(b[i], b[j]));
                difference += x * y;
                in_a += x.abs();
                in_b += y.abs();
            }
        }
        match (in_a, in_b) {
            (0.0, 0.0) => 1.0,
            (0.0, _) | (_, 0.0) => 0.0,
            _ => difference / (in_a * in_b).sqrt(),
        }
    }

    #[track_caller]
    fn check(a: &[f32], b: &[f32], want: Option<f64>) {
        let got = kendall_tau(a, b);
        let close = match (got, want) {
            (Some(got), Some(want)) => (got - want).abs() < 1e-9,
            (got, want) => got == want,
        };
        assert!(close, "{got:?} is not {want:?}");
    }

    #[test]
    fn orders_are_compared_pair_by_pair() {
        check(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0], Some(1.0));
        check(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], Some(-1.0));
        check(&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 4.0, 3.0], Some(4.0 / 6.0));
        // scipy.stats.kendalltau([12, 2, 1, 12, 2], [1, 4, 7, 1, 0])
        check(&[12.0, 2.0, 1.0, 12.0, 2.0], &[1.0, 4.0, 7.0, 1.0, 0.0], Some(-0.471_404_520_8));
        check(&[0.0, -0.0], &[5.0, 5.0], Some(1.0));
        check(&[1.0, 1.0], &[1.0, 2.0], Some(0.0));
        check(&[1.0], &[1.0], None);
        check(&[], &[], None);
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_says(
            pairs in prop::collection::vec((0_u8..6, 0_u8..6), 2..60),
        ) {
            let a: Vec<f32> = pairs.iter().map(|pair| f32::from(pair.0)).collect();
            let b: Vec<f32> = pairs.iter().map(|pair| f32::from(pair.1)).collect();
            let got = kendall_tau(&a, &b).unwrap();
            prop_assert!((got - by_definition(&a, &b)).abs() < 1e-9);
        }
    }

    #[track_caller]
    fn check_overlap(of: &[f32], among: &[(u32, f32)], k: usize, want: Option<f64>) {
        let of: Vec<(u32, f32)> = (0..).zip(of.iter().copied()).collect();
        assert_eq!(top_k_overlap(&of, among, k), want);
    }

    #[test]
    fn first_places_are_compared_as_a_set() {
        let among = [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)];
        check_overlap(&[4.0, 3.0, 2.0, 1.0], &among, 2, Some(0.0));
        check_overlap(&[4.0, 1.0, 2.0, 3.0], &among, 2, Some(0.5));
        check_overlap(&[4.0, 3.0, 2.0, 1.0], &among, 10, Some(1.0));
        check_overlap(&[4.0, 3.0], &[], 10, Some(0.0));
        check_overlap(&[1.0, 1.0, 1.0], &[(0, 2.0), (1, 2.0), (2, 2.0)], 1, Some(1.0));
        check_overlap(&[], &among, 2, None);
    }
}
