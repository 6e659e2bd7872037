//! The messages and services of `proto/`.
//!
//! Those with many texts or items have a layout of their own, without an allocation for each; on the wire they are what
//! the proto file says, byte for byte as generated code writes them.

mod candidates;
mod generated;
mod rank_response;
mod ranked_items;
mod string_column;
mod texts;
#[cfg(test)]
mod wire;

pub use candidates::Candidates;
pub use generated::*;
pub use rank_response::RankResponse;
pub use ranked_items::RankedItems;
pub use string_column::StringColumn;
