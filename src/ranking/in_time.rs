//! Narrows a request down to what can be scored before its deadline, or refuses it before it has cost anything.

use crate::{
    batching::Outlook,
    deadline::Deadline,
    ranking::{
        error::RankError,
        models::{Located, Ranker},
        request::RankRequest,
    },
};

/// Leaves the candidates that can be scored in time: all of them, or as many as the time allows where the request says so.
///
/// # Errors
/// [`RankError::Batch`] with the time after which it is worth to ask again, where not all can be and the request wants all.
pub(super) fn in_time(
    ranker: &Ranker,
    located: Located,
    request: &RankRequest,
    deadline: Deadline,
) -> Result<Located, RankError> {
    let who = (request.priority, &request.caller);
    match ranker.handle.outlook(located.scored.len(), deadline, who) {
        Outlook::InTime => Ok(located),
        Outlook::Partly { rows, tried, .. } if request.allow_partial => {
            // One row costs little, and teaches what rows cost now.
            let rows = rows.max(usize::from(tried));
            Ok(first_by_prior(located, &request.candidates.prior_scores, rows))
        }
        Outlook::Partly { tried: true, .. } => Ok(located),
        Outlook::Partly { late, .. } => Err(late.into()),
    }
}

/// Keeps so many candidates to be scored: those with the best prior scores; without these, the first ones.
pub(super) fn first_by_prior(mut located: Located, prior: &[f32], rows: usize) -> Located {
    if rows >= located.scored.len() {
        return located;
    }
    let prior_of = |at: u32| prior.get(at as usize).copied().unwrap_or(0.0);
    let order = |a: &u32, b: &u32| prior_of(*b).total_cmp(&prior_of(*a)).then(a.cmp(b));
    if rows > 0 {
        located.scored.select_nth_unstable_by(rows - 1, order);
    }
    located.left_out.extend(located.scored.drain(rows..));
    located.scored.sort_unstable();
    located
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prior: &[f32], rows: usize, scored: &[u32]) {
        let located = Located {
            rows: vec![None; 5],
            scored: vec![0, 1, 2, 4],
            missing: vec![3],
            left_out: Vec::new(),
        };
        let mut got = first_by_prior(located, prior, rows);
        got.left_out.sort_unstable();
        assert_eq!(got.scored, scored);
        let others: Vec<u32> = [0, 1, 2, 4].into_iter().filter(|at| !scored.contains(at)).collect();
        assert_eq!(got.left_out, others);
    }

    #[test]
    fn the_best_by_prior_are_kept_in_the_order_of_the_request() {
        check(&[0.1, 0.5, 0.2, 9.0, 0.4], 2, &[1, 4]);
        check(&[0.1, 0.1, 0.1, 0.1, 0.2], 2, &[0, 4]);
        check(&[], 3, &[0, 1, 2]);
        check(&[], 0, &[]);
        check(&[], 9, &[0, 1, 2, 4]);
    }
}
