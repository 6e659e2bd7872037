//! What a user did with each candidate so far.

use ahash::AHashMap;

use crate::{
    catalogue::{Catalogue, FeatureColumn},
    ranking::features::{sources::Sources, values::ValueRule},
    repository::{InputSpec, UserItemStat},
    tensor::TensorData,
    users::{Event, seconds_to_days},
};

/// How often something was met, and when last, in unix seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Met {
    count: i64,
    last: i64,
}

impl Met {
    fn add(&mut self, time: i64) {
        self.count += 1;
        self.last = self.last.max(time);
    }
}

/// A user's events counted by item.
pub(super) struct UserItems<'a> {
    by_item: AHashMap<&'a str, Met>,
    end: i64,
}

impl<'a> UserItems<'a> {
    pub(super) fn of(events: &'a [Event]) -> Self {
        let mut by_item: AHashMap<&'a str, Met> = AHashMap::with_capacity(events.len());
        for event in events {
            by_item.entry(&event.item).or_default().add(event.time);
        }
        Self { by_item, end: events.last().map_or(0, |event| event.time) }
    }

    /// Counts again by the codes of a catalogue's text column.
    fn by_code(
        &self,
        events: &[Event],
        catalogue: &Catalogue,
        codes: &[u32],
    ) -> AHashMap<u32, Met> {
        let mut by_code: AHashMap<u32, Met> = AHashMap::new();
        for event in events {
            if let Some(row) = catalogue.row(&event.item) {
                by_code.entry(codes[row]).or_default().add(event.time);
            }
        }
        by_code
    }
}

/// How one input is made of what a user did with the candidates.
#[derive(Debug)]
pub(super) struct UserItemFeature {
    rule: ValueRule,
    stat: UserItemStat,
    /// The catalogue's column that makes two items alike; none means the item itself.
    column: Option<String>,
}

impl UserItemFeature {
    pub(super) fn new(input: &InputSpec) -> Self {
        Self {
            rule: ValueRule::new(input),
            stat: input.stat.unwrap_or(UserItemStat::Count),
            column: input.matching.clone().filter(|name| name != "item"),
        }
    }

    /// One value for each scored candidate.
    pub(super) fn values(
        &self,
        sources: &Sources<'_>,
        items: &UserItems<'_>,
        events: &[Event],
        catalogue: Option<&Catalogue>,
    ) -> TensorData {
        let column = self.column.as_ref().and_then(|name| catalogue?.column(name));
        let met: Vec<Option<Met>> = match (column, catalogue) {
            (Some(FeatureColumn::Texts { codes, .. }), Some(catalogue)) => {
                let by_code = items.by_code(events, catalogue, codes);
                let of = |&at: &u32| {
                    let row = sources.rows[at as usize]?;
                    by_code.get(&codes[row as usize]).copied()
                };
                sources.scored.iter().map(of).collect()
            }
            _ => {
                let ids = &sources.request.candidates.ids;
                let of = |&at: &u32| items.by_item.get(ids[at as usize].as_str()).copied();
                sources.scored.iter().map(of).collect()
            }
        };
        match self.stat {
            UserItemStat::Count => {
                self.rule.ints(met.iter().map(|m| m.map_or(0, |m| m.count)).collect())
            }
            UserItemStat::AgeDays => {
                let never = self.rule.default.unwrap_or(0.0) as f32;
                let age = |m: Met| seconds_to_days(items.end - m.last);
                self.rule.floats(met.iter().map(|m| m.map_or(never, age)).collect())
            }
        }
    }
}
