//! ONNX's numbers of element types, `TensorProto.DataType`.

use crate::tensor::DType;

/// The types that tensors can have here.
const CARRIED: [(u64, DType); 6] = [
    (1, DType::Float32),
    (6, DType::Int32),
    (7, DType::Int64),
    (8, DType::String),
    (9, DType::Bool),
    (10, DType::Float16),
];

/// The others, by name.
const OTHERS: [(u64, &str); 10] = [
    (2, "uint8"),
    (3, "int8"),
    (4, "uint16"),
    (5, "int16"),
    (11, "float64"),
    (12, "uint32"),
    (13, "uint64"),
    (14, "complex64"),
    (15, "complex128"),
    (16, "bfloat16"),
];

/// The number of an element type.
pub(super) fn number_of(dtype: DType) -> u64 {
    CARRIED.iter().find(|(_, known)| *known == dtype).map_or(0, |(number, _)| *number)
}

/// The element type of a number.
///
/// # Errors
/// What the type is called, where tensors cannot have it here.
pub(super) fn dtype_of(number: u64) -> Result<DType, String> {
    if let Some((_, dtype)) = CARRIED.iter().find(|(known, _)| *known == number) {
        return Ok(*dtype);
    }
    let other = OTHERS.iter().find(|(known, _)| *known == number);
    Err(other.map_or_else(|| format!("number {number}"), |(_, name)| (*name).to_owned()))
}
