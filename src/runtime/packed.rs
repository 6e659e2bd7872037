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
    telemetry::without_values,
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

    /// Sees to it that a batch's inputs are in the blocks, which are made larger where they have to be.
    fn fill(
        &self,
        blocks: &mut InputBlocks,
        inputs: &[(&str, &Tensor)],
    ) -> Result<(), RuntimeError> {
        if !blocks.is_filled() && !blocks.try_fill(inputs).map_err(RuntimeError::Run)? {
            blocks.allocate(&self.memory.host).map_err(failed)?;
            blocks.try_fill(inputs).map_err(RuntimeError::Run)?;
        }
        Ok(())
    }

    /// Runs a batch; where its layout comes again the run is captured, and replayed from then on.
    fn run_captured(&mut self, blocks: &InputBlocks, outputs: &mut Vec<Tensor>) -> ort::Result<()> {
        match self.graphs.as_mut().map(|graphs| graphs.look_up(blocks.layout())) {
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
        }
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

fn failed(error: ort::Error) -> RuntimeError {
    RuntimeError::Run(without_values(error.message()))
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
        let filled = self.fill(&mut own, inputs);
        let result = filled.and_then(|()| self.run_bound(&own, outputs).map_err(failed));
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
        let filled = self.fill(blocks, inputs);
        let result = filled.and_then(|()| self.run_captured(blocks, outputs).map_err(failed));
        blocks.clear();
        result
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        config,
        runtime::{
            environment::Runtime,
            onnx::session,
            prologue::{splice, tests::echo},
            provider::Device,
        },
        tensor::{DType, TensorData},
    };

    use super::*;

    /// An instance of a graph that gives its floats and integers as they are.
    fn instance(graphs: bool) -> PackedInstance {
        let options = config::load(None, &[]).unwrap().0.runtime_options();
        let environment = Runtime::load(options.clone()).unwrap().environment;
        let load = |model: &[u8]| session(&environment, &options, &Device::Cpu.place(0), model);
        let model = echo(&[(DType::Float32, &["rows"]), (DType::Bool, &["rows"])], 17);
        let plain = load(&model).unwrap();
        let signature = Signature::of(plain.inputs(), plain.outputs());
        let plan = Arc::new(Plan::of(&signature).unwrap());
        let packed = load(&splice(&model, &plan).unwrap()).unwrap();
        let outputs = ["a.out".to_owned(), "b.out".to_owned()];
        PackedInstance::new(packed, &plan, (&signature, &outputs), (None, graphs)).unwrap()
    }

    fn inputs(rows: usize, first: f32) -> [Tensor; 2] {
        let mut floats = vec![0.5; rows];
        floats[rows - 1] = first;
        let bits = TensorData::Bool((0..rows).map(|at| at % 3 == first as usize).collect());
        [Tensor::floats(vec![rows], floats), Tensor { shape: vec![rows], data: bits }]
    }

    fn check(instance: &mut PackedInstance, rows: usize, first: f32) {
        let [a, b] = inputs(rows, first);
        let named = [("b", &b), ("a", &a)];
        let mut outputs = Vec::new();
        let mut blocks = instance.input_blocks().unwrap();
        instance.run_blocks(&mut blocks, &named, &mut outputs).unwrap();
        assert_eq!(instance.run(&named).unwrap(), outputs);
        assert_eq!(outputs, [a, b]);
    }

    fn is_captured(instance: &mut PackedInstance, rows: i64) -> bool {
        let layout = [0, rows, rows, 0, rows, rows];
        let found = instance.graphs.as_mut().map(|graphs| graphs.look_up(&layout));
        matches!(found, Some(Lookup::Captured(_)))
    }

    #[test]
    fn a_layout_that_comes_again_has_a_graph_that_answers_the_values_of_each_run() {
        let mut instance = instance(true);
        for first in 0..5_u8 {
            check(&mut instance, 3, first.into());
            check(&mut instance, 700 + usize::from(first), first.into());
        }
        assert!(is_captured(&mut instance, 3));
        assert!(!is_captured(&mut instance, 702));
    }

    /// Blocks grow, and go back to smaller ones.
    #[test]
    fn without_graphs_blocks_of_several_classes_take_turns() {
        let mut instance = instance(false);
        for rows in [1, 2000, 3, 100_000, 1024, 1025, 1] {
            check(&mut instance, rows, 2.0);
        }
        assert!(!is_captured(&mut instance, 1));
    }

    #[test]
    fn a_run_that_was_stopped_fails_no_later_one() {
        let mut instance = instance(false);
        let stop = instance.stopper().unwrap();
        check(&mut instance, 5, 1.0);
        stop.stop();
        check(&mut instance, 5, 0.0);
    }
}
