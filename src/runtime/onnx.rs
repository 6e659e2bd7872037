//! A session of ONNX Runtime behind [`ModelInstance`].

use half::f16;
use ort::{
    session::{
        HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue,
        builder::GraphOptimizationLevel,
    },
    value::{DynValue, TensorElementType, TensorRef, ValueType},
};

use crate::{
    runtime::{
        instance::{ModelInstance, RuntimeError},
        options::RuntimeOptions,
        provider::Device,
        signature::Signature,
    },
    tensor::{Tensor, TensorData},
};

pub(super) struct OnnxInstance {
    session: Session,
    run_options: RunOptions<HasSelectedOutputs>,
    outputs: Vec<String>,
    signature: Signature,
}

impl OnnxInstance {
    pub(super) fn load(
        environment: &ort::environment::Environment,
        options: &RuntimeOptions,
        device: &Device,
        model: &[u8],
        outputs: &[&str],
    ) -> ort::Result<Self> {
        let session = Session::builder(environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(options.intra_op_threads)?
            .with_intra_op_spinning(options.intra_op_spinning)?
            .with_execution_providers(device.providers())?
            .commit_from_memory(model)?;
        let signature = Signature::of(session.inputs(), session.outputs());
        let outputs: Vec<String> = match outputs {
            [] => signature.outputs.iter().map(|o| o.name.clone()).collect(),
            chosen => chosen.iter().map(|name| (*name).to_owned()).collect(),
        };
        let selector =
            outputs.iter().fold(OutputSelector::no_default(), |all, name| all.with(name));
        Ok(Self {
            session,
            run_options: RunOptions::new()?.with_outputs(selector),
            outputs,
            signature,
        })
    }
}

impl ModelInstance for OnnxInstance {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, RuntimeError> {
        let mut attempt = || -> ort::Result<Vec<Tensor>> {
            let values = inputs
                .iter()
                .map(|(name, tensor)| Ok((*name, input_value(tensor)?)))
                .collect::<ort::Result<Vec<_>>>()?;
            let outputs = self.session.run_with_options(values, &self.run_options)?;
            self.outputs
                .iter()
                .map(|name| match outputs.get(name) {
                    Some(value) => output_tensor(value),
                    None => Err(ort::Error::new(format!("the output `{name}` is missing"))),
                })
                .collect()
        };
        attempt().map_err(|error| RuntimeError::Run(error.message().to_owned()))
    }
}

/// Lends the tensor's elements to ONNX Runtime; texts alone are copied.
fn input_value(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
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

fn output_tensor(value: &DynValue) -> ort::Result<Tensor> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(ort::Error::new("an output is not a tensor"));
    };
    let shape = shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
    let data = match ty {
        TensorElementType::Float32 => {
            TensorData::Float32(value.try_extract_tensor::<f32>()?.1.to_vec())
        }
        TensorElementType::Float16 => {
            TensorData::Float16(value.try_extract_tensor::<f16>()?.1.to_vec())
        }
        TensorElementType::Int64 => {
            TensorData::Int64(value.try_extract_tensor::<i64>()?.1.to_vec())
        }
        TensorElementType::Int32 => {
            TensorData::Int32(value.try_extract_tensor::<i32>()?.1.to_vec())
        }
        TensorElementType::Bool => TensorData::Bool(value.try_extract_tensor::<bool>()?.1.to_vec()),
        other => return Err(ort::Error::new(format!("an output has the type {other}"))),
    };
    Ok(Tensor { shape, data })
}
