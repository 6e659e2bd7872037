//! A protobuf message that is written field by field, without being built first.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// The bytes of a message, as far as it is written.
#[derive(Debug, Default)]
pub(super) struct WireMessage(Vec<u8>);

impl WireMessage {
    /// An empty message with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// The whole message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A whole number, a flag or an enumerator.
    pub(super) fn varint(&mut self, field: u32, value: u64) {
        encode_key(field, WireType::Varint, &mut self.0);
        encode_varint(value, &mut self.0);
    }

    /// A number of the type `fixed32`.
    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        encode_key(field, WireType::ThirtyTwoBit, &mut self.0);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A number of the type `fixed64`.
    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        encode_key(field, WireType::SixtyFourBit, &mut self.0);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A number of the type `double`.
    pub(super) fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// Text, bytes, or a message that is already written.
    pub(super) fn bytes(&mut self, field: u32, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        encode_key(field, WireType::LengthDelimited, &mut self.0);
        encode_varint(value.len() as u64, &mut self.0);
        self.0.extend_from_slice(value);
    }

    /// A message within this one. Its length stands before it: one of 128 bytes or more is moved up once it is written.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        encode_key(field, WireType::LengthDelimited, &mut self.0);
        let begin = self.0.len() + 1;
        self.0.push(0);
        write(self);
        let end = self.0.len();
        let length = (end - begin) as u64;
        let more = encoded_len_varint(length) - 1;
        if more > 0 {
            self.0.resize(end + more, 0);
            self.0.copy_within(begin..end, begin + more);
        }
        let mut room = &mut self.0[begin - 1..begin + more];
        encode_varint(length, &mut room);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{
        AnyValue, ArrayValue, KeyValue, any_value::Value,
    };
    use prost::Message;

    use super::*;

    #[track_caller]
    fn check(want: &impl Message, write: impl FnOnce(&mut WireMessage)) {
        let mut message = WireMessage::default();
        write(&mut message);
        assert_eq!(message.into_bytes(), want.encode_to_vec());
    }

    #[test]
    fn bytes_are_those_of_the_messages_own_encoding() {
        let value = |value| AnyValue { value: Some(value) };
        check(&value(Value::IntValue(-3)), |any| any.varint(3, -3_i64 as u64));
        check(&value(Value::DoubleValue(0.1)), |any| any.double(4, 0.1));
        check(&value(Value::BoolValue(true)), |any| any.varint(2, 1));
        for length in [0, 1, 120, 127, 128, 129, 16_383, 16_384, 70_000] {
            let text = "x".repeat(length);
            let inner = value(Value::StringValue(text.clone()));
            let values = vec![inner.clone(), inner.clone()];
            let array = value(Value::ArrayValue(ArrayValue { values }));
            let pair = KeyValue { key: "k".to_owned(), value: Some(array), ..KeyValue::default() };
            check(&pair, |pair| {
                pair.bytes(1, "k");
                pair.message(2, |any| {
                    any.message(5, |array| {
                        array.message(1, |any| any.bytes(1, &text));
                        array.bytes(1, inner.encode_to_vec());
                    });
                });
            });
        }
    }
}
