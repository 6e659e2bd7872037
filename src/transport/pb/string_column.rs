//! `podium.v1.StringColumn`.

use prost::{
    DecodeError, Message, Name,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType, skip_field},
};

use crate::{texts::Texts, transport::pb::texts};

const VALUES: u32 = 1;

/// Strings, one a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StringColumn {
    /// One value a row.
    pub values: Texts,
}

impl Message for StringColumn {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        texts::encode(VALUES, &self.values, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            VALUES => texts::merge(wire_type, &mut self.values, buf, context),
            _ => skip_field(wire_type, tag, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        texts::encoded_len(VALUES, &self.values)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Name for StringColumn {
    const NAME: &'static str = "StringColumn";
    const PACKAGE: &'static str = "podium.v1";
}

#[cfg(test)]
mod tests {
    use crate::transport::pb::wire::check;

    use super::*;

    #[test]
    fn it_is_on_the_wire_what_the_proto_says() {
        for values in [&[][..], &[""], &["a", "", "übrig"], &["long".repeat(99).as_str()]] {
            check(&StringColumn { values: values.iter().collect() });
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        for bytes in [&[0x0a, 1, 0xff][..], &[0x0a, 2, b'a'], &[0x0d, 1, 2, 3, 4]] {
            assert!(StringColumn::decode(bytes).is_err(), "{bytes:?}");
        }
        // A text that does not lie in one piece is read all the same.
        let parts = (&[0x0a, 2, b'a'][..]).chain(&b"b"[..]);
        assert_eq!(StringColumn::decode(parts).unwrap().values.get(0), Some("ab"));
    }
}
