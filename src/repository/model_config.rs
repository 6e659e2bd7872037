//! Triton Inference Server's `config.pbtxt`: what of it is served by, what is only noted, and what is refused.

use std::time::Duration;

use crate::{
    repository::{
        batching_spec::BatchingSpec,
        contents::GRAPH,
        error::Fault,
        plain_place::CONFIG,
        text_format::{Field, Value, fields},
    },
    tensor::DType,
};

/// What a `config.pbtxt` says, as far as a model is served by it.
#[derive(Debug, Default)]
pub(super) struct ModelConfig {
    /// Rows of the largest batch; 0 where a request is one.
    pub(super) max_batch_size: usize,
    /// Whether requests share batches.
    pub(super) joins: bool,
    /// The inputs that it describes.
    pub(super) inputs: Vec<TensorConfig>,
    /// The outputs that it describes.
    pub(super) outputs: Vec<TensorConfig>,
    /// How requests are batched.
    pub(super) batching: BatchingSpec,
    /// The fields that nothing is made of, each with the reason.
    pub(super) notes: Vec<String>,
}

/// What it says of an input or output.
#[derive(Debug, Default)]
pub(super) struct TensorConfig {
    pub(super) name: String,
    /// The element type, where it is said.
    pub(super) dtype: Option<DType>,
    /// The dimensions without the batch's; none where they are of any length. Empty where nothing is said.
    pub(super) dims: Vec<Option<usize>>,
}

impl ModelConfig {
    /// What it says of `input`s or `output`s.
    pub(super) fn of(&self, kind: &str) -> &[TensorConfig] {
        if kind == "input" { &self.inputs } else { &self.outputs }
    }

    /// How requests are batched, as a manifest would say it.
    pub(super) fn batching(&self) -> BatchingSpec {
        let most = Some(self.max_batch_size).filter(|most| *most > 0);
        BatchingSpec { max_batch_rows: most, ..self.batching.clone() }
    }
}

/// Fields that change no answer, and what stands in their place.
const NOTED: [(&str, &str); 6] = [
    ("optimization", "graphs are optimised as [runtime] of the configuration says"),
    ("parameters", "none of them is known here"),
    ("model_warmup", "batches of all shapes are run before a version answers"),
    ("response_cache", "no answers are kept"),
    ("metric_tags", "metrics have the model's name and version"),
    ("model_metrics", "docs/metrics.md lists the metrics that there are"),
];

/// Fields without which a model would answer otherwise.
const REFUSED: [(&str, &str); 7] = [
    ("ensemble_scheduling", "serve the models of the ensemble, and call one after the other"),
    ("sequence_batching", "serve a model that keeps nothing from one request to the next"),
    ("batch_input", "have the graph make that input itself"),
    ("batch_output", "have the graph give an output with a row for each row"),
    ("model_repository_agents", "put the model there as it is to be served"),
    ("cc_model_filenames", "serve one graph, `model.onnx`, on every device"),
    ("model_operations", "export the graph with operators that ONNX Runtime has itself"),
];

/// Reads the `config.pbtxt` of the model of that name.
///
/// # Errors
/// Everything in it that cannot be honoured.
pub(super) fn parse(text: &str, model: &str) -> Result<ModelConfig, Vec<Fault>> {
    let fields = fields(text).map_err(|wrong| {
        vec![Fault::new(CONFIG, wrong, "mend that line; it is in protobuf's text format")]
    })?;
    let mut reading = Reading::default();
    for field in &fields {
        reading.top(field, model);
    }
    let config = &mut reading.config;
    let preferred = config.batching.preferred_batch_rows.unwrap_or(0);
    let wrong = match (config.joins, config.max_batch_size) {
        (true, 0) => Some(("dynamic_batching", "is there, and max_batch_size is 0".to_owned())),
        (true, most) if preferred > most => {
            let wrong = format!("is {preferred}, and max_batch_size is {most}");
            Some(("dynamic_batching.preferred_batch_size", wrong))
        }
        _ => None,
    };
    if let Some((key, wrong)) = wrong {
        let fix = "raise max_batch_size, or take that out";
        reading.faults.push(Fault::new(format!("{CONFIG}: {key}"), wrong, fix));
    }
    for (key, wrong) in config.batching.faults() {
        let at = format!("{CONFIG}: what becomes `{key}`");
        reading.faults.push(Fault::new(at, wrong, "write another number"));
    }
    match reading.faults.is_empty() {
        true => Ok(reading.config),
        false => Err(reading.faults),
    }
}

#[derive(Default)]
struct Reading {
    config: ModelConfig,
    faults: Vec<Fault>,
}

impl Reading {
    fn fault(
        &mut self,
        field: &Field,
        key: &str,
        wrong: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let at = format!("{CONFIG}: line {}: {key}", field.line);
        self.faults.push(Fault::new(at, wrong, fix));
    }

    fn note(&mut self, key: &str, why: &str) {
        let note = format!("`{key}` is not used: {why}");
        if !self.config.notes.contains(&note) {
            self.config.notes.push(note);
        }
    }

    fn unknown(&mut self, field: &Field, within: &str) {
        let key = format!("{within}{}", field.name);
        self.fault(
            field,
            &key,
            "is not known",
            "take it out; docs/plain-models.md lists all fields",
        );
    }

    fn top(&mut self, field: &Field, model: &str) {
        let name = field.name.as_str();
        if let Some((_, why)) = NOTED.iter().find(|(noted, _)| *noted == name) {
            return self.note(name, why);
        }
        if let Some((_, fix)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            return self.fault(field, name, "cannot be honoured", *fix);
        }
        match name {
            "name" => self.wants(field, &[model], "write the name of the model's directory"),
            "platform" => {
                self.wants(field, &["onnxruntime_onnx"], "only ONNX models are served here");
            }
            "backend" => self.wants(field, &["onnxruntime"], "only ONNX models are served here"),
            "runtime" => self.wants(field, &[], "only ONNX models are served here"),
            "default_model_filename" => {
                self.wants(field, &[GRAPH], "rename the file, and take the line out");
            }
            "max_batch_size" => {
                self.config.max_batch_size = self.number(field, name).unwrap_or(0);
            }
            "input" | "output" => {
                let tensor = self.tensor(field);
                match name {
                    "input" => self.config.inputs.push(tensor),
                    _ => self.config.outputs.push(tensor),
                }
            }
            "dynamic_batching" => self.dynamic_batching(field),
            "instance_group" => self.instance_group(field),
            "version_policy" => self.version_policy(field),
            "model_transaction_policy" => {
                for inner in self.message(field) {
                    match inner.name.as_str() {
                        "decoupled" => self.wants_no(inner, "answer each request once"),
                        _ => self.unknown(inner, "model_transaction_policy."),
                    }
                }
            }
            _ => self.unknown(field, ""),
        }
    }

    fn dynamic_batching(&mut self, field: &Field) {
        self.config.joins = true;
        let batching = &mut self.config.batching;
        batching.max_queue_delay.get_or_insert(Duration::ZERO);
        for inner in self.message(field) {
            let key = format!("dynamic_batching.{}", inner.name);
            match inner.name.as_str() {
                "preferred_batch_size" => {
                    let size = self.number(inner, &key);
                    let batching = &mut self.config.batching;
                    batching.preferred_batch_rows = batching.preferred_batch_rows.max(size);
                }
                "max_queue_delay_microseconds" => {
                    let delay = self.number(inner, &key).unwrap_or(0);
                    let delay = Duration::from_micros(delay as u64);
                    self.config.batching.max_queue_delay = Some(delay);
                }
                "default_priority_level" => {
                    let level = self.number(inner, &key).filter(|level| *level > 0);
                    let level = level.map(|level| u8::try_from(level).unwrap_or(u8::MAX));
                    self.config.batching.default_priority = level;
                }
                "default_queue_policy" => self.queue_policy(inner),
                "priority_levels" => self.note(&key, "there are always 8"),
                "preserve_ordering" => self.note(&key, "each answer goes to who asked for it"),
                "priority_queue_policy" => self.note(&key, "all levels share one queue"),
                _ => self.unknown(inner, "dynamic_batching."),
            }
        }
    }

    fn queue_policy(&mut self, field: &Field) {
        let within = "dynamic_batching.default_queue_policy.";
        for inner in self.message(field) {
            let key = format!("{within}{}", inner.name);
            match inner.name.as_str() {
                "max_queue_size" => {
                    let size = self.number(inner, &key).filter(|size| *size > 0);
                    self.config.batching.max_queue_size = size;
                }
                "timeout_action" | "default_timeout_microseconds" | "allow_timeout_override" => {
                    self.note(&key, "how long a request may wait is said by its deadline");
                }
                _ => self.unknown(inner, within),
            }
        }
    }

    fn instance_group(&mut self, field: &Field) {
        let (mut count, mut gpus) = (1, 0);
        for inner in self.message(field) {
            let key = format!("instance_group.{}", inner.name);
            match inner.name.as_str() {
                "count" => count = self.number(inner, &key).unwrap_or(1),
                "kind" => {
                    let known = ["KIND_AUTO", "KIND_CPU", "KIND_GPU", "KIND_MODEL"];
                    self.wants(inner, &known, "say whether it is for the CPU or for GPUs");
                    self.note(&key, "runtime.device of the configuration says where models run");
                }
                "gpus" => {
                    gpus += 1;
                    self.note(&key, "runtime.cuda.device_ids of the configuration says which");
                }
                "passive" => self.wants_no(inner, "take the instances out that are not to run"),
                "name" => {}
                "rate_limiter" | "profile" | "secondary_devices" | "host_policy" => {
                    self.note(&key, "models that share a device take turns");
                }
                _ => self.unknown(inner, "instance_group."),
            }
        }
        let all = self.config.batching.instances.unwrap_or(0);
        self.config.batching.instances =
            Some(all.saturating_add(count.saturating_mul(gpus.max(1))));
    }

    fn version_policy(&mut self, field: &Field) {
        for inner in self.message(field) {
            match inner.name.as_str() {
                "all" => {}
                "latest" => self.note(
                    "version_policy.latest",
                    "every version is loaded, and the highest one answers (serving.toml can say otherwise)",
                ),
                "specific" => {
                    let fix = "write `live = N` for the model in serving.toml (docs/models.md), and take the policy out";
                    self.fault(inner, "version_policy.specific", "cannot be honoured", fix);
                }
                _ => self.unknown(inner, "version_policy."),
            }
        }
    }

    fn tensor(&mut self, field: &Field) -> TensorConfig {
        let mut tensor = TensorConfig::default();
        let all = self.message(field);
        let name = all.iter().find(|inner| inner.name == "name");
        tensor.name = name.and_then(|inner| text_of(&inner.value)).unwrap_or_default().to_owned();
        let within = format!("{}.{}.", field.name, tensor.name);
        for inner in all {
            let key = format!("{within}{}", inner.name);
            match inner.name.as_str() {
                "name" => {}
                "data_type" => tensor.dtype = self.dtype(inner, &key),
                "dims" => match word_of(&inner.value).and_then(|word| word.parse::<i64>().ok()) {
                    Some(-1) => tensor.dims.push(None),
                    Some(length) if length > 0 => tensor.dims.push(usize::try_from(length).ok()),
                    _ => self.fault(inner, &key, "is no length", "write a number from 1 on, or -1"),
                },
                "format" | "label_filename" => self.note(&key, "tensors travel as they are"),
                "reshape" => {
                    let fix = "take it out together with dims: a tensor here has the graph's own dimensions";
                    self.fault(inner, &key, "cannot be honoured", fix);
                }
                "is_shape_tensor"
                | "allow_ragged_batch"
                | "optional"
                | "is_non_linear_format_io" => {
                    self.wants_no(inner, "export a graph that takes and gives plain tensors");
                }
                _ => self.unknown(inner, &within),
            }
        }
        tensor
    }

    fn dtype(&mut self, field: &Field, key: &str) -> Option<DType> {
        let dtype = match word_of(&field.value) {
            Some("TYPE_FP32") => Some(DType::Float32),
            Some("TYPE_FP16") => Some(DType::Float16),
            Some("TYPE_INT64") => Some(DType::Int64),
            Some("TYPE_INT32") => Some(DType::Int32),
            Some("TYPE_BOOL") => Some(DType::Bool),
            Some("TYPE_STRING") => Some(DType::String),
            _ => None,
        };
        if dtype.is_none() {
            let fix = "export it as TYPE_FP32, TYPE_FP16, TYPE_INT64, TYPE_INT32, TYPE_BOOL or TYPE_STRING";
            self.fault(field, key, "is of a type that is not carried", fix);
        }
        dtype
    }

    /// Holds that a field is one of some words, or empty.
    fn wants(&mut self, field: &Field, wanted: &[&str], fix: &str) {
        let is = text_of(&field.value).or_else(|| word_of(&field.value)).unwrap_or("a message");
        if !is.is_empty() && !wanted.contains(&is) {
            self.fault(field, &field.name, format!("is `{is}`, which cannot be honoured"), fix);
        }
    }

    /// Holds that a field is false.
    fn wants_no(&mut self, field: &Field, fix: &str) {
        if !matches!(word_of(&field.value), Some("false" | "False" | "f" | "0")) {
            self.fault(field, &field.name, "is true, which cannot be honoured", fix);
        }
    }

    fn number(&mut self, field: &Field, key: &str) -> Option<usize> {
        let number = word_of(&field.value).and_then(|word| word.parse().ok());
        if number.is_none() {
            self.fault(field, key, "is no number from 0 on", "write such a number");
        }
        number
    }

    fn message<'a>(&mut self, field: &'a Field) -> &'a [Field] {
        if let Value::Message(fields) = &field.value {
            return fields;
        }
        let fix = format!("write `{} {{ … }}`", field.name);
        self.fault(field, &field.name, "is no message", fix);
        &[]
    }
}

fn word_of(value: &Value) -> Option<&str> {
    match value {
        Value::Word(word) => Some(word),
        _ => None,
    }
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> ModelConfig {
        parse(text, "m").unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
    }

    #[test]
    fn what_models_are_served_by_is_read() {
        let config = good(
            "name: 'm' platform: 'onnxruntime_onnx' backend: 'onnxruntime' default_model_filename: ''\n\
             max_batch_size: 8\n\
             input [ { name: 'x' data_type: TYPE_FP32 dims: [ -1, 4 ] }, { name: 'n' data_type: TYPE_INT64 dims: 1 } ]\n\
             output { name: 'y' data_type: TYPE_FP16 dims: 2 dims: 3 }\n\
             dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100\n\
               default_priority_level: 3 default_queue_policy { max_queue_size: 16 } }\n\
             instance_group [ { count: 2 kind: KIND_GPU gpus: [ 0, 1 ] }, { kind: KIND_CPU } ]\n\
             version_policy: { all { } } model_transaction_policy { decoupled: false }",
        );
        let dims: Vec<&[Option<usize>]> = config.inputs.iter().map(|x| &x.dims[..]).collect();
        assert_eq!(dims, [&[None, Some(4)][..], &[Some(1)]]);
        assert_eq!(config.inputs[1].dtype, Some(DType::Int64));
        assert_eq!(config.outputs[0].dims, [Some(2), Some(3)]);
        assert_eq!((config.max_batch_size, config.joins), (8, true));
        let want = BatchingSpec {
            instances: Some(5),
            preferred_batch_rows: Some(8),
            max_queue_delay: Some(Duration::from_micros(100)),
            max_queue_size: Some(16),
            default_priority: Some(3),
            ..BatchingSpec::default()
        };
        assert_eq!(config.batching, want);
    }

    #[test]
    fn without_a_word_each_request_is_a_run() {
        let config = good("");
        assert_eq!((config.max_batch_size, config.joins), (0, false));
        assert_eq!(config.batching, BatchingSpec::default());
        let config = good("max_batch_size: 4 dynamic_batching { }");
        assert!(config.joins && config.batching.max_queue_delay == Some(Duration::ZERO));
        assert!(!good("max_batch_size: 4").joins);
    }

    #[test]
    fn what_changes_no_answer_is_noted() {
        let config = good(
            "optimization { cuda { graphs: true } } parameters { key: 'a' value { string_value: 'b' } }\n\
             parameters { key: 'c' } version_policy { latest { num_versions: 1 } }\n\
             input { name: 'x' format: FORMAT_NONE } response_cache { enable: true }\n\
             instance_group { kind: KIND_CPU }",
        );
        let names: Vec<&str> =
            config.notes.iter().filter_map(|note| note.split('`').nth(1)).collect();
        let want = [
            "optimization",
            "parameters",
            "version_policy.latest",
            "input.x.format",
            "response_cache",
            "instance_group.kind",
        ];
        assert_eq!(names, want);
    }

    #[track_caller]
    fn check(text: &str, want: &str) {
        let faults = parse(text, "m").unwrap_err();
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|fault| fault.contains(want)), "{text}: {told:?}");
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_with_its_line() {
        check("name: 'n'", "config.pbtxt: line 1: name: is `n`");
        check("\nplatform: 'tensorrt_plan'", "line 2: platform: is `tensorrt_plan`");
        check("platform: 'ensemble'", "only ONNX models");
        check("backend: 'python'", "backend: is `python`");
        check("runtime: 'x.so'", "runtime: is `x.so`");
        check("default_model_filename: 'a.onnx'", "rename the file");
        for (name, fix) in REFUSED {
            check(
                &format!("\n{name} {{ }}"),
                &format!("line 2: {name}: cannot be honoured. Fix: {fix}"),
            );
        }
        check("model_transaction_policy { decoupled: true }", "decoupled: is true");
        check("input { name: 'x'\n reshape { shape: [ ] } }", "line 2: input.x.reshape: cannot");
        check("output { name: 'y' is_shape_tensor: true }", "is_shape_tensor: is true");
        check("input { name: 'x' allow_ragged_batch: true }", "allow_ragged_batch: is true");
        check("input { name: 'x' data_type: TYPE_FP64 }", "input.x.data_type: is of a type");
        check("version_policy { specific { versions: [ 1 ] } }", "`live = N`");
        check("instance_group { passive: true }", "passive: is true");
    }

    #[test]
    fn what_is_not_known_or_makes_no_sense_is_refused() {
        check("max_batch_size: 8\nmax_batchsize: 8", "line 2: max_batchsize: is not known");
        check("dynamic_batching { delay: 1 }", "line 1: dynamic_batching.delay: is not known");
        check("input { name: 'x' type: 1 }", "line 1: input.x.type: is not known");
        check("instance_group { counts: 1 }", "instance_group.counts: is not known");
        check("max_batch_size: -1", "max_batch_size: is no number from 0 on");
        check("max_batch_size: many", "max_batch_size: is no number from 0 on");
        check("input: 3", "input: is no message");
        check("input { name: 'x' dims: [ -2 ] }", "input.x.dims: is no length");
        check("input {", "config.pbtxt: line 1: the file ends before `}`");
        check("dynamic_batching { }", "dynamic_batching: is there, and max_batch_size is 0");
        check(
            "max_batch_size: 4 dynamic_batching { preferred_batch_size: 8 }",
            "is 8, and max_batch_size is 4",
        );
        check("instance_group { count: 300 }", "what becomes `instances`: must be at most 256");
    }
}
