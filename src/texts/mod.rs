//! Many short texts, such as the ids of a request or of a catalogue, without an allocation for each.

mod index;
mod list;

pub use index::{TextIndex, has_repeats};
pub use list::Texts;
