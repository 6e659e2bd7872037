//! Runs a bundle's golden vectors.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;

use crate::{
    repository::{bundle::Bundle, error::Fault},
    runtime::{ModelInstance, RuntimeError},
    tensor::{DType, Tensor, TensorData},
};

#[derive(Deserialize)]
struct GoldenFile {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    inputs: BTreeMap<String, RawTensor>,
    outputs: BTreeMap<String, RawTensor>,
}

#[derive(Deserialize)]
struct RawTensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Vec<serde_json::Value>,
}

/// How one output of one case came out.
#[derive(Debug, Clone)]
pub struct GoldenResult {
    /// The case's name.
    pub case: String,
    /// The output's name.
    pub output: String,
    /// How many values were compared.
    pub values: usize,
    /// The largest error, relative to `max(1, |want|)`; infinite where shapes differ or a value is not finite.
    pub error: f64,
    /// The bundle's tolerance.
    pub tolerance: f64,
}

impl GoldenResult {
    /// Whether the error lies within the tolerance.
    pub fn passed(&self) -> bool {
        self.error <= self.tolerance
    }
}

/// The inputs of one golden case.
#[derive(Debug, Clone)]
pub struct GoldenInputs {
    /// The case's name.
    pub case: String,
    /// One tensor for each input, in the order of the manifest.
    pub tensors: Vec<Tensor>,
}

/// The inputs of every golden case; nothing where the bundle has no golden vectors.
///
/// # Errors
/// A [`Fault`] when the file cannot be read, or a case lacks an input.
pub fn golden_inputs(bundle: &Bundle) -> Result<Vec<GoldenInputs>, Fault> {
    let Some(spec) = bundle.golden() else {
        return Ok(Vec::new());
    };
    let inputs = |case: &Case| {
        let tensor = |name: &str| match case.inputs.get(name) {
            Some(raw) => tensor_of(name, raw),
            None => Err(RuntimeError::Run(format!("golden input `{name}` is missing"))),
        };
        let names = bundle.manifest.inputs.iter().map(|input| input.name.as_str());
        let tensors = names.map(tensor).collect::<Result<_, _>>();
        let tensors = tensors.map_err(|e| unfit(&spec.file, format!("case {}: {e}", case.name)))?;
        Ok(GoldenInputs { case: case.name.clone(), tensors })
    };
    read_cases(bundle, &spec.file)?.iter().map(inputs).collect()
}

fn unfit(file: &str, wrong: String) -> Fault {
    let fix = "export the golden vectors again; docs/bundle.md describes the file";
    Fault::new(file, wrong, fix)
}

fn read_cases(bundle: &Bundle, name: &str) -> Result<Vec<Case>, Fault> {
    let bytes = fs::read(bundle.file(name)).map_err(|e| unfit(name, e.to_string()))?;
    let file: GoldenFile =
        serde_json::from_slice(&bytes).map_err(|e| unfit(name, e.to_string()))?;
    match file.cases.is_empty() {
        true => Err(unfit(name, "holds no case".to_owned())),
        false => Ok(file.cases),
    }
}

/// Runs every golden case through `instance`, whose outputs must be those of the manifest in its order.
///
/// Returns nothing where the bundle has no golden vectors.
///
/// # Errors
/// A [`Fault`] when the file cannot be read, or a case does not fit the graph.
pub fn run_golden(
    bundle: &Bundle,
    instance: &mut dyn ModelInstance,
) -> Result<Vec<GoldenResult>, Fault> {
    let Some(spec) = bundle.golden() else {
        return Ok(Vec::new());
    };
    let fault = |wrong: String| unfit(&spec.file, wrong);
    let names = bundle.manifest.output_names();
    let mut results = Vec::new();
    for case in &read_cases(bundle, &spec.file)? {
        let got =
            run_case(case, instance).map_err(|e| fault(format!("case {}: {e}", case.name)))?;
        for (name, got) in names.iter().zip(&got) {
            let want = case
                .outputs
                .get(*name)
                .ok_or_else(|| fault(format!("case {} has no output `{name}`", case.name)))?;
            results.push(GoldenResult {
                case: case.name.clone(),
                output: (*name).to_owned(),
                values: got.data.len(),
                error: largest_error(got, want),
                tolerance: spec.tolerance,
            });
        }
    }
    Ok(results)
}

fn run_case(case: &Case, instance: &mut dyn ModelInstance) -> Result<Vec<Tensor>, RuntimeError> {
    let inputs = case
        .inputs
        .iter()
        .map(|(name, raw)| Ok((name.as_str(), tensor_of(name, raw)?)))
        .collect::<Result<Vec<_>, RuntimeError>>()?;
    let lent: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, t)| (*name, t)).collect();
    instance.run(&lent)
}

fn tensor_of(name: &str, raw: &RawTensor) -> Result<Tensor, RuntimeError> {
    let wrong = |what: &str| RuntimeError::Run(format!("golden input `{name}` {what}"));
    if raw.shape.iter().product::<usize>() != raw.data.len() {
        return Err(wrong("has another number of values than its shape says"));
    }
    let data = match raw.dtype {
        DType::String => TensorData::String(
            raw.data
                .iter()
                .map(|v| v.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| wrong("holds something other than text"))?,
        ),
        DType::Int64 | DType::Int32 | DType::Bool => TensorData::from_ints(
            raw.dtype,
            raw.data
                .iter()
                .map(|v| v.as_i64().or_else(|| v.as_bool().map(i64::from)))
                .collect::<Option<_>>()
                .ok_or_else(|| wrong("holds something other than whole numbers"))?,
        ),
        DType::Float32 | DType::Float16 => TensorData::from_floats(
            raw.dtype,
            floats(raw).ok_or_else(|| wrong("holds something other than numbers"))?,
        ),
    };
    Ok(Tensor { shape: raw.shape.clone(), data })
}

fn floats(raw: &RawTensor) -> Option<Vec<f32>> {
    raw.data.iter().map(|v| v.as_f64().map(|v| v as f32)).collect()
}

fn largest_error(got: &Tensor, want: &RawTensor) -> f64 {
    let Some(wanted) = floats(want) else {
        return f64::INFINITY;
    };
    if got.shape != want.shape || got.data.len() != wanted.len() {
        return f64::INFINITY;
    }
    let errors = got.to_floats().into_iter().zip(wanted).map(|(got, want)| {
        let error = f64::from((got - want).abs()) / f64::from(want.abs()).max(1.0);
        if error.is_finite() { error } else { f64::INFINITY }
    });
    errors.fold(0.0, f64::max)
}
