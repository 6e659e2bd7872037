//! A model that is asked by its tensors: its inputs are given as they are, and so are its outputs.

use crate::{
    batching::{Trip, Work},
    ids::ModelId,
    ranking::error::{FieldFault, RankError},
    repository::{DimSpec, InputSpec, Manifest, Sharing},
    serving::ModelHandle,
    tensor::Tensor,
};

/// A model that is asked by its tensors.
#[derive(Debug)]
pub struct TensorModel {
    handle: ModelHandle,
}

impl TensorModel {
    /// Takes a loaded version.
    pub fn new(handle: ModelHandle) -> Self {
        Self { handle }
    }

    /// The model and version.
    pub fn id(&self) -> &ModelId {
        self.handle.id()
    }

    /// The loaded version.
    pub fn handle(&self) -> &ModelHandle {
        &self.handle
    }

    /// Runs the model on one tensor for each input, in the order of the manifest, and gives the outputs in its order; `trip` tells what the
    /// work went through.
    ///
    /// # Errors
    /// [`RankError::Invalid`] with every tensor that does not fit, or the queue's or the run's error.
    pub async fn run(&self, work: Work, trip: &mut Trip) -> Result<Vec<Tensor>, RankError> {
        let faults = misfits(self.handle.manifest(), &work.inputs);
        match faults.is_empty() {
            true => Ok(self.handle.run_noted(work, trip).await?),
            false => Err(RankError::Invalid(faults)),
        }
    }
}

/// Everything of some tensors that does not fit the manifest, by the inputs' names.
fn misfits(manifest: &Manifest, tensors: &[Tensor]) -> Vec<FieldFault> {
    let inputs = &manifest.inputs;
    if inputs.len() != tensors.len() {
        let wrong = format!("has {} tensors, and the model takes {}", tensors.len(), inputs.len());
        return vec![FieldFault::new("inputs", wrong)];
    }
    let all = || inputs.iter().zip(tensors);
    let mut faults: Vec<FieldFault> =
        all().filter_map(|(input, tensor)| misfit(input, tensor)).collect();
    if faults.is_empty() && manifest.sharing != Some(Sharing::Whole) {
        let rows = |tensor: &Tensor| tensor.shape.first().copied().unwrap_or(0);
        let first = tensors.first().map_or(0, rows);
        let wrong = all().filter(|(_, tensor)| rows(tensor) != first || first == 0);
        faults.extend(wrong.map(|(input, tensor)| {
            let wrong = match rows(tensor) {
                0 => "has no rows".to_owned(),
                own => format!("has {own} rows, and `{}` has {first}", inputs[0].name),
            };
            FieldFault::new(format!("inputs.{}", input.name), wrong)
        }));
    }
    faults
}

fn misfit(input: &InputSpec, tensor: &Tensor) -> Option<FieldFault> {
    let fault = |wrong: String| Some(FieldFault::new(format!("inputs.{}", input.name), wrong));
    let dtype = tensor.data.dtype();
    if dtype != input.dtype {
        return fault(format!("is {dtype}, and the model takes {}", input.dtype));
    }
    let fits = |(said, has): (&DimSpec, &usize)| match said {
        DimSpec::Fixed(length) => length == has,
        DimSpec::Named(_) => true,
    };
    let shape = &tensor.shape;
    if shape.len() != input.shape.len() || !input.shape.iter().zip(shape).all(fits) {
        return fault(format!("is of the shape {shape:?}, and the model takes {}", told(input)));
    }
    let elements = shape.iter().try_fold(1_usize, |all, length| all.checked_mul(*length));
    let has = tensor.data.len();
    match elements == Some(has) {
        true => None,
        false => fault(format!("is of the shape {shape:?}, and has {has} values")),
    }
}

/// The shape that an input takes, such as `[-1, 4]`.
fn told(input: &InputSpec) -> String {
    let dims = input.shape.iter().map(|dim| match dim {
        DimSpec::Fixed(length) => length.to_string(),
        DimSpec::Named(_) => "-1".to_owned(),
    });
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use crate::{repository::Source, tensor::TensorData};

    use super::*;

    fn manifest(sharing: Sharing) -> Manifest {
        let text = "format = 1\nrole = 'ranker'\n\
             [[inputs]]\nname = 'x'\nsource = 'candidate'\ndtype = 'float32'\nshape = ['rows', 2]\n\
             [[inputs]]\nname = 'n'\nsource = 'candidate'\ndtype = 'int64'\nshape = ['rows']\n";
        let mut manifest: Manifest = toml::from_str(text).unwrap();
        manifest.inputs.iter_mut().for_each(|input| input.source = Source::Given);
        manifest.sharing = Some(sharing);
        manifest
    }

    fn floats(shape: &[usize]) -> Tensor {
        Tensor::floats(shape.to_vec(), vec![0.0; shape.iter().product()])
    }

    fn ints(rows: usize) -> Tensor {
        Tensor { shape: vec![rows], data: TensorData::Int64(vec![0; rows]) }
    }

    #[track_caller]
    fn check(sharing: Sharing, tensors: &[Tensor], want: &[&str]) {
        let faults = misfits(&manifest(sharing), tensors);
        let got: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn every_tensor_that_does_not_fit_is_named() {
        let joined = Sharing::Joined;
        check(joined, &[floats(&[3, 2]), ints(3)], &[]);
        check(joined, &[floats(&[3, 2])], &["inputs: has 1 tensors, and the model takes 2"]);
        check(
            joined,
            &[ints(3), floats(&[3])],
            &[
                "inputs.x: is int64, and the model takes float32",
                "inputs.n: is float32, and the model takes int64",
            ],
        );
        for shape in [&[3, 3][..], &[3], &[3, 2, 1]] {
            let told = format!("inputs.x: is of the shape {shape:?}, and the model takes [-1, 2]");
            check(joined, &[floats(shape), ints(3)], &[&told]);
        }
        let short = Tensor::floats(vec![3, 2], vec![0.0; 5]);
        check(joined, &[short, ints(3)], &["inputs.x: is of the shape [3, 2], and has 5 values"]);
        let endless = Tensor::floats(vec![usize::MAX, 2], Vec::new());
        let told = format!("inputs.x: is of the shape [{}, 2], and has 0 values", usize::MAX);
        check(joined, &[endless, ints(3)], &[&told]);
    }

    #[test]
    fn rows_are_as_many_everywhere_but_where_requests_stay_whole() {
        let apart = [floats(&[3, 2]), ints(2)];
        check(Sharing::Apart, &apart, &["inputs.n: has 2 rows, and `x` has 3"]);
        check(Sharing::Whole, &apart, &[]);
        let none = ["inputs.x: has no rows", "inputs.n: has no rows"];
        check(Sharing::Joined, &[floats(&[0, 2]), ints(0)], &none);
    }
}
