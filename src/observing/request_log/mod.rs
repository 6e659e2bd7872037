//! The log of whole requests, for those who want to ask them again: off unless a file is named, a share of them, without what tells of a
//! shopper unless that is asked for by name.

mod answer;
mod entry;
mod file;
mod redaction;
mod writer;

pub use entry::{
    Entry, LoggedAnswer, LoggedColumn, LoggedEmbedding, LoggedError, LoggedEvent, LoggedRequest,
    LoggedTimings, LoggedValues, SCHEMA,
};
pub use writer::{RequestLog, RequestLogCounts, RequestLogError};
