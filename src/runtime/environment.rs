//! The loaded ONNX Runtime library and the device that its sessions use.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

use ort::session::Session;

use crate::runtime::{
    error::RuntimeError,
    graph::Graph,
    graph_cache::GraphCache,
    instance::ModelInstance,
    onnx::{OnnxInstance, cached_session, session},
    options::RuntimeOptions,
    packed::PackedInstance,
    plan::Plan,
    processor::processor,
    prologue::splice,
    provider::{Device, DeviceChoice, Placement, probe_cuda},
    sample::compare,
};

/// The version of ONNX Runtime that the project fetches and is tested with.
pub const LIBRARY_VERSION: &str = "1.31.1";

/// The oldest version whose interface is enough.
const OLDEST_LIBRARY: &str = "1.24";

/// ONNX Runtime, loaded, with a device that works.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub(super) environment: ort::environment::Environment,
    options: RuntimeOptions,
    device: Device,
    cache: Option<Arc<GraphCache>>,
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
        let cache = options.graph_cache.as_ref().filter(|_| !device.is_gpu());
        let cache = cache.and_then(|cache| {
            let machine = format!("{}\n{}", ort::info(), processor()?);
            Some(Arc::new(GraphCache::new(cache.clone(), &machine)))
        });
        Ok(Self { environment, options, device, cache })
    }

    /// Makes a session of a graph, at the cost of optimising it where the cache does not have it so.
    ///
    /// `outputs` are the graph's outputs that are to be computed, in the order in which a run returns them; none means
    /// all of them in the order of the graph.
    ///
    /// # Errors
    /// [`RuntimeError::Load`] when ONNX Runtime refuses the graph.
    pub fn instance(
        &self,
        graph: &Graph,
        outputs: &[&str],
    ) -> Result<Box<dyn ModelInstance>, RuntimeError> {
        self.instance_on(0, graph, outputs)
    }

    /// Makes a session as [`Self::instance`] does for instance `number` of a model; instances go round over the GPUs.
    ///
    /// # Errors
    /// [`RuntimeError::Load`] when ONNX Runtime refuses the graph.
    pub fn instance_on(
        &self,
        number: usize,
        graph: &Graph,
        outputs: &[&str],
    ) -> Result<Box<dyn ModelInstance>, RuntimeError> {
        let placement = self.device.place(number);
        let load = || OnnxInstance::new(self.session(&placement, graph)?, outputs);
        let plain = load().map_err(|error| RuntimeError::Load(error.message().to_owned()))?;
        match self.options.packs(self.device.is_gpu()) {
            true => Ok(self.packed(plain, &placement, graph)),
            false => Ok(Box::new(plain)),
        }
    }

    fn session(&self, placement: &Placement, graph: &Graph) -> ort::Result<Session> {
        let (environment, options) = (&self.environment, &self.options);
        match self.cache.as_deref().filter(|_| GraphCache::is_worth_it(graph)) {
            Some(cache) => cached_session(environment, options, placement, (graph, cache)),
            None => session(environment, options, placement, graph.bytes()),
        }
    }

    /// An instance that takes its inputs in two blocks and answers as `plain` does; that one itself where there is none.
    fn packed(
        &self,
        mut plain: OnnxInstance,
        placement: &Placement,
        graph: &Graph,
    ) -> Box<dyn ModelInstance> {
        let spliced = Plan::of(plain.signature()).and_then(|plan| {
            let spliced = graph.rewritten(splice(graph.bytes(), &plan)?, "packed inputs");
            Ok((Arc::new(plan), spliced))
        });
        let (plan, spliced) = match spliced {
            Ok(spliced) => spliced,
            Err(why) => {
                tracing::info!(%why, "a graph's inputs are not packed");
                return Box::new(plain);
            }
        };
        for graphs in [true, false] {
            if graphs && !self.options.cuda.graphs {
                continue;
            }
            let placement = placement.with_graphs(graphs);
            let make = || {
                let like = (plain.signature(), plain.outputs());
                let made = self.session(&placement, &spliced).and_then(|session| {
                    PackedInstance::new(session, &plan, like, (placement.gpu(), graphs))
                });
                let mut packed = made.map_err(|error| error.message().to_owned())?;
                compare(&mut plain, &mut packed).map(|()| packed)
            };
            // ort panics where it expects that ONNX Runtime cannot fail; the plain way is there for that too.
            match catch_unwind(AssertUnwindSafe(make)) {
                Ok(Ok(packed)) => return Box::new(packed),
                Ok(Err(why)) => tracing::warn!(%why, graphs, "a graph's inputs cannot be packed"),
                Err(_) => tracing::warn!(graphs, "a graph's inputs cannot be packed: a panic"),
            }
        }
        Box::new(plain)
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
