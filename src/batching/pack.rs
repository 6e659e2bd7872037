//! Joins the tensors of several jobs to a batch's.

use std::ops::Range;

use crate::{
    batching::{
        layout::{BatchLayout, InputAxes, Lead, PadSide},
        units::Units,
    },
    tensor::{Tensor, TensorData},
};

/// The part of one job that goes into a batch.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// The job's tensors.
    pub(super) inputs: &'a [Tensor],
    /// The order of its units.
    pub(super) order: &'a Units,
    /// Its units in the batch, as places in the order: rows, or its only user.
    pub(super) units: Range<usize>,
}

impl Part<'_> {
    /// How many entries of an input, or of an output, belong to the part.
    pub(super) fn count(&self, lead: Lead, layout: &BatchLayout) -> usize {
        if lead == layout.unit { self.units.len() } else { users_of(layout, self) }
    }

    /// Where in the job's tensor entry `at` of the part is.
    pub(super) fn place(&self, at: usize, lead: Lead, unit: Lead) -> usize {
        if lead == unit { self.order.place(self.units.start + at) } else { at }
    }

    /// Whether its entries stand one behind another in the job's tensor.
    pub(super) fn in_a_row(&self, lead: Lead, unit: Lead) -> bool {
        lead != unit || self.order.as_they_came()
    }
}

/// How many entries of a tensor lead.
pub(super) fn leading(tensor: &Tensor) -> usize {
    tensor.shape.first().copied().unwrap_or(1)
}

/// How many users a part brings.
fn users_of(layout: &BatchLayout, part: &Part<'_>) -> usize {
    let mut inputs = layout.inputs.iter().zip(part.inputs);
    inputs.find(|(axes, _)| axes.lead == Lead::Users).map_or(1, |(_, tensor)| leading(tensor))
}

/// What packing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Packed {
    /// Elements of padded inputs.
    pub(super) elements: usize,
    /// Those of them that are padding.
    pub(super) padding: usize,
}

impl Packed {
    /// What a job's own tensors hold, as its masks say.
    pub(super) fn of(layout: &BatchLayout, inputs: &[Tensor]) -> Self {
        let masks = layout.inputs.iter().zip(inputs).filter(|(axes, _)| axes.mask);
        let mut packed = Self::default();
        masks.for_each(|(_, mask)| packed.count(mask, 0));
        packed
    }

    /// Adds the entries of a mask from `begin` on.
    fn count(&mut self, mask: &Tensor, begin: usize) {
        fn zeros<T: Default + PartialEq>(values: &[T]) -> usize {
            values.iter().filter(|value| **value == T::default()).count()
        }
        self.elements += mask.data.len() - begin;
        self.padding += match &mask.data {
            TensorData::Float32(values) => zeros(&values[begin..]),
            TensorData::Float16(values) => zeros(&values[begin..]),
            TensorData::Int64(values) => zeros(&values[begin..]),
            TensorData::Int32(values) => zeros(&values[begin..]),
            TensorData::Bool(values) => zeros(&values[begin..]),
            TensorData::String(_) => 0,
        };
    }
}

/// Fills `batch`, whose buffers are reused, with the parts, one behind another; rows are padded, or cut, to `length` at most.
///
/// A part that stays whole stands alone. The parts' dtypes are alike, and their shapes after the first dimension, unless the layout pads. No row is cut that is longer than its
/// mask says.
pub(super) fn pack(
    layout: &BatchLayout,
    parts: &[Part<'_>],
    length: usize,
    batch: &mut Vec<Tensor>,
) -> Packed {
    if let (Lead::Whole, Some(part)) = (layout.unit, parts.first()) {
        part.inputs.clone_into(batch);
        return Packed::default();
    }
    batch.resize_with(layout.inputs.len(), || Tensor {
        shape: Vec::new(),
        data: TensorData::Float32(Vec::new()),
    });
    for (at, (axes, joined)) in layout.inputs.iter().zip(batch.iter_mut()).enumerate() {
        let mut tail = longest_tail(parts.iter().map(|part| &part.inputs[at]));
        let sorted = axes.padded && parts.iter().any(|part| !part.in_a_row(axes.lead, layout.unit));
        if let (true, Some(longest)) = (sorted, tail.first_mut()) {
            *longest = (*longest).min(length);
        }
        clear(joined, parts.first().map(|part| &part.inputs[at].data));
        let (mut lead, mut users) = (0, 0);
        for part in parts {
            let before = joined.data.len();
            append(&mut joined.data, (part, at), &tail, (*axes, layout));
            if axes.numbers_users {
                shift(&mut joined.data, before, users);
            }
            lead += part.count(axes.lead, layout);
            users += users_of(layout, part);
        }
        joined.shape.clear();
        joined.shape.push(lead);
        joined.shape.extend(&tail);
    }
    Packed::of(layout, batch)
}

/// The longest of each dimension after the first.
fn longest_tail<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Vec<usize> {
    let mut longest: Vec<usize> = Vec::new();
    for tensor in tensors {
        let tail = tensor.shape.get(1..).unwrap_or_default();
        longest.resize(longest.len().max(tail.len()), 0);
        for (all, own) in longest.iter_mut().zip(tail) {
            *all = (*all).max(*own);
        }
    }
    longest
}

/// Empties a tensor and gives it the element type of another; keeps the buffer where the type stays.
fn clear(tensor: &mut Tensor, like: Option<&TensorData>) {
    match (&mut tensor.data, like) {
        (TensorData::Float32(own), Some(TensorData::Float32(_))) => own.clear(),
        (TensorData::Float16(own), Some(TensorData::Float16(_))) => own.clear(),
        (TensorData::Int64(own), Some(TensorData::Int64(_))) => own.clear(),
        (TensorData::Int32(own), Some(TensorData::Int32(_))) => own.clear(),
        (TensorData::Bool(own), Some(TensorData::Bool(_))) => own.clear(),
        (TensorData::String(own), Some(TensorData::String(_))) => own.clear(),
        (own, Some(like)) => *own = TensorData::from_floats(like.dtype(), Vec::new()),
        (_, None) => {}
    }
}

/// Calls a generic function on the two vectors of tensors of one element type.
macro_rules! on_pair {
    ($into:expr, $from:expr, $padding:expr, $call:expr) => {
        match ($into, $from) {
            (TensorData::Float32(into), TensorData::Float32(from)) => {
                $call(into, from, $padding as f32)
            }
            (TensorData::Float16(into), TensorData::Float16(from)) => {
                $call(into, from, half::f16::from_f32($padding as f32))
            }
            (TensorData::Int64(into), TensorData::Int64(from)) => $call(into, from, $padding),
            (TensorData::Int32(into), TensorData::Int32(from)) => {
                $call(into, from, $padding as i32)
            }
            (TensorData::Bool(into), TensorData::Bool(from)) => $call(into, from, $padding != 0),
            (TensorData::String(into), TensorData::String(from)) => {
                $call(into, from, String::new())
            }
            _ => {}
        }
    };
}
pub(super) use on_pair;

/// Appends a part's entries of input `at`, each filled up, or cut, to `tail`.
fn append(
    into: &mut TensorData,
    (part, at): (&Part<'_>, usize),
    tail: &[usize],
    (axes, layout): (InputAxes, &BatchLayout),
) {
    let from = &part.inputs[at];
    let own = from.shape.get(1..).unwrap_or_default();
    let size: usize = own.iter().product();
    let count = part.count(axes.lead, layout);
    if own == tail && part.in_a_row(axes.lead, layout.unit) {
        let first = part.place(0, axes.lead, layout.unit);
        let range = first * size..(first + count) * size;
        on_pair!(into, &from.data, axes.padding, |into: &mut Vec<_>, from: &Vec<_>, _| {
            into.extend_from_slice(&from[range.clone()]);
        });
        return;
    }
    on_pair!(into, &from.data, axes.padding, |into: &mut Vec<_>, from: &Vec<_>, fill| {
        for entry in 0..count {
            let place = part.place(entry, axes.lead, layout.unit);
            let entry = &from[place * size..(place + 1) * size];
            fill_up(into, entry, (own, tail), axes.side, &fill);
        }
    });
}

/// Appends one entry of the dims `own`, filled up to `tail`; only the first dimension is ever filled on the left, or cut on the right.
fn fill_up<T: Clone>(
    into: &mut Vec<T>,
    from: &[T],
    (own, tail): (&[usize], &[usize]),
    side: PadSide,
    fill: &T,
) {
    let (Some((&length, own)), Some((&longest, tail))) = (own.split_first(), tail.split_first())
    else {
        into.extend_from_slice(from);
        return;
    };
    let (size, full): (usize, usize) = (own.iter().product(), tail.iter().product());
    let length = length.min(longest);
    let missing = (longest - length) * full;
    if side == PadSide::Left {
        into.resize(into.len() + missing, fill.clone());
    }
    match own == tail {
        true => into.extend_from_slice(&from[..length * size]),
        false => {
            for one in 0..length {
                let inner = &from[one * size..(one + 1) * size];
                fill_up(into, inner, (own, tail), PadSide::Right, fill);
            }
        }
    }
    if side == PadSide::Right {
        into.resize(into.len() + missing, fill.clone());
    }
}

/// Adds `users` to the numbers from `begin` on.
fn shift(data: &mut TensorData, begin: usize, users: usize) {
    match data {
        TensorData::Int64(values) => values[begin..].iter_mut().for_each(|v| *v += users as i64),
        TensorData::Int32(values) => values[begin..].iter_mut().for_each(|v| *v += users as i32),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::batching::{
        buckets::Buckets,
        layout::{Joins, OutputAxes},
        scatter::{WrongLead, check_outputs, scatter},
    };

    use super::*;

    fn ints(shape: &[usize], values: Vec<i64>) -> Tensor {
        Tensor { shape: shape.to_vec(), data: TensorData::Int64(values) }
    }

    fn rows() -> BatchLayout {
        let padded = InputAxes { padded: true, ..InputAxes::of(Lead::Rows) };
        BatchLayout {
            unit: Lead::Rows,
            inputs: vec![
                InputAxes::of(Lead::Users),
                InputAxes { numbers_users: true, ..InputAxes::of(Lead::Rows) },
                InputAxes { padding: 7, ..padded },
                InputAxes { mask: true, ..padded },
            ],
            outputs: vec![OutputAxes { lead: Lead::Rows, as_long_as: None }],
            joins: Joins::Padded,
        }
    }

    /// A job with its units in the order in which they are run.
    struct Made {
        inputs: Vec<Tensor>,
        units: Units,
    }

    impl Made {
        fn new(layout: &BatchLayout, inputs: Vec<Tensor>) -> Self {
            Self { units: Units::of(layout, &inputs, &Buckets::default()), inputs }
        }

        fn part(&self, units: Range<usize>) -> Part<'_> {
            Part { inputs: &self.inputs, order: &self.units, units }
        }
    }

    /// A user's number, the index of their rows, and for each row as many tokens that name it as its length says.
    fn job(user: i64, lengths: &[usize]) -> Made {
        let (count, width) = (lengths.len(), lengths.iter().copied().max().unwrap_or(1));
        let tokens = lengths.iter().enumerate().flat_map(|(row, length)| {
            let name = user * 100 + row as i64;
            (0..width).map(move |at| if at < *length { name } else { 7 })
        });
        let mask = lengths.iter().flat_map(|n| (0..width).map(move |at| i64::from(at < *n)));
        let inputs = vec![
            ints(&[1], vec![user]),
            ints(&[count], vec![0; count]),
            ints(&[count, width], tokens.collect()),
            ints(&[count, width], mask.collect()),
        ];
        Made::new(&rows(), inputs)
    }

    fn values(tensor: &Tensor) -> &[i64] {
        match &tensor.data {
            TensorData::Int64(values) => values,
            _ => &[],
        }
    }

    #[test]
    fn users_are_numbered_anew_and_short_rows_filled_up() {
        let (a, b) = (job(1, &[1, 1, 1]), job(2, &[2]));
        let mut batch = Vec::new();
        let packed = pack(&rows(), &[a.part(1..3), b.part(0..1)], 2, &mut batch);
        assert_eq!(batch[0], ints(&[2], vec![1, 2]));
        assert_eq!(batch[1], ints(&[3], vec![0, 0, 1]));
        assert_eq!(batch[2], ints(&[3, 2], vec![101, 7, 102, 7, 200, 200]));
        assert_eq!(batch[3], ints(&[3, 2], vec![1, 0, 1, 0, 1, 1]));
        assert_eq!(packed, Packed { elements: 6, padding: 2 });
    }

    #[test]
    fn short_rows_of_a_job_are_cut_to_the_longest_of_their_batch() {
        let a = job(1, &[5, 1, 2]);
        let mut batch = Vec::new();
        let packed = pack(&rows(), &[a.part(0..2)], 2, &mut batch);
        assert_eq!(batch[2], ints(&[2, 2], vec![101, 7, 102, 102]));
        assert_eq!(packed, Packed { elements: 4, padding: 1 });
        let outputs = [ints(&[2], vec![11, 12])];
        let mut back = Vec::new();
        scatter(&rows(), &[a.part(0..2)], 0, &outputs, (3, &mut back));
        assert_eq!(back, [ints(&[3], vec![0, 11, 12])]);
    }

    #[test]
    fn histories_are_filled_up_on_the_left_where_the_layout_says_so() {
        let layout = BatchLayout {
            unit: Lead::Users,
            inputs: vec![InputAxes { side: PadSide::Left, ..InputAxes::of(Lead::Users) }],
            outputs: vec![OutputAxes { lead: Lead::Users, as_long_as: Some(0) }],
            joins: Joins::Padded,
        };
        let a = Made::new(&layout, vec![ints(&[1, 1, 2], vec![1, 2])]);
        let b = Made::new(&layout, vec![ints(&[1, 2, 1], vec![3, 4])]);
        let parts = [a.part(0..1), b.part(0..1)];
        let mut batch = Vec::new();
        pack(&layout, &parts, 2, &mut batch);
        assert_eq!(batch[0], ints(&[2, 2, 2], vec![0, 0, 1, 2, 3, 0, 4, 0]));
        let mut back = Vec::new();
        let output = vec![ints(&[2, 2], vec![10, 11, 20, 21])];
        scatter(&layout, &parts, 0, &output, (1, &mut back));
        assert_eq!(back, [ints(&[1, 1], vec![10])], "padding is not given back");
    }

    #[test]
    fn a_job_that_stays_whole_comes_back_as_it_is() {
        let layout = BatchLayout {
            unit: Lead::Whole,
            inputs: vec![InputAxes::of(Lead::Whole); 2],
            outputs: vec![OutputAxes { lead: Lead::Whole, as_long_as: None }],
            joins: Joins::Alone,
        };
        let inputs = vec![ints(&[], vec![3]), ints(&[3, 1], vec![1, 2, 3])];
        let made = Made::new(&layout, inputs.clone());
        let parts = [made.part(0..1)];
        let mut batch = Vec::new();
        pack(&layout, &parts, 1, &mut batch);
        assert_eq!(batch, inputs);
        let outputs = [ints(&[], vec![6])];
        assert_eq!(check_outputs(&layout, &parts, &outputs), Ok(()));
        let mut back = Vec::new();
        scatter(&layout, &parts, 0, &outputs, (1, &mut back));
        assert_eq!(back, outputs);
    }

    #[test]
    fn a_graph_that_answers_too_little_is_caught() {
        let a = job(1, &[1, 1, 1]);
        let wrong = check_outputs(&rows(), &[a.part(0..3)], &[ints(&[2], vec![0, 0])]);
        assert_eq!(wrong, Err(WrongLead { output: 0, has: 2, wanted: 3 }));
    }

    proptest! {
        /// Whatever the cuts and the lengths, each job gets back for each of its rows what was made of that very row.
        #[test]
        fn no_row_is_lost_doubled_or_mixed(
            lengths in prop::collection::vec(prop::collection::vec(1usize..6, 1..20), 1..6),
            size in 1usize..9,
        ) {
            let jobs: Vec<Made> =
                (1..).zip(&lengths).map(|(user, lengths)| job(user, lengths)).collect();
            let mut back = vec![Vec::new(); jobs.len()];
            let rows_of = |(job, made): (usize, &Made)| (0..made.units.count()).map(move |at| (job, at));
            let all: Vec<(usize, usize)> = jobs.iter().enumerate().flat_map(rows_of).collect();
            for batch_rows in all.chunks(size) {
                let mut pieces: Vec<(usize, Range<usize>)> = Vec::new();
                for &(job, at) in batch_rows {
                    match pieces.last_mut() {
                        Some((last, range)) if *last == job => range.end = at + 1,
                        _ => pieces.push((job, at..at + 1)),
                    }
                }
                let parts: Vec<Part<'_>> =
                    pieces.iter().map(|(job, units)| jobs[*job].part(units.clone())).collect();
                let longest = parts.iter().map(|part| part.order.longest(&part.units)).max();
                let mut batch = Vec::new();
                pack(&rows(), &parts, longest.unwrap_or(1), &mut batch);
                prop_assert_eq!(batch[2].shape[1], longest.unwrap_or(1));
                let user = |row: usize| values(&batch[0])[values(&batch[1])[row] as usize];
                let width = batch[2].shape[1];
                let answers = (0..batch_rows.len())
                    .map(|row| user(row) * 10_000 + values(&batch[2])[row * width])
                    .collect();
                let outputs = [ints(&[batch_rows.len()], answers)];
                prop_assert_eq!(check_outputs(&rows(), &parts, &outputs), Ok(()));
                for (which, (job, _)) in pieces.iter().enumerate() {
                    let count = jobs[*job].units.count();
                    scatter(&rows(), &parts, which, &outputs, (count, &mut back[*job]));
                }
            }
            for (user, (lengths, back)) in (1..).zip(lengths.iter().zip(&back)) {
                let count = lengths.len();
                let wanted = (0..count as i64).map(|row| user * 10_000 + user * 100 + row);
                prop_assert_eq!(&back[0], &ints(&[count], wanted.collect()));
            }
        }
    }
}
