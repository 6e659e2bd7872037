//! The messages and services of `proto/`.
//!
//! Those with many texts or items have a layout of their own, without an allocation for each; on the wire they are what
//! the proto file says, byte for byte as generated code writes them.

mod candidates;
mod columns;
mod floats;
mod generated;
pub mod inference;
mod rank_response;
mod ranked_items;
mod texts;
#[cfg(test)]
mod wire;

pub use candidates::Candidates;
pub use columns::{FloatColumn, StringColumn, VectorColumn};
pub use generated::*;
pub use rank_response::RankResponse;
pub use ranked_items::RankedItems;
