//! Joins the tensors of several jobs to a batch's, and takes a batch's outputs apart.

use std::ops::Range;

use crate::{
    batching::layout::{BatchLayout, InputAxes, Lead, PadSide},
    tensor::{Tensor, TensorData},
};

/// The part of one job that goes into a batch.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// The job's tensors.
    pub(super) inputs: &'a [Tensor],
    /// Its units in the batch: rows, or its only user.
    pub(super) units: Range<usize>,
}

impl Part<'_> {
    /// The entries of an input, or of an output, that belong to the part.
    fn entries(&self, lead: Lead, unit: Lead, users: usize) -> Range<usize> {
        match lead == unit {
            true => self.units.clone(),
            false => 0..users,
        }
    }
}

/// How many entries of a tensor lead.
fn leading(tensor: &Tensor) -> usize {
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

/// Fills `batch`, whose buffers are reused, with the parts, one behind another.
///
/// The parts' dtypes are alike, and their shapes after the first dimension, unless the layout pads.
pub(super) fn pack(layout: &BatchLayout, parts: &[Part<'_>], batch: &mut Vec<Tensor>) -> Packed {
    let mut packed = Packed::default();
    batch.resize_with(layout.inputs.len(), || Tensor {
        shape: Vec::new(),
        data: TensorData::Float32(Vec::new()),
    });
    for (at, (axes, joined)) in layout.inputs.iter().zip(batch.iter_mut()).enumerate() {
        let tail = longest_tail(parts.iter().map(|part| &part.inputs[at]));
        clear(joined, parts.first().map(|part| &part.inputs[at].data));
        let (mut lead, mut users) = (0, 0);
        for part in parts {
            let own = users_of(layout, part);
            let entries = part.entries(axes.lead, layout.unit, own);
            let before = joined.data.len();
            let added = append(&mut joined.data, (&part.inputs[at], entries.clone()), &tail, *axes);
            packed.elements += added.elements;
            packed.padding += added.padding;
            if axes.numbers_users {
                shift(&mut joined.data, before, users);
            }
            lead += entries.len();
            users += own;
        }
        joined.shape.clear();
        joined.shape.push(lead);
        joined.shape.extend(&tail);
    }
    packed
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

/// Appends entries of a tensor, each filled up to `tail`.
fn append(
    into: &mut TensorData,
    (from, entries): (&Tensor, Range<usize>),
    tail: &[usize],
    axes: InputAxes,
) -> Packed {
    let own = from.shape.get(1..).unwrap_or_default();
    let (size, full): (usize, usize) = (own.iter().product(), tail.iter().product());
    let packed = Packed {
        elements: if tail.is_empty() { 0 } else { full * entries.len() },
        padding: (full - size.min(full)) * entries.len(),
    };
    fn plain<T: Clone>(into: &mut Vec<T>, from: &[T], range: Range<usize>) {
        into.extend_from_slice(&from[range]);
    }
    match own == tail {
        true => {
            let range = entries.start * size..entries.end * size;
            on_pair!(into, &from.data, axes.padding, |into: &mut Vec<_>, from: &Vec<_>, _| plain(
                into,
                from,
                range.clone()
            ));
        }
        false => {
            for entry in entries {
                let range = entry * size..(entry + 1) * size;
                on_pair!(
                    &mut *into,
                    &from.data,
                    axes.padding,
                    |into: &mut Vec<_>, from: &Vec<_>, fill| fill_up(
                        into,
                        &from[range.clone()],
                        (own, tail),
                        axes.side,
                        &fill
                    )
                );
            }
        }
    }
    packed
}

/// Appends one entry of the dims `own`, filled up to `tail`; only the first dimension is ever filled on the left.
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

/// Why a batch's outputs cannot be given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongLead {
    /// The output's place.
    pub(super) output: usize,
    /// The entries that it has.
    pub(super) has: usize,
    /// The entries that it should have.
    pub(super) wanted: usize,
}

/// Checks that every output has an entry for each row or user of the batch.
pub(super) fn check_outputs(
    layout: &BatchLayout,
    parts: &[Part<'_>],
    outputs: &[Tensor],
) -> Result<(), WrongLead> {
    for (output, (axes, tensor)) in layout.outputs.iter().zip(outputs).enumerate() {
        let of_part =
            |part: &Part<'_>| part.entries(axes.lead, layout.unit, users_of(layout, part)).len();
        let wanted = parts.iter().map(of_part).sum();
        let has = leading(tensor);
        if has != wanted || tensor.shape.is_empty() {
            return Err(WrongLead { output, has, wanted });
        }
    }
    Ok(())
}

/// Copies what belongs to part `which` of a batch out of its outputs into `into`, at the part's units of `total`.
///
/// `into` is empty for the first part of a job.
pub(super) fn scatter(
    layout: &BatchLayout,
    parts: &[Part<'_>],
    which: usize,
    outputs: &[Tensor],
    (total, into): (usize, &mut Vec<Tensor>),
) {
    let part = &parts[which];
    let first = into.is_empty();
    for (at, (axes, output)) in layout.outputs.iter().zip(outputs).enumerate() {
        let users = users_of(layout, part);
        let before: usize = parts[..which]
            .iter()
            .map(|other| other.entries(axes.lead, layout.unit, users_of(layout, other)).len())
            .sum();
        let own = part.entries(axes.lead, layout.unit, users);
        let lead = if axes.lead == layout.unit { total } else { users };
        let tail = own_tail(part, axes.as_long_as, &output.shape[1..]);
        let size: usize = tail.iter().product();
        if first {
            let mut shape = vec![lead];
            shape.extend(&tail);
            let empty = TensorData::from_floats(output.data.dtype(), vec![0.0; lead * size]);
            into.push(Tensor { shape, data: empty });
        }
        let full: usize = output.shape[1..].iter().product();
        for (entry, place) in own.enumerate() {
            let source = (before + entry) * full..(before + entry + 1) * full;
            copy(&mut into[at].data, place * size..(place + 1) * size, &output.data, source.start);
        }
    }
}

/// The dims of a part's own entries, without padding.
fn own_tail(part: &Part<'_>, as_long_as: Option<usize>, tail: &[usize]) -> Vec<usize> {
    let mut own = tail.to_vec();
    let length = as_long_as.and_then(|input| part.inputs[input].shape.get(1));
    if let (Some(length), Some(first)) = (length, own.first_mut()) {
        *first = (*first).min(*length);
    }
    own
}

/// Copies one entry, as much of it as there is room for.
fn copy(into: &mut TensorData, place: Range<usize>, from: &TensorData, begin: usize) {
    fn plain<T: Clone>(into: &mut [T], from: &[T]) {
        into.clone_from_slice(from);
    }
    let source = begin..begin + place.len();
    on_pair!(into, from, 0_i64, |into: &mut Vec<_>, from: &Vec<_>, _| plain(
        &mut into[place.clone()],
        &from[source.clone()]
    ));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::batching::layout::{Joins, OutputAxes};

    use super::*;

    fn ints(shape: &[usize], values: Vec<i64>) -> Tensor {
        Tensor { shape: shape.to_vec(), data: TensorData::Int64(values) }
    }

    fn rows() -> BatchLayout {
        BatchLayout {
            unit: Lead::Rows,
            inputs: vec![
                InputAxes::of(Lead::Users),
                InputAxes { numbers_users: true, ..InputAxes::of(Lead::Rows) },
                InputAxes { padding: 7, ..InputAxes::of(Lead::Rows) },
            ],
            outputs: vec![OutputAxes { lead: Lead::Rows, as_long_as: None }],
            joins: Joins::Padded,
        }
    }

    /// A user's number, the index of their rows, and for each row `length` tokens that name it.
    fn job(user: i64, count: usize, length: usize) -> Vec<Tensor> {
        let tokens = (0..count).flat_map(|row| vec![user * 100 + row as i64; length]).collect();
        vec![ints(&[1], vec![user]), ints(&[count], vec![0; count]), ints(&[count, length], tokens)]
    }

    fn values(tensor: &Tensor) -> &[i64] {
        match &tensor.data {
            TensorData::Int64(values) => values,
            _ => &[],
        }
    }

    #[test]
    fn users_are_numbered_anew_and_short_rows_filled_up() {
        let (a, b) = (job(1, 3, 1), job(2, 1, 2));
        let parts = [Part { inputs: &a, units: 1..3 }, Part { inputs: &b, units: 0..1 }];
        let mut batch = Vec::new();
        let packed = pack(&rows(), &parts, &mut batch);
        assert_eq!(batch[0], ints(&[2], vec![1, 2]));
        assert_eq!(batch[1], ints(&[3], vec![0, 0, 1]));
        assert_eq!(batch[2], ints(&[3, 2], vec![101, 7, 102, 7, 200, 200]));
        assert_eq!(packed, Packed { elements: 6, padding: 2 });
    }

    #[test]
    fn histories_are_filled_up_on_the_left_where_the_layout_says_so() {
        let layout = BatchLayout {
            unit: Lead::Users,
            inputs: vec![InputAxes { side: PadSide::Left, ..InputAxes::of(Lead::Users) }],
            outputs: vec![OutputAxes { lead: Lead::Users, as_long_as: Some(0) }],
            joins: Joins::Padded,
        };
        let (a, b) = (vec![ints(&[1, 1, 2], vec![1, 2])], vec![ints(&[1, 2, 1], vec![3, 4])]);
        let parts = [Part { inputs: &a, units: 0..1 }, Part { inputs: &b, units: 0..1 }];
        let mut batch = Vec::new();
        pack(&layout, &parts, &mut batch);
        assert_eq!(batch[0], ints(&[2, 2, 2], vec![0, 0, 1, 2, 3, 0, 4, 0]));
        let mut back = Vec::new();
        let output = vec![ints(&[2, 2], vec![10, 11, 20, 21])];
        scatter(&layout, &parts, 0, &output, (1, &mut back));
        assert_eq!(back, [ints(&[1, 1], vec![10])], "padding is not given back");
    }

    #[test]
    fn a_graph_that_answers_too_little_is_caught() {
        let a = job(1, 3, 1);
        let parts = [Part { inputs: &a, units: 0..3 }];
        let wrong = check_outputs(&rows(), &parts, &[ints(&[2], vec![0, 0])]);
        assert_eq!(wrong, Err(WrongLead { output: 0, has: 2, wanted: 3 }));
    }

    proptest! {
        /// Whatever the cuts, each job gets back for each of its rows what was made of that very row.
        #[test]
        fn no_row_is_lost_doubled_or_mixed(
            counts in prop::collection::vec((1usize..20, 1usize..4), 1..6),
            size in 1usize..9,
        ) {
            let jobs: Vec<_> =
                counts.iter().enumerate().map(|(u, (n, l))| job(u as i64 + 1, *n, *l)).collect();
            let mut back = vec![Vec::new(); jobs.len()];
            let all = counts.iter().enumerate().flat_map(|(job, (n, _))| (0..*n).map(move |row| (job, row)));
            let all: Vec<(usize, usize)> = all.collect();
            for batch_rows in all.chunks(size) {
                let mut parts: Vec<(usize, Range<usize>)> = Vec::new();
                for &(job, row) in batch_rows {
                    match parts.last_mut() {
                        Some((last, range)) if *last == job => range.end = row + 1,
                        _ => parts.push((job, row..row + 1)),
                    }
                }
                let whole: Vec<Part<'_>> = parts
                    .iter()
                    .map(|(job, units)| Part { inputs: &jobs[*job], units: units.clone() })
                    .collect();
                let mut batch = Vec::new();
                pack(&rows(), &whole, &mut batch);
                let longest = batch[2].shape[1];
                let user = |row: usize| values(&batch[0])[values(&batch[1])[row] as usize];
                let answers = (0..batch_rows.len())
                    .map(|row| user(row) * 10_000 + values(&batch[2])[row * longest])
                    .collect();
                let outputs = [ints(&[batch_rows.len()], answers)];
                prop_assert_eq!(check_outputs(&rows(), &whole, &outputs), Ok(()));
                for (which, (job, _)) in parts.iter().enumerate() {
                    scatter(&rows(), &whole, which, &outputs, (counts[*job].0, &mut back[*job]));
                }
            }
            for (job, (count, _)) in counts.iter().enumerate() {
                let user = job as i64 + 1;
                let wanted = (0..*count as i64).map(|row| user * 10_000 + user * 100 + row).collect();
                prop_assert_eq!(&back[job][0], &ints(&[*count], wanted));
            }
        }
    }
}
