//! `repeated podium.v1.RankedItem`, encoded.

use std::fmt;

use prost::{
    DecodeError, Message,
    bytes::Buf,
    encoding::{DecodeContext, WireType, encode_key, encode_varint, message},
};

use crate::transport::pb::generated::RankedItem;

/// The field of an answer that holds its items.
pub(super) const ITEMS: u32 = 2;

/// The items of an answer as they are on the wire: each is written once and read where it is asked for.
#[derive(Clone, Default, PartialEq)]
pub struct RankedItems {
    /// The items, each behind its key and its length.
    bytes: Vec<u8>,
    count: usize,
}

impl RankedItems {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items in their order, each decoded as it is reached.
    pub fn iter(&self) -> impl Iterator<Item = RankedItem> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (_key, after) = rest.split_first()?;
            rest = after;
            RankedItem::decode_length_delimited(&mut rest).ok()
        })
    }

    /// Makes an empty list with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), count: 0 }
    }

    /// Appends an item, encoded.
    pub fn push(&mut self, item: &[u8]) {
        encode_key(ITEMS, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(item.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(item);
        self.count += 1;
    }

    /// As they stand in the answer.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads one item and appends it.
    ///
    /// # Errors
    /// Those of any message.
    pub(super) fn merge(
        &mut self,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut item = RankedItem::default();
        message::merge(wire_type, &mut item, buf, context)?;
        self.push(&item.encode_to_vec());
        Ok(())
    }
}

impl FromIterator<RankedItem> for RankedItems {
    fn from_iter<I: IntoIterator<Item = RankedItem>>(items: I) -> Self {
        let mut all = Self::default();
        items.into_iter().for_each(|item| all.push(&item.encode_to_vec()));
        all
    }
}

impl fmt::Debug for RankedItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
