//! Looks through a model before ONNX Runtime does: how large it is, how deep, and which tensors have their values elsewhere.
//!
//! Nothing that a file may hold makes it panic, overflow the stack, or take much more memory than the file.

use std::collections::BTreeMap;

use crate::{
    runtime::{
        external_tensor::ExternalTensor,
        graph_calls::{Body, Callee, expanded},
        graph_fault::GraphFault,
        onnx_parts::Kind,
    },
    wire::{Value, next_field},
};

/// Graphs that may lie in one another. ONNX Runtime's reader ends at 30.
const MOST_DEPTH: usize = 24;

/// Longest name of a value, a node or anything else in bytes.
const MOST_NAME_BYTES: usize = 4096;

/// Inputs, and outputs, of a graph; exporters of old list its weights among them.
const MOST_INPUTS: usize = 10_000;

/// What stands in the place of a protobuf message where a file is in ONNX Runtime's own format, which is not looked through.
const OTHER_FORMAT: &[u8] = b"ORTM";

/// What was found in a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Nodes, those of inner graphs included, and those of a function once for each call.
    pub(super) nodes: u64,
    /// Tensors whose values stand elsewhere.
    pub(super) external: Vec<ExternalTensor>,
}

/// Looks through a model.
///
/// # Errors
/// A [`GraphFault`] where it is no model, or none that ONNX Runtime should be shown.
pub(super) fn scan(model: &[u8]) -> Result<Found, GraphFault> {
    if model.get(4..8) == Some(OTHER_FORMAT) {
        let wrong = "is in ONNX Runtime's own format, and not in ONNX's";
        return Err(GraphFault::new(wrong, "export it as ONNX"));
    }
    let mut walk = Walk::default();
    walk.look_through(Kind::Model, model, "the model")?;
    let nodes = expanded(&walk.body, &walk.functions)?;
    Ok(Found { nodes, external: walk.external })
}

#[derive(Default)]
struct Walk<'a> {
    /// Graphs that lie around where it is.
    depth: usize,
    /// What runs: the main graph, or the function that it is in.
    body: Body<'a>,
    functions: BTreeMap<Callee<'a>, Body<'a>>,
    external: Vec<ExternalTensor>,
}

impl<'a> Walk<'a> {
    /// Looks through the parts of a message; `owner` is the graph or function that it is part of, for people.
    fn look_through(
        &mut self,
        kind: Kind,
        message: &'a [u8],
        owner: &str,
    ) -> Result<(), GraphFault> {
        let mut seen = [0_usize; 32];
        let mut rest = message;
        while !rest.is_empty() {
            let field = next_field(&mut rest).ok_or_else(|| GraphFault::malformed(kind.name()))?;
            let Value::Bytes(bytes) = field.value else { continue };
            if kind.is_name(field.number) && bytes.len() > MOST_NAME_BYTES {
                let wrong = format!(
                    "has a name of {} bytes in a {} of {owner}, and {MOST_NAME_BYTES} are the most",
                    bytes.len(),
                    kind.name()
                );
                return Err(GraphFault::new(wrong, "give it a shorter name"));
            }
            let Some(part) = kind.part(field.number) else { continue };
            let count = usize::try_from(field.number).ok().and_then(|at| seen.get_mut(at));
            let count = count.map_or(0, |count| {
                *count += 1;
                *count
            });
            if count > 1 && !part.repeated {
                // Readers merge them: neither alone is what they would see.
                let wrong =
                    format!("has a {} with two {}s in one place", kind.name(), part.kind.name());
                return Err(GraphFault::new(wrong, "export it again"));
            }
            let is_end = kind == Kind::Graph && matches!(field.number, 11 | 12);
            if is_end && count > MOST_INPUTS {
                let wrong = format!(
                    "has more than {MOST_INPUTS} inputs, or outputs, in {owner}, and that is the most"
                );
                return Err(GraphFault::new(wrong, "join them"));
            }
            self.enter(part.kind, bytes, owner)?;
        }
        Ok(())
    }

    fn enter(&mut self, kind: Kind, message: &'a [u8], owner: &str) -> Result<(), GraphFault> {
        match kind {
            Kind::Graph => {
                if self.depth == MOST_DEPTH {
                    let wrong = format!(
                        "has more than {MOST_DEPTH} graphs in one another, and that is the most"
                    );
                    return Err(GraphFault::new(wrong, "write the branches one after another"));
                }
                self.depth += 1;
                let owner = format!("the graph `{}`", String::from_utf8_lossy(text(message, 2)?));
                self.look_through(kind, message, &owner)?;
                self.depth -= 1;
                Ok(())
            }
            Kind::Function => {
                let function = Callee::new(text(message, 10)?, text(message, 1)?);
                let owner = format!("the function {function}");
                let outer = std::mem::take(&mut self.body);
                self.look_through(kind, message, &owner)?;
                let body = std::mem::replace(&mut self.body, outer);
                // Two of one name may differ in their overload: both count.
                self.functions.entry(function).or_default().add(body);
                Ok(())
            }
            Kind::Node => {
                self.body.call(Callee::new(text(message, 7)?, text(message, 4)?));
                self.look_through(kind, message, owner)
            }
            Kind::Tensor => {
                self.external.extend(ExternalTensor::of(message, owner)?);
                self.look_through(kind, message, owner)
            }
            _ => self.look_through(kind, message, owner),
        }
    }
}

/// The bytes of a text of a message; the last one counts, and nothing where there is none.
fn text(message: &[u8], number: u64) -> Result<&[u8], GraphFault> {
    let mut rest = message;
    let mut text = &b""[..];
    while !rest.is_empty() {
        let field = next_field(&mut rest).ok_or_else(|| GraphFault::malformed("part"))?;
        text = field.bytes(number).unwrap_or(text);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use crate::{runtime::external_tensor::tests::external, wire::Message};

    use super::*;

    fn node(operator: &str) -> Message {
        Message::default().text(4, operator)
    }

    /// A node with an attribute whose field of that number is the message.
    fn holding(number: u64, message: &Message) -> Message {
        node("If").message(5, &Message::named("a").message(number, message))
    }

    fn graph(nodes: &[Message]) -> Message {
        nodes.iter().fold(Message::default().text(2, "g"), |graph, node| graph.message(1, node))
    }

    fn model(graph: &Message) -> Message {
        Message::default().number(1, 8).message(7, graph)
    }

    fn function(name: &str, nodes: &[Message]) -> Message {
        let function = Message::named(name).text(10, "my");
        nodes.iter().fold(function, |function, node| function.message(7, node))
    }

    fn within(depth: usize) -> Message {
        (0..depth).fold(graph(&[node("Add")]), |inner, _| graph(&[holding(6, &inner)]))
    }

    #[track_caller]
    fn check(model: &Message, want: Result<(u64, &[&str]), &str>) {
        let found = scan(&model.clone().finish());
        match (found, want) {
            (Ok(found), Ok((nodes, locations))) => {
                let got: Vec<&str> = found.external.iter().map(|t| t.location.as_str()).collect();
                assert_eq!((found.nodes, got.as_slice()), (nodes, locations));
            }
            (Err(fault), Err(words)) => assert!(fault.wrong.contains(words), "{fault}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn data_elsewhere_is_found_wherever_a_tensor_can_be() {
        let tensor = |file: &str| external("w", &[("location", file)]);
        let sparse = |field, file: &str| Message::default().message(field, &tensor(file));
        let of = |graph: Message, want: &[&str]| check(&model(&graph), Ok((0, want)));
        of(Message::default().message(5, &tensor("initializer")), &["initializer"]);
        of(Message::default().message(15, &sparse(1, "values")), &["values"]);
        of(Message::default().message(15, &sparse(2, "indices")), &["indices"]);
        let in_node = |field, message: &Message, want: &[&str]| {
            check(&model(&graph(&[holding(field, message)])), Ok((1, want)));
            let inner = graph(&[holding(field, message)]);
            check(&model(&graph(&[holding(6, &inner)])), Ok((2, want)));
            check(&model(&graph(&[holding(11, &inner)])), Ok((2, want)));
            let function = function("f", &[holding(field, message)]);
            check(&model(&graph(&[])).message(25, &function), Ok((1, want)));
            let training = Message::default().message(2, &inner);
            check(&model(&graph(&[])).message(20, &training), Ok((1, want)));
        };
        in_node(5, &tensor("constant"), &["constant"]);
        in_node(10, &tensor("one of several"), &["one of several"]);
        in_node(22, &sparse(1, "sparse"), &["sparse"]);
        in_node(23, &sparse(2, "one sparse"), &["one sparse"]);
        let by_default = Message::named("a").message(5, &tensor("default"));
        let function = function("f", &[]).message(11, &by_default);
        check(&model(&graph(&[])).message(25, &function), Ok((0, &["default"])));
    }

    #[test]
    fn what_readers_would_merge_is_refused() {
        let tensor = external("w", &[]);
        let attribute = Message::named("a").message(5, &tensor).message(5, &tensor);
        let with = |attribute: &Message| model(&graph(&[node("Constant").message(5, attribute)]));
        let twice = with(&Message::named("a").message(6, &graph(&[])).message(6, &graph(&[])));
        check(&twice, Err("attribute with two graphs"));
        check(&with(&attribute), Err("external data without a location"));
        let one = Message::default().number(2, 1);
        let twice = with(&Message::named("a").message(5, &one).message(5, &one));
        check(&twice, Err("attribute with two tensors"));
        check(&model(&graph(&[])).message(7, &graph(&[])), Err("model with two graphs"));
    }

    #[test]
    fn depth_is_bounded_whatever_the_stack() {
        check(&model(&within(MOST_DEPTH - 1)), Ok((MOST_DEPTH as u64, &[])));
        check(&model(&within(MOST_DEPTH)), Err("more than 24 graphs"));
        check(&model(&within(3000)), Err("more than 24 graphs"));
    }

    #[test]
    fn names_and_inputs_are_bounded() {
        let long = "x".repeat(MOST_NAME_BYTES + 1);
        check(&model(&graph(&[node(&long[1..])])), Ok((1, &[])));
        check(&model(&graph(&[node(&long)])), Err("4097 bytes in a node of the graph `g`"));
        check(&model(&graph(&[])).message(25, &function(&long, &[])), Err("in a function"));
        let inputs = |count| {
            let input = Message::named("x");
            let graph = (0..count).fold(Message::default(), |graph, _| graph.message(11, &input));
            model(&graph)
        };
        check(&inputs(MOST_INPUTS), Ok((0, &[])));
        check(&inputs(MOST_INPUTS + 1), Err("more than 10000 inputs"));
    }

    #[test]
    fn what_is_no_model_is_refused_and_what_is_unknown_passed_over() {
        let unknown = Message::default().number(900, 7).text(901, "x");
        check(&model(&graph(&[unknown])).text(999, "y"), Ok((1, &[])));
        check(&model(&graph(&[])).bytes(7, &[0xff]), Err("two graphs"));
        check(&Message::default().bytes(7, &[0x0b]), Err("not in protobuf's format"));
        assert!(scan(b"this is not a model").is_err());
        assert!(scan(b"\x1c\0\0\0ORTM").unwrap_err().wrong.contains("own format"));
        assert!(scan(b"").is_ok_and(|found| found == Found::default()));
    }
}
