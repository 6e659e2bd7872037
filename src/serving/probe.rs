//! Runs a session on golden and made-up inputs, to find out whether it can be trusted with a shopper's.

use std::time::{Duration, Instant};

use crate::{
    repository::{Bundle, Fault, golden_inputs, run_golden},
    runtime::{ModelInstance, RuntimeError, lacks_memory},
    serving::{
        batch_layout::batch_layout,
        samples::sample_requests,
        warm_up::{made_up_inputs, varied_inputs},
    },
    tensor::{Tensor, TensorData},
};

/// Sizes grow by this factor.
const GROWTH: usize = 4;

/// Larger sizes are not tried after a run that took so long.
const LONG_RUN: Duration = Duration::from_millis(100);

/// Units of the made-up runs whose answers are looked at.
const FEW: [usize; 2] = [1, 5];

const GRAPH: &str = "model.onnx";

/// Runs a session on all golden cases, and on batches that grow up to `most` units, at the cost of all these runs.
///
/// What it answers to golden cases must be what they say. Of a bundle without any, made-up runs are looked at: an honest graph may have
/// no answer to zeros, or to rows that are all alike, but one that has none to anything is refused.
///
/// # Errors
/// A [`Fault`] that says what it answered, or that it found no memory.
pub fn probe(instance: &mut dyn ModelInstance, bundle: &Bundle, most: usize) -> Result<(), Fault> {
    let cases = golden_inputs(bundle)?;
    for case in &cases {
        let outputs = run(instance, bundle, &case.tensors).map_err(|error| {
            failed(format!("fails on the golden case `{}`: {error}", case.case))
        })?;
        if let Some(output) = not_finite(bundle, &outputs) {
            let wrong =
                format!("answers NaN or infinity in `{output}` to the golden case `{}`", case.case);
            return Err(unsound(wrong));
        }
    }
    if let Some(off) = run_golden(bundle, instance)?.iter().find(|result| !result.passed()) {
        let wrong = format!(
            "answers something else to the golden case `{}`: `{}` is off by {:.1e}, and {:.1e} is allowed",
            off.case, off.output, off.error, off.tolerance
        );
        return Err(unsound(wrong));
    }
    if cases.is_empty() {
        answer_something(instance, bundle)?;
    }
    grow(instance, bundle, most, |rows| {
        let mut all = sample_requests(bundle, &cases, rows);
        all.truncate(1);
        all.push(made_up_inputs(&bundle.manifest, &batch_layout(bundle), rows));
        all
    })
}

/// Refuses a graph that gives a finite answer to nothing that can be made up.
fn answer_something(instance: &mut dyn ModelInstance, bundle: &Bundle) -> Result<(), Fault> {
    let layout = batch_layout(bundle);
    let mut bad = None;
    for units in FEW {
        for inputs in [
            varied_inputs(&bundle.manifest, &layout, units),
            made_up_inputs(&bundle.manifest, &layout, units),
        ] {
            let Some(outputs) = run_if_it_fits(instance, bundle, &inputs)? else { continue };
            match not_finite(bundle, &outputs) {
                None => return Ok(()),
                Some(output) => bad = Some(output.to_owned()),
            }
        }
    }
    match bad {
        None => Ok(()),
        Some(output) => Err(unsound(format!(
            "answers NaN or infinity in `{output}` to everything that can be made up; it has no golden cases to go by"
        ))),
    }
}

/// Runs batches of growing size, for their time and memory.
fn grow(
    instance: &mut dyn ModelInstance,
    bundle: &Bundle,
    most: usize,
    requests: impl Fn(usize) -> Vec<Vec<Tensor>>,
) -> Result<(), Fault> {
    let sizes = std::iter::successors(Some(1), |size: &usize| Some(size.saturating_mul(GROWTH)));
    let mut last = false;
    for rows in sizes {
        let rows = rows.min(most);
        for inputs in requests(rows) {
            let begun = Instant::now();
            run_if_it_fits(instance, bundle, &inputs)?;
            last |= begun.elapsed() > LONG_RUN;
        }
        if last || rows >= most {
            break;
        }
    }
    Ok(())
}

/// Runs the graph on inputs that need not fit it; none where they do not.
fn run_if_it_fits(
    instance: &mut dyn ModelInstance,
    bundle: &Bundle,
    inputs: &[Tensor],
) -> Result<Option<Vec<Tensor>>, Fault> {
    match run(instance, bundle, inputs) {
        Ok(outputs) => Ok(Some(outputs)),
        Err(error) if lacks_memory(&error.to_string()) => Err(failed(error.to_string())),
        Err(_) => Ok(None),
    }
}

fn run(
    instance: &mut dyn ModelInstance,
    bundle: &Bundle,
    inputs: &[Tensor],
) -> Result<Vec<Tensor>, RuntimeError> {
    let names = bundle.manifest.inputs.iter().map(|input| input.name.as_str());
    let named: Vec<(&str, &Tensor)> = names.zip(inputs).collect();
    instance.run(&named)
}

/// The first output that holds a float which is no finite number.
fn not_finite<'b>(bundle: &'b Bundle, outputs: &[Tensor]) -> Option<&'b str> {
    let finite = |tensor: &Tensor| match &tensor.data {
        TensorData::Float32(values) => values.iter().all(|value| value.is_finite()),
        TensorData::Float16(values) => values.iter().all(|value| value.is_finite()),
        _ => true,
    };
    let names = bundle.manifest.output_names();
    let bad = outputs.iter().position(|tensor| !finite(tensor))?;
    names.get(bad).copied()
}

fn failed(wrong: String) -> Fault {
    Fault::new(
        GRAPH,
        wrong,
        "export a graph that runs on these inputs, or export the golden cases again",
    )
}

fn unsound(wrong: String) -> Fault {
    let fix = "look at the model's weights and at its golden cases with `podium check`, and publish it anew";
    Fault::new(GRAPH, wrong, fix)
}
