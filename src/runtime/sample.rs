//! Made-up inputs of a graph, on which two ways of running it are compared.

use std::collections::BTreeMap;

use crate::{
    runtime::{
        instance::ModelInstance,
        signature::{Dim, Signature},
    },
    tensor::{Tensor, TensorData},
};

/// The most that two answers may differ, relative to the larger of 1 and the answer: on a GPU the way of the inputs may move the last bits.
const TOLERANCE: f32 = 1e-4;

/// How many times a sample is run, the first time not to be captured: the fourth is captured, the fifth replayed.
const RUNS: usize = 5;

/// Ways to make up inputs, the most telling first: the lengths of named dims, and the values.
const WAYS: [(&[usize], bool); 4] =
    [(&[2, 3, 5, 4], true), (&[2], true), (&[2], false), (&[1], false)];

/// Holds an instance against another one of the same graph, whose answers are right; says where it differs.
pub(super) fn compare(
    right: &mut dyn ModelInstance,
    other: &mut dyn ModelInstance,
) -> Result<(), String> {
    let (mut want, mut got) = (Vec::new(), Vec::new());
    for (lengths, telling) in WAYS {
        let inputs = made_up(right.signature(), lengths, telling);
        let named: Vec<(&str, &Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t)).collect();
        if right.run_into(&named, &mut want).is_err() {
            continue;
        }
        let mut blocks = other.input_blocks();
        for run in 0..RUNS {
            let ran = match &mut blocks {
                Some(blocks) if run > 0 => other.run_blocks(blocks, &named, &mut got),
                _ => other.run_into(&named, &mut got),
            };
            ran.map_err(|error| error.to_string())?;
            if let Some(which) = (0..want.len()).find(|&which| !alike(&want[which], &got[which])) {
                return Err(format!("output {which} is another one on made-up inputs"));
            }
        }
        return Ok(());
    }
    Err("the graph takes no made-up inputs to compare its answers on".to_owned())
}

/// Inputs by name. Dims of one name have one length; telling values differ from place to place, others are zeros.
fn made_up(signature: &Signature, lengths: &[usize], telling: bool) -> Vec<(String, Tensor)> {
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    let mut count = 0;
    let mut all = Vec::new();
    for input in &signature.inputs {
        let dims = input.dims.iter().map(|dim| match dim {
            Dim::Fixed(length) => *length,
            Dim::Dynamic(name) => {
                let next = lengths[named.len() % lengths.len()];
                *named.entry(name).or_insert(next)
            }
        });
        let shape: Vec<usize> = dims.collect();
        let Ok(dtype) = input.dtype else { continue };
        let values = (0..shape.iter().product()).map(|_| {
            count += 1;
            if telling { count % 97 } else { 0 }
        });
        let values: Vec<i64> = values.collect();
        // Integers are often numbers of something: small ones are the likeliest to be there.
        let data = match TensorData::from_ints(dtype, Vec::new()) {
            TensorData::Int64(_) | TensorData::Int32(_) | TensorData::Bool(_) => {
                TensorData::from_ints(dtype, values.iter().map(|value| value % 7 % 2).collect())
            }
            _ => TensorData::from_floats(dtype, values.iter().map(|v| *v as f32 / 64.0).collect()),
        };
        all.push((input.name.clone(), Tensor { shape, data }));
    }
    all
}

/// Whether two outputs are the same, as near as a device computes them.
fn alike(want: &Tensor, got: &Tensor) -> bool {
    let near = |(want, got): (f32, f32)| {
        want.to_bits() == got.to_bits()
            || (want.is_nan() && got.is_nan())
            || (want - got).abs() <= TOLERANCE * want.abs().max(1.0)
    };
    want.shape == got.shape
        && want.data.dtype() == got.data.dtype()
        && want.to_floats().into_iter().zip(got.to_floats()).all(near)
}

#[cfg(test)]
mod tests {
    use crate::{
        runtime::{error::RuntimeError, signature::TensorInfo},
        tensor::DType,
    };

    use super::*;

    /// Answers the sum of all inputs times a factor, if they have one shape.
    struct Sum(Signature, f32);

    impl ModelInstance for Sum {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn run_into(
            &mut self,
            inputs: &[(&str, &Tensor)],
            outputs: &mut Vec<Tensor>,
        ) -> Result<(), RuntimeError> {
            if inputs.iter().any(|(_, tensor)| tensor.shape != inputs[0].1.shape) {
                return Err(RuntimeError::Run("shapes".to_owned()));
            }
            let sum: f32 = inputs.iter().flat_map(|(_, tensor)| tensor.to_floats()).sum();
            *outputs = vec![Tensor::floats(vec![1], vec![sum * self.1])];
            Ok(())
        }
    }

    fn sum(dims: [&str; 2], factor: f32) -> Sum {
        let input = |name: &str, dim: &str| TensorInfo {
            name: name.to_owned(),
            dtype: Ok(DType::Float32),
            dims: vec![Dim::Dynamic(dim.to_owned())],
        };
        let inputs = vec![input("a", dims[0]), input("b", dims[1])];
        Sum(Signature { inputs, outputs: Vec::new() }, factor)
    }

    #[test]
    fn another_answer_is_told() {
        for dims in [["rows", "rows"], ["rows", "users"]] {
            assert_eq!(compare(&mut sum(dims, 1.0), &mut sum(dims, 1.0)), Ok(()));
            assert!(compare(&mut sum(dims, 1.0), &mut sum(dims, 1.1)).is_err());
        }
    }

    #[test]
    fn dims_of_one_name_have_one_length() {
        let inputs = made_up(&sum(["rows", "users"], 1.0).0, &[2, 3], true);
        assert_eq!((inputs[0].1.data.len(), inputs[1].1.data.len()), (2, 3));
        let inputs = made_up(&sum(["rows", "rows"], 1.0).0, &[2, 3], true);
        assert_ne!(inputs[0].1, inputs[1].1);
    }
}
