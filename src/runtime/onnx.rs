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

    fn run_into(
        &mut self,
        inputs: &[(&str, &Tensor)],
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), RuntimeError> {
        self.attempt(inputs, outputs).map_err(|error| RuntimeError::Run(error.message().to_owned()))
    }
}

impl OnnxInstance {
    fn attempt(
        &mut self,
        inputs: &[(&str, &Tensor)],
        outputs: &mut Vec<Tensor>,
    ) -> ort::Result<()> {
        let values = inputs
            .iter()
            .map(|(name, tensor)| Ok((*name, input_value(tensor)?)))
            .collect::<ort::Result<Vec<_>>>()?;
        let values = match &self.run_options {
            Options::All(options) => {
                options.unterminate()?;
                self.session.run_with_options(values, options)?
            }
            Options::Selected(options) => self.session.run_with_options(values, options)?,
        };
        let empty = || Tensor { shape: Vec::new(), data: TensorData::Float32(Vec::new()) };
        outputs.resize_with(self.outputs.len(), empty);
        for (name, output) in self.outputs.iter().zip(outputs) {
            match values.get(name) {
                Some(value) => read_output(value, output)?,
                None => return Err(ort::Error::new(format!("the output `{name}` is missing"))),
            }
        }
        Ok(())
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

/// Copies an output into a tensor, whose memory is used again where it holds the same type.
fn read_output(value: &DynValue, into: &mut Tensor) -> ort::Result<()> {
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
