//! What a user did with each candidate so far.

use std::{collections::BTreeSet, sync::Arc};

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

/// A user's events counted by item: by the catalogue's row, by id where it has none, and by the texts of some columns.
#[derive(Debug, Default)]
pub(super) struct UserItems {
    by_row: AHashMap<u32, Met>,
    by_id: AHashMap<Arc<str>, Met>,
    by_column: Vec<(String, AHashMap<u32, Met>)>,
    end: i64,
}

impl UserItems {
    /// Counts `events`, oldest first, by item and by text columns, at the cost of one look-up of each event.
    pub(super) fn of(
        events: &[Event],
        catalogue: Option<&Catalogue>,
        columns: &BTreeSet<String>,
    ) -> Self {
        let mut items =
            Self { end: events.last().map_or(0, |event| event.time), ..Self::default() };
        let mut known: Vec<(u32, i64)> = Vec::with_capacity(events.len());
        for event in events {
            let met = match catalogue.and_then(|catalogue| catalogue.row(&event.item)) {
                Some(row) => {
                    known.push((row, event.time));
                    items.by_row.entry(row).or_default()
                }
                None => items.by_id.entry(Arc::clone(&event.item)).or_default(),
            };
            met.add(event.time);
        }
        for name in columns {
            let column = catalogue.and_then(|catalogue| catalogue.column(name));
            if let Some(FeatureColumn::Texts { codes, values }) = column {
                items.by_column.push((name.clone(), by_code(&known, codes, values)));
            }
        }
        items
    }

    fn item(&self, row: Option<u32>, id: &str) -> Option<Met> {
        match row {
            Some(row) => self.by_row.get(&row).copied(),
            None => self.by_id.get(id).copied(),
        }
    }

    fn column(&self, name: &str) -> Option<&AHashMap<u32, Met>> {
        self.by_column.iter().find(|(own, _)| own == name).map(|(_, met)| met)
    }
}

/// Counts by the codes of a catalogue's text column; items without a text are like no other.
fn by_code(events: &[(u32, i64)], codes: &[u32], values: &[Arc<str>]) -> AHashMap<u32, Met> {
    let mut by_code: AHashMap<u32, Met> = AHashMap::new();
    for (row, time) in events {
        let code = codes[*row as usize];
        if !values[code as usize].is_empty() {
            by_code.entry(code).or_default().add(*time);
        }
    }
    by_code
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

    /// The catalogue's column that makes two items alike, where it is not the item itself.
    pub(super) fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }

    /// One value for each scored candidate.
    pub(super) fn values(
        &self,
        sources: &Sources<'_>,
        items: &UserItems,
        catalogue: Option<&Catalogue>,
    ) -> TensorData {
        let rows = sources.scored.iter().map(|&at| (at as usize, sources.rows[at as usize]));
        let column = self.column.as_ref().and_then(|name| catalogue?.column(name));
        let counted = self.column.as_ref().and_then(|name| items.column(name));
        let met: Vec<Option<Met>> = match (column, counted) {
            (Some(FeatureColumn::Texts { codes, .. }), Some(by_code)) => {
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
