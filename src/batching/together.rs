//! Runs several jobs as one batch here and now, without a queue: what a check of their independence needs.

use crate::{
    batching::{
        buckets::Buckets,
        error::BatchError,
        layout::BatchLayout,
        pack::{Part, pack},
        scatter::{check_outputs, scatter},
        units::Units,
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
    let orders: Vec<Units> =
        jobs.iter().map(|job| Units::of(layout, job, &Buckets::default())).collect();
    let parts: Vec<Part<'_>> = jobs
        .iter()
        .zip(&orders)
        .map(|(inputs, order)| Part { inputs, order, units: 0..order.count() })
        .collect();
    let length = parts.iter().map(|part| part.order.longest(&part.units)).max().unwrap_or(1);
    let mut batch = Vec::new();
    pack(layout, &parts, length, &mut batch);
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
