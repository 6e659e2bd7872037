//! Runs several jobs as one batch here and now, without a queue: what a check of their independence needs, and a bench.

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
    let orders = orders(layout, jobs);
    let parts = whole(jobs, &orders);
    let batch = joined(layout, &parts);
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
    let orders = orders(layout, jobs);
    joined(layout, &whole(jobs, &orders))
}

fn orders(layout: &BatchLayout, jobs: &[&[Tensor]]) -> Vec<Units> {
    jobs.iter().map(|job| Units::of(layout, job, &Buckets::default())).collect()
}

/// Jobs as parts of a batch, each as a whole.
fn whole<'a>(jobs: &[&'a [Tensor]], orders: &'a [Units]) -> Vec<Part<'a>> {
    let part = |(inputs, order): (&&'a [Tensor], &'a Units)| Part {
        inputs,
        order,
        units: 0..order.count(),
    };
    jobs.iter().zip(orders).map(part).collect()
}

fn joined(layout: &BatchLayout, parts: &[Part<'_>]) -> Vec<Tensor> {
    let length = parts.iter().map(|part| part.order.longest(&part.units)).max().unwrap_or(1);
    let mut batch = Vec::new();
    pack(layout, parts, length, &mut batch);
    batch
}
