//! `podium.v1.Output` with a name that all items of an answer share.

use std::sync::Arc;

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{
        DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, float, key_len,
        skip_field, string,
    },
};

const NAME: u32 = 1;
const VALUE: u32 = 2;

/// The value of one head for one item, as `rank.proto` has it; the name is not copied for each item.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    /// The head's name in the manifest.
    pub name: Arc<str>,
    /// The value after the head's activation.
    pub value: f32,
}

impl Message for Output {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if !self.name.is_empty() {
            encode_key(NAME, WireType::LengthDelimited, buf);
            encode_varint(self.name.len() as u64, buf);
            buf.put_slice(self.name.as_bytes());
        }
        if self.value != 0.0 {
            float::encode(VALUE, &self.value, buf);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            NAME => {
                let mut name = String::new();
                string::merge(wire_type, &mut name, buf, context)?;
                self.name = name.into();
                Ok(())
            }
            VALUE => float::merge(wire_type, &mut self.value, buf, context),
            _ => skip_field(wire_type, tag, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        let name = match self.name.len() {
            0 => 0,
            length => key_len(NAME) + encoded_len_varint(length as u64) + length,
        };
        let value = if self.value == 0.0 { 0 } else { float::encoded_len(VALUE, &self.value) };
        name + value
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::{DescriptorPool, DynamicMessage, Value};

    use crate::transport::pb::DESCRIPTORS;

    use super::*;

    #[track_caller]
    fn check(name: &str, value: f32) {
        let own = Output { name: name.into(), value };
        let bytes = own.encode_to_vec();
        assert_eq!(bytes.len(), own.encoded_len());
        assert_eq!(Output::decode(bytes.as_slice()).unwrap(), own);
        let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
        let message = pool.get_message_by_name("podium.v1.Output").unwrap();
        let read = DynamicMessage::decode(message, bytes.as_slice()).unwrap();
        assert_eq!(
            read.get_field_by_name("name").unwrap().into_owned(),
            Value::String(name.into())
        );
        assert_eq!(read.get_field_by_name("value").unwrap().into_owned(), Value::F32(value));
        assert_eq!(read.encode_to_vec(), bytes);
    }

    #[test]
    fn it_is_on_the_wire_what_the_proto_says() {
        check("department_interest", 0.25);
        check("ü", -1e30);
        check("", 3.0);
        check("zero", 0.0);
    }
}
