//! Runs requests through a version that nobody finds yet, as callers would, and away from the user store.

use std::{sync::Arc, time::Instant};

use crate::{
    batching::BatchError,
    deadline::Deadline,
    error_code::ErrorCode,
    ranking::{
        error::RankError, models::Ranker, notes::Notes, order::order, recent::without_who_asked,
        request::RankRequest, user_side::user_side_alone,
    },
};

/// What became of requests that were run through a version.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Those that were answered.
    pub answered: usize,
    /// Those that the version refuses, by their places, each with its reason.
    pub refused: Vec<(usize, String)>,
    /// Those that were not run, or not to their end, because the time was over.
    pub left_out: usize,
}

/// Runs requests through a ranker one after another until a deadline, as urgent as nothing else is.
///
/// # Errors
/// The place of the first request that the version fails at, and [`RankError`]: its run failed, or it answered what is no finite number.
pub async fn replay(
    ranker: &Ranker,
    requests: &[Arc<RankRequest>],
    deadline: Deadline,
) -> Result<Replayed, (usize, RankError)> {
    let mut replayed = Replayed::default();
    for (place, request) in requests.iter().enumerate() {
        if deadline.expired(Instant::now()) {
            replayed.left_out = requests.len() - place;
            break;
        }
        match replay_one(ranker, request, deadline).await {
            Ok(()) => replayed.answered += 1,
            Err(error) if is_of_time(&error) => replayed.left_out += 1,
            Err(error) if error.code() == ErrorCode::InvalidArgument => {
                replayed.refused.push((place, error.to_string()));
            }
            Err(error) => return Err((place, error)),
        }
    }
    Ok(replayed)
}

async fn replay_one(
    ranker: &Ranker,
    request: &RankRequest,
    deadline: Deadline,
) -> Result<(), RankError> {
    let request = without_who_asked(request);
    let user = user_side_alone(ranker, &request.user, deadline).await?;
    let located = ranker.locate(&request.candidates.ids);
    order(ranker, (&request, located), user, (deadline, false), &mut Notes::default())
        .await
        .map(drop)
}

/// Whether a request failed for want of time or room, which says nothing of the version.
fn is_of_time(error: &RankError) -> bool {
    match error {
        RankError::Expired(_) => true,
        RankError::Batch(error) => {
            matches!(error, BatchError::QueueFull { .. } | BatchError::TooLate { .. })
        }
        _ => false,
    }
}
