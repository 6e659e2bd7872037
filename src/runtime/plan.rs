//! Which inputs of a graph travel to the device in which of two blocks.

use crate::{runtime::signature::Signature, tensor::DType};

/// One of the two blocks in which a batch's inputs lie one behind another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// 32-bit floats, and 16-bit ones as such.
    Floats,
    /// 64-bit integers, and 32-bit ones and booleans as such.
    Integers,
}

impl Block {
    /// The name of the graph's input.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Floats => "podium.floats",
            Self::Integers => "podium.integers",
        }
    }

    /// The element type, as the graph's input has it.
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Floats => DType::Float32,
            Self::Integers => DType::Int64,
        }
    }
}

/// An input that lies in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackedInput {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) rank: usize,
    pub(super) block: Block,
}

/// What of an input's place the graph is told in an input of its own, which stays on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The first element in the block.
    Start,
    /// The element after the last one.
    End,
    /// The dims.
    Shape,
}

impl Place {
    /// All of them, in the order of a layout.
    pub(super) const ALL: [Self; 3] = [Self::Start, Self::End, Self::Shape];
}

impl PackedInput {
    /// The name of the graph's input with that part of its place.
    pub(super) fn input(&self, place: Place) -> String {
        let part = match place {
            Place::Start => "start",
            Place::End => "end",
            Place::Shape => "shape",
        };
        format!("podium.{part}.{}", self.name)
    }

    /// How many numbers that part of its place has.
    pub(super) fn numbers(&self, place: Place) -> usize {
        match place {
            Place::Start | Place::End => 1,
            Place::Shape => self.rank,
        }
    }
}

/// Which inputs lie in which block, in the order of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) inputs: Vec<PackedInput>,
}

impl Plan {
    /// The plan for a graph; says why it has none.
    pub(super) fn of(signature: &Signature) -> Result<Self, String> {
        let inputs = signature.inputs.iter().map(|input| {
            let block = match &input.dtype {
                Ok(DType::Float32 | DType::Float16) => Block::Floats,
                Ok(DType::Int64 | DType::Int32 | DType::Bool) => Block::Integers,
                Ok(DType::String) => return Err(format!("`{}` holds texts", input.name)),
                Err(other) => return Err(format!("`{}` is of the type {other}", input.name)),
            };
            let dtype = input.dtype.clone()?;
            Ok(PackedInput { name: input.name.clone(), dtype, rank: input.dims.len(), block })
        });
        Ok(Self { inputs: inputs.collect::<Result<_, String>>()? })
    }

    /// The blocks that are used.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> {
        let used = |block| self.inputs.iter().any(move |input| input.block == block);
        [Block::Floats, Block::Integers].into_iter().filter(move |block| used(*block))
    }
}
