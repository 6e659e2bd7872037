//! From a request and its shopper to the order: inputs, run, selection.

use std::{sync::Arc, time::Instant};

use crate::{
    batching::BatchError,
    deadline::Deadline,
    ranking::{
        behind::FirstScores,
        error::{RankError, Stage},
        in_time::first_by_prior,
        models::{Located, Ranker},
        notes::Notes,
        request::RankRequest,
        response::{Degraded, Head, Ranking, Scored},
        scoring::{by_position, inputs, scored, work},
        select::best,
        user_side::UserSide,
    },
};

/// An answer, and what a second version is compared with, where one may be asked.
pub(super) type Ordered = (Ranking, Option<Arc<FirstScores>>);

/// Builds a ranker's inputs, has them run, and orders the candidates.
pub(super) async fn order(
    ranker: &Ranker,
    (request, mut located): (&RankRequest, Located),
    user: UserSide,
    (deadline, is_compared): (Deadline, bool),
    notes: &mut Notes,
) -> Result<Ordered, RankError> {
    notes.features.begin();
    let inputs = inputs(ranker, (request, &located), &user, deadline)?;
    notes.features.end();

    let (mut items, mut further_heads) = (Vec::new(), Vec::new());
    if !located.scored.is_empty() {
        let work = work(request, inputs, (deadline, notes.trace));
        match ranker.handle.run_noted(work, &mut notes.trip).await {
            Ok(outputs) => (items, further_heads) = scored(ranker, outputs, &located)?,
            Err(BatchError::TooLate { .. } | BatchError::QueueFull { .. })
                if request.allow_partial =>
            {
                located = first_by_prior(located, &request.candidates.prior_scores, 0);
            }
            Err(error) => return Err(error.into()),
        }
    }

    notes.select.begin();
    if deadline.expired(Instant::now()) {
        return Err(RankError::Expired(Stage::Run));
    }
    let first = is_compared
        .then(|| Arc::new(FirstScores { scores: by_position(&items), user: user.clone() }));
    items.extend(unscored(&located));
    let items = best(items, &request.candidates.prior_scores, request.top_k);
    notes.select.end();
    let answer = answer(ranker, (items, further_heads), located, user);
    notes.degraded.clone_from(&answer.degraded);
    Ok((answer, first))
}

/// The candidates that the model is not asked about.
fn unscored(located: &Located) -> impl Iterator<Item = Scored> {
    let asked_for = located.scored.len() + located.left_out.len();
    let missing: &[u32] = if asked_for < located.rows.len() { &located.missing } else { &[] };
    let all = missing.iter().chain(&located.left_out);
    all.map(|&index| Scored { index, score: None, row: None })
}

fn answer(
    ranker: &Ranker,
    (items, further_heads): (Vec<Scored>, Vec<Head>),
    located: Located,
    user: UserSide,
) -> Ranking {
    let missing = (!located.missing.is_empty()).then_some(Degraded::ItemsMissing);
    let partly = (!located.left_out.is_empty()).then_some(Degraded::PartlyScored);
    Ranking {
        items,
        further_heads,
        model: ranker.id().clone(),
        encoder_version: ranker.encoder().map_or(0, |encoder| encoder.id().version.0),
        user_state: user.state,
        user_age: user.age,
        degraded: missing.into_iter().chain(user.degraded).chain(partly).collect(),
        missing: located.missing,
    }
}
