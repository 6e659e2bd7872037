//! Which fields of ONNX's messages hold which messages, as far as nodes and tensors can be found below them.

/// A kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `ModelProto`.
    Model,
    /// `GraphProto`: the main one, one that a node holds, or one of a training step.
    Graph,
    /// `NodeProto`.
    Node,
    /// `AttributeProto`.
    Attribute,
    /// `FunctionProto`.
    Function,
    /// `TrainingInfoProto`.
    Training,
    /// `TensorProto`.
    Tensor,
    /// `SparseTensorProto`.
    Sparse,
    /// `ValueInfoProto`: an input, an output, or what is known of a value.
    Value,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: Kind,
    /// Whether there may be several; of one that stands alone, readers merge a second one into the first.
    pub(super) repeated: bool,
}

const fn several(kind: Kind) -> Option<Part> {
    Some(Part { kind, repeated: true })
}

const fn one(kind: Kind) -> Option<Part> {
    Some(Part { kind, repeated: false })
}

impl Kind {
    /// What a field of that number holds; none where it is no message that matters.
    pub(super) fn part(self, number: u64) -> Option<Part> {
        match (self, number) {
            (Self::Model, 7) => one(Self::Graph),
            (Self::Model, 20) => several(Self::Training),
            (Self::Model, 25) => several(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => several(Self::Node),
            (Self::Graph, 5) => several(Self::Tensor),
            (Self::Graph, 15) => several(Self::Sparse),
            (Self::Graph, 11..=13) | (Self::Function, 12) => several(Self::Value),
            (Self::Node, 5) | (Self::Function, 11) => several(Self::Attribute),
            (Self::Attribute, 5) => one(Self::Tensor),
            (Self::Attribute, 6) => one(Self::Graph),
            (Self::Attribute, 10) => several(Self::Tensor),
            (Self::Attribute, 11) => several(Self::Graph),
            (Self::Attribute, 22) => one(Self::Sparse),
            (Self::Attribute, 23) => several(Self::Sparse),
            (Self::Sparse, 1 | 2) => one(Self::Tensor),
            (Self::Training, 1 | 2) => one(Self::Graph),
            _ => None,
        }
    }

    /// Whether a field of that number is a name.
    pub(super) fn is_name(self, number: u64) -> bool {
        match self {
            Self::Node => matches!(number, 1..=4 | 7 | 8),
            Self::Graph => number == 2,
            Self::Function => matches!(number, 1 | 4..=6 | 10 | 13),
            Self::Attribute => matches!(number, 1 | 21),
            Self::Tensor => number == 8,
            Self::Value => number == 1,
            Self::Model | Self::Training | Self::Sparse => false,
        }
    }

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Graph => "graph",
            Self::Node => "node",
            Self::Attribute => "attribute",
            Self::Function => "function",
            Self::Training => "training step",
            Self::Tensor => "tensor",
            Self::Sparse => "sparse tensor",
            Self::Value => "input or output",
        }
    }
}
