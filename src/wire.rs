//! Protobuf's wire format, as far as a graph must be taken apart and put together again, and spans are written field by field.

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A number.
    Number(u64),
    /// Bytes: a text, or a message.
    Bytes(&'a [u8]),
    /// A number of fixed width.
    Fixed,
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    pub(crate) value: Value<'a>,
    /// The field as it stands in the message, its key included.
    pub(crate) raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// The bytes of a field of that number.
    pub(crate) fn bytes(&self, number: u64) -> Option<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) if self.number == number => Some(bytes),
            _ => None,
        }
    }
}

/// The fields of a message in their order; `None` where the bytes are no message.
pub(crate) fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut rest = message;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        fields.push(next_field(&mut rest)?);
    }
    Some(fields)
}

/// Takes the first field off a message that is not empty; `None` where the bytes are none.
///
/// Groups and keys of more than 32 bits are none: ONNX has no such fields, and other readers may take them for something else.
pub(crate) fn next_field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let begun = *rest;
    let key = number(rest)?;
    let value = match key & 7 {
        0 => Value::Number(number(rest)?),
        1 => fixed(rest, 8)?,
        2 => {
            let length = usize::try_from(number(rest)?).ok()?;
            let (bytes, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        5 => fixed(rest, 4)?,
        _ => return None,
    };
    let number = key >> 3;
    if number == 0 || key > u64::from(u32::MAX) {
        return None;
    }
    let raw = &begun[..begun.len() - rest.len()];
    Some(Field { number, value, raw })
}

/// The key and the length that stand before bytes of that length.
pub(crate) fn header(number: u64, length: usize) -> Vec<u8> {
    let mut header = Message::default();
    header.varint(number << 3 | 2);
    header.varint(length as u64);
    header.0
}

fn fixed<'a>(rest: &mut &[u8], width: usize) -> Option<Value<'a>> {
    *rest = rest.get(width..)?;
    Some(Value::Fixed)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut all = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        all |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(all);
        }
    }
    None
}

/// A message that is being written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// An empty message with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// A message of one text, the first field.
    pub(crate) fn named(name: &str) -> Self {
        Self::default().text(1, name)
    }

    /// The same with a text.
    pub(crate) fn text(self, number: u64, text: &str) -> Self {
        self.bytes(number, text.as_bytes())
    }

    /// The same with a message.
    pub(crate) fn message(self, number: u64, message: &Self) -> Self {
        self.bytes(number, &message.0)
    }

    /// The same with bytes.
    pub(crate) fn bytes(mut self, number: u64, bytes: &[u8]) -> Self {
        self.varint(number << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// The same with a number.
    pub(crate) fn number(mut self, number: u64, value: u64) -> Self {
        self.varint(number << 3);
        self.varint(value);
        self
    }

    /// The same with a number of 32 bits of fixed width.
    pub(crate) fn fixed32(mut self, number: u64, value: u32) -> Self {
        self.varint(number << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// The same with a number of 64 bits of fixed width.
    pub(crate) fn fixed64(mut self, number: u64, value: u64) -> Self {
        self.varint(number << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// The same with a message that is written right here: one of 128 bytes or more is moved up once its length is known.
    pub(crate) fn within(mut self, number: u64, write: impl FnOnce(Self) -> Self) -> Self {
        self.varint(number << 3 | 2);
        let at = self.0.len();
        self.0.push(0);
        let mut whole = write(self);
        let length = whole.0.len() - at - 1;
        match u8::try_from(length) {
            Ok(length) if length < 0x80 => whole.0[at] = length,
            _ => {
                let mut prefix = Self::default();
                prefix.varint(length as u64);
                whole.0.splice(at..=at, prefix.0);
            }
        }
        whole
    }

    /// The same with a field of another message.
    pub(crate) fn field(mut self, field: &Field<'_>) -> Self {
        self.0.extend_from_slice(field.raw);
        self
    }

    /// The bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::named("x").number(3, u64::MAX);
        let message = Message::default().number(1, 300).message(200, &inner).finish();
        let read = fields(&message).unwrap();
        assert_eq!(read[0].value, Value::Number(300));
        assert_eq!((read[1].number, read[1].bytes(200)), (200, Some(inner.finish().as_slice())));
        assert_eq!(read[1].bytes(7), None);
        let copy = read.iter().fold(Message::default(), |copy, field| copy.field(field));
        assert_eq!(copy.finish(), message);
    }

    #[test]
    fn a_message_is_the_same_wherever_it_is_written() {
        for length in [0, 1, 120, 125, 126, 127, 128, 16_380, 16_384, 70_000] {
            let inner = |message: Message| message.text(1, &"x".repeat(length)).fixed32(2, 7);
            let outer = |message: Message| message.fixed64(3, 9).within(4, inner);
            let apart = Message::default().fixed64(3, 9).message(4, &inner(Message::default()));
            let want = Message::default().number(1, 1).message(5, &apart).finish();
            assert_eq!(Message::default().number(1, 1).within(5, outer).finish(), want, "{length}");
            assert_eq!(fields(&want).map(|fields| fields.len()), Some(2));
        }
    }

    #[test]
    fn what_is_cut_short_is_no_message() {
        let message = Message::named("a text").finish();
        assert!((1..message.len()).all(|length| fields(&message[..length]).is_none()));
        assert_eq!(fields(&[0x0b]), None);
        assert_eq!(fields(&[0xff; 12]), None);
        assert_eq!(fields(&[0x00, 1]), None, "no field has the number 0");
        assert_eq!(fields(&[0xaa, 0x80, 0x80, 0x80, 0x10, 1, 7]), None, "a key of 33 bits");
        assert_eq!(fields(&[9, 1, 2, 3, 4, 5, 6, 7, 8, 13, 1, 2, 3, 4]).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(fields) = fields(&bytes) {
                let copy = fields.iter().fold(Message::default(), |copy, field| copy.field(field));
                prop_assert_eq!(copy.finish(), bytes);
            }
        }
    }
}
