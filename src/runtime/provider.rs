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
    /// Which GPU, where `device_ids` names none.
    pub device_id: i32,
    /// Which GPUs: each model has an instance on each of them.
    pub device_ids: Vec<i32>,
    /// Upper bound of each session's arena in bytes; 0 sets none.
    pub memory_limit_bytes: usize,
    /// Whether the arena grows by powers of two rather than by what is asked for.
    pub arena_doubles: bool,
    /// Whether matrix products may round their inputs to TF32.
    pub tf32: bool,
    /// Whether cuDNN tries all convolution algorithms rather than guessing one.
    pub conv_exhaustive_search: bool,
    /// Whether runs whose shapes come again are captured as CUDA graphs and replayed; on one GPU, with packed inputs.
    pub graphs: bool,
}

impl CudaOptions {
    /// The GPUs that are used.
    pub fn devices(&self) -> &[i32] {
        match self.device_ids.as_slice() {
            [] => std::slice::from_ref(&self.device_id),
            several => several,
        }
    }

    fn provider(&self, device_id: i32, graphs: bool) -> ExecutionProviderDispatch {
        let arena = match self.arena_doubles {
            true => ArenaExtendStrategy::NextPowerOfTwo,
            false => ArenaExtendStrategy::SameAsRequested,
        };
        let search = match self.conv_exhaustive_search {
            true => ConvAlgorithmSearch::Exhaustive,
            false => ConvAlgorithmSearch::Heuristic,
        };
        let mut provider = ep::CUDA::default()
            .with_device_id(device_id)
            .with_arena_extend_strategy(arena)
            .with_conv_algorithm_search(search)
            .with_tf32(self.tf32)
            .with_cuda_graph(graphs);
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
            Self::Cuda(options) => {
                let ids: Vec<String> = options.devices().iter().map(i32::to_string).collect();
                write!(f, "cuda:{}", ids.join(","))
            }
        }
    }
}

impl Device {
    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        matches!(self, Self::Cuda(_))
    }

    /// How many GPUs there are; 0 on the CPU.
    pub fn gpus(&self) -> usize {
        match self {
            Self::Cpu => 0,
            Self::Cuda(options) => options.devices().len(),
        }
    }

    /// Where instance `number` of a model runs: instances go round over the GPUs.
    pub(super) fn place(&self, number: usize) -> Placement {
        match self {
            Self::Cpu => Placement { gpu: None, graphs: false },
            Self::Cuda(options) => {
                let devices = options.devices();
                let gpu = Some((options.clone(), devices[number % devices.len()]));
                Placement { gpu, graphs: false }
            }
        }
    }
}

/// Where one session runs.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    gpu: Option<(CudaOptions, i32)>,
    /// Whether its runs can be captured.
    graphs: bool,
}

impl Placement {
    /// The same, where runs can be captured or cannot.
    pub(super) fn with_graphs(&self, graphs: bool) -> Self {
        Self { graphs, ..self.clone() }
    }

    /// The number of the GPU; none on the CPU.
    pub(super) fn gpu(&self) -> Option<i32> {
        self.gpu.as_ref().map(|(_, id)| *id)
    }

    pub(super) fn providers(&self) -> Vec<ExecutionProviderDispatch> {
        self.gpu.iter().map(|(options, id)| options.provider(*id, self.graphs)).collect()
    }
}

/// An ONNX graph `y = x + x` of one float, opset 13, written out in protobuf's wire format.
const PROBE_GRAPH: &[u8] = b"\x08\x08\x12\x06podium:9\
\x0a\x0e\x0a\x01x\x0a\x01x\x12\x01y\x22\x03Add\x12\x05probe\
Z\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
b\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
B\x04\x0a\x00\x10\x0d";

/// Tries the CUDA provider on each GPU with a graph of one addition, at the cost of a device start.
///
/// Registering the provider proves nothing: with the CUDA libraries there and no device it succeeds, and only
/// making the session, or running it, fails.
pub(super) fn probe_cuda(
    environment: &ort::environment::Environment,
    options: &CudaOptions,
) -> Result<(), String> {
    let attempt = |id: i32| -> ort::Result<f32> {
        let mut session = Session::builder(environment)?
            .with_execution_providers([options.provider(id, false)])?
            .commit_from_memory(PROBE_GRAPH)?;
        let outputs =
            session.run(ort::inputs!["x" => Tensor::from_array(([1_usize], vec![21.0_f32]))?])?;
        Ok(outputs["y"].try_extract_tensor::<f32>()?.1[0])
    };
    options.devices().iter().try_for_each(|&id| match attempt(id) {
        Ok(42.0) => Ok(()),
        Ok(other) => Err(format!("21 + 21 gave {other} on GPU {id}")),
        Err(error) => Err(error.message().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_reach_the_name_and_instances_go_round_over_them() {
        let one = Device::Cuda(CudaOptions { device_id: 3, ..CudaOptions::default() });
        assert_eq!((one.to_string(), one.gpus()), ("cuda:3".to_owned(), 1));
        let options = CudaOptions { device_ids: vec![2, 0], ..CudaOptions::default() };
        let two = Device::Cuda(options);
        assert_eq!((two.to_string(), two.gpus()), ("cuda:2,0".to_owned(), 2));
        let ids: Vec<_> = (0..4).map(|number| two.place(number).gpu()).collect();
        assert_eq!(ids, [Some(2), Some(0), Some(2), Some(0)]);
        assert_eq!(two.place(1).providers().len(), 1);
        assert_eq!((Device::Cpu.gpus(), Device::Cpu.place(7).gpu()), (0, None));
        assert!(Device::Cpu.place(0).providers().is_empty());
    }
}
