//! The two blocks of a batch's inputs, in memory that the device reads quickly, which any thread may fill.

use std::{fmt, sync::Arc};

use half::f16;
use ort::{
    memory::Allocator,
    value::{PrimitiveTensorElementType, Tensor as Value},
};

use crate::{
    runtime::{
        error::RuntimeError,
        plan::{Block, PackedInput, Plan},
    },
    telemetry::without_values,
    tensor::{Tensor, TensorData},
};

/// The elements of the smallest class of blocks.
const SMALLEST: usize = 1 << 10;

/// Buffers of one block: one of each power of two of elements that was needed so far.
struct Classes<T: PrimitiveTensorElementType + fmt::Debug> {
    buffers: Vec<Option<Value<T>>>,
    /// The elements that are needed.
    length: usize,
}

impl<T: PrimitiveTensorElementType + fmt::Debug> Default for Classes<T> {
    fn default() -> Self {
        Self { buffers: Vec::new(), length: 0 }
    }
}

/// The class of a block with so many elements.
fn class_of(length: usize) -> usize {
    length.max(SMALLEST).next_power_of_two().trailing_zeros() as usize
}

impl<T: PrimitiveTensorElementType + fmt::Debug> Classes<T> {
    fn current(&self) -> Option<&Value<T>> {
        self.buffers.get(class_of(self.length))?.as_ref()
    }

    fn elements(&mut self) -> ort::Result<Option<&mut [T]>> {
        let buffer = self.buffers.get_mut(class_of(self.length)).and_then(Option::as_mut);
        buffer.map(|buffer| Ok(buffer.try_extract_tensor_mut::<T>()?.1)).transpose()
    }

    fn allocate(&mut self, allocator: &Allocator) -> ort::Result<()> {
        let class = class_of(self.length);
        if self.buffers.len() <= class {
            self.buffers.resize_with(class + 1, || None);
        }
        if self.buffers[class].is_none() {
            self.buffers[class] = Some(Value::new(allocator, [1_usize << class])?);
        }
        Ok(())
    }
}

/// The two blocks of a batch's inputs, reused from batch to batch; those of a power of two of elements are made when they are first needed.
///
/// Any thread may fill them while the instance that they are for runs another batch.
pub struct InputBlocks {
    plan: Arc<Plan>,
    floats: Classes<f32>,
    integers: Classes<i64>,
    /// For each input of the plan where it begins and ends in its block, and its dims.
    layout: Vec<i64>,
    /// Where in the plan the inputs of the last batch stood.
    places: Vec<usize>,
    filled: bool,
}

impl fmt::Debug for InputBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputBlocks").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl InputBlocks {
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            floats: Classes::default(),
            integers: Classes::default(),
            layout: Vec::new(),
            places: Vec::new(),
            filled: false,
        }
    }

    /// Copies a batch's inputs into the blocks; says whether there were blocks that are large enough. If not, the run makes them.
    ///
    /// # Errors
    /// [`RuntimeError::Run`] where an input is missing, or not of the graph's type and rank.
    pub fn fill(&mut self, inputs: &[(&str, &Tensor)]) -> Result<bool, RuntimeError> {
        self.try_fill(inputs).map_err(RuntimeError::Run)
    }

    /// The same, which says what is wrong.
    pub(super) fn try_fill(&mut self, inputs: &[(&str, &Tensor)]) -> Result<bool, String> {
        self.filled = false;
        self.lay_out(inputs)?;
        self.filled = self.copy(inputs).map_err(|error| without_values(error.message()))?;
        Ok(self.filled)
    }

    /// Notes that what is in the blocks is used up.
    pub fn clear(&mut self) {
        self.filled = false;
    }

    /// Whether a batch's inputs are there.
    pub(super) fn is_filled(&self) -> bool {
        self.filled
    }

    /// Makes blocks of the size that the last batch needed.
    pub(super) fn allocate(&mut self, allocator: &Allocator) -> ort::Result<()> {
        let plan = Arc::clone(&self.plan);
        plan.blocks().try_for_each(|block| match block {
            Block::Floats => self.floats.allocate(allocator),
            Block::Integers => self.integers.allocate(allocator),
        })
    }

    /// The block of the floats; none where no input is a float.
    pub(super) fn floats(&self) -> Option<&Value<f32>> {
        self.floats.current()
    }

    /// The block of the integers; none where no input is one.
    pub(super) fn integers(&self) -> Option<&Value<i64>> {
        self.integers.current()
    }

    /// For each input where it begins and ends in its block, and its dims.
    pub(super) fn layout(&self) -> &[i64] {
        &self.layout
    }

    /// Gives each input its place, in the order of the plan.
    fn lay_out(&mut self, inputs: &[(&str, &Tensor)]) -> Result<(), String> {
        find_places(&self.plan, inputs, &mut self.places)?;
        (self.floats.length, self.integers.length) = (0, 0);
        self.layout.clear();
        for (input, &place) in self.plan.inputs.iter().zip(&self.places) {
            let tensor = inputs[place].1;
            check(input, tensor)?;
            let length = match input.block {
                Block::Floats => &mut self.floats.length,
                Block::Integers => &mut self.integers.length,
            };
            let start = *length;
            *length += tensor.data.len();
            self.layout.extend([start as i64, *length as i64]);
            self.layout.extend(tensor.shape.iter().map(|&dim| dim as i64));
        }
        Ok(())
    }

    fn copy(&mut self, inputs: &[(&str, &Tensor)]) -> ort::Result<bool> {
        let (floats, integers) = (self.floats.elements()?, self.integers.elements()?);
        let (mut floats, mut integers) = (floats, integers);
        let (mut float, mut integer) = (0, 0);
        for (input, &place) in self.plan.inputs.iter().zip(&self.places) {
            let data = &inputs[place].1.data;
            match input.block {
                Block::Floats => {
                    let Some(all) = floats.as_deref_mut() else { return Ok(false) };
                    copy_floats(data, &mut all[float..float + data.len()]);
                    float += data.len();
                }
                Block::Integers => {
                    let Some(all) = integers.as_deref_mut() else { return Ok(false) };
                    copy_integers(data, &mut all[integer..integer + data.len()]);
                    integer += data.len();
                }
            }
        }
        Ok(true)
    }
}

/// Writes down, for each input of the plan, which of those that came it is.
fn find_places(
    plan: &Plan,
    inputs: &[(&str, &Tensor)],
    places: &mut Vec<usize>,
) -> Result<(), String> {
    let stands = |(input, &place): (&PackedInput, &usize)| {
        inputs.get(place).is_some_and(|(name, _)| *name == input.name)
    };
    if inputs.len() != plan.inputs.len() {
        return Err(format!("{} inputs came, the graph has {}", inputs.len(), plan.inputs.len()));
    }
    // They nearly always come as the last time.
    if places.len() == inputs.len() && plan.inputs.iter().zip(places.iter()).all(stands) {
        return Ok(());
    }
    places.clear();
    for input in &plan.inputs {
        let found = inputs.iter().position(|(name, _)| *name == input.name);
        places.push(found.ok_or_else(|| format!("the input `{}` is missing", input.name))?);
    }
    Ok(())
}

fn check(input: &PackedInput, tensor: &Tensor) -> Result<(), String> {
    let PackedInput { name, dtype, rank, .. } = input;
    let elements: usize = tensor.shape.iter().product();
    match () {
        () if tensor.data.dtype() != *dtype => {
            Err(format!("the input `{name}` is {}, the graph wants {dtype}", tensor.data.dtype()))
        }
        () if tensor.shape.len() != *rank => {
            let own = tensor.shape.len();
            Err(format!("the input `{name}` has {own} dims, the graph wants {rank}"))
        }
        () if tensor.data.len() != elements => {
            let own = tensor.data.len();
            Err(format!("the input `{name}` has {own} elements, its shape wants {elements}"))
        }
        () => Ok(()),
    }
}

fn copy_floats(from: &TensorData, into: &mut [f32]) {
    match from {
        TensorData::Float32(values) => into.copy_from_slice(values),
        TensorData::Float16(values) => convert(into, values, |value: f16| value.to_f32()),
        _ => {}
    }
}

fn copy_integers(from: &TensorData, into: &mut [i64]) {
    match from {
        TensorData::Int64(values) => into.copy_from_slice(values),
        TensorData::Int32(values) => convert(into, values, i64::from),
        TensorData::Bool(values) => convert(into, values, i64::from),
        _ => {}
    }
}

fn convert<T: Copy, U>(into: &mut [U], from: &[T], one: impl Fn(T) -> U) {
    into.iter_mut().zip(from).for_each(|(into, from)| *into = one(*from));
}
