//! Runs that are captured once as CUDA graphs and replayed from then on.
//!
//! A replay repeats the kernels of the captured run with their arguments: it reads and writes the addresses of that run, and knows the
//! numbers that the host read in it, which are all starts, ends and shapes. So a graph belongs to one whole layout, and has tensors on the
//! device, for its blocks and its outputs, that nothing else uses.

use ahash::AHashMap;
use ort::{
    session::{IoBinding, RunOptions, Session},
    value::{DynTensor, Tensor as Value, TensorElementType},
};

use crate::{
    runtime::{
        binding::{Memory, Places},
        blocks::InputBlocks,
        plan::{Block, Plan},
        values::read_outputs,
    },
    tensor::{DType, Tensor},
};

/// Graphs of one instance; each holds tensors on the device until the instance goes.
const MOST_GRAPHS: usize = 64;

/// Layouts that are remembered to be told apart from those that come once.
const MOST_LAYOUTS: usize = 1024;

/// What is known of a layout.
pub(super) enum Lookup<'a, G = Graph> {
    /// It has a graph.
    Captured(&'a mut G),
    /// It came before, and there is room for its graph.
    Recurring,
    /// It did not come before, or there is no room.
    New,
}

/// The graphs of an instance by layout. A layout gets one when it comes for the second time, as long as there are less than 64.
pub(super) struct Graphs<G = Graph> {
    layouts: AHashMap<Vec<i64>, Option<G>>,
    graphs: usize,
}

impl<G> Default for Graphs<G> {
    fn default() -> Self {
        Self { layouts: AHashMap::default(), graphs: 0 }
    }
}

impl<G> Graphs<G> {
    /// What is known of a layout, which from here on has come before.
    pub(super) fn look_up(&mut self, layout: &[i64]) -> Lookup<'_, G> {
        if !self.layouts.contains_key(layout) {
            if self.layouts.len() >= MOST_LAYOUTS {
                self.layouts.retain(|_, graph| graph.is_some());
            }
            self.layouts.insert(layout.to_vec(), None);
            return Lookup::New;
        }
        match self.layouts.get_mut(layout).and_then(Option::as_mut) {
            Some(graph) => Lookup::Captured(graph),
            None if self.graphs < MOST_GRAPHS => Lookup::Recurring,
            None => Lookup::New,
        }
    }

    /// The number of the next graph; ONNX Runtime takes 0 for runs that name none.
    fn next_number(&self) -> usize {
        self.graphs + 1
    }

    fn insert(&mut self, layout: &[i64], graph: G) {
        self.graphs += 1;
        self.layouts.insert(layout.to_vec(), Some(graph));
    }
}

/// The option of a run that names its graph.
const GRAPH_ID: &str = "gpu_graph_id";

impl Graphs {
    /// Has runs with these options neither captured nor replayed.
    pub(super) fn skip(options: &mut RunOptions) -> ort::Result<()> {
        options.set(GRAPH_ID, "-1")
    }

    /// Makes the graph of the layout in the blocks, whose run gave outputs like these. It is captured by its own first run.
    pub(super) fn add<'o>(
        &mut self,
        (session, plan, memory): (&Session, &Plan, &Memory),
        blocks: &InputBlocks,
        outputs: impl Iterator<Item = (&'o str, &'o Tensor)>,
    ) -> ort::Result<()> {
        let device = memory.device(session)?;
        let mut binding = session.create_binding()?;
        let mut places = Places::bind(plan, &mut binding)?;
        places.write(blocks.layout())?;
        let like = |elements: usize| [elements];
        let floats = blocks.floats().map(|block| {
            let own = Value::<f32>::new(&device, like(block.shape().num_elements()))?;
            binding.bind_input(Block::Floats.name(), &own).map(|()| own)
        });
        let floats = floats.transpose()?;
        let integers = blocks.integers().map(|block| {
            let own = Value::<i64>::new(&device, like(block.shape().num_elements()))?;
            binding.bind_input(Block::Integers.name(), &own).map(|()| own)
        });
        let integers = integers.transpose()?;
        let mut own = Vec::new();
        for (name, tensor) in outputs {
            let dtype = element_type(tensor.data.dtype());
            let shape = || tensor.shape.iter().map(|&dim| dim as i64).collect::<Vec<_>>();
            let mut output = DynTensor::new(&device, dtype, shape())?;
            binding.bind_output(name, &mut output)?;
            let copy = DynTensor::new(&memory.host, dtype, shape())?;
            own.push(Output { name: name.to_owned(), output, copy });
        }
        let mut options = RunOptions::new()?;
        options.set(GRAPH_ID, self.next_number().to_string())?;
        let graph = Graph { binding, options, _places: places, floats, integers, outputs: own };
        self.insert(blocks.layout(), graph);
        Ok(())
    }
}

/// One output of a graph: on the device, and where it is copied to.
struct Output {
    name: String,
    output: DynTensor,
    copy: DynTensor,
}

/// A run that is captured when it goes on for the first time, and replayed from then on. It cannot be ended ahead of time.
pub(super) struct Graph {
    binding: IoBinding,
    options: RunOptions,
    _places: Places,
    floats: Option<Value<f32>>,
    integers: Option<Value<i64>>,
    outputs: Vec<Output>,
}

impl Graph {
    /// Runs a batch of the graph's own layout.
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        blocks: &InputBlocks,
        (names, outputs): (&[String], &mut Vec<Tensor>),
    ) -> ort::Result<()> {
        if let (Some(from), Some(into)) = (blocks.floats(), &mut self.floats) {
            from.copy_into(into)?;
        }
        if let (Some(from), Some(into)) = (blocks.integers(), &mut self.integers) {
            from.copy_into(into)?;
        }
        session.run_binding_with_options(&self.binding, &self.options)?;
        for Output { output, copy, .. } in &mut self.outputs {
            output.copy_into(copy)?;
        }
        let own = &self.outputs;
        let find = |name: &str| own.iter().find(|output| output.name == name);
        read_outputs(names, |name| find(name).map(|output| &output.copy), outputs)
    }
}

fn element_type(dtype: DType) -> TensorElementType {
    match dtype {
        DType::Float32 => TensorElementType::Float32,
        DType::Float16 => TensorElementType::Float16,
        DType::Int64 => TensorElementType::Int64,
        DType::Int32 => TensorElementType::Int32,
        DType::Bool => TensorElementType::Bool,
        DType::String => TensorElementType::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_gets_a_graph_when_it_comes_again_and_no_other_layout_uses_it() {
        let mut graphs = Graphs::<u8>::default();
        assert!(matches!(graphs.look_up(&[0, 4]), Lookup::New));
        assert!(matches!(graphs.look_up(&[0, 4]), Lookup::Recurring));
        graphs.insert(&[0, 4], 7);
        assert!(matches!(graphs.look_up(&[0, 4]), Lookup::Captured(7)));
        assert!(matches!(graphs.look_up(&[0, 5]), Lookup::New));
        assert!(matches!(graphs.look_up(&[0]), Lookup::New));
    }

    #[test]
    fn graphs_and_what_is_remembered_are_bounded() {
        let mut graphs = Graphs::<usize>::default();
        for layout in 0..5000 {
            graphs.look_up(&[layout]);
            if let Lookup::Recurring = graphs.look_up(&[layout]) {
                let number = graphs.next_number();
                graphs.insert(&[layout], number);
            }
        }
        assert_eq!(graphs.graphs, MOST_GRAPHS);
        assert!(graphs.layouts.len() <= MOST_LAYOUTS);
        assert!(matches!(graphs.look_up(&[63]), Lookup::Captured(64)));
        assert!(matches!(graphs.look_up(&[4999]), Lookup::New));
    }
}
