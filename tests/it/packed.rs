//! Inputs that travel in two blocks: every bundle answers the same bits as with inputs that are lent as they lie.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::future::join_all;
use podium::{
    batching::{Pipeline, Turns, Work},
    config::{self, Config},
    deadline::Deadline,
    repository::{Bundle, GoldenInputs, golden_inputs},
    runtime::{ModelInstance, PackedInputs, Runtime, RuntimeOptions},
    serving::{ModelHandle, sample_requests},
    tensor::{Tensor, TensorData},
};

use crate::fixture::{bundle, open, runtime, shipped};

/// The runtime with other options.
pub fn runtime_with(change: impl FnOnce(&mut RuntimeOptions)) -> Runtime {
    let mut options = config::load(None, &[]).unwrap().0.runtime_options();
    change(&mut options);
    Runtime::load(options).unwrap_or_else(|error| panic!("{error}"))
}

/// All bundles that the tests have.
pub fn bundles() -> Vec<PathBuf> {
    let mut all = vec![
        shipped("grocery-encoder/1"),
        shipped("grocery-ranker/1"),
        shipped("electronics-search/1"),
    ];
    for model in fs::read_dir(bundle("")).unwrap() {
        for version in fs::read_dir(model.unwrap().path()).unwrap() {
            all.push(version.unwrap().path());
        }
    }
    all
}

/// Golden inputs and requests of some sizes, which need blocks of other classes.
pub fn requests(bundle: &Bundle) -> Vec<Vec<Tensor>> {
    let cases: Vec<GoldenInputs> = golden_inputs(bundle).unwrap();
    let mut all: Vec<Vec<Tensor>> = cases.iter().map(|case| case.tensors.clone()).collect();
    all.extend([1, 3, 200, 2].into_iter().filter_map(|rows| samples(bundle, rows).pop()));
    assert!(all.len() > 4);
    all
}

/// The golden cases with so many rows.
fn samples(bundle: &Bundle, rows: usize) -> Vec<Vec<Tensor>> {
    sample_requests(bundle, &golden_inputs(bundle).unwrap(), rows)
}

pub fn named<'a>(bundle: &'a Bundle, tensors: &'a [Tensor]) -> Vec<(&'a str, &'a Tensor)> {
    bundle.manifest.inputs.iter().map(|input| input.name.as_str()).zip(tensors).collect()
}

/// The outputs' shapes and bits.
pub fn bits(outputs: &[Tensor]) -> Vec<(Vec<usize>, Vec<u32>)> {
    let bits = |t: &Tensor| t.to_floats().into_iter().map(f32::to_bits).collect();
    outputs.iter().map(|tensor| (tensor.shape.clone(), bits(tensor))).collect()
}

/// Holds every bundle that can be packed against itself; says how many there were.
fn check(
    packs: &Runtime,
    run: impl Fn(&mut dyn ModelInstance, &[(&str, &Tensor)], &mut Vec<Tensor>),
) -> usize {
    let mut packed_bundles = 0;
    for path in bundles() {
        let bundle = open(&path);
        let outputs = bundle.manifest.output_names();
        let mut plain = runtime().instance(&bundle.graph, &outputs).unwrap();
        let mut packed = packs.instance(&bundle.graph, &outputs).unwrap();
        assert_eq!(plain.signature(), packed.signature());
        assert!(plain.input_blocks().is_none());
        let texts = bundle.manifest.inputs.iter().any(|i| i.dtype == podium::tensor::DType::String);
        assert_eq!(packed.input_blocks().is_none(), texts, "{}", path.display());
        packed_bundles += usize::from(!texts);
        let mut got = Vec::new();
        for tensors in requests(&bundle) {
            let named = named(&bundle, &tensors);
            let want = plain.run(&named).unwrap();
            run(packed.as_mut(), &named, &mut got);
            assert_eq!(bits(&want), bits(&got), "{}", path.display());
        }
    }
    packed_bundles
}

#[test]
fn every_bundle_answers_the_same_bits() {
    let packs = runtime_with(|options| options.packed_inputs = PackedInputs::On);
    let count = check(&packs, |instance, named, got| instance.run_into(named, got).unwrap());
    assert!(count >= 12, "{count} bundles");
}

#[test]
fn blocks_that_another_thread_filled_answer_the_same_bits() {
    let packs = runtime_with(|options| options.packed_inputs = PackedInputs::On);
    check(&packs, |instance, named, got| {
        let Some(blocks) = instance.input_blocks() else {
            return instance.run_into(named, got).unwrap();
        };
        let mut blocks = [instance.input_blocks().unwrap(), blocks];
        for round in 0..4 {
            let own = &mut blocks[round % 2];
            std::thread::scope(|scope| scope.spawn(|| own.fill(named).unwrap()).join().unwrap());
            instance.run_blocks(own, named, got).unwrap();
        }
    });
}

/// On the CPU nothing is captured, but the tensors that a graph would be captured with are bound and copied as on a GPU.
#[test]
fn runs_of_a_layout_that_comes_again_answer_the_same_bits() {
    let packs = runtime_with(|options| {
        options.packed_inputs = PackedInputs::On;
        options.cuda.graphs = true;
    });
    check(&packs, |instance, named, got| {
        let Some(mut blocks) = instance.input_blocks() else {
            return instance.run_into(named, got).unwrap();
        };
        (0..4).for_each(|_| instance.run_blocks(&mut blocks, named, got).unwrap());
    });
}

/// Two inputs change places, and the third run of a layout has other values than the second.
#[test]
fn values_of_an_earlier_batch_do_not_stay() {
    let packs = runtime_with(|options| {
        options.packed_inputs = PackedInputs::On;
        options.cuda.graphs = true;
    });
    let bundle = open(&bundle("vector-ranker/1"));
    let outputs = bundle.manifest.output_names();
    let mut plain = runtime().instance(&bundle.graph, &outputs).unwrap();
    let mut packed = packs.instance(&bundle.graph, &outputs).unwrap();
    let mut tensors = requests(&bundle).remove(0);
    let (mut blocks, mut got) = (packed.input_blocks().unwrap(), Vec::new());
    for round in 0..6_u8 {
        for tensor in &mut tensors {
            let TensorData::Float32(values) = &mut tensor.data else {
                panic!("it has floats only")
            };
            values.iter_mut().for_each(|value| *value += f32::from(round));
        }
        let mut named = named(&bundle, &tensors);
        if round % 2 == 1 {
            named.reverse();
        }
        let want = plain.run(&named).unwrap();
        packed.run_blocks(&mut blocks, &named, &mut got).unwrap();
        assert_eq!(bits(&want), bits(&got), "round {round}");
    }
}

/// Two devices of three instances, each with three threads, whose batches are joined in blocks while others run.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_queue_on_several_devices_answers_as_one_session_does() {
    let packs = runtime_with(|options| {
        options.packed_inputs = PackedInputs::On;
        options.cuda.graphs = true;
    });
    let bundle = open(&shipped("grocery-ranker/1"));
    let mut options = Config::default().load_options(0);
    options.batching.pipeline = Pipeline::On;
    options.batching.max_batch_rows = 64;
    options.batching.instances = 3;
    options.turns = vec![Turns::new(1), Turns::new(1)];
    let handle = ModelHandle::load(&packs, &bundle, &options).unwrap();
    assert_eq!(handle.instances(), 3);
    let mut plain = runtime().instance(&bundle.graph, &bundle.manifest.output_names()).unwrap();
    let requests: Vec<_> =
        [5, 1, 90, 17].into_iter().flat_map(|rows| samples(&bundle, rows)).collect();
    let want: Vec<_> =
        requests.iter().map(|own| plain.run(&named(&bundle, own)).unwrap()).collect();
    for round in 0..20 {
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(20));
        let works = requests.iter().map(|own| handle.run(Work::new(own.clone(), deadline)));
        for (want, got) in want.iter().zip(join_all(works).await) {
            let (want, got) = (want[0].to_floats(), got.unwrap()[0].to_floats());
            assert_eq!(want.len(), got.len());
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
            assert!(want.iter().zip(&got).all(near), "round {round}: {want:?}, {got:?}");
        }
    }
}

#[test]
fn wrong_inputs_are_refused_by_name() {
    let packs = runtime_with(|options| options.packed_inputs = PackedInputs::On);
    let bundle = open(&bundle("vector-ranker/1"));
    let mut packed = packs.instance(&bundle.graph, &[]).unwrap();
    let tensors = requests(&bundle).remove(0);
    let good = named(&bundle, &tensors);
    let mut refused = |inputs: &[(&str, &Tensor)], told: &str| {
        let error = packed.run(inputs).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert!(packed.run(&good).is_ok(), "after {told}");
    };
    refused(&good[1..], "2 inputs came, the graph has 3");
    let mut other = good.clone();
    other[1].0 = "nothing";
    refused(&other, "missing");
    let ints = Tensor { shape: vec![1], data: TensorData::Int64(vec![1]) };
    let flat = Tensor::floats(vec![8], vec![0.0; 8]);
    let short = Tensor::floats(vec![2, 8], vec![0.0; 8]);
    for (tensor, told) in [(&ints, "is int64"), (&flat, "has 1 dims"), (&short, "8 elements")] {
        let mut other = good.clone();
        other.iter_mut().filter(|(name, _)| *name == "features").for_each(|one| one.1 = tensor);
        refused(&other, told);
    }
}
