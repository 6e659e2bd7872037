//! A session of ONNX Runtime behind [`ModelInstance`].

use std::sync::Arc;

use ort::{
    environment::Environment,
    session::{
        HasSelectedOutputs, NoSelectedOutputs, OutputSelector, RunOptions, Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

use crate::{
    runtime::{
        error::RuntimeError,
        graph::Graph,
        graph_cache::GraphCache,
        instance::{ModelInstance, Stop},
        options::RuntimeOptions,
        provider::Placement,
        signature::Signature,
        stop::StopRun,
        values::{input_value, read_outputs},
    },
    telemetry::without_values,
    tensor::Tensor,
};

pub(super) struct OnnxInstance {
    session: Session,
    run_options: Options,
    outputs: Vec<String>,
    signature: Signature,
}

/// What makes a session that optimises its graph.
pub(super) fn builder(
    environment: &Environment,
    options: &RuntimeOptions,
    placement: &Placement,
) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(options.intra_op_threads)?
        .with_intra_op_spinning(options.intra_op_spinning)?
        .with_execution_providers(placement.providers())?)
}

/// Makes a session of a graph.
pub(super) fn session(
    environment: &Environment,
    options: &RuntimeOptions,
    placement: &Placement,
    model: &[u8],
) -> ort::Result<Session> {
    builder(environment, options, placement)?.commit_from_memory(model)
}

/// Makes a session of a graph that the cache may have in its optimised form, and has so from then on.
///
/// Whatever is wrong with the cache, the session is made as without one.
pub(super) fn cached_session(
    environment: &Environment,
    options: &RuntimeOptions,
    placement: &Placement,
    (graph, cache): (&Graph, &GraphCache),
) -> ort::Result<Session> {
    let builder = || builder(environment, options, placement);
    if let Some(optimised) = cache.find(graph.sum()) {
        let as_it_is = builder()?.with_optimization_level(GraphOptimizationLevel::Disable)?;
        match { as_it_is }.commit_from_memory(&optimised.bytes) {
            Ok(session) => return Ok(session),
            Err(error) => cache.drop_entry(&optimised, error.message()),
        }
    }
    let Some(place) = cache.place(graph.sum()) else {
        return builder()?.commit_from_memory(graph.bytes());
    };
    match builder()?.with_optimized_model_path(&place)?.commit_from_memory(graph.bytes()) {
        Ok(session) => {
            cache.keep(graph.sum(), &place);
            Ok(session)
        }
        // Either the graph is refused, and is so again, or it could not be written.
        Err(error) => {
            let session = builder()?.commit_from_memory(graph.bytes())?;
            cache.give_up(&place, error.message());
            Ok(session)
        }
    }
}

/// How a session is run. ort shares options between threads only where no outputs are selected.
enum Options {
    /// All outputs are computed; another thread may end the run.
    All(Arc<RunOptions<NoSelectedOutputs>>),
    /// Some outputs are computed.
    Selected(RunOptions<HasSelectedOutputs>),
}

impl OnnxInstance {
    /// Makes an instance of a session; `outputs` are those that are computed, none means all.
    pub(super) fn new(session: Session, outputs: &[&str]) -> ort::Result<Self> {
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

    /// The outputs that are computed, in their order.
    pub(super) fn outputs(&self) -> &[String] {
        &self.outputs
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
        self.attempt(inputs, outputs)
            .map_err(|error| RuntimeError::Run(without_values(error.message())))
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
        read_outputs(&self.outputs, |name| values.get(name), outputs)
    }
}
