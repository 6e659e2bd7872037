//! One loaded version of a model.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use crate::{
    batching::{
        Backlog, BatchCounts, BatchError, BatchLayout, BatchMetrics, BatchOptions, Buckets,
        CostTable, Lead, ModelQueue, Outlook, Pipeline, Priority, QueueSetup, Trip, Turns, Work,
    },
    deadline::Deadline,
    ids::{CallerName, ModelId},
    priority::at_low_priority,
    repository::{BatchingSpec, Bundle, Fault, Manifest, OutputSpec, verify},
    runtime::{ModelInstance, Runtime, RuntimeError},
    serving::{
        batch_layout::batch_layout,
        batch_options::batch_options,
        error::ServingError,
        noticing::Noticing,
        settling::settled,
        shapes::shapes,
        warm_up::{longest_run, measure_costs, run_shapes},
    },
    telemetry::SpanQueue,
    tensor::{DType, Tensor},
};

/// How long the instances of a version run batches of all shapes before it serves, all together.
const LONGEST_WARM_UP: Duration = Duration::from_secs(10);

/// How a version is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Sessions that run it side by side, where neither its manifest nor the configuration has a number for it.
    pub instances: usize,
    /// How requests are batched, of models for which nothing else is said.
    pub batching: BatchOptions,
    /// What the configuration says of single models.
    pub models: BTreeMap<String, BatchingSpec>,
    /// The turns of all models on each device; there is one at least.
    pub turns: Vec<Arc<Turns>>,
    /// Where batches are told of that somebody who is traced was in.
    pub spans: SpanQueue,
}

impl LoadOptions {
    /// How a bundle's requests are batched, and by how many instances.
    pub fn of(&self, bundle: &Bundle) -> BatchOptions {
        let configured = self.models.get(bundle.id.name.as_str());
        let mut options =
            batch_options(&self.batching, bundle.manifest.batching.as_ref(), configured);
        if options.instances == 0 {
            options.instances = self.instances;
        }
        options
    }
}

/// A loaded version: its manifest and the instances that run it, which go when the handle does.
#[derive(Debug)]
pub struct ModelHandle {
    id: ModelId,
    manifest: Manifest,
    output_dtypes: Vec<DType>,
    device: String,
    batching: BatchOptions,
    queue: ModelQueue,
}

/// A version whose sessions are there, and have never run.
pub struct ColdModel<'a> {
    runtime: &'a Runtime,
    bundle: &'a Bundle,
    options: &'a LoadOptions,
    batching: BatchOptions,
    instances: Vec<Box<dyn ModelInstance>>,
}

impl<'a> ColdModel<'a> {
    /// Holds the bundle's manifest against its graph and makes its sessions: takes as long as optimising the graph does.
    ///
    /// # Errors
    /// [`ServingError::Repository`] with all faults, or [`ServingError::Runtime`].
    pub fn load(
        runtime: &'a Runtime,
        bundle: &'a Bundle,
        options: &'a LoadOptions,
    ) -> Result<Self, ServingError> {
        let mut instances = vec![verified_instance(runtime, bundle)?];
        let outputs = bundle.manifest.output_names();
        let batching = options.of(bundle);
        for number in 1..batching.instances {
            instances.push(runtime.instance_on(number, &bundle.graph, &outputs)?);
        }
        Ok(Self { runtime, bundle, options, batching, instances })
    }

    /// The first of its sessions.
    pub fn session(&mut self) -> Option<&mut dyn ModelInstance> {
        Some(self.instances.first_mut()?.as_mut())
    }

    /// Has it noticed from now on whether a run finds no memory; what is returned tells.
    pub fn notice_memory(&mut self) -> Arc<AtomicBool> {
        let found_none = Arc::default();
        let instances = std::mem::take(&mut self.instances).into_iter();
        let noticing =
            |inner| Box::new(Noticing::new(inner, &found_none)) as Box<dyn ModelInstance>;
        self.instances = instances.map(noticing).collect();
        found_none
    }

    /// The most units that one run may have.
    pub fn max_units(&self) -> usize {
        self.batching.max_batch_rows
    }

    /// Measures what runs cost, runs batches of every bucket's shape on every instance, as far as there is time, and starts their threads: takes
    /// as long as some dozen runs do, and up to ten seconds more.
    ///
    /// # Errors
    /// [`ServingError::Thread`].
    pub fn warm_up(self) -> Result<ModelHandle, ServingError> {
        let Self { runtime, bundle, options, mut batching, mut instances } = self;
        let model = bundle.id.to_string();
        let (manifest, layout) = match instances.first_mut() {
            Some(instance) => settled(instance.as_mut(), bundle),
            None => (bundle.manifest.clone(), batch_layout(bundle)),
        };
        let output_dtypes = output_dtypes(&manifest, &instances);
        let inputs: Vec<&str> = manifest.inputs.iter().map(|i| i.name.as_str()).collect();
        if layout.unit == Lead::Whole {
            batching.max_batch_rows = 1;
        }
        let most = batching.max_batch_rows;
        let unstarted = |cause| ServingError::Thread { model: model.clone(), cause };
        let measure = || {
            let mut cost = CostTable::default();
            for instance in instances.iter_mut().rev() {
                let measured = measure_costs(instance.as_mut(), &bundle.manifest, &layout, most);
                cost = measured.or_quicker(&cost);
            }
            let warm = run_every_shape(&mut instances, bundle, (&layout, &batching), &cost);
            (cost, warm)
        };
        let (cost, warm) = at_low_priority(measure).map_err(unstarted)?;
        let device = runtime.device().to_string();
        let setup = QueueSetup {
            model: &model,
            device: &device,
            spans: options.spans.clone(),
            inputs: &inputs,
            layout,
            options: &batching,
            cost,
            warm,
            pipelined: match batching.pipeline {
                Pipeline::Auto => runtime.device().is_gpu(),
                Pipeline::On => true,
                Pipeline::Off => false,
            },
        };
        // These threads answer requests: they are started by one whose priority is not lowered.
        let queue = ModelQueue::start(setup, instances, &options.turns).map_err(unstarted)?;
        drop(inputs);
        let id = bundle.id.clone();
        Ok(ModelHandle { id, manifest, output_dtypes, device, batching, queue })
    }
}

/// The element types of the manifest's outputs, as the graph has them.
fn output_dtypes(manifest: &Manifest, instances: &[Box<dyn ModelInstance>]) -> Vec<DType> {
    let known = instances.first().map_or(&[][..], |one| &one.signature().outputs);
    let dtype = |output: &OutputSpec| {
        let info = known.iter().find(|info| info.name == output.name);
        info.and_then(|info| info.dtype.clone().ok()).unwrap_or(DType::Float32)
    };
    manifest.outputs.iter().map(dtype).collect()
}

/// Runs batches of every bucket's shape on every instance, as far as there is time, and tells the lengths that each has run.
fn run_every_shape(
    instances: &mut [Box<dyn ModelInstance>],
    bundle: &Bundle,
    (layout, batching): (&BatchLayout, &BatchOptions),
    cost: &CostTable,
) -> Vec<HashSet<usize>> {
    let begun = Instant::now();
    let shapes = shapes(
        &Buckets::new(&batching.length_buckets),
        longest_run(&bundle.manifest, layout),
        cost,
        (batching.preferred_batch_rows, batching.max_batch_rows),
    );
    let share = LONGEST_WARM_UP / u32::try_from(instances.len()).unwrap_or(u32::MAX).max(1);
    let version = (&bundle.manifest, layout);
    let mut warm = Vec::new();
    for (number, instance) in instances.iter_mut().enumerate() {
        let warmth = run_shapes(instance.as_mut(), version, (&shapes, cost), share);
        let (ran, left_out) = (warmth.ran, warmth.missing());
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(model = %bundle.id, instance = number, shapes = ran, left_out, ms, "warmed up");
        let ran = shapes.iter().filter(|shape| !warmth.left_out.contains(shape));
        warm.push(ran.map(|shape| shape.length).collect());
    }
    warm
}

impl ModelHandle {
    /// Loads a version and warms it up.
    ///
    /// # Errors
    /// Those of [`ColdModel::load`] and [`ColdModel::warm_up`].
    pub fn load(
        runtime: &Runtime,
        bundle: &Bundle,
        options: &LoadOptions,
    ) -> Result<Self, ServingError> {
        ColdModel::load(runtime, bundle, options)?.warm_up()
    }

    /// The model and its version.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The element types of the manifest's outputs, as the graph has them.
    pub fn output_dtypes(&self) -> &[DType] {
        &self.output_dtypes
    }

    /// Where it runs, such as `cpu` or `cuda:0`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// How its requests are batched.
    pub fn batching(&self) -> &BatchOptions {
        &self.batching
    }

    /// Sessions that run it side by side.
    pub fn instances(&self) -> usize {
        self.queue.instances()
    }

    /// What runs cost, as measured at load and kept current.
    pub fn cost(&self) -> CostTable {
        self.queue.cost()
    }

    /// The size of a request as costs count it: its units times the length that they are padded to.
    pub fn size_of(&self, inputs: &[Tensor]) -> usize {
        self.queue.size_of(inputs)
    }

    /// What has become of rows since the version was loaded.
    pub fn counts(&self) -> BatchCounts {
        self.queue.counts()
    }

    /// When a batch last ran, in milliseconds since 1970 in UTC; 0 where none did.
    pub fn last_run_ms(&self) -> u64 {
        self.queue.last_run_ms()
    }

    /// What is counted of its batches since it was loaded.
    pub fn batch_metrics(&self) -> &BatchMetrics {
        self.queue.metrics()
    }

    /// What waits for it, and what runs.
    pub fn backlog(&self) -> Backlog {
        self.queue.backlog()
    }

    /// Whether it could run something more without anybody waiting for it.
    pub fn has_spare_capacity(&self) -> bool {
        self.queue.has_spare_capacity()
    }

    /// What would become of a request for so many rows that came now; builds nothing and waits for nothing.
    pub fn outlook(
        &self,
        rows: usize,
        deadline: Deadline,
        who: (Option<Priority>, &CallerName),
    ) -> Outlook {
        self.queue.outlook(rows, deadline, who)
    }

    /// Runs the model on one tensor for each input of the manifest, in its order.
    ///
    /// # Errors
    /// [`BatchError`].
    pub async fn run(&self, work: Work) -> Result<Vec<Tensor>, BatchError> {
        self.queue.run(work).await
    }

    /// The same; `trip` tells what the work went through, whatever comes of it.
    ///
    /// # Errors
    /// [`BatchError`].
    pub async fn run_noted(&self, work: Work, trip: &mut Trip) -> Result<Vec<Tensor>, BatchError> {
        self.queue.run_noted(work, trip).await
    }
}

/// Makes an instance whose outputs are those of the manifest, after holding the manifest against the graph.
///
/// # Errors
/// [`ServingError::Repository`] with all faults, those of the files included.
pub fn verified_instance(
    runtime: &Runtime,
    bundle: &Bundle,
) -> Result<Box<dyn ModelInstance>, ServingError> {
    let refused = |error: RuntimeError| {
        let fix =
            "export the graph again, with operators and an opset that this ONNX Runtime knows";
        Fault::new("model.onnx", error.to_string(), fix)
    };
    let mut faults = bundle.file_faults().to_vec();
    if bundle.graph.is_empty() {
        return Err(bundle.faulty(faults).into());
    }
    let instance = runtime.instance(&bundle.graph, &[]).map_err(|error| {
        faults.push(refused(error));
        bundle.faulty(faults.clone())
    })?;
    faults.extend(verify(&bundle.manifest, instance.signature()));
    if !faults.is_empty() {
        return Err(bundle.faulty(faults).into());
    }
    let outputs = bundle.manifest.output_names();
    let all: Vec<&str> = instance.signature().outputs.iter().map(|o| o.name.as_str()).collect();
    match outputs == all {
        true => Ok(instance),
        false => Ok(runtime
            .instance(&bundle.graph, &outputs)
            .map_err(|error| bundle.faulty(vec![refused(error)]))?),
    }
}
