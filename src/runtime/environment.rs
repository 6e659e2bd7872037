//! The loaded ONNX Runtime library and the device that its sessions use.

use std::sync::OnceLock;

use crate::runtime::{
    instance::{ModelInstance, RuntimeError},
    onnx::OnnxInstance,
    options::RuntimeOptions,
    provider::{Device, DeviceChoice, probe_cuda},
};

/// The version of ONNX Runtime that the project fetches and is tested with.
pub const LIBRARY_VERSION: &str = "1.31.1";

/// The oldest version whose interface is enough.
const OLDEST_LIBRARY: &str = "1.24";

/// ONNX Runtime, loaded, with a device that works.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: ort::environment::Environment,
    options: RuntimeOptions,
    device: Device,
}

/// A process can have only one environment; tests ask for it more than once.
static ENVIRONMENT: OnceLock<Result<ort::environment::Environment, String>> = OnceLock::new();

impl Runtime {
    /// Loads the library and chooses the device, at the cost of a device start where CUDA is tried.
    ///
    /// # Errors
    /// [`RuntimeError::Library`] when the library is missing or too old, [`RuntimeError::Device`] when CUDA is asked
    /// for and cannot be used.
    pub fn load(options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let environment = ENVIRONMENT
            .get_or_init(|| {
                let builder = ort::init_from(&options.library).map_err(|e| e.to_string())?;
                builder
                    .with_name("podium")
                    .with_telemetry(false)
                    .build()
                    .map_err(|e| e.message().to_owned())
            })
            .clone()
            .map_err(|cause| RuntimeError::Library {
                wanted: OLDEST_LIBRARY,
                path: options.library.display().to_string(),
                cause,
            })?;
        let device = choose_device(&environment, &options)?;
        Ok(Self { environment, options, device })
    }

    /// Makes a session of the graph `model` (ONNX in protobuf's wire format), at the cost of optimising it.
    ///
    /// `outputs` are the graph's outputs that are to be computed, in the order in which a run returns them; none means
    /// all of them in the order of the graph. Data outside of `model` is not read.
    ///
    /// # Errors
    /// [`RuntimeError::Load`] when ONNX Runtime refuses the graph.
    pub fn instance(
        &self,
        model: &[u8],
        outputs: &[&str],
    ) -> Result<Box<dyn ModelInstance>, RuntimeError> {
        let instance =
            OnnxInstance::load(&self.environment, &self.options, &self.device, model, outputs)
                .map_err(|error| RuntimeError::Load(error.message().to_owned()))?;
        Ok(Box::new(instance))
    }

    /// The device that sessions run on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Threads within one run of a session.
    pub fn intra_op_threads(&self) -> usize {
        self.options.intra_op_threads
    }

    /// What the library says of its build.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }
}

fn choose_device(
    environment: &ort::environment::Environment,
    options: &RuntimeOptions,
) -> Result<Device, RuntimeError> {
    if options.device == DeviceChoice::Cpu {
        return Ok(Device::Cpu);
    }
    let cuda = Device::Cuda(options.cuda.clone());
    match probe_cuda(environment, &options.cuda) {
        Ok(()) => Ok(cuda),
        Err(cause) if options.device == DeviceChoice::Cuda => {
            Err(RuntimeError::Device { device: cuda.to_string(), cause })
        }
        Err(cause) => {
            tracing::info!(device = "cpu", %cause, "CUDA cannot be used: the CPU is");
            Ok(Device::Cpu)
        }
    }
}
