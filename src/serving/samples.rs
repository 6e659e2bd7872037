//! Requests to try a version with: its golden cases, stretched to a number of rows.

use crate::{
    repository::{Bundle, DimSpec, GoldenInputs, InputSpec, Role, Source},
    serving::{batch_layout::batch_layout, warm_up::made_up_inputs},
    tensor::{Tensor, TensorData},
};

/// The inputs of one request for each golden case, with so many rows, which are those of the case again and again; made-up ones where no
/// case has any.
///
/// Rows are candidates of one user, or users where the model is a user encoder.
pub fn sample_requests(bundle: &Bundle, cases: &[GoldenInputs], rows: usize) -> Vec<Vec<Tensor>> {
    let manifest = &bundle.manifest;
    let stretched = |tensors: &[Tensor]| -> Option<Vec<Tensor>> {
        let inputs = manifest.inputs.iter().zip(tensors);
        inputs.map(|(input, tensor)| stretch(input, tensor, (manifest.role, rows))).collect()
    };
    let golden: Vec<_> = cases.iter().filter_map(|case| stretched(&case.tensors)).collect();
    match golden.is_empty() {
        true => {
            stretched(&made_up_inputs(manifest, &batch_layout(bundle), 1)).into_iter().collect()
        }
        false => golden,
    }
}

/// A tensor with the rows of a request; `None` where it has none to take them from.
fn stretch(input: &InputSpec, tensor: &Tensor, (role, rows): (Role, usize)) -> Option<Tensor> {
    let mut tensor = tensor.clone();
    for (axis, dim) in input.shape.iter().enumerate() {
        let count = match (dim, role) {
            (DimSpec::Fixed(_), _) => continue,
            (named, Role::UserEncoder) if named.is("users") => rows,
            (named, Role::Ranker) if named.is("users") => 1,
            (named, _) if named.is("rows") || named.is("candidates") => rows,
            _ => continue,
        };
        tensor = repeat(&tensor, axis, count)?;
    }
    if input.source == Source::UserIndex {
        // There is one user left.
        let zeros = vec![0.0; tensor.data.len()];
        tensor.data = TensorData::from_floats(tensor.data.dtype(), zeros);
    }
    Some(tensor)
}

/// Takes so many entries along an axis, beginning anew where they are used up; `None` where there are none.
fn repeat(tensor: &Tensor, axis: usize, count: usize) -> Option<Tensor> {
    let has = *tensor.shape.get(axis).filter(|length| **length > 0)?;
    let outer: usize = tensor.shape[..axis].iter().product();
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let entries = (0..outer).flat_map(|group| (0..count).map(move |at| group * has + at % has));
    let places: Vec<usize> = entries.flat_map(|entry| entry * inner..(entry + 1) * inner).collect();
    fn pick<T: Clone>(values: &[T], places: &[usize]) -> Vec<T> {
        places.iter().map(|place| values[*place].clone()).collect()
    }
    let data = match &tensor.data {
        TensorData::Float32(values) => TensorData::Float32(pick(values, &places)),
        TensorData::Float16(values) => TensorData::Float16(pick(values, &places)),
        TensorData::Int64(values) => TensorData::Int64(pick(values, &places)),
        TensorData::Int32(values) => TensorData::Int32(pick(values, &places)),
        TensorData::Bool(values) => TensorData::Bool(pick(values, &places)),
        TensorData::String(values) => TensorData::String(pick(values, &places)),
    };
    let mut shape = tensor.shape.clone();
    shape[axis] = count;
    Some(Tensor { shape, data })
}

#[cfg(test)]
mod tests {
    use crate::repository::Manifest;

    use super::*;

    #[track_caller]
    fn check((axis, count): (usize, usize), shape: &[usize], want: &[f32]) {
        let tensor = Tensor::floats(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let got = repeat(&tensor, axis, count).unwrap();
        assert_eq!((got.shape.as_slice(), got.to_floats().as_slice()), (shape, want));
    }

    #[test]
    fn entries_begin_anew_where_they_are_used_up() {
        check((0, 1), &[1, 2], &[1.0, 2.0]);
        check((0, 3), &[3, 2], &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0]);
        check((1, 3), &[2, 3], &[1.0, 2.0, 1.0, 3.0, 4.0, 3.0]);
        assert_eq!(repeat(&Tensor::floats(vec![0], vec![]), 0, 3), None);
    }

    #[test]
    fn a_request_has_one_user_and_the_wanted_rows() {
        let manifest: Manifest = toml::from_str(
            "format = 1\nrole = 'ranker'\ndescription = ''\n\
             [[inputs]]\nname = 'user'\nsource = 'user_embedding'\ndtype = 'float32'\nshape = ['users', 2]\n\
             [[inputs]]\nname = 'index'\nsource = 'user_index'\ndtype = 'int64'\nshape = ['rows']\n\
             [[outputs]]\nname = 'score'\nshape = ['rows']\n[files]\n",
        )
        .unwrap();
        let index = Tensor { shape: vec![2], data: TensorData::Int64(vec![0, 1]) };
        let user = Tensor::floats(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let case = GoldenInputs { case: "two".to_owned(), tensors: vec![user, index] };
        for (role, users) in [(Role::Ranker, 1), (Role::UserEncoder, 3)] {
            let got = case.tensors.iter().zip(&manifest.inputs);
            let got: Vec<_> = got.map(|(t, input)| stretch(input, t, (role, 3)).unwrap()).collect();
            assert_eq!(got[0].shape, [users, 2]);
            assert_eq!(got[1].to_floats(), [0.0; 3]);
        }
    }
}
