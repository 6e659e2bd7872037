//! Dense tensors as plain data, without a runtime.

use std::fmt;

use half::f16;

/// An element type that a model's input or output can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit float.
    Float32,
    /// 16-bit float.
    Float16,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit signed integer.
    Int32,
    /// Boolean.
    Bool,
    /// UTF-8 text.
    String,
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Bool => "bool",
            Self::String => "string",
        })
    }
}

/// The elements of a tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// 32-bit floats.
    Float32(Vec<f32>),
    /// 16-bit floats.
    Float16(Vec<f16>),
    /// 64-bit integers.
    Int64(Vec<i64>),
    /// 32-bit integers.
    Int32(Vec<i32>),
    /// Booleans.
    Bool(Vec<bool>),
    /// Texts.
    String(Vec<String>),
}

impl TensorData {
    /// Makes the elements of `dtype` out of 32-bit floats; text stays empty for each.
    pub fn from_floats(dtype: DType, values: Vec<f32>) -> Self {
        match dtype {
            DType::Float32 => Self::Float32(values),
            DType::Float16 => Self::Float16(values.into_iter().map(f16::from_f32).collect()),
            DType::Int64 => Self::Int64(values.into_iter().map(|v| v as i64).collect()),
            DType::Int32 => Self::Int32(values.into_iter().map(|v| v as i32).collect()),
            DType::Bool => Self::Bool(values.into_iter().map(|v| v != 0.0).collect()),
            DType::String => Self::String(vec![String::new(); values.len()]),
        }
    }

    /// Makes the elements of `dtype` out of 64-bit integers; text stays empty for each.
    pub fn from_ints(dtype: DType, values: Vec<i64>) -> Self {
        match dtype {
            DType::Int64 => Self::Int64(values),
            DType::Int32 => Self::Int32(
                values
                    .into_iter()
                    .map(|v| v.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
                    .collect(),
            ),
            DType::Bool => Self::Bool(values.into_iter().map(|v| v != 0).collect()),
            DType::Float32 | DType::Float16 | DType::String => {
                Self::from_floats(dtype, values.into_iter().map(|v| v as f32).collect())
            }
        }
    }

    /// The elements at `places`, one for each, at the cost of a copy.
    pub fn gather(&self, places: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Float32(v) => Self::Float32(places.map(|at| v[at]).collect()),
            Self::Float16(v) => Self::Float16(places.map(|at| v[at]).collect()),
            Self::Int64(v) => Self::Int64(places.map(|at| v[at]).collect()),
            Self::Int32(v) => Self::Int32(places.map(|at| v[at]).collect()),
            Self::Bool(v) => Self::Bool(places.map(|at| v[at]).collect()),
            Self::String(v) => Self::String(places.map(|at| v[at].clone()).collect()),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::Float32(_) => DType::Float32,
            Self::Float16(_) => DType::Float16,
            Self::Int64(_) => DType::Int64,
            Self::Int32(_) => DType::Int32,
            Self::Bool(_) => DType::Bool,
            Self::String(_) => DType::String,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Float32(v) => v.len(),
            Self::Float16(v) => v.len(),
            Self::Int64(v) => v.len(),
            Self::Int32(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::String(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A dense tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The dims; their product is the number of elements.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: TensorData,
}

impl Tensor {
    /// Makes a tensor of 32-bit floats.
    pub fn floats(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { shape, data: TensorData::Float32(values) }
    }

    /// The elements as 32-bit floats, at the cost of a copy; texts become NaN.
    pub fn to_floats(&self) -> Vec<f32> {
        match &self.data {
            TensorData::Float32(v) => v.clone(),
            TensorData::Float16(v) => v.iter().map(|x| x.to_f32()).collect(),
            TensorData::Int64(v) => v.iter().map(|x| *x as f32).collect(),
            TensorData::Int32(v) => v.iter().map(|x| *x as f32).collect(),
            TensorData::Bool(v) => v.iter().map(|x| f32::from(u8::from(*x))).collect(),
            TensorData::String(v) => vec![f32::NAN; v.len()],
        }
    }

    /// The elements as 32-bit floats; copies only where they are of another type.
    pub fn into_floats(self) -> Vec<f32> {
        match self.data {
            TensorData::Float32(values) => values,
            _ => self.to_floats(),
        }
    }
}
