//! Bundles against real ONNX Runtime: golden vectors, the graph's signature, and manifests that do not fit it.

use podium::{
    repository::{DimSpec, Fault, golden_inputs, run_golden, verify},
    serving::{check_invariance, verified_instance},
    tensor::DType,
};

use crate::fixture::{bundle, open, runtime, shipped};

#[test]
fn shipped_bundles_answer_their_golden_vectors() {
    for path in ["grocery-encoder/1", "grocery-ranker/1", "electronics-search/1"] {
        let bundle = open(&shipped(path));
        let mut instance = verified_instance(&runtime(), &bundle).unwrap();
        let results = run_golden(&bundle, instance.as_mut()).unwrap();
        assert!(!results.is_empty(), "{path} has no golden vectors");
        assert!(results.iter().all(|result| result.passed()), "{results:?}");
    }
}

/// What `docs/batching.md` publishes: how far company moves a score at most, relative to the larger of 1 and the score.
const TOLERANCE: f64 = 1e-6;

#[test]
fn company_moves_no_score_and_other_neighbours_no_bit() {
    for path in ["grocery-encoder/1", "grocery-ranker/1", "electronics-search/1"] {
        let bundle = open(&shipped(path));
        let mut instance = verified_instance(&runtime(), &bundle).unwrap();
        let cases = golden_inputs(&bundle).unwrap();
        let found = check_invariance(instance.as_mut(), &bundle, &cases).unwrap();
        let found = found.unwrap_or_else(|| panic!("{path} has too few golden cases"));
        assert!(found.error <= TOLERANCE && found.reordered == 0 && found.bit_equal, "{found:?}");
    }
}

#[test]
fn a_golden_vector_that_is_off_is_noticed() {
    let bundle = open(&bundle("list-ranker/1"));
    let mut instance = runtime().instance(&bundle.graph, &["tone", "score"]).unwrap();
    let results = run_golden(&bundle, instance.as_mut()).unwrap();
    assert!(results.iter().any(|result| !result.passed()), "swapped outputs passed: {results:?}");
}

/// Changes the manifest of a right bundle and returns where the faults lie.
fn faults_after(change: impl FnOnce(&mut podium::repository::Manifest)) -> Vec<Fault> {
    let bundle = open(&bundle("tiny-ranker/1"));
    let mut manifest = bundle.manifest.clone();
    let instance = runtime().instance(&bundle.graph, &[]).unwrap();
    change(&mut manifest);
    verify(&manifest, instance.signature())
}

#[track_caller]
fn check(change: impl FnOnce(&mut podium::repository::Manifest), want: &[&str]) {
    let faults = faults_after(change);
    let at: Vec<&str> = faults.iter().map(|fault| fault.at.as_str()).collect();
    assert_eq!(at, want, "{faults:#?}");
    assert!(faults.iter().all(|fault| !fault.fix.is_empty()));
}

fn place(manifest: &podium::repository::Manifest, name: &str) -> usize {
    manifest.inputs.iter().position(|input| input.name == name).unwrap()
}

#[test]
fn every_fault_names_its_place() {
    check(|_| {}, &[]);
    check(|m| m.encoder = None, &["encoder"]);
    check(|m| m.outputs.clear(), &["outputs"]);
    check(|m| m.independent = false, &["independent"]);
    check(|m| m.history = None, &["inputs.bought.source", "inputs.same_department.source"]);
    check(
        |m| {
            let at = place(m, "price");
            m.inputs[at].dtype = DType::Int64;
        },
        &["inputs.price.dtype", "inputs.price.log"],
    );
    check(
        |m| {
            let at = place(m, "price");
            m.inputs[at].shape.push(DimSpec::Fixed(2));
        },
        &["inputs.price.shape"],
    );
    check(
        |m| {
            let at = place(m, "price");
            m.inputs[at].clip = Some([1.0, 0.0]);
        },
        &["inputs.price.clip"],
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = faults_after(|m| {
        m.inputs.retain(|input| input.name != "price");
        m.outputs[0].name = "nothing".to_owned();
        m.encoder = None;
    });
    let at: Vec<&str> = faults.iter().map(|fault| fault.at.as_str()).collect();
    assert_eq!(at, ["encoder", "outputs.nothing", "inputs.price"]);
}
