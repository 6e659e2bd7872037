//! Rewrites a graph so that it takes its inputs in two blocks and cuts them out itself.
//!
//! Ahead of the graph stand, for each input, `Slice` and `Reshape`, and `Cast` where the block's element type is another; what they make has
//! the input's old name. Where in the block an input begins and ends and what shape it has are inputs too: vectors that the kernels read on
//! the host. All else is copied as it stands.

use std::collections::BTreeSet;

use crate::{
    runtime::{
        element_type::number_of,
        plan::{PackedInput, Place, Plan},
    },
    tensor::DType,
    wire::{Field, Message, Value, fields},
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
    let tensor = Message::default().number(1, number_of(dtype)).message(2, &shape);
    Message::named(name).message(2, &Message::default().message(1, &tensor))
}

/// The nodes that cut an input out of its block.
fn prologue(input: &PackedInput) -> Vec<Message> {
    let flat = format!("podium.flat.{}", input.name);
    let [start, end, shape] = Place::ALL.map(|place| input.input(place));
    let mut nodes = vec![node("Slice", &[input.block.name(), &start, &end], &flat)];
    let mut last = flat;
    if input.dtype != input.block.dtype() {
        let cast = format!("podium.cast.{}", input.name);
        let to = attribute("to", number_of(input.dtype));
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

#[cfg(test)]
pub(super) mod tests {
    use half::f16;

    use crate::{
        config,
        runtime::{
            environment::Runtime, graph::Graph, instance::ModelInstance, options::PackedInputs,
            signature::Signature,
        },
        tensor::{Tensor, TensorData},
    };

    use super::*;

    /// An input or output of these dims, which may be named.
    fn tensor(name: &str, dtype: DType, dims: &[&str]) -> Message {
        let shape = dims.iter().fold(Message::default(), |shape, dim| {
            shape.message(1, &Message::default().text(2, dim))
        });
        let tensor = Message::default().number(1, number_of(dtype)).message(2, &shape);
        Message::named(name).message(2, &Message::default().message(1, &tensor))
    }

    /// A graph that gives each of its inputs, `a`, `b`…, as `a.out`, `b.out`….
    pub(in crate::runtime) fn echo(inputs: &[(DType, &[&str])], opset: u64) -> Vec<u8> {
        let mut graph = Message::default().text(2, "echo");
        for ((dtype, dims), name) in inputs.iter().zip('a'..) {
            let (name, output) = (name.to_string(), format!("{name}.out"));
            graph = graph
                .message(at::GRAPH_NODE, &node("Identity", &[&name], &output))
                .message(at::GRAPH_INPUT, &tensor(&name, *dtype, dims))
                .message(12, &tensor(&output, *dtype, dims));
        }
        let opset = Message::named("").number(2, opset);
        Message::default().number(1, 8).message(at::MODEL_GRAPH, &graph).message(8, &opset).finish()
    }

    fn load(model: &[u8]) -> Box<dyn ModelInstance> {
        let mut options = config::load(None, &[]).unwrap().0.runtime_options();
        options.packed_inputs = PackedInputs::On;
        let graph = Graph::of(model.to_vec()).unwrap();
        Runtime::load(options).unwrap().instance(&graph, &[]).unwrap()
    }

    #[test]
    fn every_type_and_shape_comes_through_unchanged() {
        use DType::{Bool, Float16, Float32, Int32, Int64};
        let inputs: [(DType, &[&str]); 8] = [
            (Float32, &["rows", "x"]),
            (Float16, &["x"]),
            (Int64, &["rows"]),
            (Int32, &["rows", "x", "y"]),
            (Bool, &["x"]),
            (Float32, &[]),
            (Int64, &["none", "x"]),
            (Float32, &["x", "none"]),
        ];
        let mut echo = load(&echo(&inputs, 17));
        assert!(echo.input_blocks().is_some(), "it is packed");
        let halves = [1.5, -65504.0, f32::INFINITY, 6e-8, -0.0].map(f16::from_f32);
        let wide = vec![i64::MAX, i64::MIN];
        let all = [
            Tensor::floats(vec![2, 5], (0..10).map(|at| f32::from_bits(at * 7 + 1)).collect()),
            Tensor { shape: vec![5], data: TensorData::Float16(halves.to_vec()) },
            Tensor { shape: vec![2], data: TensorData::Int64(wide) },
            Tensor {
                shape: vec![2, 5, 1],
                data: TensorData::Int32((0..10).map(|at| i32::MAX - at).collect()),
            },
            Tensor {
                shape: vec![5],
                data: TensorData::Bool([1, 0, 0, 1, 1].map(|b| b == 1).into()),
            },
            Tensor::floats(vec![], vec![-3.25]),
            Tensor { shape: vec![0, 5], data: TensorData::Int64(vec![]) },
            Tensor::floats(vec![5, 0], vec![]),
        ];
        let names: Vec<String> = ('a'..).take(8).map(String::from).collect();
        let named: Vec<_> = names.iter().map(String::as_str).zip(&all).collect();
        assert_eq!(echo.run(&named).unwrap(), all);
    }

    #[test]
    fn what_cannot_be_packed_runs_as_it_is() {
        let old = echo(&[(DType::Float32, &["rows"])], 13);
        let texts = echo(&[(DType::String, &["rows"])], 17);
        assert!(load(&texts).input_blocks().is_none());
        let mut old = load(&old);
        assert!(old.input_blocks().is_none());
        let input = Tensor::floats(vec![1], vec![2.0]);
        assert_eq!(old.run(&[("a", &input)]).unwrap(), [input]);
    }

    #[test]
    fn a_graph_has_two_blocks_at_most_and_says_why_it_has_none() {
        use DType::{Bool, Float16, Float32, Int32, Int64};
        let inputs: Vec<(DType, &[&str])> =
            [Float32, Float16, Int64, Int32, Bool].map(|dtype| (dtype, &["rows"][..])).into();
        let model = echo(&inputs, 17);
        let plan = Plan::of(load(&model).signature()).unwrap();
        let spliced = splice(&model, &plan).unwrap();
        let model_fields = fields(&spliced).unwrap();
        let graph = model_fields.iter().find_map(|field| field.bytes(at::MODEL_GRAPH)).unwrap();
        let graph = fields(graph).unwrap();
        let inputs = graph.iter().filter_map(|field| field.bytes(at::GRAPH_INPUT));
        let names = inputs.filter_map(|info| fields(info).unwrap()[0].bytes(at::NAME));
        let names: Vec<&str> = names.map(|name| std::str::from_utf8(name).unwrap()).collect();
        let on_host =
            |name: &&&str| ["start", "end", "shape"].contains(&name.split('.').nth(1).unwrap());
        assert_eq!(names.iter().filter(on_host).count(), 3 * 5);
        assert_eq!(names.len(), 3 * 5 + 2, "{names:?}");
        let refused = |model: &[u8], told: &str| {
            let error = splice(model, &plan).unwrap_err();
            assert!(error.contains(told), "{error}");
        };
        refused(&model[1..], "protobuf");
        refused(&echo(&[], 9), "opset 9");
        refused(&echo(&[], 17), "0 of 5 inputs");
        refused(
            &Message::default().message(8, &Message::default().number(2, 17)).finish(),
            "0 graphs",
        );
        refused(&[], "no opset");
        assert!(Plan::of(&Signature::default()).unwrap().blocks().next().is_none());
    }
}
