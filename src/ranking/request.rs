//! A request as the pipeline reads it: checked for form, not yet held against a model.

use crate::{batching::Priority, ids::CallerName, serving::Selector, texts::Texts, users::Event};

/// One question: these candidates, for this shopper, in this context.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RankRequest {
    /// The caller's name for it.
    pub request_id: String,
    /// Which model answers.
    pub model: ModelChoice,
    /// The shopper.
    pub user: User,
    /// The search text.
    pub query: String,
    /// Features of the moment, one value each.
    pub context: Vec<Column>,
    /// What to order.
    pub candidates: Candidates,
    /// How many to return; 0 means all.
    pub top_k: usize,
    /// How urgent it is beside others; none: as the model's configuration says.
    pub priority: Option<Priority>,
    /// Whether an order that is partly scored is welcome where time is short.
    pub allow_partial: bool,
    /// Whether an order for an unknown shopper is of no use.
    pub require_user_state: bool,
    /// The service that asks; empty where it did not say.
    pub caller: CallerName,
}

/// Which model answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelChoice {
    /// The name; empty means the default.
    pub name: String,
    /// The version.
    pub selector: Selector,
}

/// The shopper.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct User {
    /// The id in the store; empty means none.
    pub id: String,
    /// What the request itself says they did, oldest first; empty means nothing is said.
    pub history: Vec<Event>,
    /// What the request itself says their embedding is.
    pub embedding: Option<InlineEmbedding>,
}

/// An embedding that a request brings.
#[derive(Debug, Clone, PartialEq)]
pub struct InlineEmbedding {
    /// The values in row-major order; finite.
    pub values: Vec<f32>,
    /// The shape; empty means the encoder's.
    pub shape: Vec<usize>,
    /// The encoder's version; 0 means unsaid.
    pub encoder_version: u64,
}

/// What to order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// The ids; each once.
    pub ids: Texts,
    /// Scores of an earlier stage; empty, or one for each id.
    pub prior_scores: Vec<f32>,
    /// Features, one value for each id.
    pub columns: Vec<Column>,
}

/// One feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// The values of a feature.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Finite floats.
    Floats(Vec<f32>),
    /// Integers.
    Ints(Vec<i64>),
    /// Texts.
    Strings(Texts),
    /// Vectors of `dim` finite floats, one after another.
    Vectors {
        /// The length of each.
        dim: usize,
        /// All of them.
        values: Vec<f32>,
    },
}

impl Values {
    /// What they are called in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Floats(_) => "floats",
            Self::Ints(_) => "ints",
            Self::Strings(_) => "strings",
            Self::Vectors { .. } => "vectors",
        }
    }
}
