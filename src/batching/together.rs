//! Runs several jobs as one batch here and now, without a queue: what a check of their independence needs.

use crate::{
    batching::{
        error::BatchError,
        layout::{BatchLayout, Lead},
        pack::{Part, check_outputs, pack, scatter},
    },
    runtime::ModelInstance,
    tensor::Tensor,
};

/// Runs jobs as one batch; returns the outputs of each, in the order of the jobs.
///
/// `names` and the tensors of a job are in the order of the layout's inputs.
///
/// # Errors
/// [`BatchError::Runtime`] where the graph refuses the batch, [`BatchError::WrongLead`] where rows are missing.
pub fn run_together(
    instance: &mut dyn ModelInstance,
    layout: &BatchLayout,
    names: &[&str],
    jobs: &[&[Tensor]],
) -> Result<Vec<Vec<Tensor>>, BatchError> {
    let parts = parts_of(layout, jobs);
    let mut batch = Vec::new();
    pack(layout, &parts, &mut batch);
    let named: Vec<(&str, &Tensor)> = names.iter().copied().zip(&batch).collect();
    let outputs = instance.run(&named)?;
    check_outputs(layout, &parts, &outputs).map_err(BatchError::from)?;
    let apart = parts.iter().enumerate().map(|(which, part)| {
        let mut own = Vec::new();
        scatter(layout, &parts, which, &outputs, (part.units.len(), &mut own));
        own
    });
    Ok(apart.collect())
}

/// The tensors of the batch that jobs make together, without running it.
pub fn join(layout: &BatchLayout, jobs: &[&[Tensor]]) -> Vec<Tensor> {
    let mut batch = Vec::new();
    pack(layout, &parts_of(layout, jobs), &mut batch);
    batch
}

/// Jobs as parts of a batch, each as a whole.
fn parts_of<'a>(layout: &BatchLayout, jobs: &[&'a [Tensor]]) -> Vec<Part<'a>> {
    let part = |inputs: &&'a [Tensor]| Part { inputs, units: 0..units_of(layout, inputs) };
    jobs.iter().map(part).collect()
}

/// The rows of a job, or its users where the model is run by users.
pub(super) fn units_of(layout: &BatchLayout, inputs: &[Tensor]) -> usize {
    let leads = layout.inputs.iter().zip(inputs).filter(|(axes, _)| axes.lead == layout.unit);
    let units = leads.filter_map(|(_, tensor)| tensor.shape.first()).max();
    units.copied().unwrap_or(usize::from(layout.unit == Lead::Users))
}
