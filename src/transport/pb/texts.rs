//! A `repeated string` as [`Texts`].

use std::str;

use prost::{
    DecodeError,
    bytes::{Buf, BufMut},
    encoding::{
        DecodeContext, WireType, decode_varint, encode_key, encode_varint, encoded_len_varint,
        key_len, string,
    },
};

use crate::texts::Texts;

/// Writes the texts as the field `tag`.
pub(super) fn encode(tag: u32, texts: &Texts, buf: &mut impl BufMut) {
    for text in texts.iter() {
        encode_key(tag, WireType::LengthDelimited, buf);
        encode_varint(text.len() as u64, buf);
        buf.put_slice(text.as_bytes());
    }
}

/// How many bytes [`encode`] writes.
pub(super) fn encoded_len(tag: u32, texts: &Texts) -> usize {
    let lengths = texts.iter().map(|text| encoded_len_varint(text.len() as u64));
    texts.len() * key_len(tag) + lengths.sum::<usize>() + texts.bytes()
}

/// Reads one text and appends it.
///
/// # Errors
/// Those of any string: another wire type, bytes that are missing, or bytes that are no UTF-8.
pub(super) fn merge(
    wire_type: WireType,
    texts: &mut Texts,
    buf: &mut impl Buf,
    context: DecodeContext,
) -> Result<(), DecodeError> {
    if wire_type == WireType::LengthDelimited
        && let Some((text, read)) = first_of(buf.chunk())
    {
        texts.push(text);
        buf.advance(read);
        return Ok(());
    }
    let mut text = String::new();
    string::merge(wire_type, &mut text, buf, context)?;
    texts.push(&text);
    Ok(())
}

/// The text that lies in one piece at the start of `bytes`, behind its length, and how many bytes both have.
fn first_of(bytes: &[u8]) -> Option<(&str, usize)> {
    let mut rest = bytes;
    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    let text = str::from_utf8(rest.get(..length)?).ok()?;
    Some((text, bytes.len() - rest.len() + length))
}
