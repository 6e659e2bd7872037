//! What a user did with each candidate so far.

use std::{collections::hash_map::Entry, sync::Arc};

use ahash::AHashMap;

use crate::{
    catalogue::{Catalogue, FeatureColumn},
    ranking::features::{sources::Sources, values::ValueRule},
    repository::{InputSpec, UserItemStat},
    tensor::TensorData,
    users::{Event, seconds_to_days},
};

/// The inputs that tell what a user did with the candidates.
#[derive(Debug, Default)]
pub(super) struct UserItemFeatures {
    features: Vec<UserItemFeature>,
    /// What makes two items alike: a text column of the catalogue, or, where it is none, the item itself.
    likenesses: Vec<Option<String>>,
}

#[derive(Debug)]
struct UserItemFeature {
    rule: ValueRule,
    stat: UserItemStat,
    /// Which of the likenesses it counts by.
    likeness: usize,
}

/// A user's events, counted: what the inputs say of all that was met, and where that stands.
#[derive(Debug, Default)]
pub(super) struct UserItems {
    /// For each likeness, the place of what was met.
    places: Vec<Places>,
    /// For each input its finished values; the first one is that of what was never met.
    values: Vec<TensorData>,
}

/// The places of what was met, from 1.
#[derive(Debug, Default)]
struct Places {
    /// By the code of a column, or by the catalogue's row where it is the item that counts.
    by_code: AHashMap<u32, u32>,
    /// By the ids of items that the catalogue does not know.
    by_id: AHashMap<Arc<str>, u32>,
}

/// The place of what was never met.
const NEVER: u32 = 0;

/// How often something was met, and when last, in unix seconds.
#[derive(Debug, Clone, Copy)]
struct Met {
    count: i64,
    last: i64,
}

impl UserItemFeatures {
    /// Adds an input; returns its number.
    pub(super) fn add(&mut self, input: &InputSpec, catalogue: Option<&Catalogue>) -> usize {
        let is_text = |name: &String| codes(catalogue, name).is_some();
        let column = input.matching.clone().filter(|name| name != "item").filter(is_text);
        let known = self.likenesses.iter().position(|other| *other == column);
        let likeness = known.unwrap_or_else(|| {
            self.likenesses.push(column);
            self.likenesses.len() - 1
        });
        self.features.push(UserItemFeature {
            rule: ValueRule::new(input),
            stat: input.stat.unwrap_or(UserItemStat::Count),
            likeness,
        });
        self.features.len() - 1
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// Counts `events`, oldest first, at the cost of one look-up of each in the catalogue.
    pub(super) fn count(&self, events: &[Event], catalogue: Option<&Catalogue>) -> UserItems {
        let row = |event: &Event| catalogue.and_then(|catalogue| catalogue.row(&event.item));
        let rows: Vec<Option<u32>> = events.iter().map(row).collect();
        let end = events.last().map_or(0, |event| event.time);
        let counted: Vec<(Places, Vec<Met>)> = self
            .likenesses
            .iter()
            .map(|column| match column.as_ref().and_then(|name| codes(catalogue, name)) {
                Some(codes) => by_code(events, &rows, codes),
                None => by_item(events, &rows),
            })
            .collect();
        let values = self.features.iter().map(|f| f.values(&counted[f.likeness].1, end)).collect();
        UserItems { values, places: counted.into_iter().map(|(places, _)| places).collect() }
    }

    /// For each likeness, the place of each scored candidate in what was met.
    pub(super) fn places(
        &self,
        items: &UserItems,
        sources: &Sources<'_>,
        catalogue: Option<&Catalogue>,
    ) -> Vec<Vec<u32>> {
        let ids = &sources.request.candidates.ids;
        let of = |(column, places): (&Option<String>, &Places)| {
            let rows = sources.scored.iter().map(|&at| (at as usize, sources.rows[at as usize]));
            let column = column.as_ref().and_then(|name| codes(catalogue, name));
            let place = |code: u32| places.by_code.get(&code).copied().unwrap_or(NEVER);
            match column {
                Some((codes, _)) => rows
                    .map(|(_, row)| row.map_or(NEVER, |row| place(codes[row as usize])))
                    .collect(),
                None => rows
                    .map(|(at, row)| match row {
                        Some(row) => place(row),
                        None => places.by_id.get(&ids[at]).copied().unwrap_or(NEVER),
                    })
                    .collect(),
            }
        };
        self.likenesses.iter().zip(&items.places).map(of).collect()
    }

    /// One value for each scored candidate, whose places [`Self::places`] has found.
    pub(super) fn values(
        &self,
        number: usize,
        items: &UserItems,
        places: &[Vec<u32>],
    ) -> TensorData {
        let places = &places[self.features[number].likeness];
        items.values[number].gather(places.iter().map(|&place| place as usize))
    }
}

impl UserItemFeature {
    /// The finished values of what was never met, and of all that was.
    fn values(&self, met: &[Met], end: i64) -> TensorData {
        match self.stat {
            UserItemStat::Count => {
                self.rule.ints([0].into_iter().chain(met.iter().map(|m| m.count)).collect())
            }
            UserItemStat::AgeDays => {
                let never = self.rule.default.unwrap_or(0.0) as f32;
                let ages = met.iter().map(|m| seconds_to_days(end - m.last));
                self.rule.floats([never].into_iter().chain(ages).collect())
            }
        }
    }
}

/// The codes of the items in a text column of the catalogue, and its different texts.
fn codes<'a>(catalogue: Option<&'a Catalogue>, name: &str) -> Option<(&'a [u32], &'a [Arc<str>])> {
    match catalogue?.column(name)? {
        FeatureColumn::Texts { codes, values } => Some((codes, values)),
        _ => None,
    }
}

/// Counts by the codes of a text column; items without a text are like no other.
fn by_code(
    events: &[Event],
    rows: &[Option<u32>],
    (codes, values): (&[u32], &[Arc<str>]),
) -> (Places, Vec<Met>) {
    let (mut places, mut met) = (Places::default(), Vec::new());
    for (event, row) in events.iter().zip(rows) {
        let code = row.map(|row| codes[row as usize]);
        if let Some(code) = code.filter(|&code| !values[code as usize].is_empty()) {
            meet(places.by_code.entry(code), event.time, &mut met);
        }
    }
    (places, met)
}

/// Counts by item.
fn by_item(events: &[Event], rows: &[Option<u32>]) -> (Places, Vec<Met>) {
    let (mut places, mut met) = (Places::default(), Vec::new());
    for (event, row) in events.iter().zip(rows) {
        match row {
            Some(row) => meet(places.by_code.entry(*row), event.time, &mut met),
            None => meet(places.by_id.entry(Arc::clone(&event.item)), event.time, &mut met),
        }
    }
    (places, met)
}

fn meet<K>(entry: Entry<'_, K, u32>, time: i64, met: &mut Vec<Met>) {
    let place = *entry.or_insert_with(|| {
        met.push(Met { count: 0, last: time });
        met.len() as u32
    });
    let met = &mut met[place as usize - 1];
    met.count += 1;
    met.last = met.last.max(time);
}
