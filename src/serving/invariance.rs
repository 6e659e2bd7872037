//! Whether what a model says of a request depends on who shares its batch.

use crate::{
    batching::{BatchError, BatchLayout, Joins, run_together},
    repository::{Bundle, GoldenInputs},
    runtime::ModelInstance,
    serving::batch_layout::batch_layout,
    tensor::{Tensor, TensorData},
};

/// The best candidates whose order is compared.
const TOP: usize = 10;

/// How far a model's answers in company are from those alone.
#[derive(Debug, Clone, Copy)]
pub struct Invariance {
    /// Cases that shared a batch.
    pub cases: usize,
    /// The largest difference to the answer alone, which ran in another bucket, relative to `max(1, |answer|)`; infinite where shapes differ.
    pub error: f64,
    /// Cases whose ten best candidates stand in another order than alone.
    pub reordered: usize,
    /// Whether other neighbours, or another place, in a batch of the same shapes change no bit.
    pub bit_equal: bool,
}

/// Runs golden cases alone, in one batch, in one batch the other way round, and each beside neighbours that were changed, and compares.
///
/// Cases that may not share a batch are left out; `None` where fewer than two are left.
///
/// # Errors
/// [`BatchError`] where the graph refuses a batch of cases that it takes one by one.
pub fn check_invariance(
    instance: &mut dyn ModelInstance,
    bundle: &Bundle,
    cases: &[GoldenInputs],
) -> Result<Option<Invariance>, BatchError> {
    let layout = batch_layout(bundle);
    let names: Vec<&str> = bundle.manifest.inputs.iter().map(|i| i.name.as_str()).collect();
    let mut jobs: Vec<&[Tensor]> = cases
        .iter()
        .filter(|case| alike(&layout, cases, case))
        .map(|case| case.tensors.as_slice())
        .collect();
    if layout.joins == Joins::Alone || jobs.len() < 2 {
        return Ok(None);
    }
    let (alone, together) = alone_and_together(instance, &layout, &names, &jobs)?;
    let changed: Vec<Vec<Tensor>> = jobs.iter().map(|job| changed(&layout, job)).collect();
    let mut bit_equal = true;
    for which in 0..jobs.len() {
        let mut beside: Vec<&[Tensor]> = changed.iter().map(Vec::as_slice).collect();
        beside[which] = jobs[which];
        let answers = run_together(instance, &layout, &names, &beside)?;
        bit_equal &= answers[which] == together[which];
    }
    jobs.reverse();
    let mut reversed = run_together(instance, &layout, &names, &jobs)?;
    reversed.reverse();
    let errors = alone.iter().flatten().zip(together.iter().flatten()).map(|(a, b)| error(a, b));
    let orders = alone.iter().zip(&together).filter(|(a, b)| top(a) != top(b));
    Ok(Some(Invariance {
        cases: jobs.len(),
        error: errors.fold(0.0, f64::max),
        reordered: orders.count(),
        bit_equal: bit_equal && together == reversed,
    }))
}

/// The outputs of each of some jobs.
type Answers = Vec<Vec<Tensor>>;

/// What each job is answered alone, and what in one batch with the others.
pub(super) fn alone_and_together(
    instance: &mut dyn ModelInstance,
    layout: &BatchLayout,
    names: &[&str],
    jobs: &[&[Tensor]],
) -> Result<(Answers, Answers), BatchError> {
    let mut alone = Vec::new();
    for job in jobs {
        alone.extend(run_together(instance, layout, names, &[job])?);
    }
    Ok((alone, run_together(instance, layout, names, jobs)?))
}

/// Whether a case may share a batch with the first.
fn alike(layout: &BatchLayout, cases: &[GoldenInputs], case: &GoldenInputs) -> bool {
    let shapes = |one: &GoldenInputs| -> Vec<Vec<usize>> {
        one.tensors.iter().map(|t| t.shape.iter().skip(1).copied().collect()).collect()
    };
    layout.joins == Joins::Padded || cases.first().map(shapes) == Some(shapes(case))
}

/// A job of the same shapes and lengths with other values: floats are halved, and where no masks tell rows apart, these stand the other way round.
fn changed(layout: &BatchLayout, job: &[Tensor]) -> Vec<Tensor> {
    let masked = layout.inputs.iter().any(|axes| axes.mask);
    let change = |(axes, tensor): (&crate::batching::InputAxes, &Tensor)| {
        let mut tensor = tensor.clone();
        if let TensorData::Float32(values) = &mut tensor.data {
            values.iter_mut().for_each(|value| *value *= 0.5);
        }
        if axes.lead == layout.unit && !masked {
            reverse_rows(&mut tensor);
        }
        tensor
    };
    layout.inputs.iter().zip(job).map(change).collect()
}

/// Turns the entries of the first dimension round.
fn reverse_rows(tensor: &mut Tensor) {
    fn turn<T: Clone>(values: &mut Vec<T>, width: usize) {
        let turned = values.chunks(width.max(1)).rev().flatten().cloned().collect();
        *values = turned;
    }
    let width = tensor.shape.iter().skip(1).product();
    match &mut tensor.data {
        TensorData::Float32(values) => turn(values, width),
        TensorData::Float16(values) => turn(values, width),
        TensorData::Int64(values) => turn(values, width),
        TensorData::Int32(values) => turn(values, width),
        TensorData::Bool(values) => turn(values, width),
        TensorData::String(values) => turn(values, width),
    }
}

/// The places of the best candidates by the first output, best first.
fn top(outputs: &[Tensor]) -> Vec<usize> {
    let Some(first) = outputs.first() else { return Vec::new() };
    let width = first.shape.iter().skip(1).product::<usize>().max(1);
    let scores: Vec<f32> = first.to_floats().chunks(width).map(|row| row[0]).collect();
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    places.truncate(TOP);
    places
}

fn error(alone: &Tensor, together: &Tensor) -> f64 {
    if alone.shape != together.shape {
        return f64::INFINITY;
    }
    let errors = alone.to_floats().into_iter().zip(together.to_floats()).map(|(want, got)| {
        let error = f64::from((got - want).abs()) / f64::from(want.abs()).max(1.0);
        if error.is_finite() { error } else { f64::INFINITY }
    });
    errors.fold(0.0, f64::max)
}
