//! Turns a request, a user and a catalogue into the tensors that a manifest asks for.

mod column;
mod counted;
mod description;
mod history;
mod item_index;
mod plan;
mod segment;
mod sources;
mod text;
mod tokens;
mod user_item;
mod values;

pub use description::{FeatureDescription, FeatureScope};
pub(super) use history::HistoryInput;
pub(super) use plan::{FeaturePlan, load_vocabularies};
pub(super) use sources::Sources;
pub use text::check_texts;
