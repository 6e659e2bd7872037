//! A job's units: how long each is, and in which order they are run.

use std::ops::Range;

use half::f16;

use crate::{
    batching::{
        buckets::Buckets,
        layout::{BatchLayout, InputAxes, Joins, Lead},
    },
    tensor::{Tensor, TensorData},
};

/// Units of a job whose lengths are of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Their places in the order.
    pub(super) units: Range<usize>,
    /// The longest of them.
    pub(super) length: usize,
    /// The bucket's bound.
    pub(super) bucket: usize,
    /// What a unit of that length costs; its length, as long as nothing else is known.
    pub(super) weight: usize,
}

impl Stretch {
    /// Units times what each costs.
    pub(super) fn size(&self) -> usize {
        self.units.len() * self.weight
    }
}

/// A job's units in the order in which they are run: short ones first, so that neighbours pad little.
#[derive(Debug)]
pub(super) struct Units {
    /// The place of each unit in the job's tensors, and its length; empty where they stand as they came and are alike.
    order: Vec<(u32, u32)>,
    stretches: Vec<Stretch>,
}

impl Units {
    /// Sorts the units of a job by length, at the cost of one look at its masks.
    ///
    /// Where the units are rows and a mask says how long each is, every row has a length of its own; else the job has one.
    pub(super) fn of(layout: &BatchLayout, inputs: &[Tensor], buckets: &Buckets) -> Self {
        let count = units_of(layout, inputs);
        let masks: Vec<&Tensor> = match (layout.unit, layout.joins) {
            (Lead::Rows, Joins::Padded) => {
                let rows = |axes: &InputAxes| axes.mask && axes.lead == Lead::Rows;
                layout.inputs.iter().zip(inputs).filter(|(a, _)| rows(a)).map(|(_, t)| t).collect()
            }
            _ => Vec::new(),
        };
        if masks.is_empty() {
            return Self::alike(count, longest(layout, inputs), buckets);
        }
        let length = |row: usize| masks.iter().map(|mask| row_length(mask, row)).max().unwrap_or(1);
        let mut order: Vec<(u32, u32)> =
            (0..count).map(|row| (row as u32, length(row).max(1) as u32)).collect();
        order.sort_by_key(|(_, length)| *length);
        let stretches = stretches(&order, buckets);
        Self { order, stretches }
    }

    /// Units that are all of one length and stay as they came.
    pub(super) fn alike(count: usize, length: usize, buckets: &Buckets) -> Self {
        let stretch =
            Stretch { units: 0..count, length, bucket: buckets.bound(length), weight: length };
        Self { order: Vec::new(), stretches: vec![stretch] }
    }

    /// Sets what units cost, by their length.
    pub(super) fn weigh(&mut self, weight: impl Fn(usize) -> usize) {
        self.stretches.iter_mut().for_each(|stretch| stretch.weight = weight(stretch.length));
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.stretches.last().map_or(0, |stretch| stretch.units.end)
    }

    /// The sum of what they cost, padded to the longest of each stretch.
    pub(super) fn size(&self) -> usize {
        self.stretches.iter().map(Stretch::size).sum()
    }

    /// Their stretches, short ones first.
    pub(super) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Whether they stand as they came, and none is shorter than another.
    pub(super) fn as_they_came(&self) -> bool {
        self.order.is_empty()
    }

    /// The place in the job's tensors of the unit at `at` of the order.
    pub(super) fn place(&self, at: usize) -> usize {
        self.order.get(at).map_or(at, |(place, _)| *place as usize)
    }

    /// The longest of some units; none may be shorter than its predecessor.
    pub(super) fn longest(&self, units: &Range<usize>) -> usize {
        match self.order.get(units.end.saturating_sub(1)) {
            Some((_, length)) => *length as usize,
            None => self.stretches.last().map_or(1, |stretch| stretch.length),
        }
    }
}

/// The rows of a job, or its users where the model is run by users; one where it stays whole.
fn units_of(layout: &BatchLayout, inputs: &[Tensor]) -> usize {
    if layout.unit == Lead::Whole {
        return 1;
    }
    let leads = layout.inputs.iter().zip(inputs).filter(|(axes, _)| axes.lead == layout.unit);
    let units = leads.filter_map(|(_, tensor)| tensor.shape.first()).max();
    units.copied().unwrap_or(usize::from(layout.unit == Lead::Users))
}

fn stretches(order: &[(u32, u32)], buckets: &Buckets) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    for (at, (_, length)) in order.iter().enumerate() {
        let (length, bucket) = (*length as usize, buckets.bound(*length as usize));
        match all.last_mut() {
            Some(last) if last.bucket == bucket => {
                last.units.end = at + 1;
                (last.length, last.weight) = (length, length);
            }
            _ => all.push(Stretch { units: at..at + 1, length, bucket, weight: length }),
        }
    }
    all
}

/// The longest length that padding could change; 1 where there is none.
fn longest(layout: &BatchLayout, inputs: &[Tensor]) -> usize {
    let padded = layout.inputs.iter().zip(inputs).filter(|(axes, _)| axes.padded);
    padded.filter_map(|(_, tensor)| tensor.shape.get(1)).max().copied().unwrap_or(1).max(1)
}

/// How many entries of a mask's row there are up to the last that is set.
fn row_length(mask: &Tensor, row: usize) -> usize {
    let width: usize = mask.shape.get(1..).unwrap_or_default().iter().product();
    let range = row * width..(row + 1) * width;
    fn last<T: PartialEq>(values: &[T], range: Range<usize>, none: &T) -> usize {
        values.get(range).and_then(|row| row.iter().rposition(|v| v != none)).map_or(0, |at| at + 1)
    }
    match &mask.data {
        TensorData::Float32(values) => last(values, range, &0.0),
        TensorData::Float16(values) => last(values, range, &f16::ZERO),
        TensorData::Int64(values) => last(values, range, &0),
        TensorData::Int32(values) => last(values, range, &0),
        TensorData::Bool(values) => last(values, range, &false),
        TensorData::String(_) => width,
    }
}

#[cfg(test)]
mod tests {
    use crate::batching::layout::OutputAxes;

    use super::*;

    fn layout(unit: Lead, mask: bool) -> BatchLayout {
        BatchLayout {
            unit,
            inputs: vec![InputAxes { padded: true, mask, ..InputAxes::of(unit) }],
            outputs: vec![OutputAxes { lead: unit, as_long_as: None }],
            joins: Joins::Padded,
        }
    }

    fn masks(lengths: &[usize], width: usize) -> Vec<Tensor> {
        let bits = lengths.iter().flat_map(|n| (0..width).map(move |at| i64::from(at < *n)));
        vec![Tensor { shape: vec![lengths.len(), width], data: TensorData::Int64(bits.collect()) }]
    }

    #[test]
    fn rows_are_sorted_by_what_their_masks_say() {
        let inputs = masks(&[9, 2, 5, 2, 0], 9);
        let units = Units::of(&layout(Lead::Rows, true), &inputs, &Buckets::new(&[2, 6]));
        let places: Vec<usize> = (0..units.count()).map(|at| units.place(at)).collect();
        assert_eq!(places, [4, 1, 3, 2, 0]);
        let stretch = |units, length, bucket| Stretch { units, length, bucket, weight: length };
        assert_eq!(
            units.stretches(),
            [stretch(0..3, 2, 2), stretch(3..4, 5, 6), stretch(4..5, 9, 9)]
        );
        assert_eq!((units.longest(&(0..1)), units.longest(&(1..4)), units.size()), (1, 5, 20));
    }

    #[test]
    fn what_has_one_length_stays_as_it_came() {
        let leads = [(Lead::Rows, false, 3), (Lead::Users, true, 3), (Lead::Whole, false, 1)];
        for (unit, mask, count) in leads {
            let units = Units::of(&layout(unit, mask), &masks(&[9, 2, 5], 9), &Buckets::default());
            assert!(units.as_they_came());
            assert_eq!((units.count(), units.size(), units.place(1)), (count, 9 * count, 1));
        }
    }
}
