//! What a graph takes and gives, as the graph itself says it.

use std::fmt;

use ort::value::{Outlet, TensorElementType, ValueType};

use crate::tensor::DType;

/// One dimension of a graph's input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always of this length.
    Fixed(usize),
    /// Of any length; the graph's own name for it, which may be empty.
    Dynamic(String),
}

/// One input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its element type; `Err` holds the name of one that Podium does not carry.
    pub dtype: Result<DType, String>,
    /// Its dimensions.
    pub dims: Vec<Dim>,
}

/// The inputs and outputs of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// The inputs in the order of the graph.
    pub inputs: Vec<TensorInfo>,
    /// The outputs in the order of the graph.
    pub outputs: Vec<TensorInfo>,
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.dtype {
            Ok(dtype) => write!(f, "{dtype}")?,
            Err(name) => f.write_str(name)?,
        }
        f.write_str("[")?;
        for (at, dim) in self.dims.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            match dim {
                Dim::Fixed(length) => write!(f, "{length}")?,
                Dim::Dynamic(name) if name.is_empty() => f.write_str("?")?,
                Dim::Dynamic(name) => f.write_str(name)?,
            }
        }
        f.write_str("]")
    }
}

impl Signature {
    pub(super) fn of(inputs: &[Outlet], outputs: &[Outlet]) -> Self {
        Self {
            inputs: inputs.iter().map(tensor_info).collect(),
            outputs: outputs.iter().map(tensor_info).collect(),
        }
    }
}

fn tensor_info(outlet: &Outlet) -> TensorInfo {
    let (dtype, dims) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, dimension_symbols } => {
            let dims = shape
                .iter()
                .zip(dimension_symbols.iter())
                .map(|(&length, symbol)| match usize::try_from(length) {
                    Ok(length) => Dim::Fixed(length),
                    Err(_) => Dim::Dynamic(symbol.clone()),
                })
                .collect();
            (dtype_of(*ty), dims)
        }
        other => (Err(format!("{other:?}")), Vec::new()),
    };
    TensorInfo { name: outlet.name().to_owned(), dtype, dims }
}

fn dtype_of(element: TensorElementType) -> Result<DType, String> {
    match element {
        TensorElementType::Float32 => Ok(DType::Float32),
        TensorElementType::Float16 => Ok(DType::Float16),
        TensorElementType::Int64 => Ok(DType::Int64),
        TensorElementType::Int32 => Ok(DType::Int32),
        TensorElementType::Bool => Ok(DType::Bool),
        TensorElementType::String => Ok(DType::String),
        other => Err(other.to_string()),
    }
}
