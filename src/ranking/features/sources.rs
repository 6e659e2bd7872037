//! All that the inputs of one request are made of.

use crate::{deadline::Deadline, ranking::request::RankRequest, users::History};

/// All that the inputs of one request are made of.
pub(in crate::ranking) struct Sources<'a> {
    pub(in crate::ranking) request: &'a RankRequest,
    /// The candidates that are scored, as positions in the request.
    pub(in crate::ranking) scored: &'a [u32],
    /// The catalogue's row of each candidate of the request.
    pub(in crate::ranking) rows: &'a [Option<u32>],
    /// The user's events, oldest first.
    pub(in crate::ranking) history: &'a History,
    /// The user's embedding; empty where the model has none.
    pub(in crate::ranking) embedding: &'a [f32],
    /// When the request's time is over.
    pub(in crate::ranking) deadline: Deadline,
}
