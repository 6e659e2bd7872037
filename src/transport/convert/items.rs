//! From the pipeline's order to encoded items.

use prost::{
    bytes::BufMut,
    encoding::{WireType, encode_key, encode_varint, float, message, uint32},
};

use crate::{
    ranking::{Head, Scored},
    texts::Texts,
    transport::pb::{Output, RankedItems},
};

/// Fields of `podium.v1.RankedItem`.
const ID: u32 = 1;
const INDEX: u32 = 2;
const RANK: u32 = 3;
const SCORE: u32 = 4;
const OUTPUTS: u32 = 5;

/// What an item's id, index, rank and score need beside the id itself, in bytes; more than enough for most.
const NUMBERS: usize = 20;

/// The bytes of a float.
const FLOAT: usize = size_of::<f32>();

/// Writes the items of one answer, at the cost of a few copies of bytes an item.
pub(super) struct ItemWriter<'a> {
    ids: &'a Texts,
    heads: &'a [Head],
    /// The outputs of an item as they are on the wire, with room for the values.
    outputs: Vec<u8>,
    /// Where each value ends in `outputs`.
    ends: Vec<usize>,
    item: Vec<u8>,
}

impl<'a> ItemWriter<'a> {
    /// Makes what writes items with these further heads; `ids` are those of the request.
    pub(super) fn new(ids: &'a Texts, heads: &'a [Head]) -> Self {
        let (mut outputs, mut ends) = (Vec::new(), Vec::with_capacity(heads.len()));
        for head in heads {
            message::encode(OUTPUTS, &output(head, 1.0), &mut outputs);
            ends.push(outputs.len());
        }
        Self { ids, heads, outputs, ends, item: Vec::new() }
    }

    /// Writes the items in their order, best first.
    pub(super) fn write(mut self, items: &[Scored]) -> RankedItems {
        let bytes = self.ids.bytes() + items.len() * (self.outputs.len() + NUMBERS);
        let mut done = RankedItems::with_capacity(bytes);
        for (item, rank) in items.iter().zip(1..) {
            self.encode(item, rank);
            done.push(&self.item);
        }
        done
    }

    fn encode(&mut self, item: &Scored, rank: u32) {
        let (id, buf) = (&self.ids[item.index as usize], &mut self.item);
        buf.clear();
        if !id.is_empty() {
            encode_key(ID, WireType::LengthDelimited, buf);
            encode_varint(id.len() as u64, buf);
            buf.put_slice(id.as_bytes());
        }
        if item.index != 0 {
            uint32::encode(INDEX, &item.index, buf);
        }
        uint32::encode(RANK, &rank, buf);
        if let Some(score) = item.score {
            float::encode(SCORE, &score, buf);
        }
        let Some(row) = item.row.map(|row| row as usize) else {
            return;
        };
        if self.heads.iter().all(|head| head.values[row] != 0.0) {
            let begin = buf.len();
            buf.extend_from_slice(&self.outputs);
            for (head, end) in self.heads.iter().zip(&self.ends) {
                let place = begin + end - FLOAT..begin + end;
                buf[place].copy_from_slice(&head.values[row].to_le_bytes());
            }
        } else {
            // A zero is not written.
            for head in self.heads {
                message::encode(OUTPUTS, &output(head, head.values[row]), buf);
            }
        }
    }
}

fn output(head: &Head, value: f32) -> Output {
    Output { name: head.name.to_string(), value }
}

#[cfg(test)]
mod tests {
    use crate::transport::pb::RankedItem;

    use super::*;

    #[test]
    fn it_writes_what_generated_code_writes() {
        let ids: Texts = ["a", "", &"long".repeat(99)].into_iter().collect();
        let heads = [
            Head { name: "interest".into(), values: vec![0.5, 0.0, -1e30] },
            Head { name: "".into(), values: vec![2.5, 1.5, 3.5] },
        ];
        let scored = |index, score: Option<f32>| Scored {
            index,
            score,
            row: score.is_some().then_some(index),
        };
        let order =
            [scored(2, Some(0.0)), scored(0, Some(1.5)), scored(1, Some(-1.0)), scored(1, None)];
        for heads in [&heads[..], &[]] {
            let written = ItemWriter::new(&ids, heads).write(&order);
            let want = order.iter().zip(1..).map(|(item, rank)| RankedItem {
                id: ids[item.index as usize].to_owned(),
                index: item.index,
                rank,
                score: item.score,
                outputs: heads
                    .iter()
                    .filter(|_| item.row.is_some())
                    .map(|head| output(head, head.values[item.index as usize]))
                    .collect(),
            });
            let want: Vec<RankedItem> = want.collect();
            assert_eq!(written.iter().collect::<Vec<_>>(), want);
            assert_eq!(written, want.into_iter().collect());
        }
    }
}
