//! What a session's inputs and outputs are bound to.

use ort::{
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::{IoBinding, Session},
    value::Tensor as Value,
};

use crate::runtime::plan::{Place, Plan};

/// What kinds of memory a session's blocks and outputs lie in.
pub(super) struct Memory {
    /// The number of the GPU; none on the CPU.
    pub(super) gpu: Option<i32>,
    /// Memory of the host that the device reads and writes: pinned on a GPU.
    pub(super) host: Allocator,
    pub(super) outputs: MemoryInfo<'static>,
}

impl Memory {
    pub(super) fn of(session: &Session, gpu: Option<i32>) -> ort::Result<Self> {
        let pinned = |id, kind| {
            MemoryInfo::new(AllocationDevice::CUDA_PINNED, id, AllocatorType::Device, kind)
        };
        Ok(match gpu {
            None => Self { gpu, host: Allocator::default(), outputs: MemoryInfo::default() },
            Some(id) => Self {
                gpu,
                host: Allocator::new(session, pinned(id, MemoryType::CPUInput)?)?,
                outputs: pinned(id, MemoryType::CPUOutput)?,
            },
        })
    }

    /// The device's own memory.
    pub(super) fn device(&self, session: &Session) -> ort::Result<Allocator> {
        let Some(id) = self.gpu else { return Ok(Allocator::default()) };
        let device = AllocationDevice::CUDA;
        let info = MemoryInfo::new(device, id, AllocatorType::Device, MemoryType::Default)?;
        Allocator::new(session, info)
    }
}

/// Where each input lies in its block: vectors on the host that are bound once and written over.
pub(super) struct Places {
    vectors: Vec<Value<i64>>,
    written: Vec<i64>,
}

impl Places {
    /// Binds the vectors of all inputs of a plan.
    pub(super) fn bind(plan: &Plan, binding: &mut IoBinding) -> ort::Result<Self> {
        let host = Allocator::default();
        let mut vectors = Vec::new();
        for input in &plan.inputs {
            for place in Place::ALL {
                let vector = Value::<i64>::new(&host, [input.numbers(place)])?;
                binding.bind_input(input.input(place), &vector)?;
                vectors.push(vector);
            }
        }
        Ok(Self { vectors, written: Vec::new() })
    }

    /// Writes a layout into the vectors, where it is not the last one.
    pub(super) fn write(&mut self, layout: &[i64]) -> ort::Result<()> {
        if self.written == layout {
            return Ok(());
        }
        self.written.clear();
        let mut rest = layout;
        for vector in &mut self.vectors {
            let (_, numbers) = vector.try_extract_tensor_mut::<i64>()?;
            let (own, after) = rest
                .split_at_checked(numbers.len())
                .ok_or_else(|| ort::Error::new("a layout is too short"))?;
            numbers.copy_from_slice(own);
            rest = after;
        }
        self.written.extend_from_slice(layout);
        Ok(())
    }
}
