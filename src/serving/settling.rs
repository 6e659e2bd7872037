//! How requests share a batch: for a model that nobody has described, it is found out by trying.

use crate::{
    batching::{BatchError, BatchLayout},
    repository::{Bundle, DimSpec, Manifest, ROWS, Sharing},
    runtime::ModelInstance,
    serving::{
        batch_layout::{batch_layout, layout_of_tensors},
        invariance::alone_and_together,
        warm_up::varied_inputs,
    },
    tensor::{DType, Tensor},
};

/// Rows of the requests that are made up, one behind another.
const SIZES: [usize; 3] = [1, 2, 3];

/// How far company may move a float, relative to the larger of 1 and itself.
const TOLERANCE: f64 = 1e-4;

/// The same for floats of 16 bits, whose own steps are larger.
const TOLERANCE_OF_HALVES: f64 = 5e-3;

/// The manifest with what came of trying, and the layout that goes with it; costs some runs of a few rows where there is something to try.
///
/// Where company moves an answer, or nothing that is made up can be run, each request stays by itself.
pub fn settled(instance: &mut dyn ModelInstance, bundle: &Bundle) -> (Manifest, BatchLayout) {
    let mut manifest = bundle.manifest.clone();
    if manifest.sharing != Some(Sharing::JoinedIfIndependent) {
        return (manifest, batch_layout(bundle));
    }
    let wrong = moved_by_company(instance, &manifest);
    manifest.sharing = Some(match &wrong {
        None => Sharing::Joined,
        Some(_) => Sharing::Whole,
    });
    if manifest.sharing == Some(Sharing::Whole) {
        forget_rows(&mut manifest);
    }
    match wrong {
        None => {
            tracing::info!(model = %bundle.id, "requests share batches: company moves no answer")
        }
        Some(why) => tracing::info!(model = %bundle.id, why, "each request is a run of its own"),
    }
    let layout = layout_of_tensors(&manifest);
    (manifest, layout)
}

/// Takes the first dimensions for what they are, of which nothing is known any more.
fn forget_rows(manifest: &mut Manifest) {
    let inputs = manifest.inputs.iter_mut().map(|input| (&input.name, &mut input.shape));
    let outputs = manifest.outputs.iter_mut().map(|output| (&output.name, &mut output.shape));
    for (name, shape) in inputs.chain(outputs) {
        if let Some(first) = shape.first_mut().filter(|dim| dim.is(ROWS)) {
            *first = DimSpec::Named(format!("{name}[0]"));
        }
    }
}

/// What speaks against joining the rows of requests; none where nothing does.
fn moved_by_company(instance: &mut dyn ModelInstance, manifest: &Manifest) -> Option<String> {
    let layout = layout_of_tensors(manifest);
    let names: Vec<&str> = manifest.inputs.iter().map(|input| input.name.as_str()).collect();
    let all = varied_inputs(manifest, &layout, SIZES.iter().sum());
    let mut begin = 0;
    let requests = SIZES.map(|rows| {
        begin += rows;
        all.iter().map(|tensor| some_rows(tensor, begin - rows..begin)).collect::<Vec<Tensor>>()
    });
    let mut compare = || -> Result<Option<String>, BatchError> {
        let jobs: Vec<&[Tensor]> = requests.iter().map(Vec::as_slice).collect();
        let (alone, together) = alone_and_together(instance, &layout, &names, &jobs)?;
        let pairs = alone.iter().zip(&together).flat_map(|(a, b)| a.iter().zip(b));
        let outputs = manifest.outputs.iter().cycle();
        let moved = outputs.zip(pairs).find(|(_, (alone, together))| !is_same(alone, together));
        Ok(moved.map(|(output, _)| format!("company moves `{}`", output.name)))
    };
    compare().unwrap_or_else(|error| Some(format!("made-up requests cannot be joined: {error}")))
}

fn some_rows(tensor: &Tensor, rows: std::ops::Range<usize>) -> Tensor {
    let width: usize = tensor.shape.iter().skip(1).product();
    let mut shape = tensor.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = rows.len();
    }
    Tensor { shape, data: tensor.data.gather(rows.start * width..rows.end * width) }
}

fn is_same(alone: &Tensor, together: &Tensor) -> bool {
    let tolerance = match alone.data.dtype() {
        DType::Float32 => TOLERANCE,
        DType::Float16 => TOLERANCE_OF_HALVES,
        _ => return alone == together,
    };
    let near = |(a, b): (f32, f32)| {
        let (a, b) = (f64::from(a), f64::from(b));
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(1.0)
    };
    alone.shape == together.shape
        && alone.to_floats().into_iter().zip(together.to_floats()).all(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(alone: &[f32], together: &[f32], want: bool) {
        let tensor = |values: &[f32]| Tensor::floats(vec![values.len()], values.to_vec());
        assert_eq!(is_same(&tensor(alone), &tensor(together)), want);
    }

    #[test]
    fn answers_are_the_same_but_for_the_last_bits() {
        check(&[1.0, 200.0], &[1.00009, 200.01], true);
        check(&[1.0], &[1.0002], false);
        check(&[f32::NAN, f32::INFINITY], &[f32::NAN, f32::INFINITY], true);
        check(&[f32::NAN], &[1.0], false);
        check(&[1.0], &[1.0, 1.0], false);
    }

    #[test]
    fn rows_are_taken_with_all_that_belongs_to_them() {
        let tensor = Tensor::floats(vec![3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let got = some_rows(&tensor, 1..3);
        assert_eq!(got, Tensor::floats(vec![2, 2], vec![3.0, 4.0, 5.0, 6.0]));
    }
}
