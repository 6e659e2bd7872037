//! Rewrites a graph so that it takes its inputs in two blocks and cuts them out itself.
//!
//! Ahead of the graph stand, for each input, `Slice` and `Reshape`, and `Cast` where the block's element type is another; what they make has
//! the input's old name. Where in the block an input begins and ends and what shape it has are inputs too: vectors that the kernels read on
//! the host. All else is copied as it stands.

use std::collections::BTreeSet;

use crate::{
    runtime::{
        plan::{PackedInput, Place, Plan},
        wire::{Field, Message, Value, fields},
    },
    tensor::DType,
};

/// The oldest version of the operators whose `Reshape` can be told to keep dims of zero.
const OLDEST_OPSET: u64 = 14;

/// Field numbers of ONNX's messages.
mod at {
    pub(super) const MODEL_GRAPH: u64 = 7;
    pub(super) const MODEL_OPSET: u64 = 8;
    pub(super) const GRAPH_NODE: u64 = 1;
    pub(super) const GRAPH_INPUT: u64 = 11;
    pub(super) const GRAPH_VALUE_INFO: u64 = 13;
    pub(super) const NAME: u64 = 1;
}

/// The rewritten model; says why it cannot be made.
pub(super) fn splice(model: &[u8], plan: &Plan) -> Result<Vec<u8>, String> {
    let parts = fields(model).ok_or("the model is not in protobuf's format")?;
    match parts.iter().find_map(opset) {
        Some(version) if version >= OLDEST_OPSET => {}
        Some(version) => return Err(format!("its opset {version} is older than {OLDEST_OPSET}")),
        None => return Err("it names no opset".to_owned()),
    }
    let mut spliced = Message::default();
    let mut graphs = 0;
    for part in &parts {
        spliced = match part.bytes(at::MODEL_GRAPH) {
            Some(graph) => {
                graphs += 1;
                spliced.bytes(at::MODEL_GRAPH, &spliced_graph(graph, plan)?)
            }
            None => spliced.field(part),
        };
    }
    if graphs != 1 { Err(format!("it has {graphs} graphs")) } else { Ok(spliced.finish()) }
}

/// The version of ONNX's own operators, where the field has it.
fn opset(part: &Field<'_>) -> Option<u64> {
    let entries = fields(part.bytes(at::MODEL_OPSET)?)?;
    let domain = entries.iter().find_map(|entry| entry.bytes(1)).unwrap_or_default();
    let version = entries.iter().find_map(|entry| match entry.value {
        Value::Number(version) if entry.number == 2 => Some(version),
        _ => None,
    });
    version.filter(|_| domain.is_empty() || domain == b"ai.onnx")
}

fn spliced_graph(graph: &[u8], plan: &Plan) -> Result<Vec<u8>, String> {
    let parts = fields(graph).ok_or("its graph is not in protobuf's format")?;
    let packed: BTreeSet<&[u8]> = plan.inputs.iter().map(|input| input.name.as_bytes()).collect();
    let mut spliced = Message::default();
    for input in &plan.inputs {
        for node in prologue(input) {
            spliced = spliced.message(at::GRAPH_NODE, &node);
        }
    }
    let mut replaced = 0;
    for part in &parts {
        let input = part.bytes(at::GRAPH_INPUT);
        let name =
            input.and_then(fields).and_then(|info| info.iter().find_map(|f| f.bytes(at::NAME)));
        spliced = match (input, name) {
            // What is known of its shape stays known: optimisers go by it.
            (Some(info), Some(name)) if packed.contains(name) => {
                replaced += 1;
                spliced.bytes(at::GRAPH_VALUE_INFO, info)
            }
            _ => spliced.field(part),
        };
    }
    if replaced != plan.inputs.len() {
        return Err(format!("{replaced} of {} inputs were found", plan.inputs.len()));
    }
    for block in plan.blocks() {
        let length = Message::default().text(2, "podium.length");
        spliced =
            spliced.message(at::GRAPH_INPUT, &value_info(block.name(), block.dtype(), &length));
    }
    for input in &plan.inputs {
        for place in Place::ALL {
            let length = Message::default().number(1, input.numbers(place) as u64);
            let info = value_info(&input.input(place), DType::Int64, &length);
            spliced = spliced.message(at::GRAPH_INPUT, &info);
        }
    }
    Ok(spliced.finish())
}

/// An input of one dimension.
fn value_info(name: &str, dtype: DType, dim: &Message) -> Message {
    let shape = Message::default().message(1, dim);
    let tensor = Message::default().number(1, element_type(dtype)).message(2, &shape);
    Message::named(name).message(2, &Message::default().message(1, &tensor))
}

/// ONNX's number of an element type.
fn element_type(dtype: DType) -> u64 {
    match dtype {
        DType::Float32 => 1,
        DType::Int32 => 6,
        DType::Int64 => 7,
        DType::String => 8,
        DType::Bool => 9,
        DType::Float16 => 10,
    }
}

/// The nodes that cut an input out of its block.
fn prologue(input: &PackedInput) -> Vec<Message> {
    let flat = format!("podium.flat.{}", input.name);
    let [start, end, shape] = Place::ALL.map(|place| input.input(place));
    let mut nodes = vec![node("Slice", &[input.block.name(), &start, &end], &flat)];
    let mut last = flat;
    if input.dtype != input.block.dtype() {
        let cast = format!("podium.cast.{}", input.name);
        let to = attribute("to", element_type(input.dtype));
        nodes.push(node("Cast", &[&last], &cast).message(5, &to));
        last = cast;
    }
    let keeps_zeros = attribute("allowzero", 1);
    nodes.push(node("Reshape", &[&last, &shape], &input.name).message(5, &keeps_zeros));
    nodes
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
    node.text(2, output).text(3, &format!("{output}.{operator}")).text(4, operator)
}

/// An attribute that is a number.
fn attribute(name: &str, value: u64) -> Message {
    /// `AttributeProto.INT`.
    const INT: u64 = 2;
    Message::named(name).number(3, value).number(20, INT)
}
