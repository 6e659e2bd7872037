//! The manifest `model.toml`: what binds a graph's inputs and outputs to their meaning.
//!
//! `docs/bundle.md` describes it for people.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{repository::batching_spec::BatchingSpec, tensor::DType};

/// The manifest's format that this build reads.
pub const FORMAT: u32 = 1;

/// A manifest as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format, which is 1.
    pub format: u32,
    /// What the model is for.
    pub role: Role,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// How candidates lie in the tensors.
    #[serde(default)]
    pub layout: Layout,
    /// Whether no candidate influences another's score.
    #[serde(default = "yes")]
    pub independent: bool,
    /// The user encoder that the ranker needs.
    pub encoder: Option<EncoderRef>,
    /// How the user's history is read.
    pub history: Option<HistorySpec>,
    /// Features of items.
    pub catalogue: Option<CatalogueSpec>,
    /// Vocabularies by name.
    #[serde(default)]
    pub vocabularies: BTreeMap<String, VocabularySpec>,
    /// Tokenised texts by name.
    #[serde(default)]
    pub texts: BTreeMap<String, TextSpec>,
    /// The bindings of the graph's inputs.
    #[serde(default)]
    pub inputs: Vec<InputSpec>,
    /// The outputs that are computed.
    #[serde(default)]
    pub outputs: Vec<OutputSpec>,
    /// How requests are batched, where that differs from other models.
    pub batching: Option<BatchingSpec>,
    /// Golden vectors.
    pub golden: Option<GoldenSpec>,
    /// A request to try the model with.
    pub example: Option<FileRef>,
    /// Requests that are run through the model before it answers.
    pub warm_up: Option<FileRef>,
    /// The sha256 sum of each file of the bundle but the manifest.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// How requests share a batch, of a model that is asked by its tensors; what the role says, of others.
    #[serde(skip)]
    pub sharing: Option<Sharing>,
}

fn yes() -> bool {
    true
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Orders candidates.
    Ranker,
    /// Turns a history into an embedding.
    UserEncoder,
    /// Is asked by its tensors: a model without a manifest. No manifest says this.
    #[serde(skip)]
    Tensors,
}

/// How requests share a batch, of a model that is asked by its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each is a run of its own, as it came.
    Whole,
    /// Each is a run of its own, or several where it has more rows than a batch may have.
    Apart,
    /// Their rows stand one behind another where their other dimensions are alike.
    Joined,
    /// As [`Self::Joined`] where company is found to change no answer, else as [`Self::Whole`].
    JoinedIfIndependent,
}

/// How candidates lie in the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Candidates of all requests as rows.
    #[default]
    Rows,
    /// Requests as rows, candidates padded and masked.
    Lists,
}

/// An exact version of a user encoder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderRef {
    /// The encoder's name.
    pub name: String,
    /// Its version.
    pub version: u64,
}

/// How the user's history is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistorySpec {
    /// The most recent events that are read.
    pub max_length: usize,
    /// Where padding goes.
    #[serde(default)]
    pub pad: Pad,
    /// Stored histories to start with.
    pub file: Option<String>,
}

/// Where padding goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pad {
    /// Behind the events.
    #[default]
    Right,
    /// Before the events.
    Left,
}

/// A table of item features.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueSpec {
    /// The CSV file; none where it comes from the configuration, or not at all.
    pub file: Option<String>,
    /// The column of the item's id.
    pub key: String,
    /// What becomes of items that are not in it.
    #[serde(default)]
    pub unknown_items: UnknownItems,
    /// The columns to load.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnType>,
}

/// What becomes of items that are not in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownItems {
    /// They are scored with defaults.
    #[default]
    Score,
    /// They are not scored and come last.
    Last,
}

/// The type of a feature's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// 32-bit floats.
    Float,
    /// 64-bit integers.
    Int,
    /// Text.
    String,
}

/// A list of texts, each with an index.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VocabularySpec {
    /// The file, one entry a line.
    pub file: String,
    /// The index of the first line.
    #[serde(default)]
    pub first_index: i64,
    /// The index of what is not listed.
    pub oov: i64,
}

/// A text made of fields and tokenised.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSpec {
    /// The tokenizer's file.
    pub tokenizer: String,
    /// The template of the first segment.
    pub first: String,
    /// The template of the second segment.
    pub second: Option<String>,
    /// Longest text in tokens.
    pub max_tokens: usize,
    /// What stands for fields that are not there or blank; a field without one is required.
    #[serde(default)]
    pub defaults: BTreeMap<String, String>,
}

/// The name of the dimension along which rows of several requests stand one behind another.
pub const ROWS: &str = "rows";

/// One dimension of a declared shape.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum DimSpec {
    /// Always of this length.
    Fixed(usize),
    /// One of the names of `docs/bundle.md`.
    Named(String),
}

impl DimSpec {
    /// Whether it is the dynamic dimension of that name.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Named(own) if own == name)
    }

    /// The fixed lengths of a shape, in its order.
    pub fn fixed(shape: &[Self]) -> Vec<usize> {
        let fixed = |dim: &Self| match dim {
            Self::Fixed(length) => Some(*length),
            Self::Named(_) => None,
        };
        shape.iter().filter_map(fixed).collect()
    }
}

/// The binding of one input.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// The graph's name for it.
    pub name: String,
    /// Where its values come from.
    pub source: Source,
    /// Its element type.
    pub dtype: DType,
    /// Its shape.
    pub shape: Vec<DimSpec>,
    /// The feature's name, where it differs from the input's.
    pub feature: Option<String>,
    /// The vocabulary that turns text into an index.
    pub vocabulary: Option<String>,
    /// The value where there is none.
    pub default: Option<f64>,
    /// The lowest and the highest value; others are set to them.
    pub clip: Option<[f64; 2]>,
    /// Whether ln(1 + x) is taken.
    #[serde(default)]
    pub log: bool,
    /// What is read of an event.
    pub field: Option<EventField>,
    /// What is counted of a user's events with an item.
    pub stat: Option<UserItemStat>,
    /// What makes an event one of the item's: `item`, or a catalogue column.
    #[serde(rename = "match")]
    pub matching: Option<String>,
    /// The tokenised text.
    pub text: Option<String>,
    /// The part of the tokenised text.
    pub part: Option<TokenPart>,
}

impl InputSpec {
    /// The name of the feature that it reads.
    pub fn feature(&self) -> &str {
        self.feature.as_deref().unwrap_or(&self.name)
    }
}

/// Where an input's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The user encoder's output.
    UserEmbedding,
    /// Which user each row belongs to.
    UserIndex,
    /// A column of the request's context.
    Context,
    /// A column of the request's candidates, or of the catalogue.
    Candidate,
    /// The scores of an earlier stage.
    PriorScore,
    /// The candidate's id through a vocabulary.
    ItemIndex,
    /// What the user did with the item so far.
    UserItem,
    /// Which candidates are no padding.
    CandidateMask,
    /// A field of the user's events.
    History,
    /// Which events are no padding.
    HistoryMask,
    /// How many events there are.
    HistoryLength,
    /// A tokenised text.
    Tokens,
    /// The tensor that the request brings itself. No manifest says this.
    #[serde(skip)]
    Given,
}

/// What is read of an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum EventField {
    /// The item's id.
    Item,
    /// What was done: 1 view, 2 cart, 3 purchase.
    Kind,
    /// Days since the event before.
    GapDays,
    /// Days before the last event.
    AgeDays,
    /// A column of the catalogue, for the event's item.
    Column(String),
}

impl From<String> for EventField {
    fn from(name: String) -> Self {
        match name.as_str() {
            "item" => Self::Item,
            "kind" => Self::Kind,
            "gap_days" => Self::GapDays,
            "age_days" => Self::AgeDays,
            _ => Self::Column(name),
        }
    }
}

/// What is told of a user's events with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserItemStat {
    /// How many there are.
    Count,
    /// Days between the history's last event and the last of them.
    AgeDays,
}

/// The parts of a tokenised text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPart {
    /// Token ids.
    Ids,
    /// 1 for a token, 0 for padding.
    Mask,
    /// 0 for the first segment, 1 for the second.
    Types,
}

/// One computed output.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// The graph's name for it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<DimSpec>,
    /// Its name in answers, where that differs.
    pub head: Option<String>,
    /// What is applied to it.
    #[serde(default)]
    pub activation: Activation,
    /// Which entry of a last fixed dimension is taken, after the activation.
    #[serde(default)]
    pub column: usize,
}

impl OutputSpec {
    /// Its name in answers.
    pub fn head(&self) -> &str {
        self.head.as_deref().unwrap_or(&self.name)
    }

    /// The length of the last dimension where the output has a fixed one, else 1.
    pub fn width(&self) -> usize {
        match self.shape.last() {
            Some(DimSpec::Fixed(width)) => *width,
            _ => 1,
        }
    }
}

/// What is applied to an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// exp(x) over the sum of exp over the last dimension.
    Softmax,
}

/// A file of golden vectors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenSpec {
    /// The file.
    pub file: String,
    /// How far an output may be off, relative to `max(1, |want|)`.
    pub tolerance: f64,
}

/// A file of the bundle.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// The file.
    pub file: String,
}

impl Manifest {
    /// The file names that the manifest refers to, `model.onnx` first.
    pub fn named_files(&self) -> Vec<&str> {
        let mut names = vec!["model.onnx"];
        names.extend(self.history.iter().filter_map(|h| h.file.as_deref()));
        names.extend(self.catalogue.iter().filter_map(|c| c.file.as_deref()));
        names.extend(self.vocabularies.values().map(|v| v.file.as_str()));
        names.extend(self.texts.values().map(|t| t.tokenizer.as_str()));
        names.extend(self.golden.iter().map(|g| g.file.as_str()));
        names.extend(self.example.iter().chain(&self.warm_up).map(|e| e.file.as_str()));
        names
    }

    /// The graph's names of the outputs that are computed.
    pub fn output_names(&self) -> Vec<&str> {
        self.outputs.iter().map(|o| o.name.as_str()).collect()
    }
}
