//! A session whose inputs come in two blocks, bound to memory that the device reads quickly.

use std::sync::Arc;

use ort::session::{IoBinding, RunOptions, Session};

use crate::{
    runtime::{
        binding::{Memory, Places},
        blocks::InputBlocks,
        error::RuntimeError,
        graphs::{Graphs, Lookup},
        instance::{ModelInstance, Stop},
        plan::{Block, Plan},
        signature::Signature,
        stop::StopRun,
        values::read_outputs,
    },
    tensor::Tensor,
};

/// A session of a graph that was rewritten to take its inputs in two blocks.
pub(super) struct PackedInstance {
    session: Session,
    binding: IoBinding,
    places: Places,
    memory: Memory,
    options: Arc<RunOptions>,
    plan: Arc<Plan>,
    /// The inputs and outputs of the graph before it was rewritten.
    signature: Signature,
    outputs: Vec<String>,
    /// The blocks of runs whose inputs no other thread put into blocks.
    own: Option<InputBlocks>,
    graphs: Option<Graphs>,
}

impl PackedInstance {
    /// Binds a session of the rewritten graph, on the GPU of that number; `graphs` tells whether its runs are captured.
    pub(super) fn new(
        session: Session,
        plan: &Arc<Plan>,
        (signature, outputs): (&Signature, &[String]),
        (gpu, graphs): (Option<i32>, bool),
    ) -> ort::Result<Self> {
        let mut binding = session.create_binding()?;
        let mut options = RunOptions::new()?;
        if graphs {
            Graphs::skip(&mut options)?;
        }
        Ok(Self {
            places: Places::bind(plan, &mut binding)?,
            memory: Memory::of(&session, gpu)?,
            options: Arc::new(options),
            plan: Arc::clone(plan),
            signature: signature.clone(),
            outputs: outputs.to_vec(),
            own: Some(InputBlocks::new(plan)),
            graphs: graphs.then(Graphs::default),
            binding,
            session,
        })
    }

    fn attempt(
        &mut self,
        blocks: &mut InputBlocks,
        inputs: &[(&str, &Tensor)],
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), RuntimeError> {
        let failed = |error: ort::Error| RuntimeError::Run(error.message().to_owned());
        if !blocks.is_filled() && !blocks.fill(inputs)? {
            blocks.allocate(&self.memory.host).map_err(failed)?;
            blocks.fill(inputs)?;
        }
        let found = self.graphs.as_mut().map(|graphs| graphs.look_up(blocks.layout()));
        let result = match found {
            Some(Lookup::Captured(graph)) => {
                let replayed = graph.run(&mut self.session, blocks, (&self.outputs, outputs));
                replayed.or_else(|error| {
                    self.forgo_graphs(&error);
                    self.run_bound(blocks, outputs)
                })
            }
            Some(Lookup::Recurring) => self.run_bound(blocks, outputs).map(|()| {
                if let Err(error) = self.prepare(blocks, outputs) {
                    self.forgo_graphs(&error);
                }
            }),
            Some(Lookup::New) | None => self.run_bound(blocks, outputs),
        };
        blocks.clear();
        result.map_err(failed)
    }

    fn forgo_graphs(&mut self, error: &ort::Error) {
        self.graphs = None;
        tracing::warn!(%error, "a CUDA graph cannot be used: runs are not captured any more");
    }

    /// Runs a batch; on a GPU to bind a block is to copy it.
    fn run_bound(&mut self, blocks: &InputBlocks, outputs: &mut Vec<Tensor>) -> ort::Result<()> {
        self.places.write(blocks.layout())?;
        let binding = &mut self.binding;
        if let Some(floats) = blocks.floats() {
            binding.bind_input(Block::Floats.name(), floats)?;
        }
        if let Some(integers) = blocks.integers() {
            binding.bind_input(Block::Integers.name(), integers)?;
        }
        // An output that is still bound would have to have the shape that it had in the last run.
        binding.clear_outputs();
        for name in &self.outputs {
            binding.bind_output_to_device(name.as_str(), &self.memory.outputs)?;
        }
        self.options.unterminate()?;
        if self.memory.gpu.is_some() {
            self.binding.synchronize_inputs()?;
        }
        let values = self.session.run_binding_with_options(&self.binding, &self.options)?;
        if self.memory.gpu.is_some() {
            self.binding.synchronize_outputs()?;
        }
        read_outputs(&self.outputs, |name| values.get(name), outputs)
    }

    /// Prepares further runs of a layout that came again to be captured, given the outputs of one of them.
    fn prepare(&mut self, blocks: &InputBlocks, outputs: &[Tensor]) -> ort::Result<()> {
        let Some(graphs) = &mut self.graphs else { return Ok(()) };
        let named = self.outputs.iter().map(String::as_str).zip(outputs);
        graphs.add((&self.session, &self.plan, &self.memory), blocks, named)
    }
}

impl ModelInstance for PackedInstance {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn stopper(&self) -> Option<Arc<dyn Stop>> {
        Some(Arc::new(StopRun(Arc::clone(&self.options))))
    }

    fn run_into(
        &mut self,
        inputs: &[(&str, &Tensor)],
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), RuntimeError> {
        let mut own = self.own.take().unwrap_or_else(|| InputBlocks::new(&self.plan));
        own.clear();
        let result = self.attempt(&mut own, inputs, outputs);
        self.own = Some(own);
        result
    }

    fn input_blocks(&self) -> Option<InputBlocks> {
        Some(InputBlocks::new(&self.plan))
    }

    fn run_blocks(
        &mut self,
        blocks: &mut InputBlocks,
        inputs: &[(&str, &Tensor)],
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), RuntimeError> {
        self.attempt(blocks, inputs, outputs)
    }
}
