//! `podium.v1.StringColumn`, `FloatColumn` and `VectorColumn`.

use prost::{
    DecodeError, Message, Name,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType, float, skip_field, uint32},
};

use crate::{
    texts::Texts,
    transport::pb::{floats, texts},
};

/// The field of a column that holds its values.
const VALUES: u32 = 1;

/// The same of a column of vectors, and that of their length.
const VECTORS: u32 = 2;
const DIM: u32 = 1;

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

/// Floats, one a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FloatColumn {
    /// One value a row.
    pub values: Vec<f32>,
}

impl Message for FloatColumn {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        float::encode_packed(VALUES, &self.values, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            VALUES => floats::merge(wire_type, &mut self.values, buf, context),
            _ => skip_field(wire_type, tag, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        float::encoded_len_packed(VALUES, &self.values)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Name for FloatColumn {
    const NAME: &'static str = "FloatColumn";
    const PACKAGE: &'static str = "podium.v1";
}

/// Vectors of one length, one a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VectorColumn {
    /// The length of each vector; at least 1.
    pub dim: u32,
    /// The vectors one after another: `dim` values a row.
    pub values: Vec<f32>,
}

impl Message for VectorColumn {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if self.dim != 0 {
            uint32::encode(DIM, &self.dim, buf);
        }
        float::encode_packed(VECTORS, &self.values, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            DIM => uint32::merge(wire_type, &mut self.dim, buf, context),
            VECTORS => floats::merge(wire_type, &mut self.values, buf, context),
            _ => skip_field(wire_type, tag, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        let dim = if self.dim == 0 { 0 } else { uint32::encoded_len(DIM, &self.dim) };
        dim + float::encoded_len_packed(VECTORS, &self.values)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Name for VectorColumn {
    const NAME: &'static str = "VectorColumn";
    const PACKAGE: &'static str = "podium.v1";
}

#[cfg(test)]
mod tests {
    use crate::transport::pb::wire::check;

    use super::*;

    #[test]
    fn they_are_on_the_wire_what_the_proto_says() {
        for values in [&[][..], &[""], &["a", "", "übrig"], &["long".repeat(99).as_str()]] {
            check(&StringColumn { values: values.iter().collect() });
        }
        for values in [vec![], vec![0.0], vec![0.5, -1e30, f32::INFINITY]] {
            check(&FloatColumn { values: values.clone() });
            check(&VectorColumn { dim: 3, values: values.clone() });
            check(&VectorColumn { dim: 0, values });
        }
    }

    #[test]
    fn bytes_that_are_no_values_are_refused() {
        for bytes in [&[0x0a, 1, 0xff][..], &[0x0a, 2, b'a'], &[0x0d, 1, 2, 3, 4]] {
            assert!(StringColumn::decode(bytes).is_err(), "{bytes:?}");
        }
        for bytes in [&[0x0a, 3, 0, 0, 0][..], &[0x0a, 8, 0, 0, 0, 0], &[0x08, 1]] {
            assert!(FloatColumn::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn values_in_pieces_are_read_all_the_same() {
        let parts = (&[0x0a, 2, b'a'][..]).chain(&b"b"[..]);
        assert_eq!(StringColumn::decode(parts).unwrap().values.get(0), Some("ab"));
        let one = 1.0_f32.to_le_bytes();
        let packed = [&[0x0a, 8][..], &one, &one, &[0x0d], &one].concat();
        let parts = packed[..4].chain(&packed[4..]);
        assert_eq!(FloatColumn::decode(parts).unwrap().values, [1.0; 3]);
    }
}
