//! From a request and its shopper to the order: inputs, run, selection.

use std::{sync::Arc, time::Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::{
    batching::{BatchError, Ran, Work},
    deadline::Deadline,
    ranking::{
        error::{RankError, Stage},
        features::Sources,
        in_time::first_by_prior,
        models::{Located, Ranker},
        request::RankRequest,
        response::{Degraded, Head, Ranking, Scored, StageTimes},
        select::{best, head_values},
        user_side::UserSide,
    },
    tensor::Tensor,
};

/// Texts that are tokenised without having the thread's other tasks moved away, in bytes: a few milliseconds of work.
const MOST_TEXT_BYTES_BETWEEN_TASKS: usize = 32 << 10;

/// Builds a ranker's inputs, has them run, and orders the candidates; `times` has what was spent before.
pub(super) async fn order(
    ranker: &Ranker,
    (request, mut located): (&RankRequest, Located),
    user: UserSide,
    deadline: Deadline,
    mut times: StageTimes,
) -> Result<Ranking, RankError> {
    let begun = Instant::now();
    let inputs = inputs(ranker, (request, &located), &user, deadline)?;
    times.features = begun.elapsed();

    let (mut items, mut further_heads) = (Vec::new(), Vec::new());
    if !located.scored.is_empty() {
        match ranker.handle.run(work(request, inputs, deadline)).await {
            Ok(ran) => {
                times.batch = ran.trip;
                (items, further_heads) = scored(ranker, ran, &located)?;
            }
            Err(BatchError::TooLate { .. } | BatchError::QueueFull { .. })
                if request.allow_partial =>
            {
                located = first_by_prior(located, &request.candidates.prior_scores, 0);
            }
            Err(error) => return Err(error.into()),
        }
    }

    let begun = Instant::now();
    if deadline.expired(begun) {
        return Err(RankError::Expired(Stage::Run));
    }
    items.extend(unscored(&located));
    let items = best(items, &request.candidates.prior_scores, request.top_k);
    times.select = begun.elapsed();
    Ok(answer(ranker, (items, further_heads), located, user, times))
}

/// One tensor for each input of the manifest, in its order.
pub(super) fn inputs(
    ranker: &Ranker,
    (request, located): (&RankRequest, &Located),
    user: &UserSide,
    deadline: Deadline,
) -> Result<Vec<Tensor>, RankError> {
    let sources = Sources {
        request,
        scored: &located.scored,
        rows: &located.rows,
        history: &user.history,
        embedding: &user.embedding,
        deadline,
    };
    let heavy = ranker.plan.text_bytes(request) > MOST_TEXT_BYTES_BETWEEN_TASKS;
    aside(heavy, || ranker.plan.build(&sources))
}

/// Does work on this thread; where it is heavy, lets another thread take over the tasks that wait for this one.
fn aside<T>(heavy: bool, work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) if heavy => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The scored candidates, and the values of the heads beside the one that ranks.
fn scored(
    ranker: &Ranker,
    ran: Ran,
    located: &Located,
) -> Result<(Vec<Scored>, Vec<Head>), RankError> {
    let count = located.scored.len();
    let specs = &ranker.handle.manifest().outputs;
    let mut heads = specs.iter().zip(ran.outputs).map(|(spec, output)| {
        head_values(spec, output, count).map_err(|wrong| RankError::BadOutput {
            model: ranker.id().to_string(),
            output: spec.name.clone(),
            wrong,
        })
    });
    let ranking = heads.next().transpose()?.unwrap_or_default();
    let further = ranker.further_heads.iter().zip(heads);
    let further =
        further.map(|(name, values)| Ok(Head { name: Arc::clone(name), values: values? }));
    let further = further.collect::<Result<_, RankError>>()?;
    let item = |(row, (&index, &score)): (usize, (&u32, &f32))| Scored {
        index,
        score: Some(score),
        row: Some(row as u32),
    };
    Ok((located.scored.iter().zip(&ranking).enumerate().map(item).collect(), further))
}

fn work(request: &RankRequest, inputs: Vec<Tensor>, deadline: Deadline) -> Work {
    let (priority, caller) = (request.priority, request.caller.clone());
    Work { inputs, deadline, priority, caller }
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
    times: StageTimes,
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
        times,
    }
}
