//! Which bundles leave the cache when there is no room for another.

use std::time::SystemTime;

/// A bundle in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) bytes: u64,
    /// When it was last asked for.
    pub(super) used: SystemTime,
    /// Whether a version that is held, or about to be loaded, uses it.
    pub(super) in_use: bool,
}

/// The places of those that leave for so many more bytes, the one that was not used for the longest time first; else how many bytes are missing.
pub(super) fn leaving(kept: &[Kept], needed: u64, bound: u64) -> Result<Vec<usize>, u64> {
    let total: u64 = kept.iter().map(|one| one.bytes).sum();
    let mut over = total.saturating_add(needed).saturating_sub(bound);
    let mut candidates: Vec<(usize, &Kept)> =
        kept.iter().enumerate().filter(|(_, one)| !one.in_use && one.bytes > 0).collect();
    candidates.sort_by_key(|(at, one)| (one.used, *at));
    let mut leaves = Vec::new();
    for (at, one) in candidates {
        if over == 0 {
            break;
        }
        over = over.saturating_sub(one.bytes);
        leaves.push(at);
    }
    match over {
        0 => Ok(leaves),
        missing => Err(missing),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn kept((bytes, used, in_use): (u64, u64, bool)) -> Kept {
        Kept { bytes, used: SystemTime::UNIX_EPOCH + Duration::from_secs(used), in_use }
    }

    #[track_caller]
    fn check(all: &[(u64, u64, bool)], needed: u64, bound: u64, want: Result<&[usize], u64>) {
        let all: Vec<Kept> = all.iter().copied().map(kept).collect();
        assert_eq!(leaving(&all, needed, bound), want.map(<[usize]>::to_vec));
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_leaves_first() {
        check(&[], 5, 5, Ok(&[]));
        check(&[], 6, 5, Err(1));
        check(&[(4, 1, false)], 1, 5, Ok(&[]));
        check(&[(4, 2, false), (4, 1, false)], 1, 8, Ok(&[1]));
        check(&[(4, 2, false), (4, 1, false)], 5, 8, Ok(&[1, 0]));
        check(&[(4, 1, true), (4, 2, false)], 1, 8, Ok(&[1]));
        check(&[(4, 1, true), (4, 2, false)], 5, 8, Err(1));
        check(&[(9, 1, true)], 0, 8, Err(1));
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_no_more_leaves_than_must(
            all in prop::collection::vec((0..50u64, 0..9u64, any::<bool>()), 0..12),
            needed in 0..60u64,
            bound in 0..300u64,
        ) {
            let all: Vec<Kept> = all.into_iter().map(kept).collect();
            let total: u64 = all.iter().map(|one| one.bytes).sum();
            match leaving(&all, needed, bound) {
                Ok(leaves) => {
                    prop_assert!(leaves.iter().all(|at| !all[*at].in_use));
                    let freed = |leaves: &[usize]| leaves.iter().map(|at| all[*at].bytes).sum::<u64>();
                    prop_assert!(total - freed(&leaves) + needed <= bound);
                    if let [rest @ .., _] = leaves.as_slice() {
                        prop_assert!(total - freed(rest) + needed > bound);
                    }
                }
                Err(missing) => {
                    let in_use: u64 = all.iter().filter(|one| one.in_use).map(|one| one.bytes).sum();
                    prop_assert_eq!(in_use + needed, bound + missing);
                }
            }
        }
    }
}
