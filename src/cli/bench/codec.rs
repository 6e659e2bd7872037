//! Requests framed once and sent often, answers read without their items.
//!
//! The generator shares the machine with the server, so what it spends on a request is kept small.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use crate::transport::pb;

/// Bytes before a message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// The fields of a `podium.v1.RankResponse` that are read.
const ITEMS: u32 = 2;
const USER_STATE: u32 = 6;
const TIMINGS: u32 = 9;

/// What is read of a `podium.v1.RankResponse`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    /// How many items it has.
    pub(super) items: usize,
    /// Whether the user's embedding was computed first.
    pub(super) computed: bool,
    /// Time spent in the server.
    pub(super) timings: Option<pb::Timings>,
}

impl Answer {
    /// Reads a framed message.
    pub(super) fn read(framed: &[u8]) -> Result<Self, String> {
        match framed.split_at_checked(PREFIX) {
            Some(([0, length @ ..], message)) if length == (message.len() as u32).to_be_bytes() => {
                Self::of_message(message).map_err(|cause| format!("unreadable answer: {cause}"))
            }
            _ => Err(format!("unreadable answer of {} bytes", framed.len())),
        }
    }

    fn of_message(mut message: &[u8]) -> Result<Self, DecodeError> {
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

/// Encodes a request as it stands in HTTP/2's data.
pub(super) fn framed(request: &pb::RankRequest) -> Bytes {
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
        let answer = Answer::read(&framed).unwrap();
        assert_eq!((answer.items, answer.computed), (3, true));
        assert_eq!(answer.timings.map(|timings| timings.run_us), Some(7));
        assert!(Answer::read(&framed[..framed.len() - 1]).is_err());
    }

    #[test]
    fn a_request_carries_its_length() {
        let request = pb::RankRequest { query: "q".to_owned(), ..Default::default() };
        let framed = framed(&request);
        assert_eq!(framed[..PREFIX], [0, 0, 0, 0, 3]);
        assert_eq!(pb::RankRequest::decode(&framed[PREFIX..]).unwrap(), request);
    }
}
