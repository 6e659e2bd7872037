//! A request by tensors: the inputs of the graph as its caller made them, and its outputs as they come out.

use std::{sync::Arc, time::Instant};

use crate::{
    batching::{Priority, Work},
    deadline::Deadline,
    ids::{CallerName, ModelId},
    ranking::{
        error::{RankError, Stage},
        fitting::{Bounds, NamedTensor, asked_for, fitted},
        models::Model,
        notes::Notes,
    },
    repository::Manifest,
    serving::{Registry, Selector},
    tensor::Tensor,
};

/// A run of a model that is asked for by its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct InferRequest {
    /// The model.
    pub model: String,
    /// Its version.
    pub selector: Selector,
    /// Its inputs, in any order.
    pub inputs: Vec<NamedTensor>,
    /// The outputs that are wanted, in this order; none: all.
    pub outputs: Vec<String>,
    /// How urgent it is; none: as the model's configuration says.
    pub priority: Option<Priority>,
    /// The service that asks; empty where it did not say.
    pub caller: CallerName,
    /// The most candidates that it may have.
    pub most_candidates: usize,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// The model and the version that answered.
    pub model: ModelId,
    /// The outputs of the graph, as they are: no activation is applied, and what is not finite stays.
    pub outputs: Vec<NamedTensor>,
}

/// Runs a model on the tensors of a request, in the same batches as everybody's.
///
/// A request that names no version is answered by the live one: shares of the users have none of it, as it names no user.
///
/// # Errors
/// [`RankError`]: no such model, faulty fields, or the queue's or the run's.
pub(super) async fn infer(
    registry: &Registry<Model>,
    request: InferRequest,
    deadline: Deadline,
    notes: &mut Notes,
) -> Result<Inferred, RankError> {
    let model = registry.resolve(&request.model, &request.selector)?;
    let handle = model.handle();
    notes.model = Some(handle.id().clone());
    notes.figures = Some(Arc::clone(model.figures()));
    notes.features.begin();
    let manifest = handle.manifest();
    let asked_for = asked_for(manifest, &request.outputs);
    let bounds = Bounds::of(request.most_candidates, handle.batching());
    let inputs = fitted(manifest, request.inputs, bounds);
    let (inputs, places) = both(inputs, asked_for)?;
    notes.candidates = candidates(manifest, &inputs);
    notes.scored = notes.candidates;
    notes.features.end();
    let InferRequest { priority, caller, .. } = request;
    let work = Work { inputs, deadline, priority, caller, trace: notes.trace };
    let outputs = handle.run_noted(work, &mut notes.trip).await?;
    if deadline.expired(Instant::now()) {
        return Err(RankError::Expired(Stage::Run));
    }
    let mut outputs: Vec<Option<Tensor>> = outputs.into_iter().map(Some).collect();
    let taken = places.into_iter().filter_map(|place| {
        let name = manifest.outputs.get(place)?.name.clone();
        Some(NamedTensor { name, tensor: outputs.get_mut(place)?.take()? })
    });
    Ok(Inferred { model: handle.id().clone(), outputs: taken.collect() })
}

/// Both, or the faults of both.
fn both<A, B>(a: Result<A, RankError>, b: Result<B, RankError>) -> Result<(A, B), RankError> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(RankError::Invalid(mut faults)), Err(RankError::Invalid(more))) => {
            faults.extend(more);
            Err(RankError::Invalid(faults))
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// The candidates of a request; 0 where the model has none.
fn candidates(manifest: &Manifest, inputs: &[Tensor]) -> usize {
    let all = manifest.inputs.iter().zip(inputs).map(|(spec, tensor)| {
        let dim = |place: usize| spec.shape.get(place).zip(tensor.shape.get(place));
        match (dim(0), dim(1)) {
            (Some((first, rows)), _) if first.is("rows") => *rows,
            (Some((_, users)), Some((second, each))) if second.is("candidates") => users * each,
            _ => 0,
        }
    });
    all.max().unwrap_or(0)
}
