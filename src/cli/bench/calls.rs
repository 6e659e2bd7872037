//! Requests of one method, framed once and sent often, and how its answers are read.

use bytes::Bytes;
use prost::Message;

use crate::{
    cli::bench::codec::{Answer, framed},
    transport::pb::{RankRequest, inference::ModelInferRequest},
};

/// Requests of one method.
#[derive(Debug)]
pub(super) struct Calls {
    /// The path of the method.
    pub(super) path: &'static str,
    /// The requests as they stand in HTTP/2's data.
    pub(super) framed: Vec<Bytes>,
    /// Items or rows that a whole answer has; none where any is one.
    pub(super) items: Option<usize>,
    /// Reads a framed answer.
    pub(super) read: fn(&[u8]) -> Result<Answer, String>,
}

impl Calls {
    /// Rank requests, whose answers have so many items.
    pub(super) fn rank(requests: &[RankRequest], items: usize) -> Self {
        Self {
            path: "/podium.v1.RankService/Rank",
            framed: all_framed(requests),
            items: Some(items),
            read: Answer::of_rank,
        }
    }

    /// Runs of a model by its tensors.
    pub(super) fn infer(requests: &[ModelInferRequest], rows: Option<usize>) -> Self {
        Self {
            path: "/inference.GRPCInferenceService/ModelInfer",
            framed: all_framed(requests),
            items: rows,
            read: Answer::of_infer,
        }
    }
}

fn all_framed<M: Message>(requests: &[M]) -> Vec<Bytes> {
    requests.iter().map(framed).collect()
}
