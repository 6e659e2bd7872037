//! A session of ONNX Runtime behind [`ModelInstance`].

use std::{fmt, sync::Arc};

use half::f16;
use ort::{
    session::{
        HasSelectedOutputs, NoSelectedOutputs, OutputSelector, RunOptions, Session,
        SessionInputValue, builder::GraphOptimizationLevel,
    },
    value::{DynValue, TensorElementType, TensorRef, ValueType},
};

use crate::{
    runtime::{
        instance::{ModelInstance, RuntimeError, Stop},
        options::RuntimeOptions,
        provider::Device,
        signature::Signature,
    },
    tensor::{Tensor, TensorData},
};

pub(super) struct OnnxInstance {
    session: Session,
    run_options: Options,
    outputs: Vec<String>,
    signature: Signature,
}

/// How a session is run. ort shares options between threads only where no outputs are selected.
enum Options {
    /// All outputs are computed; another thread may end the run.
    All(Arc<RunOptions<NoSelectedOutputs>>),
    /// Some outputs are computed.
    Selected(RunOptions<HasSelectedOutputs>),
}

struct StopRun(Arc<RunOptions<NoSelectedOutputs>>);

impl fmt::Debug for StopRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopRun")
    }
}

impl Stop for StopRun {
    fn stop(&self) {
        // It cannot fail: it sets a flag.
        let _ = self.0.terminate();
    }
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
        let all: Vec<String> = signature.outputs.iter().map(|o| o.name.clone()).collect();
        let outputs: Vec<String> = match outputs {
            [] => all.clone(),
            chosen => chosen.iter().map(|name| (*name).to_owned()).collect(),
        };
        let run_options = match all.iter().all(|name| outputs.contains(name)) {
            true => Options::All(Arc::new(RunOptions::new()?)),
            false => {
                let none = OutputSelector::no_default();
                let selector = outputs.iter().fold(none, |all, name| all.with(name));
                Options::Selected(RunOptions::new()?.with_outputs(selector))
            }
        };
        Ok(Self { session, run_options, outputs, signature })
    }
}

impl ModelInstance for OnnxInstance {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn stopper(&self) -> Option<Arc<dyn Stop>> {
        match &self.run_options {
            Options::All(options) => Some(Arc::new(StopRun(Arc::clone(options)))),
            Options::Selected(_) => None,
        }
    }

    fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, RuntimeError> {
        let mut attempt = || -> ort::Result<Vec<Tensor>> {
            let values = inputs
                .iter()
                .map(|(name, tensor)| Ok((*name, input_value(tensor)?)))
                .collect::<ort::Result<Vec<_>>>()?;
            let outputs = match &self.run_options {
                Options::All(options) => {
                    options.unterminate()?;
                    self.session.run_with_options(values, options)?
                }
                Options::Selected(options) => self.session.run_with_options(values, options)?,
            };
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
