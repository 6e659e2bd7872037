//! Runs a loaded graph on made-up inputs of growing size, to warm it up and to learn what its runs cost.

use std::time::{Duration, Instant};

use crate::{
    batching::{BatchLayout, CostPoint, CostTable, Lead, LengthWeight},
    repository::{DimSpec, InputSpec, Manifest, Source, TokenPart},
    runtime::ModelInstance,
    serving::shapes::{Shape, Warmth},
    tensor::{DType, Tensor, TensorData},
};

/// The length that texts, histories and lists have in these runs, where the manifest does not bound it further.
const LENGTH: usize = 32;

/// The lengths whose costs are measured.
const LENGTHS: [usize; 7] = [8, 16, 32, 64, 128, 256, 512];

/// The longest length whose buckets are all run, where the manifest bounds it no further.
const LONGEST: usize = 512;

/// Runs of each size; the quickest counts. A machine that is busy meanwhile must not make a small batch look as good as a large one.
const RUNS: usize = 4;

/// No run of a size is repeated more than once after so long. Once it is: the first touches memory that none has touched before.
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

/// The longest length that batches of a version are run with before it serves: 1 where nothing is padded.
pub(super) fn longest_run(manifest: &Manifest, layout: &BatchLayout) -> usize {
    let is_padded = layout.inputs.iter().any(|axes| axes.padded);
    match is_padded {
        false => 1,
        true => longest(manifest).min(LONGEST),
    }
}

/// Runs each shape once, as long as there is time: one that would take longer than what is left is left out.
pub(super) fn run_shapes(
    instance: &mut dyn ModelInstance,
    (manifest, layout): (&Manifest, &BatchLayout),
    (shapes, cost): (&[Shape], &CostTable),
    time: Duration,
) -> Warmth {
    let until = Instant::now() + time;
    let mut warmth = Warmth::default();
    for &shape in shapes {
        let left = until.saturating_duration_since(Instant::now());
        let there_is_time = !left.is_zero() && shape.predicted(cost) <= left;
        match there_is_time && run_once(instance, manifest, layout, shape).is_some() {
            true => warmth.ran += 1,
            false => warmth.left_out.push(shape),
        }
    }
    warmth
}

fn run_once(
    instance: &mut dyn ModelInstance,
    manifest: &Manifest,
    layout: &BatchLayout,
    shape: Shape,
) -> Option<()> {
    let tensors = tensors(manifest, layout, shape);
    instance.run(&named(manifest, &tensors)).ok().map(drop)
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
    let tensors = tensors(manifest, layout, shape);
    let named = named(manifest, &tensors);
    let (mut quickest, first) = (Duration::MAX, Instant::now());
    for run in 0..RUNS {
        let begun = Instant::now();
        instance.run(&named).ok()?;
        quickest = quickest.min(begun.elapsed());
        if run > 0 && first.elapsed() > LONG_ENOUGH {
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
    tensors(manifest, layout, Shape { units, length: LENGTH })
}

fn tensors(manifest: &Manifest, layout: &BatchLayout, shape: Shape) -> Vec<Tensor> {
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

fn named<'a>(manifest: &'a Manifest, tensors: &'a [Tensor]) -> Vec<(&'a str, &'a Tensor)> {
    manifest.inputs.iter().map(|input| input.name.as_str()).zip(tensors).collect()
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

#[cfg(test)]
mod tests {
    use crate::{
        batching::{CostPoint, InputAxes, Joins},
        runtime::{RuntimeError, Signature},
    };

    use super::*;

    /// Notes the shapes that it is run with, and refuses those of one length.
    struct Noting {
        signature: Signature,
        seen: Vec<Vec<usize>>,
        refuses: usize,
    }

    impl ModelInstance for Noting {
        fn signature(&self) -> &Signature {
            &self.signature
        }

        fn run_into(
            &mut self,
            inputs: &[(&str, &Tensor)],
            _: &mut Vec<Tensor>,
        ) -> Result<(), RuntimeError> {
            let shape = &inputs[0].1.shape;
            self.seen.push(shape.clone());
            match shape[1] == self.refuses {
                true => Err(RuntimeError::Run("such a length".to_owned())),
                false => Ok(()),
            }
        }
    }

    fn version() -> (Manifest, BatchLayout) {
        let manifest = "format = 1\nrole = 'ranker'\n\
             [texts.pair]\ntokenizer = 't'\nfirst = '{query}'\nmax_tokens = 12\n\
             [[inputs]]\nname = 'ids'\nsource = 'tokens'\ntext = 'pair'\npart = 'ids'\ndtype = 'int64'\n\
             shape = ['rows', 'tokens']\n[files]\n";
        let axes = InputAxes { padded: true, ..InputAxes::of(Lead::Rows) };
        let (inputs, outputs) = (vec![axes], Vec::new());
        let layout = BatchLayout { unit: Lead::Rows, inputs, outputs, joins: Joins::Padded };
        (toml::from_str(manifest).unwrap(), layout)
    }

    #[track_caller]
    fn check(refuses: usize, run_us: f64, want: (&[[usize; 2]], &str)) {
        let (manifest, layout) = version();
        let mut instance = Noting { signature: Signature::default(), seen: Vec::new(), refuses };
        let shapes = [(1, 4), (1, 12), (8, 4)].map(|(units, length)| Shape { units, length });
        let cost = CostTable::new(vec![CostPoint { size: 32, run_us }]);
        let told = (&shapes[..], &cost);
        let time = Duration::from_secs(60);
        let warmth = run_shapes(&mut instance, (&manifest, &layout), told, time);
        assert_eq!(instance.seen, want.0);
        assert_eq!(warmth.missing(), want.1);
        assert_eq!(warmth.ran + warmth.left_out.len(), 3);
    }

    #[test]
    fn every_shape_is_run_once_as_far_as_there_is_time() {
        check(0, 1000.0, (&[[1, 4], [1, 12], [8, 4]], ""));
        check(12, 1000.0, (&[[1, 4], [1, 12], [8, 4]], "1x12"));
        // A run of 32 takes longer than the minute that is there; the smaller ones do too.
        check(0, 61e6, (&[], "1x4 1x12 8x4"));
    }

    #[test]
    fn lengths_end_where_the_manifest_says_or_where_nothing_is_padded() {
        let (mut manifest, mut layout) = version();
        assert_eq!(longest_run(&manifest, &layout), 12);
        manifest.texts.clear();
        assert_eq!(longest_run(&manifest, &layout), LONGEST);
        layout.inputs[0].padded = false;
        assert_eq!(longest_run(&manifest, &layout), 1);
    }
}
