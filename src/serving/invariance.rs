//! Whether what a model says of a request depends on who shares its batch.

use crate::{
    batching::{BatchError, Joins, run_together},
    repository::{Bundle, GoldenInputs},
    runtime::ModelInstance,
    serving::batch_layout::batch_layout,
    tensor::Tensor,
};

/// How far a model's answers in company are from those alone.
#[derive(Debug, Clone, Copy)]
pub struct Invariance {
    /// Cases that shared a batch.
    pub cases: usize,
    /// The largest difference to the answer alone, relative to `max(1, |answer|)`; infinite where shapes differ.
    pub error: f64,
    /// Whether the order of the cases in a batch of the same size changes no bit.
    pub bit_equal: bool,
}

/// Runs golden cases alone, in one batch, and in one batch the other way round, and compares.
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
    let alike = |case: &&GoldenInputs| {
        let shapes = |one: &GoldenInputs| -> Vec<Vec<usize>> {
            one.tensors.iter().map(|t| t.shape.iter().skip(1).copied().collect()).collect()
        };
        layout.joins == Joins::Padded || cases.first().map(shapes) == Some(shapes(case))
    };
    let mut jobs: Vec<&[Tensor]> =
        cases.iter().filter(alike).map(|case| case.tensors.as_slice()).collect();
    if layout.joins == Joins::Alone || jobs.len() < 2 {
        return Ok(None);
    }
    let mut alone = Vec::new();
    for job in &jobs {
        alone.extend(run_together(instance, &layout, &names, &[job])?);
    }
    let together = run_together(instance, &layout, &names, &jobs)?;
    jobs.reverse();
    let mut reversed = run_together(instance, &layout, &names, &jobs)?;
    reversed.reverse();
    let errors = alone.iter().flatten().zip(together.iter().flatten()).map(|(a, b)| error(a, b));
    Ok(Some(Invariance {
        cases: jobs.len(),
        error: errors.fold(0.0, f64::max),
        bit_equal: together == reversed,
    }))
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
