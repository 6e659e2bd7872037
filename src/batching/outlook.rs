//! What would become of a request that came now.

use crate::batching::error::BatchError;

/// What would become of a request that came now.
#[derive(Debug)]
pub enum Outlook {
    /// All of its rows can be scored before its deadline.
    InTime,
    /// So many of its rows can.
    Partly {
        /// How many; maybe none.
        rows: usize,
        /// What it is told where it wants all or nothing.
        late: BatchError,
        /// Whether it would be tried with all of its rows nevertheless: nothing is in its way, and what runs cost may have changed.
        tried: bool,
    },
}
