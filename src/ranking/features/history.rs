//! A user's events as tensors.

use std::sync::Arc;

use crate::{
    catalogue::{Catalogue, FeatureColumn, Vocabulary},
    ranking::features::values::ValueRule,
    repository::{EventField, InputSpec, Source},
    tensor::{Tensor, TensorData},
    users::{Event, seconds_to_days},
};

/// How one input is made of a user's events.
#[derive(Debug)]
pub(in crate::ranking) struct HistoryInput {
    source: Source,
    field: Option<EventField>,
    rule: ValueRule,
    vocabulary: Option<Arc<Vocabulary>>,
}

impl HistoryInput {
    pub(in crate::ranking) fn new(input: &InputSpec, vocabulary: Option<Arc<Vocabulary>>) -> Self {
        Self {
            source: input.source,
            field: input.field.clone(),
            rule: ValueRule::new(input),
            vocabulary,
        }
    }

    /// Makes the tensor of one user: `[1]` for the length, else `[1, length]`.
    ///
    /// An empty history becomes one padded event, so that `length` is at least 1.
    pub(in crate::ranking) fn tensor(
        &self,
        events: &[Event],
        catalogue: Option<&Catalogue>,
    ) -> Tensor {
        let length = events.len().max(1);
        let (shape, data) = match self.source {
            Source::HistoryLength => {
                let count = events.len() as i64;
                (vec![1], TensorData::from_ints(self.rule.dtype, vec![count]))
            }
            Source::HistoryMask => {
                let mask = if events.is_empty() { vec![0] } else { vec![1; length] };
                (vec![1, length], TensorData::from_ints(self.rule.dtype, mask))
            }
            // Padding is 0 whatever the transforms: the empty history does not pass through them.
            _ if events.is_empty() => (vec![1, 1], TensorData::from_ints(self.rule.dtype, vec![0])),
            _ => (vec![1, length], self.values(events, catalogue)),
        };
        Tensor { shape, data }
    }

    fn values(&self, events: &[Event], catalogue: Option<&Catalogue>) -> TensorData {
        let last = events.last().map_or(0, |event| event.time);
        match &self.field {
            Some(EventField::Item) | None => match &self.vocabulary {
                Some(vocabulary) => TensorData::from_ints(
                    self.rule.dtype,
                    events.iter().map(|e| vocabulary.index(&e.item)).collect(),
                ),
                None => TensorData::String(events.iter().map(|e| e.item.to_string()).collect()),
            },
            Some(EventField::Kind) => {
                self.rule.ints(events.iter().map(|e| e.kind as i64).collect())
            }
            Some(EventField::GapDays) => {
                let before = events.iter().take(1).chain(events);
                let gap =
                    |(event, before): (&Event, &Event)| seconds_to_days(event.time - before.time);
                self.rule.floats(events.iter().zip(before).map(gap).collect())
            }
            Some(EventField::AgeDays) => {
                self.rule.floats(events.iter().map(|e| seconds_to_days(last - e.time)).collect())
            }
            Some(EventField::Column(name)) => {
                match catalogue.and_then(|c| Some((c, c.column(name)?))) {
                    Some((catalogue, column)) => self.column(events, catalogue, column),
                    None => self.rule.floats(vec![0.0; events.len()]),
                }
            }
        }
    }

    fn column(
        &self,
        events: &[Event],
        catalogue: &Catalogue,
        column: &FeatureColumn,
    ) -> TensorData {
        let rows = events.iter().map(|event| catalogue.row(&event.item).map(|row| row as usize));
        let default = self.rule.default.unwrap_or(0.0);
        match (column, &self.vocabulary) {
            (FeatureColumn::Floats(all), _) => {
                let value = |row: Option<usize>| row.map(|row| all[row]).filter(|v| !v.is_nan());
                self.rule.floats(rows.map(|row| value(row).unwrap_or(default as f32)).collect())
            }
            (FeatureColumn::Ints(all), _) => {
                let value = |row: Option<usize>| row.and_then(|row| all[row]);
                self.rule.ints(rows.map(|row| value(row).unwrap_or(default as i64)).collect())
            }
            (FeatureColumn::Texts { .. }, Some(vocabulary)) => {
                let text = |row: Option<usize>| row.and_then(|row| column.text(row));
                let index =
                    |text: Option<&str>| text.map_or(vocabulary.oov(), |t| vocabulary.index(t));
                TensorData::from_ints(self.rule.dtype, rows.map(|row| index(text(row))).collect())
            }
            (FeatureColumn::Texts { .. }, None) => {
                let text =
                    |row: Option<usize>| row.and_then(|row| column.text(row)).unwrap_or_default();
                TensorData::String(rows.map(|row| text(row).to_owned()).collect())
            }
        }
    }
}
