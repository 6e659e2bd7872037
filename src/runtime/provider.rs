//! Which device a graph runs on, found out by trying.

use ort::{
    ep::{self, ArenaExtendStrategy, ExecutionProviderDispatch, cuda::ConvAlgorithmSearch},
    session::Session,
    value::Tensor,
};
use serde::{Deserialize, Serialize};

/// What the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// CUDA where it is really usable, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// CUDA, or no start.
    Cuda,
}

/// Options of the CUDA execution provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CudaOptions {
    /// Which GPU.
    pub device_id: i32,
    /// Upper bound of each session's arena in bytes; 0 sets none.
    pub memory_limit_bytes: usize,
    /// Whether the arena grows by powers of two rather than by what is asked for.
    pub arena_doubles: bool,
    /// Whether matrix products may round their inputs to TF32.
    pub tf32: bool,
    /// Whether cuDNN tries all convolution algorithms rather than guessing one.
    pub conv_exhaustive_search: bool,
}

impl CudaOptions {
    fn provider(&self) -> ExecutionProviderDispatch {
        let arena = match self.arena_doubles {
            true => ArenaExtendStrategy::NextPowerOfTwo,
            false => ArenaExtendStrategy::SameAsRequested,
        };
        let search = match self.conv_exhaustive_search {
            true => ConvAlgorithmSearch::Exhaustive,
            false => ConvAlgorithmSearch::Heuristic,
        };
        let mut provider = ep::CUDA::default()
            .with_device_id(self.device_id)
            .with_arena_extend_strategy(arena)
            .with_conv_algorithm_search(search)
            .with_tf32(self.tf32);
        if self.memory_limit_bytes > 0 {
            provider = provider.with_memory_limit(self.memory_limit_bytes);
        }
        provider.build().error_on_failure()
    }
}

/// A device that has been seen to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// The CPU.
    Cpu,
    /// A GPU through the CUDA execution provider.
    Cuda(CudaOptions),
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(options) => write!(f, "cuda:{}", options.device_id),
        }
    }
}

impl Device {
    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        matches!(self, Self::Cuda(_))
    }

    pub(super) fn providers(&self) -> Vec<ExecutionProviderDispatch> {
        match self {
            Self::Cpu => Vec::new(),
            Self::Cuda(options) => vec![options.provider()],
        }
    }
}

/// An ONNX graph `y = x + x` of one float, opset 13, written out in protobuf's wire format.
const PROBE_GRAPH: &[u8] = b"\x08\x08\x12\x06podium:9\
\x0a\x0e\x0a\x01x\x0a\x01x\x12\x01y\x22\x03Add\x12\x05probe\
Z\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
b\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
B\x04\x0a\x00\x10\x0d";

/// Tries the CUDA provider with a graph of one addition, at the cost of a device start.
///
/// Registering the provider proves nothing: with the CUDA libraries there and no device it succeeds, and only
/// making the session, or running it, fails.
pub(super) fn probe_cuda(
    environment: &ort::environment::Environment,
    options: &CudaOptions,
) -> Result<(), String> {
    let attempt = || -> ort::Result<f32> {
        let mut session = Session::builder(environment)?
            .with_execution_providers([options.provider()])?
            .commit_from_memory(PROBE_GRAPH)?;
        let outputs =
            session.run(ort::inputs!["x" => Tensor::from_array(([1_usize], vec![21.0_f32]))?])?;
        Ok(outputs["y"].try_extract_tensor::<f32>()?.1[0])
    };
    match attempt() {
        Ok(42.0) => Ok(()),
        Ok(other) => Err(format!("21 + 21 gave {other} on the device")),
        Err(error) => Err(error.message().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limit_and_device_reach_the_name() {
        let options = CudaOptions { device_id: 3, ..CudaOptions::default() };
        assert_eq!(Device::Cuda(options).to_string(), "cuda:3");
        assert!(Device::Cpu.providers().is_empty());
    }
}
