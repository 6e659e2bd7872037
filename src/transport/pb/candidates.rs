//! `podium.v1.Candidates`.

use prost::{
    DecodeError, Message, Name,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType, float, message, skip_field},
};

use crate::{
    texts::Texts,
    transport::pb::{floats, generated::Column, texts},
};

const IDS: u32 = 1;
const PRIOR_SCORES: u32 = 2;
const COLUMNS: u32 = 3;

/// The items to order, column by column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Candidates {
    /// Item ids, each at most once and not empty; at least 1 and at most `max_candidates`.
    pub ids: Texts,
    /// Optional score of an earlier stage, one for each id: breaks ties, and may be an input of the model.
    pub prior_scores: Vec<f32>,
    /// Features, each with one value for each id. A column replaces the catalogue's value of the same name.
    pub columns: Vec<Column>,
}

impl Message for Candidates {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        texts::encode(IDS, &self.ids, buf);
        float::encode_packed(PRIOR_SCORES, &self.prior_scores, buf);
        message::encode_repeated(COLUMNS, &self.columns, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            IDS => texts::merge(wire_type, &mut self.ids, buf, context),
            PRIOR_SCORES => floats::merge(wire_type, &mut self.prior_scores, buf, context),
            COLUMNS => message::merge_repeated(wire_type, &mut self.columns, buf, context),
            _ => skip_field(wire_type, tag, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        texts::encoded_len(IDS, &self.ids)
            + float::encoded_len_packed(PRIOR_SCORES, &self.prior_scores)
            + message::encoded_len_repeated(COLUMNS, &self.columns)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Name for Candidates {
    const NAME: &'static str = "Candidates";
    const PACKAGE: &'static str = "podium.v1";
}

#[cfg(test)]
mod tests {
    use crate::transport::pb::{columns::FloatColumn, generated::column::Values, wire::check};

    use super::*;

    #[test]
    fn it_is_on_the_wire_what_the_proto_says() {
        check(&Candidates::default());
        let values = Some(Values::Floats(FloatColumn { values: vec![1.5, 0.0] }));
        check(&Candidates {
            ids: ["1082185", "ü"].into_iter().collect(),
            prior_scores: vec![0.25, -1.0],
            columns: vec![Column { name: "price".to_owned(), values }; 2],
        });
    }
}
