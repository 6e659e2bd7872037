//! Runs a loaded graph on made-up inputs of growing size, to warm it up and to learn what its runs cost.

use std::time::{Duration, Instant};

use crate::{
    batching::{BatchLayout, CostPoint, CostTable, Lead, LengthWeight},
    repository::{DimSpec, InputSpec, Manifest, Source, TokenPart},
    runtime::ModelInstance,
    tensor::{DType, Tensor, TensorData},
};

/// The length that texts, histories and lists have in these runs, where the manifest does not bound it further.
const LENGTH: usize = 32;

/// The lengths whose costs are measured.
const LENGTHS: [usize; 7] = [8, 16, 32, 64, 128, 256, 512];

/// Runs of each size; the quickest counts. A machine that is busy meanwhile must not make a small batch look as good as a large one.
const RUNS: usize = 4;

/// After so long no run of a size is repeated.
const LONG_ENOUGH: Duration = Duration::from_millis(400);

/// Larger sizes are not tried after a run that took so long.
const LONG_RUN: Duration = Duration::from_millis(60);

/// Larger sizes are not tried once the rate has not grown by this share for two doublings.
const NO_GAIN: f64 = 1.01;

/// Measures runs of 1, 2, 4… units up to `most`; what cannot be run on made-up inputs is not measured.
pub(super) fn measure_costs(
    instance: &mut dyn ModelInstance,
    manifest: &Manifest,
    layout: &BatchLayout,
    most: usize,
) -> CostTable {
    let mut points: Vec<CostPoint> = Vec::new();
    let (mut best, mut stale) = (0.0, 0);
    let sizes = std::iter::successors(Some(1), |units| Some(units * 2));
    let usual = length(manifest, layout);
    for units in sizes.take_while(|units| *units <= most) {
        let shape = Shape { units, length: usual };
        let Some(ran) = quickest(instance, manifest, layout, shape) else { break };
        let point = CostPoint { size: units * usual, run_us: ran.as_secs_f64() * 1e6 };
        points.push(point);
        let rate = point.size as f64 / point.run_us;
        stale = if rate > best * NO_GAIN { 0 } else { stale + 1 };
        best = f64::max(best, rate);
        if ran > LONG_RUN || stale > 2 {
            break;
        }
    }
    let table = CostTable::new(points);
    let weights = weights(instance, (manifest, layout), usual, &table);
    table.with_weights(weights)
}

/// Units of a length.
#[derive(Debug, Clone, Copy)]
struct Shape {
    units: usize,
    length: usize,
}

/// Measures what units of other lengths cost beside one of the usual length, in batches as large as the device gains from.
fn weights(
    instance: &mut dyn ModelInstance,
    (manifest, layout): (&Manifest, &BatchLayout),
    usual: usize,
    table: &CostTable,
) -> Vec<LengthWeight> {
    let Some(size) = table.preferred_size().filter(|_| usual > 1) else { return Vec::new() };
    let mut weights = Vec::new();
    for length in LENGTHS.into_iter().filter(|length| *length <= longest(manifest)) {
        let units = size.div_ceil(length);
        let Some(ran) = quickest(instance, manifest, layout, Shape { units, length }) else {
            break;
        };
        let alike = table.size_within(ran);
        weights.push(LengthWeight { length, weight: alike as f64 / units as f64 });
        if ran > LONG_RUN {
            break;
        }
    }
    weights
}

/// The longest that the manifest lets texts, histories and lists be.
fn longest(manifest: &Manifest) -> usize {
    let texts = manifest.texts.values().map(|text| text.max_tokens);
    let histories = manifest.history.iter().map(|history| history.max_length);
    texts.chain(histories).max().unwrap_or(usize::MAX)
}

/// The quickest of a few runs; `None` where the graph refuses the inputs.
fn quickest(
    instance: &mut dyn ModelInstance,
    manifest: &Manifest,
    layout: &BatchLayout,
    shape: Shape,
) -> Option<Duration> {
    let tensors: Vec<Tensor> =
        manifest.inputs.iter().map(|input| made_up(input, manifest, layout, shape)).collect();
    let names = manifest.inputs.iter().map(|input| input.name.as_str());
    let named: Vec<(&str, &Tensor)> = names.zip(&tensors).collect();
    let (mut quickest, first) = (Duration::MAX, Instant::now());
    for _ in 0..RUNS {
        let begun = Instant::now();
        instance.run(&named).ok()?;
        quickest = quickest.min(begun.elapsed());
        if first.elapsed() > LONG_ENOUGH {
            break;
        }
    }
    Some(quickest)
}

/// One made-up tensor for each input of the manifest, for a batch of so many units of the usual length.
pub(super) fn made_up_inputs(
    manifest: &Manifest,
    layout: &BatchLayout,
    units: usize,
) -> Vec<Tensor> {
    let shape = Shape { units, length: LENGTH };
    manifest.inputs.iter().map(|input| made_up(input, manifest, layout, shape)).collect()
}

/// As [`made_up_inputs`], but with values that differ from place to place; whole numbers, which may be places in a table, are 0 or 1.
pub(super) fn varied_inputs(
    manifest: &Manifest,
    layout: &BatchLayout,
    units: usize,
) -> Vec<Tensor> {
    let mut inputs = made_up_inputs(manifest, layout, units);
    let mut count = 0;
    for (input, tensor) in inputs.iter_mut().zip(&manifest.inputs).map(|(t, i)| (i, t)) {
        if says_what_is_there(input) || input.source == Source::UserIndex {
            continue;
        }
        let mut next = || {
            count += 1;
            f32::from(count % 97_u16)
        };
        let values = (0..tensor.data.len()).map(|_| match input.dtype {
            DType::Float32 | DType::Float16 => (1.0 + next()) / 64.0,
            _ => next() % 2.0,
        });
        tensor.data = TensorData::from_floats(input.dtype, values.collect());
    }
    inputs
}

/// Whether an input says which of the others' places are filled.
fn says_what_is_there(input: &InputSpec) -> bool {
    matches!(input.source, Source::HistoryMask | Source::HistoryLength | Source::CandidateMask)
        || input.part == Some(TokenPart::Mask)
}

/// The length of what is padded in these runs; 1 where nothing is.
fn length(manifest: &Manifest, layout: &BatchLayout) -> usize {
    let padded = layout.inputs.iter().zip(&manifest.inputs).filter(|(axes, _)| axes.padded);
    padded.map(|(_, input)| length_of(input, manifest, LENGTH)).max().unwrap_or(1)
}

/// The length of an input, no longer than the manifest lets it be.
fn length_of(input: &InputSpec, manifest: &Manifest, length: usize) -> usize {
    let text = input.text.as_ref().and_then(|name| manifest.texts.get(name));
    let history = manifest.history.as_ref().map(|history| history.max_length);
    let bound = match input.source {
        Source::Tokens => text.map(|text| text.max_tokens),
        Source::History | Source::HistoryMask => history,
        _ => None,
    };
    bound.map_or(length, |bound| bound.min(length)).max(1)
}

/// Zeros of an input's shape, ones where they say that something is there.
fn made_up(input: &InputSpec, manifest: &Manifest, layout: &BatchLayout, shape: Shape) -> Tensor {
    let Shape { units, length } = shape;
    let users = if layout.unit == Lead::Users { units } else { 1 };
    let dims = input.shape.iter().map(|dim| match dim {
        DimSpec::Fixed(size) => *size,
        named if named.is("users") => users,
        named if named.is("rows") => units,
        _ => length_of(input, manifest, length),
    });
    let shape: Vec<usize> = dims.collect();
    let count = shape.iter().product();
    let value = f32::from(u8::from(says_what_is_there(input)));
    let data = match input.dtype {
        DType::String => TensorData::String(vec![String::new(); count]),
        dtype => TensorData::from_floats(dtype, vec![value; count]),
    };
    Tensor { shape, data }
}
