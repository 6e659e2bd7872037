//! Takes a batch's outputs apart.

use std::ops::Range;

use crate::{
    batching::{
        layout::{BatchLayout, Lead},
        pack::{Part, leading, on_pair},
    },
    tensor::{Tensor, TensorData},
};

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

/// Checks that every output has an entry for each row or user of the batch; of a job that stays whole there is nothing to check.
pub(super) fn check_outputs(
    layout: &BatchLayout,
    parts: &[Part<'_>],
    outputs: &[Tensor],
) -> Result<(), WrongLead> {
    if layout.unit == Lead::Whole {
        return Ok(());
    }
    for (output, (axes, tensor)) in layout.outputs.iter().zip(outputs).enumerate() {
        let wanted = parts.iter().map(|part| part.count(axes.lead, layout)).sum();
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
    if layout.unit == Lead::Whole {
        outputs.clone_into(into);
        return;
    }
    let part = &parts[which];
    let first = into.is_empty();
    for (at, (axes, output)) in layout.outputs.iter().zip(outputs).enumerate() {
        let count = part.count(axes.lead, layout);
        let before: usize = parts[..which].iter().map(|one| one.count(axes.lead, layout)).sum();
        let tail = own_tail(part, axes.as_long_as, &output.shape[1..]);
        let size: usize = tail.iter().product();
        if first {
            let lead = if axes.lead == layout.unit { total } else { count };
            let mut shape = vec![lead];
            shape.extend(&tail);
            into.push(Tensor { shape, data: zeros(&output.data, lead * size) });
        }
        let full: usize = output.shape[1..].iter().product();
        if full == size && part.in_a_row(axes.lead, layout.unit) {
            let place = part.place(0, axes.lead, layout.unit) * size;
            copy(&mut into[at].data, place..place + count * size, &output.data, before * full);
            continue;
        }
        for entry in 0..count {
            let place = part.place(entry, axes.lead, layout.unit) * size;
            copy(&mut into[at].data, place..place + size, &output.data, (before + entry) * full);
        }
    }
}

/// So many zeros of the element type of another tensor.
fn zeros(like: &TensorData, count: usize) -> TensorData {
    match like {
        TensorData::Float32(_) => TensorData::Float32(vec![0.0; count]),
        TensorData::Int64(_) => TensorData::Int64(vec![0; count]),
        _ => TensorData::from_floats(like.dtype(), vec![0.0; count]),
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
