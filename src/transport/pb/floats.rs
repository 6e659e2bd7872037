//! A `repeated float`, read in one go.

use prost::{
    DecodeError,
    bytes::Buf,
    encoding::{DecodeContext, WireType, decode_varint, float},
};

/// The bytes of a float.
const FLOAT: usize = size_of::<f32>();

/// Reads one float, or many that are packed, and appends them.
///
/// # Errors
/// Those of any float: another wire type, or bytes that are missing.
pub(super) fn merge(
    wire_type: WireType,
    values: &mut Vec<f32>,
    buf: &mut impl Buf,
    context: DecodeContext,
) -> Result<(), DecodeError> {
    if wire_type == WireType::LengthDelimited
        && let Some((packed, read)) = first_of(buf.chunk())
    {
        let value = |bytes: &[u8; FLOAT]| f32::from_le_bytes(*bytes);
        values.extend(packed.iter().map(value));
        buf.advance(read);
        return Ok(());
    }
    float::merge_repeated(wire_type, values, buf, context)
}

/// The floats that lie in one piece at the start of `bytes`, behind their length, and how many bytes all of it has.
fn first_of(bytes: &[u8]) -> Option<(&[[u8; FLOAT]], usize)> {
    let mut rest = bytes;
    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    let (packed, cut) = rest.get(..length)?.as_chunks();
    cut.is_empty().then_some((packed, bytes.len() - rest.len() + length))
}
