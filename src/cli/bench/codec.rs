//! Requests framed once and sent often, answers read without their items.
//!
//! The generator shares the machine with the server, so what it spends on a request is kept small.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use crate::transport::pb::{self, inference::model_infer_response::InferOutputTensor};

/// Bytes before a message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// The fields of a `podium.v1.RankResponse` that are read.
const ITEMS: u32 = 2;
const USER_STATE: u32 = 6;
const TIMINGS: u32 = 9;

/// The field of an `inference.ModelInferResponse` that is read.
const OUTPUTS: u32 = 5;

/// What is read of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    /// How many items it has, or rows of the first tensor.
    pub(super) items: usize,
    /// Whether the user's embedding was computed first.
    pub(super) computed: bool,
    /// Time spent in the server.
    pub(super) timings: Option<pb::Timings>,
}

impl Answer {
    /// Reads a framed `podium.v1.RankResponse`.
    pub(super) fn of_rank(framed: &[u8]) -> Result<Self, String> {
        Self::rank_message(message_of(framed)?).map_err(unreadable)
    }

    /// Reads a framed `inference.ModelInferResponse`.
    pub(super) fn of_infer(framed: &[u8]) -> Result<Self, String> {
        Self::infer_message(message_of(framed)?).map_err(unreadable)
    }

    /// Whether it has as much as it is to have: so many items, or any at all.
    pub(super) fn is_whole(&self, items: Option<usize>) -> bool {
        items.map_or(self.items > 0, |items| self.items == items)
    }

    fn infer_message(mut message: &[u8]) -> Result<Self, DecodeError> {
        while message.has_remaining() {
            let (field, kind) = decode_key(&mut message)?;
            if (field, kind) == (OUTPUTS, WireType::LengthDelimited) {
                let output = InferOutputTensor::decode_length_delimited(&mut message)?;
                let rows = output.shape.first().copied().unwrap_or(1);
                return Ok(Self { items: rows.try_into().unwrap_or(0), ..Self::default() });
            }
            skip_field(kind, field, &mut message, DecodeContext::default())?;
        }
        Ok(Self::default())
    }

    fn rank_message(mut message: &[u8]) -> Result<Self, DecodeError> {
        let mut answer = Self::default();
        while message.has_remaining() {
            let (field, kind) = decode_key(&mut message)?;
            match (field, kind) {
                (USER_STATE, WireType::Varint) => {
                    let computed = pb::UserState::Computed as u64;
                    answer.computed = decode_varint(&mut message)? == computed;
                }
                (TIMINGS, WireType::LengthDelimited) => {
                    answer.timings = Some(pb::Timings::decode_length_delimited(&mut message)?);
                }
                _ => {
                    answer.items += usize::from(field == ITEMS);
                    skip_field(kind, field, &mut message, DecodeContext::default())?;
                }
            }
        }
        Ok(answer)
    }
}

/// The message of a frame.
fn message_of(framed: &[u8]) -> Result<&[u8], String> {
    match framed.split_at_checked(PREFIX) {
        Some(([0, length @ ..], message)) if length == (message.len() as u32).to_be_bytes() => {
            Ok(message)
        }
        _ => Err(format!("unreadable answer of {} bytes", framed.len())),
    }
}

fn unreadable(cause: DecodeError) -> String {
    format!("unreadable answer: {cause}")
}

/// Encodes a request as it stands in HTTP/2's data.
pub(super) fn framed<M: Message>(request: &M) -> Bytes {
    let length = request.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(length as u32);
    bytes.put(request.encode_to_vec().as_slice());
    bytes.freeze()
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
            user_state: pb::UserState::Computed.into(),
            timings: Some(pb::Timings { run_us: 7, ..Default::default() }),
            ..Default::default()
        };
        let message = response.encode_to_vec();
        let mut framed = vec![0, 0, 0, 0, message.len() as u8];
        framed.extend(message);
        let answer = Answer::of_rank(&framed).unwrap();
        assert_eq!((answer.items, answer.computed), (3, true));
        assert_eq!(answer.timings.map(|timings| timings.run_us), Some(7));
        assert!(Answer::of_rank(&framed[..framed.len() - 1]).is_err());
    }

    #[test]
    fn rows_are_those_of_the_first_output() {
        let output = |rows| InferOutputTensor { shape: vec![rows, 2], ..Default::default() };
        let response = pb::inference::ModelInferResponse {
            model_name: "m".to_owned(),
            outputs: vec![output(3), output(5)],
            raw_output_contents: vec![vec![7; 24].into()],
            ..Default::default()
        };
        let answer = Answer::of_infer(&framed(&response)).unwrap();
        assert_eq!(answer.items, 3);
        assert!(answer.is_whole(Some(3)) && answer.is_whole(None) && !answer.is_whole(Some(2)));
        assert!(!Answer::default().is_whole(None));
    }

    #[test]
    fn a_request_carries_its_length() {
        let request = pb::RankRequest { query: "q".to_owned(), ..Default::default() };
        let framed = framed(&request);
        assert_eq!(framed[..PREFIX], [0, 0, 0, 0, 3]);
        assert_eq!(pb::RankRequest::decode(&framed[PREFIX..]).unwrap(), request);
    }
}
