//! What a user did with each candidate so far.

use std::sync::Arc;

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

/// A user's events counted by item: by the catalogue's row, and by id where it has none.
pub(super) struct UserItems<'a> {
    /// The catalogue's row and the time of each event whose item has one.
    events: Vec<(u32, i64)>,
    by_row: AHashMap<u32, Met>,
    by_id: AHashMap<&'a str, Met>,
    end: i64,
}

impl<'a> UserItems<'a> {
    /// Counts `events`, oldest first, at the cost of one look-up each.
    pub(super) fn of(events: &'a [Event], catalogue: Option<&Catalogue>) -> Self {
        let mut items = Self {
            events: Vec::with_capacity(events.len()),
            by_row: AHashMap::with_capacity(events.len()),
            by_id: AHashMap::new(),
            end: events.last().map_or(0, |event| event.time),
        };
        for event in events {
            let met = match catalogue.and_then(|catalogue| catalogue.row(&event.item)) {
                Some(row) => {
                    items.events.push((row as u32, event.time));
                    items.by_row.entry(row as u32).or_default()
                }
                None => items.by_id.entry(&event.item).or_default(),
            };
            met.add(event.time);
        }
        items
    }

    fn item(&self, row: Option<u32>, id: &str) -> Option<Met> {
        match row {
            Some(row) => self.by_row.get(&row).copied(),
            None => self.by_id.get(id).copied(),
        }
    }

    /// Counts again by the codes of a catalogue's text column; items without a text are like no other.
    fn by_code(&self, codes: &[u32], values: &[Arc<str>]) -> AHashMap<u32, Met> {
        let mut by_code: AHashMap<u32, Met> = AHashMap::new();
        for (row, time) in &self.events {
            let code = codes[*row as usize];
            if !values[code as usize].is_empty() {
                by_code.entry(code).or_default().add(*time);
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
        catalogue: Option<&Catalogue>,
    ) -> TensorData {
        let rows = sources.scored.iter().map(|&at| (at as usize, sources.rows[at as usize]));
        let column = self.column.as_ref().and_then(|name| catalogue?.column(name));
        let met: Vec<Option<Met>> = match column {
            Some(FeatureColumn::Texts { codes, values }) => {
                let by_code = items.by_code(codes, values);
                rows.map(|(_, row)| by_code.get(&codes[row? as usize]).copied()).collect()
            }
            _ => {
                let ids = &sources.request.candidates.ids;
                rows.map(|(at, row)| items.item(row, &ids[at])).collect()
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
