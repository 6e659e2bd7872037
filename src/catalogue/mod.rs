//! What is known of items: their features by id, and the vocabularies that turn text into indices.

mod table;
mod vocabulary;

pub use table::{Catalogue, FeatureColumn};
pub use vocabulary::Vocabulary;
