//! Tensors as ONNX Runtime takes and gives them.

use half::f16;
use ort::{
    session::SessionInputValue,
    value::{TensorElementType, TensorRef, TensorValueTypeMarker, Value, ValueType},
};

use crate::tensor::{Tensor, TensorData};

/// Lends the tensor's elements to ONNX Runtime; texts alone are copied.
pub(super) fn input_value(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    let shape = tensor.shape.as_slice();
    Ok(match &tensor.data {
        TensorData::Float32(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        TensorData::Float16(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        TensorData::Int64(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        TensorData::Int32(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        TensorData::Bool(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        TensorData::String(v) => {
            ort::value::Tensor::from_string_array((shape, v.as_slice()))?.into()
        }
    })
}

/// Copies outputs into tensors in the order of their names; the tensors' memory is used again.
pub(super) fn read_outputs<'v, T: TensorValueTypeMarker + 'v>(
    names: &[String],
    value: impl Fn(&str) -> Option<&'v Value<T>>,
    outputs: &mut Vec<Tensor>,
) -> ort::Result<()> {
    let empty = || Tensor { shape: Vec::new(), data: TensorData::Float32(Vec::new()) };
    outputs.resize_with(names.len(), empty);
    for (name, output) in names.iter().zip(outputs) {
        match value(name) {
            Some(value) => read_output(value, output)?,
            None => return Err(ort::Error::new(format!("the output `{name}` is missing"))),
        }
    }
    Ok(())
}

/// Copies an output into a tensor, whose memory is used again where it holds the same type.
fn read_output<T: TensorValueTypeMarker>(value: &Value<T>, into: &mut Tensor) -> ort::Result<()> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(ort::Error::new("an output is not a tensor"));
    };
    into.shape.clear();
    into.shape.extend(shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)));
    macro_rules! read {
        ($kind:ident, $element:ty) => {{
            let (_, elements) = value.try_extract_tensor::<$element>()?;
            match &mut into.data {
                TensorData::$kind(own) => {
                    own.clear();
                    own.extend_from_slice(elements);
                }
                other => *other = TensorData::$kind(elements.to_vec()),
            }
        }};
    }
    match ty {
        TensorElementType::Float32 => read!(Float32, f32),
        TensorElementType::Float16 => read!(Float16, f16),
        TensorElementType::Int64 => read!(Int64, i64),
        TensorElementType::Int32 => read!(Int32, i32),
        TensorElementType::Bool => read!(Bool, bool),
        other => return Err(ort::Error::new(format!("an output has the type {other}"))),
    }
    Ok(())
}
