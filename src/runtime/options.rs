//! How graphs are run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::runtime::{
    graph_cache::GraphCacheOptions,
    provider::{CudaOptions, DeviceChoice},
};

/// How graphs are run.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// Where `libonnxruntime.so` is.
    pub library: PathBuf,
    /// Which device to use.
    pub device: DeviceChoice,
    /// Options of the CUDA execution provider, should it be used.
    pub cuda: CudaOptions,
    /// Threads within one run of a session on the CPU, the session's own included.
    pub intra_op_threads: usize,
    /// Whether those threads spin while they wait: quicker alone, slower in company.
    pub intra_op_spinning: bool,
    /// Whether a batch's inputs travel to the device in two blocks.
    pub packed_inputs: PackedInputs,
    /// Where optimised graphs are kept; none where they are not.
    pub graph_cache: Option<GraphCacheOptions>,
}

/// Whether a batch's inputs travel to the device in two blocks, from which the graph cuts them out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackedInputs {
    /// On a GPU: to the CPU's own memory nothing travels.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl RuntimeOptions {
    /// Whether inputs are packed on such a device.
    pub(super) fn packs(&self, on_gpu: bool) -> bool {
        match self.packed_inputs {
            PackedInputs::Auto => on_gpu,
            PackedInputs::On => true,
            PackedInputs::Off => false,
        }
    }
}
