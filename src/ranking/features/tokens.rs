//! Token ids of segments, and how a tokenizer's post-processor joins them.

use tokenizers::{Encoding, PostProcessor, Token, Tokenizer};

/// Ids that stand for the two segments while the frame is read; no vocabulary is that long.
const MARKS: [u32; 2] = [u32::MAX - 1, u32::MAX];

/// The tokens of many segments, without special tokens, one after another.
#[derive(Debug, Default)]
pub(super) struct TokenLists {
    ids: Vec<u32>,
    /// Where each list ends in `ids`, and how many tokens it had before it was cut.
    ends: Vec<(usize, usize)>,
}

/// The tokens of one segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    /// As many as can be used.
    pub(super) ids: &'a [u32],
    /// How many there are.
    pub(super) whole: usize,
}

impl TokenLists {
    /// Appends a list, of which no more than `most` are kept; returns its place.
    pub(super) fn push(&mut self, ids: &[u32], most: usize) -> u32 {
        self.ids.extend_from_slice(&ids[..ids.len().min(most)]);
        self.ends.push((self.ids.len(), ids.len()));
        (self.ends.len() - 1) as u32
    }

    pub(super) fn get(&self, at: u32) -> Tokens<'_> {
        let at = at as usize;
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before].0);
        let (end, whole) = self.ends[at];
        Tokens { ids: &self.ids[begin..end], whole }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// One piece of a joined text, with its token type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Special(u32, u32),
    Segment(usize, u32),
}

/// What a tokenizer's post-processor puts around the segments of a text, and how much room it leaves them.
#[derive(Debug)]
pub(super) struct Frame {
    parts: Vec<Part>,
    pair: bool,
    room: usize,
}

impl Frame {
    /// Reads the frame of one segment or a pair from what the tokenizer makes of two marks; `None` where
    /// `max_tokens` leaves no room between the special tokens.
    pub(super) fn read(
        tokenizer: &Tokenizer,
        pair: bool,
        max_tokens: usize,
    ) -> Result<Option<Self>, tokenizers::Error> {
        let added = tokenizer.get_post_processor().map_or(0, |p| p.added_tokens(pair));
        let mark = |segment: usize| {
            let token = Token { id: MARKS[segment], value: String::new(), offsets: (0, 0) };
            Encoding::from_tokens(vec![token], segment as u32)
        };
        let joined = tokenizer.post_process(mark(0), pair.then(|| mark(1)), true)?;
        let part = |(&id, &kind): (&u32, &u32)| match MARKS.iter().position(|mark| *mark == id) {
            Some(segment) => Part::Segment(segment, kind),
            None => Part::Special(id, kind),
        };
        let parts = joined.get_ids().iter().zip(joined.get_type_ids()).map(part).collect();
        let room = max_tokens.checked_sub(added).filter(|room| *room > 0);
        Ok(room.map(|room| Self { parts, pair, room }))
    }

    /// The most tokens of a segment that can be used.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Cuts the segments to the room, the longer one first, and drops what is over.
    ///
    /// Source: `truncate_encodings` of the tokenizers crate, with the strategy `LongestFirst`.
    pub(super) fn cut<'a>(&self, first: Tokens<'a>, second: Tokens<'a>) -> [&'a [u32]; 2] {
        let (mut short, mut long) = (first.whole, if self.pair { second.whole } else { 0 });
        let swapped = short > long;
        if swapped {
            (short, long) = (long, short);
        }
        if short + long > self.room {
            long = if short > self.room { short } else { short.max(self.room - short) };
            if short + long > self.room {
                (short, long) = (self.room / 2, self.room / 2 + self.room % 2);
            }
        }
        if swapped {
            (short, long) = (long, short);
        }
        [&first.ids[..short.min(first.ids.len())], &second.ids[..long.min(second.ids.len())]]
    }

    /// How many tokens the joined segments have.
    pub(super) fn length(&self, segments: [&[u32]; 2]) -> usize {
        let length = |part: &Part| match part {
            Part::Special(..) => 1,
            Part::Segment(which, _) => segments[*which].len(),
        };
        self.parts.iter().map(length).sum()
    }

    /// Appends the ids of the joined segments.
    pub(super) fn ids(&self, segments: [&[u32]; 2], all: &mut Vec<i64>) {
        for part in &self.parts {
            match part {
                Part::Special(id, _) => all.push(i64::from(*id)),
                Part::Segment(which, _) => {
                    all.extend(segments[*which].iter().map(|id| i64::from(*id)));
                }
            }
        }
    }

    /// Appends the types of the joined segments' tokens.
    pub(super) fn types(&self, segments: [&[u32]; 2], all: &mut Vec<i64>) {
        for part in &self.parts {
            match part {
                Part::Special(_, kind) => all.push(i64::from(*kind)),
                Part::Segment(which, kind) => {
                    all.extend(std::iter::repeat_n(i64::from(*kind), segments[*which].len()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tokenizers::{EncodeInput, TruncationParams};

    use super::*;

    fn special(name: &str, kind: u32) -> Value {
        json!({"SpecialToken": {"id": name, "type_id": kind}})
    }

    fn sequence(name: &str, kind: u32) -> Value {
        json!({"Sequence": {"id": name, "type_id": kind}})
    }

    /// Post-processors as published tokenizers have them.
    fn processors() -> Vec<Value> {
        let one = [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)];
        let two = [sequence("B", 1), special("[SEP]", 1)];
        let swapped = [sequence("B", 7), special("[SEP]", 3), sequence("A", 2)];
        let known = json!({
            "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
            "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
        });
        let pair: Vec<Value> = one.iter().chain(&two).cloned().collect();
        vec![
            Value::Null,
            json!({"type": "TemplateProcessing", "single": one, "pair": pair, "special_tokens": known}),
            json!({"type": "TemplateProcessing", "single": one, "pair": swapped, "special_tokens": known}),
            json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}),
            json!({"type": "RobertaProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2],
                   "trim_offsets": true, "add_prefix_space": false}),
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        ]
    }

    static TOKENIZERS: LazyLock<Vec<Tokenizer>> =
        LazyLock::new(|| processors().iter().map(tokenizer).collect());

    fn tokenizer(processor: &Value) -> Tokenizer {
        let words = [
            "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "##a", "##b", "é", "漢", "-", "##-",
        ];
        let vocab: serde_json::Map<String, Value> =
            words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
        let added = |id: usize| {
            json!({"id": id, "content": words[id], "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        };
        let model = json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                           "max_input_chars_per_word": 100, "vocab": vocab});
        let normalizer = json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                                "strip_accents": null, "lowercase": true});
        let content = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [added(2), added(3)],
            "normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": processor, "decoder": null, "model": model,
        });
        Tokenizer::from_bytes(content.to_string()).unwrap()
    }

    /// Ids and types of the joined texts: as the tokenizer itself encodes them, and as the frame joins their tokens.
    fn both_ways(
        tokenizer: &Tokenizer,
        texts: (&str, Option<&str>),
        max_tokens: usize,
    ) -> Option<[Vec<(u32, u32)>; 2]> {
        let frame = Frame::read(tokenizer, texts.1.is_some(), max_tokens).unwrap()?;
        let mut whole = tokenizer.clone();
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        whole.with_truncation(Some(truncation)).unwrap();
        let input = match texts.1 {
            Some(second) => EncodeInput::Dual(texts.0.into(), second.into()),
            None => EncodeInput::Single(texts.0.into()),
        };
        let wanted = whole.encode(input, true).unwrap();
        assert!(wanted.get_attention_mask().iter().all(|mask| *mask == 1));

        let mut plain = tokenizer.clone();
        plain.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        let mut lists = TokenLists::default();
        for text in [texts.0, texts.1.unwrap_or_default()] {
            lists.push(plain.encode_fast(text, false).unwrap().get_ids(), frame.room());
        }
        let segments = frame.cut(lists.get(0), lists.get(1));
        let (mut ids, mut types) = (Vec::new(), Vec::new());
        frame.ids(segments, &mut ids);
        frame.types(segments, &mut types);
        assert_eq!(ids.len(), frame.length(segments));
        let got = ids.into_iter().zip(types).map(|(id, kind)| (id as u32, kind as u32)).collect();
        let pairs = wanted.get_ids().iter().copied().zip(wanted.get_type_ids().iter().copied());
        Some([pairs.collect(), got])
    }

    #[track_caller]
    fn check(first: &str, second: Option<&str>, max_tokens: usize) {
        for (number, tokenizer) in TOKENIZERS.iter().enumerate() {
            if let Some([wanted, got]) = both_ways(tokenizer, (first, second), max_tokens) {
                assert_eq!(got, wanted, "{first:?} {second:?} in {max_tokens}, {number}");
            }
        }
    }

    #[test]
    fn joined_segments_are_what_the_tokenizer_encodes() {
        let long = "a b c ".repeat(9);
        let longer = "ab-c É 漢字 ".repeat(12);
        for max_tokens in [4, 5, 6, 7, 8, 9, 64] {
            for second in [None, Some(""), Some("a"), Some("b a"), Some(&long), Some(&longer)] {
                for first in
                    ["", "a", "c b a", "[CLS] a [SEP]", "zz \u{0}\u{202e}🎧", &long, &longer]
                {
                    check(first, second, max_tokens);
                }
            }
        }
    }

    #[test]
    fn no_room_between_the_special_tokens_is_no_frame() {
        let bert = &TOKENIZERS[3];
        for (pair, max_tokens, fits) in
            [(false, 2, false), (false, 3, true), (true, 3, false), (true, 4, true)]
        {
            let frame = Frame::read(bert, pair, max_tokens).unwrap();
            assert_eq!(frame.is_some(), fits, "{pair} {max_tokens}");
        }
    }

    proptest! {
        #[test]
        fn any_two_texts_are_joined_as_the_tokenizer_does(
            first in "[abcé漢 \\-]{0,40}|\\PC{0,30}",
            second in proptest::option::of("[abcé漢 \\-]{0,60}|\\PC{0,30}"),
            max_tokens in 1..40_usize,
            processor in 0..6_usize,
        ) {
            let tokenizer = &TOKENIZERS[processor];
            if let Some([wanted, got]) = both_ways(tokenizer, (&first, second.as_deref()), max_tokens) {
                prop_assert_eq!(got, wanted);
            }
        }
    }
}
