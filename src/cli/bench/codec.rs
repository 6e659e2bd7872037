//! Requests encoded once and sent often, answers read without a copy of their items.
//!
//! The generator shares the machine with the server, so what it spends on a request is kept small.

use bytes::{BufMut, Bytes};
use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::transport::pb;

/// What is read of a `podium.v1.RankResponse`: the fields have its numbers, the items stay encoded.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Answer {
    /// The items.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) items: Vec<Bytes>,
    /// Where the user's side came from.
    #[prost(enumeration = "pb::UserState", tag = "6")]
    pub(super) user_state: i32,
    /// Time spent in the server.
    #[prost(message, optional, tag = "9")]
    pub(super) timings: Option<pb::Timings>,
}

/// Sends bytes as they are, reads [`Answer`]s.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BenchCodec;

impl Codec for BenchCodec {
    type Encode = Bytes;
    type Decode = Answer;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BenchCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for BenchCodec {
    type Item = Answer;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Answer>, Status> {
        let answer = Answer::decode(buffer);
        answer.map(Some).map_err(|cause| Status::internal(format!("unreadable: {cause}")))
    }
}

/// Encodes a request.
pub(super) fn encoded(request: &pb::RankRequest) -> Bytes {
    request.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_from_a_response() {
        let item = pb::RankedItem { id: "a".to_owned(), score: Some(0.5), ..Default::default() };
        let response = pb::RankResponse {
            request_id: "r".to_owned(),
            items: vec![item; 3].into_iter().collect(),
            user_state: pb::UserState::Cached.into(),
            timings: Some(pb::Timings { run_us: 7, ..Default::default() }),
            ..Default::default()
        };
        let answer = Answer::decode(response.encode_to_vec().as_slice()).unwrap();
        assert_eq!(answer.items.len(), 3);
        assert_eq!(answer.user_state(), pb::UserState::Cached);
        assert_eq!(answer.timings.map(|timings| timings.run_us), Some(7));
    }
}
