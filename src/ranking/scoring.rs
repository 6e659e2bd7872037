//! One request at one version: its inputs, its run, its scores.

use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::{
    batching::{Priority, Work},
    deadline::Deadline,
    ids::CallerName,
    ranking::{
        error::RankError,
        features::Sources,
        models::{Located, Ranker},
        request::RankRequest,
        response::{Head, Scored},
        select::head_values,
        user_side::UserSide,
    },
    telemetry::TraceContext,
    tensor::Tensor,
};

/// Texts that are tokenised without having the thread's other tasks moved away, in bytes: a few milliseconds of work.
const MOST_TEXT_BYTES_BETWEEN_TASKS: usize = 32 << 10;

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

/// What is run for a request.
pub(super) fn work(
    request: &RankRequest,
    inputs: Vec<Tensor>,
    (deadline, trace): (Deadline, TraceContext),
) -> Work {
    let (priority, caller) = (request.priority, request.caller.clone());
    Work { inputs, deadline, priority, caller, trace }
}

/// What is run where nobody waits for it.
pub(super) fn work_behind(inputs: Vec<Tensor>, deadline: Deadline) -> Work {
    let priority = Some(Priority(Priority::LOWEST));
    let caller = CallerName::parse("podium:behind").unwrap_or_default();
    Work { inputs, deadline, priority, caller, trace: TraceContext::default() }
}

/// The scored candidates, and the values of the heads beside the one that ranks.
pub(super) fn scored(
    ranker: &Ranker,
    outputs: Vec<Tensor>,
    located: &Located,
) -> Result<(Vec<Scored>, Vec<Head>), RankError> {
    let count = located.scored.len();
    let specs = &ranker.handle.manifest().outputs;
    let mut heads = specs.iter().zip(outputs).map(|(spec, output)| {
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

/// The scores by the candidates' positions, in the order of positions.
pub(super) fn by_position(items: &[Scored]) -> Vec<(u32, f32)> {
    items.iter().filter_map(|item| Some((item.index, item.score?))).collect()
}
