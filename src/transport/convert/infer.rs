//! From the Open Inference Protocol's messages to runs of models, and back.

use std::{collections::HashMap, time::Duration};

use prost::bytes::Bytes;

use crate::{
    batching::Priority,
    ids::{CallerName, Version},
    ranking::{InferRequest, Inferred, NamedTensor, RankError},
    serving::Selector,
    tensor::{Tensor, TensorData},
    transport::{
        convert::{
            faults::Faults,
            tensors::{datatype, dims_of, dtype_of, from_raw, from_typed, to_raw},
        },
        limits::Limits,
        pb::inference::{
            InferParameter, ModelInferRequest, ModelInferResponse,
            infer_parameter::ParameterChoice, model_infer_request::InferInputTensor,
            model_infer_response::InferOutputTensor,
        },
    },
};

/// What parameters of shared memory begin with.
const SHARED_MEMORY: &str = "shared_memory_";

/// The most inputs or outputs that a request may name; no graph of ours has as many.
const MOST_TENSORS: usize = 1024;

/// A run that is asked for, and how long its caller waits for it at most, where they say so.
#[derive(Debug, PartialEq)]
pub(in crate::transport) struct Infer {
    pub(in crate::transport) request: InferRequest,
    pub(in crate::transport) timeout: Option<Duration>,
}

/// The version that a message names: a number, a label, or none for the live one.
pub(in crate::transport) fn selector(version: &str) -> Selector {
    match (version, Version::parse(version)) {
        ("", _) => Selector::Live,
        (_, Some(version)) => Selector::Version(version.0),
        (label, None) => Selector::Label(label.to_owned()),
    }
}

/// Reads a message, and moves its tensors out of it.
///
/// # Errors
/// [`RankError::Invalid`] with every faulty field.
pub(in crate::transport) fn infer_request(
    message: ModelInferRequest,
    caller: CallerName,
    limits: &Limits,
) -> Result<Infer, RankError> {
    let mut faults = Faults::against(limits);
    faults.id(&"id", &message.id);
    faults.id(&"model_name", &message.model_name);
    faults.id(&"model_version", &message.model_version);
    let (priority, timeout) = parameters(&message.parameters, &mut faults);
    for (at, output) in message.outputs.iter().take(MOST_TENSORS).enumerate() {
        refuse_shared(&format!("outputs[{at}]"), &output.parameters, &mut faults);
        if output.parameters.contains_key("classification") {
            let wrong = "is not there; ask for the tensor and sort it";
            faults.add(format_args!("outputs[{at}].parameters[classification]"), wrong);
        }
    }
    let most = ("the most tensors", MOST_TENSORS);
    faults.bound(&"outputs", message.outputs.len(), most, "entries");
    let fits = faults.bound(&"inputs", message.inputs.len(), most, "entries");
    let inputs = match fits {
        true => tensors(message.inputs, message.raw_input_contents, &mut faults),
        false => Vec::new(),
    };
    faults.none()?;
    let request = InferRequest {
        model: message.model_name,
        selector: selector(&message.model_version),
        inputs,
        outputs: message.outputs.into_iter().map(|output| output.name).collect(),
        priority,
        caller,
        most_candidates: limits.max_candidates,
    };
    Ok(Infer { request, timeout })
}

/// Writes the message by which a client has a model run on tensors; without a version, the live one is meant.
pub fn infer_message<'a>(
    model: &str,
    version: &str,
    inputs: impl Iterator<Item = (&'a str, &'a Tensor)> + Clone,
) -> ModelInferRequest {
    let described = inputs.clone().map(|(name, tensor)| InferInputTensor {
        name: name.to_owned(),
        datatype: datatype(tensor.data.dtype()).to_owned(),
        shape: dims(tensor),
        ..InferInputTensor::default()
    });
    ModelInferRequest {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        inputs: described.collect(),
        raw_input_contents: inputs.map(|(_, tensor)| to_raw(tensor)).collect(),
        ..ModelInferRequest::default()
    }
}

fn dims(tensor: &Tensor) -> Vec<i64> {
    tensor.shape.iter().map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX)).collect()
}

/// The tensors, each out of its own contents, or all out of raw ones.
fn tensors(
    inputs: Vec<InferInputTensor>,
    raw: Vec<Bytes>,
    faults: &mut Faults<'_>,
) -> Vec<NamedTensor> {
    let is_raw = !raw.is_empty();
    if is_raw && raw.len() != inputs.len() {
        let (has, wants) = (raw.len(), inputs.len());
        let wrong = format!(
            "has {has} entries, and there are {wants} inputs; send all of them raw, or none"
        );
        faults.add("raw_input_contents", wrong);
        return Vec::new();
    }
    let mut raw = raw.into_iter();
    let read = inputs.into_iter().enumerate().filter_map(|(at, input)| {
        let InferInputTensor { name, datatype, shape, parameters, contents } = input;
        refuse_shared(&format!("inputs[{at}]"), &parameters, faults);
        let own_raw = raw.next();
        let dtype = dtype_of(&datatype);
        let dims = dims_of(&shape);
        if let Err(wrong) = &dtype {
            faults.add(format_args!("inputs[{at}].datatype"), wrong.as_str());
        }
        if let Err(wrong) = &dims {
            faults.add(format_args!("inputs[{at}].shape"), wrong.as_str());
        }
        let ((dims, elements), dtype) = (dims.ok()?, dtype.ok()?);
        let (field, data) = match (own_raw, contents) {
            (Some(_), Some(_)) => {
                let wrong = "is there beside raw_input_contents; send one of them".to_owned();
                (format!("inputs[{at}].contents"), Err(wrong))
            }
            (Some(raw), None) => {
                (format!("raw_input_contents[{at}]"), from_raw(dtype, elements, &raw))
            }
            (None, contents) => {
                let contents = contents.unwrap_or_default();
                (format!("inputs[{at}].contents"), from_typed(dtype, elements, contents))
            }
        };
        named(name, dims, data.map_err(|wrong| faults.add(field, wrong)).ok()?)
    });
    read.collect()
}

fn named(name: String, shape: Vec<usize>, data: TensorData) -> Option<NamedTensor> {
    Some(NamedTensor { name, tensor: Tensor { shape, data } })
}

fn refuse_shared(
    place: &str,
    parameters: &HashMap<String, InferParameter>,
    faults: &mut Faults<'_>,
) {
    if parameters.keys().any(|name| name.starts_with(SHARED_MEMORY)) {
        faults.add(
            format_args!("{place}.parameters"),
            "names shared memory, which is not there; send the contents",
        );
    }
}

/// Priority and timeout; who names a sequence is refused, as no model remembers anything of the requests before.
fn parameters(
    parameters: &HashMap<String, InferParameter>,
    faults: &mut Faults<'_>,
) -> (Option<Priority>, Option<Duration>) {
    let mut number = |name: &str| {
        let value = whole(parameters.get(name)?);
        if value.is_none() {
            faults.add(format_args!("parameters[{name}]"), "must be a whole number from 0");
        }
        value.filter(|value| *value > 0)
    };
    let (priority, timeout) = (number("priority"), number("timeout"));
    for name in ["sequence_id", "sequence_start", "sequence_end"] {
        if parameters.get(name).is_some_and(says_something) {
            let wrong =
                "is not there: models remember nothing of the requests before; leave it out";
            faults.add(format_args!("parameters[{name}]"), wrong);
        }
    }
    let level = |level: u64| u8::try_from(level).ok().filter(|level| *level <= Priority::LOWEST);
    (priority.and_then(level).map(Priority), timeout.map(Duration::from_micros))
}

fn whole(parameter: &InferParameter) -> Option<u64> {
    match parameter.parameter_choice {
        Some(ParameterChoice::Int64Param(value)) => u64::try_from(value).ok(),
        Some(ParameterChoice::Uint64Param(value)) => Some(value),
        _ => None,
    }
}

fn says_something(parameter: &InferParameter) -> bool {
    match &parameter.parameter_choice {
        None | Some(ParameterChoice::BoolParam(false)) => false,
        Some(ParameterChoice::StringParam(text)) => !text.is_empty(),
        Some(ParameterChoice::Int64Param(0) | ParameterChoice::Uint64Param(0)) => false,
        Some(_) => true,
    }
}

/// The answer to the request of that id: all of it raw, as clients read it.
pub(in crate::transport) fn infer_response(inferred: &Inferred, id: String) -> ModelInferResponse {
    let tensors = inferred.outputs.iter();
    let outputs = tensors.clone().map(|NamedTensor { name, tensor }| InferOutputTensor {
        name: name.clone(),
        datatype: datatype(tensor.data.dtype()).to_owned(),
        shape: dims(tensor),
        ..InferOutputTensor::default()
    });
    ModelInferResponse {
        model_name: inferred.model.name.to_string(),
        model_version: inferred.model.version.to_string(),
        id,
        outputs: outputs.collect(),
        raw_output_contents: tensors.map(|output| to_raw(&output.tensor)).collect(),
        ..ModelInferResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::transport::pb::inference::{
        InferTensorContents, model_infer_request::InferRequestedOutputTensor,
    };

    use super::*;

    fn parameter(choice: ParameterChoice) -> InferParameter {
        InferParameter { parameter_choice: Some(choice) }
    }

    fn named_parameter(name: &str, choice: ParameterChoice) -> HashMap<String, InferParameter> {
        HashMap::from([(name.to_owned(), parameter(choice))])
    }

    fn input() -> InferInputTensor {
        InferInputTensor {
            name: "price".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1],
            ..InferInputTensor::default()
        }
    }

    fn contents() -> Option<InferTensorContents> {
        Some(InferTensorContents { fp32_contents: vec![2.0], ..Default::default() })
    }

    fn message() -> ModelInferRequest {
        ModelInferRequest {
            model_name: "m".to_owned(),
            inputs: vec![InferInputTensor { contents: contents(), ..input() }],
            ..ModelInferRequest::default()
        }
    }

    fn read(message: ModelInferRequest) -> Result<Infer, String> {
        let read = infer_request(message, CallerName::default(), &Limits::default());
        read.map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_refused(message: ModelInferRequest, want: &str) {
        assert_eq!(read(message).map(|_| ()), Err(want.to_owned()));
    }

    #[test]
    fn raw_and_typed_contents_say_the_same() {
        let raw = ModelInferRequest {
            inputs: vec![input()],
            raw_input_contents: vec![Bytes::from_static(&[0, 0, 0, 0x40])],
            ..message()
        };
        let typed = read(message());
        assert_eq!(typed, read(raw));
        let inputs = typed.map(|infer| infer.request.inputs);
        let tensor = Tensor::floats(vec![1], vec![2.0]);
        assert_eq!(inputs, Ok(vec![NamedTensor { name: "price".to_owned(), tensor }]));
    }

    #[test]
    fn mixed_contents_are_refused() {
        let raw = vec![Bytes::from_static(&[0; 4])];
        check_refused(
            ModelInferRequest { raw_input_contents: raw.clone(), ..message() },
            "inputs[0].contents: is there beside raw_input_contents; send one of them",
        );
        check_refused(
            ModelInferRequest {
                inputs: vec![input(), input()],
                raw_input_contents: raw,
                ..message()
            },
            "raw_input_contents: has 1 entries, and there are 2 inputs; send all of them raw, or none",
        );
        check_refused(
            ModelInferRequest { inputs: vec![input()], ..message() },
            "inputs[0].contents: has 0 elements, and its shape needs 1",
        );
    }

    #[test]
    fn every_fault_is_told() {
        let wrong = InferInputTensor { datatype: "FP64".to_owned(), shape: vec![-1], ..input() };
        let shared =
            named_parameter("shared_memory_region", ParameterChoice::StringParam("r".to_owned()));
        let output = InferRequestedOutputTensor {
            name: "score".to_owned(),
            parameters: named_parameter("classification", ParameterChoice::Int64Param(3)),
        };
        check_refused(
            ModelInferRequest {
                id: "x".repeat(129),
                inputs: vec![
                    wrong,
                    InferInputTensor { parameters: shared, contents: contents(), ..input() },
                ],
                outputs: vec![output],
                ..message()
            },
            "id: has 129 bytes, and max_id_bytes is 128; \
             outputs[0].parameters[classification]: is not there; ask for the tensor and sort it; \
             inputs[0].datatype: is none that a model takes; they are: FP32, FP16, INT64, INT32, BOOL, BYTES; \
             inputs[0].shape: has a negative dim; send the dims of these very elements; \
             inputs[1].parameters: names shared memory, which is not there; send the contents",
        );
    }

    #[track_caller]
    fn check_parameter(name: &str, choice: ParameterChoice, want: Result<(u8, u64), &str>) {
        let parameters = named_parameter(name, choice);
        let got = read(ModelInferRequest { parameters, ..message() }).map(|infer| {
            let priority = infer.request.priority.map_or(0, |priority| priority.0);
            (priority, infer.timeout.map_or(0, |timeout| timeout.as_micros() as u64))
        });
        assert_eq!(got, want.map_err(|wrong| format!("parameters[{name}]: {wrong}")));
    }

    #[test]
    fn parameters_say_how_urgent_it_is() {
        use ParameterChoice::{BoolParam, DoubleParam, Int64Param, StringParam, Uint64Param};
        check_parameter("priority", Uint64Param(1), Ok((1, 0)));
        check_parameter("priority", Int64Param(8), Ok((8, 0)));
        for default in [Uint64Param(0), Uint64Param(9), Uint64Param(u64::MAX)] {
            check_parameter("priority", default, Ok((0, 0)));
        }
        check_parameter("timeout", Int64Param(2500), Ok((0, 2500)));
        check_parameter("timeout", Int64Param(0), Ok((0, 0)));
        let wrong = Err("must be a whole number from 0");
        check_parameter("timeout", Int64Param(-1), wrong);
        check_parameter("timeout", StringParam("1".to_owned()), wrong);
        check_parameter("priority", DoubleParam(1.0), wrong);
        let wrong =
            Err("is not there: models remember nothing of the requests before; leave it out");
        check_parameter("sequence_id", Int64Param(7), wrong);
        check_parameter("sequence_id", StringParam("s".to_owned()), wrong);
        check_parameter("sequence_start", BoolParam(true), wrong);
        check_parameter("sequence_end", BoolParam(false), Ok((0, 0)));
        check_parameter("sequence_id", Uint64Param(0), Ok((0, 0)));
        check_parameter("my_own", StringParam("x".to_owned()), Ok((0, 0)));
        check_parameter("triton_enable_empty_final_response", BoolParam(true), Ok((0, 0)));
    }

    #[test]
    fn a_version_is_a_number_or_a_label() {
        assert_eq!(selector(""), Selector::Live);
        assert_eq!(selector("3"), Selector::Version(3));
        assert_eq!(selector("stable"), Selector::Label("stable".to_owned()));
        assert_eq!(selector("-1"), Selector::Label("-1".to_owned()));
    }
}
