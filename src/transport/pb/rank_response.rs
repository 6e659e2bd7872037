//! `podium.v1.RankResponse`.

use prost::{
    DecodeError, Message, Name,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType, int32, message, skip_field, string, uint64},
};

use crate::transport::pb::{
    generated::{DegradedReason, RankError, Timings, UserState},
    ranked_items::{ITEMS, RankedItems},
};

const REQUEST_ID: u32 = 1;
const MODEL_NAME: u32 = 3;
const MODEL_VERSION: u32 = 4;
const ENCODER_VERSION: u32 = 5;
const USER_STATE: u32 = 6;
const DEGRADED: u32 = 7;
const MISSING_ITEMS: u32 = 8;
const TIMINGS: u32 = 9;
const ERROR: u32 = 10;
const USER_STATE_AGE_MS: u32 = 11;

/// The order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RankResponse {
    /// The `request_id` of the request.
    pub request_id: String,
    /// The items, best first; at most `top_k` of them where that is not 0.
    pub items: RankedItems,
    /// The model that answered.
    pub model_name: String,
    /// The version of it that answered.
    pub model_version: u64,
    /// The version of the user encoder whose embedding was used; 0 where the model uses none.
    pub encoder_version: u64,
    /// Where the user's side of the answer came from.
    pub user_state: i32,
    /// Why the answer is less than it could be; empty where nothing is missing.
    pub degraded: Vec<i32>,
    /// Asked for but unknown to the model's catalogue, in the order of the request.
    pub missing_items: Vec<String>,
    /// Time spent in the server, stage by stage.
    pub timings: Option<Timings>,
    /// Set in `RankStream` only, when this request failed; all else but `request_id` is then empty.
    pub error: Option<RankError>,
    /// How long ago the user's embedding was computed, in milliseconds; 0 where the request brought it or it is the default one.
    pub user_state_age_ms: u64,
}

impl RankResponse {
    /// Where the user's side of the answer came from; unspecified where the number is none that is known.
    pub fn user_state(&self) -> UserState {
        self.user_state.try_into().unwrap_or_default()
    }

    /// Why the answer is less than it could be, as far as the numbers are known.
    pub fn degraded(&self) -> impl Iterator<Item = DegradedReason> {
        self.degraded.iter().filter_map(|&reason| reason.try_into().ok())
    }
}

impl Message for RankResponse {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if !self.request_id.is_empty() {
            string::encode(REQUEST_ID, &self.request_id, buf);
        }
        buf.put_slice(self.items.encoded());
        if !self.model_name.is_empty() {
            string::encode(MODEL_NAME, &self.model_name, buf);
        }
        for (tag, version) in
            [(MODEL_VERSION, self.model_version), (ENCODER_VERSION, self.encoder_version)]
        {
            if version != 0 {
                uint64::encode(tag, &version, buf);
            }
        }
        if self.user_state != 0 {
            int32::encode(USER_STATE, &self.user_state, buf);
        }
        int32::encode_packed(DEGRADED, &self.degraded, buf);
        string::encode_repeated(MISSING_ITEMS, &self.missing_items, buf);
        if let Some(timings) = &self.timings {
            message::encode(TIMINGS, timings, buf);
        }
        if let Some(error) = &self.error {
            message::encode(ERROR, error, buf);
        }
        if self.user_state_age_ms != 0 {
            uint64::encode(USER_STATE_AGE_MS, &self.user_state_age_ms, buf);
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
            REQUEST_ID => string::merge(wire_type, &mut self.request_id, buf, context),
            ITEMS => self.items.merge(wire_type, buf, context),
            MODEL_NAME => string::merge(wire_type, &mut self.model_name, buf, context),
            MODEL_VERSION => uint64::merge(wire_type, &mut self.model_version, buf, context),
            ENCODER_VERSION => uint64::merge(wire_type, &mut self.encoder_version, buf, context),
            USER_STATE => int32::merge(wire_type, &mut self.user_state, buf, context),
            DEGRADED => int32::merge_repeated(wire_type, &mut self.degraded, buf, context),
            MISSING_ITEMS => {
                string::merge_repeated(wire_type, &mut self.missing_items, buf, context)
            }
            TIMINGS => {
                message::merge(wire_type, self.timings.get_or_insert_default(), buf, context)
            }
            ERROR => message::merge(wire_type, self.error.get_or_insert_default(), buf, context),
            USER_STATE_AGE_MS => {
                uint64::merge(wire_type, &mut self.user_state_age_ms, buf, context)
            }
            _ => skip_field(wire_type, tag, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        let text = |tag, text: &String| match text.is_empty() {
            true => 0,
            false => string::encoded_len(tag, text),
        };
        let number = |tag, number| match number {
            0 => 0,
            number => uint64::encoded_len(tag, &number),
        };
        let user_state = match self.user_state {
            0 => 0,
            state => int32::encoded_len(USER_STATE, &state),
        };
        text(REQUEST_ID, &self.request_id)
            + self.items.encoded().len()
            + text(MODEL_NAME, &self.model_name)
            + number(MODEL_VERSION, self.model_version)
            + number(ENCODER_VERSION, self.encoder_version)
            + user_state
            + int32::encoded_len_packed(DEGRADED, &self.degraded)
            + string::encoded_len_repeated(MISSING_ITEMS, &self.missing_items)
            + self.timings.as_ref().map_or(0, |timings| message::encoded_len(TIMINGS, timings))
            + self.error.as_ref().map_or(0, |error| message::encoded_len(ERROR, error))
            + number(USER_STATE_AGE_MS, self.user_state_age_ms)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Name for RankResponse {
    const NAME: &'static str = "RankResponse";
    const PACKAGE: &'static str = "podium.v1";
}

#[cfg(test)]
mod tests {
    use crate::transport::pb::{
        generated::{Output, RankedItem},
        wire::check,
    };

    use super::*;

    #[test]
    fn it_is_on_the_wire_what_the_proto_says() {
        check(&RankResponse::default());
        let item = |rank| RankedItem {
            id: "1082185".to_owned(),
            index: 300,
            rank,
            score: Some(0.0),
            outputs: vec![Output { name: "department_interest".to_owned(), value: 0.25 }; 2],
        };
        check(&RankResponse {
            request_id: "r".to_owned(),
            items: (1..4).map(item).collect(),
            model_name: "grocery-ranker".to_owned(),
            model_version: u64::MAX,
            encoder_version: 3,
            user_state: UserState::Cached.into(),
            degraded: vec![1, 2, 99],
            missing_items: vec!["x".to_owned(), String::new()],
            timings: Some(Timings { total_us: 1000, ..Timings::default() }),
            error: Some(RankError { code: 3, ..RankError::default() }),
            user_state_age_ms: 77,
        });
    }

    #[test]
    fn an_item_that_is_none_is_refused() {
        assert!(RankResponse::decode(&[0x12, 2, 0x0a, 9][..]).is_err());
        assert!(RankResponse::decode(&[0x12, 3, 0x0a, 1, 0xff][..]).is_err());
    }
}
