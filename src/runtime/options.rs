//! How graphs are run.

use std::path::PathBuf;

use crate::runtime::provider::{CudaOptions, DeviceChoice};

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
}
