//! What a model says of its inputs and outputs, read from its bytes without a session.

use std::collections::BTreeSet;

use crate::{
    runtime::{
        element_type::dtype_of,
        external_tensor::at,
        graph_fault::GraphFault,
        signature::{Dim, Signature, TensorInfo},
    },
    wire::{Field, Value, next_field},
};

/// Reads the signature that a model declares; inputs that the model itself has a value for are none.
///
/// # Errors
/// A [`GraphFault`] where it is no model, or says of an input or output not even how many dimensions it has.
pub(super) fn declared(model: &[u8]) -> Result<Signature, GraphFault> {
    let graph = last_bytes(model, 7)?.unwrap_or_default();
    let (mut inputs, mut outputs, mut given) = (Vec::new(), Vec::new(), BTreeSet::new());
    each(graph, |field| {
        match (field.number, field.value) {
            (5, Value::Bytes(tensor)) => drop(given.insert(text(tensor, at::NAME)?)),
            (15, Value::Bytes(sparse)) => {
                let values = last_bytes(sparse, 1)?.unwrap_or_default();
                given.insert(text(values, at::NAME)?);
            }
            (11, Value::Bytes(value)) => inputs.push(value),
            (12, Value::Bytes(value)) => outputs.push(value),
            _ => {}
        }
        Ok(())
    })?;
    let mut signature = Signature::default();
    for value in inputs {
        if !given.contains(&text(value, 1)?) {
            signature.inputs.push(tensor_info("input", value)?);
        }
    }
    for value in outputs {
        signature.outputs.push(tensor_info("output", value)?);
    }
    Ok(signature)
}

fn tensor_info(kind: &str, value: &[u8]) -> Result<TensorInfo, GraphFault> {
    let name = text(value, 1)?;
    let of_value = last_bytes(value, 2)?.unwrap_or_default();
    let Some(tensor) = last_bytes(of_value, 1)? else {
        let dtype = Err(other_type(of_value)?.to_owned());
        return Ok(TensorInfo { name, dtype, dims: Vec::new() });
    };
    let mut element = 0;
    each(tensor, |field| {
        if let (1, Value::Number(number)) = (field.number, field.value) {
            element = number;
        }
        Ok(())
    })?;
    let Some(shape) = last_bytes(tensor, 2)? else {
        let wrong = format!("says of the {kind} `{name}` not how many dimensions it has");
        let fix = "export it with shapes, or let `onnx.shape_inference.infer_shapes` add them";
        return Err(GraphFault::new(wrong, fix));
    };
    let mut dims = Vec::new();
    each(shape, |field| {
        if let Some(dim) = field.bytes(1) {
            dims.push(dim_of(dim)?);
        }
        Ok(())
    })?;
    Ok(TensorInfo { name, dtype: dtype_of(element), dims })
}

fn dim_of(dim: &[u8]) -> Result<Dim, GraphFault> {
    let (mut length, mut name) = (None, String::new());
    each(dim, |field| {
        match (field.number, field.value) {
            (1, Value::Number(number)) => length = usize::try_from(number.cast_signed()).ok(),
            (2, Value::Bytes(bytes)) => name = String::from_utf8_lossy(bytes).into_owned(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(length.map_or(Dim::Dynamic(name), Dim::Fixed))
}

/// What a value is that is no tensor.
fn other_type(of_value: &[u8]) -> Result<&'static str, GraphFault> {
    let mut kind = "unknown";
    each(of_value, |field| {
        kind = match field.number {
            4 => "sequence",
            5 => "map",
            8 => "sparse tensor",
            9 => "optional",
            _ => kind,
        };
        Ok(())
    })?;
    Ok(kind)
}

fn text(message: &[u8], number: u64) -> Result<String, GraphFault> {
    let bytes = last_bytes(message, number)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The bytes of a field of that number; the last one counts.
fn last_bytes(message: &[u8], number: u64) -> Result<Option<&[u8]>, GraphFault> {
    let mut found = None;
    let mut rest = message;
    while !rest.is_empty() {
        let field = next_field(&mut rest).ok_or_else(|| GraphFault::malformed("part"))?;
        found = field.bytes(number).or(found);
    }
    Ok(found)
}

fn each<'a>(
    message: &'a [u8],
    mut take: impl FnMut(Field<'a>) -> Result<(), GraphFault>,
) -> Result<(), GraphFault> {
    let mut rest = message;
    while !rest.is_empty() {
        take(next_field(&mut rest).ok_or_else(|| GraphFault::malformed("part"))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::wire::Message;

    use super::*;

    /// An input or output; a dim is a number, a name, or nothing.
    fn value(name: &str, element: u64, dims: &[&str]) -> Message {
        let dim = |dim: &&str| match dim.parse() {
            Ok(length) => Message::default().number(1, length),
            Err(_) if dim.is_empty() => Message::default(),
            Err(_) => Message::default().text(2, dim),
        };
        let shape = dims.iter().fold(Message::default(), |s, d| s.message(1, &dim(d)));
        let tensor = Message::default().number(1, element).message(2, &shape);
        Message::named(name).message(2, &Message::default().message(1, &tensor))
    }

    #[track_caller]
    fn check(graph: &Message, want: Result<(&str, &str), &str>) {
        let told = |infos: &[TensorInfo]| {
            let told: Vec<String> = infos.iter().map(|i| format!("{} {i}", i.name)).collect();
            told.join(", ")
        };
        let model = Message::default().number(1, 8).message(7, graph).finish();
        match (declared(&model), want) {
            (Ok(got), Ok((inputs, outputs))) => {
                assert_eq!(
                    (told(&got.inputs), told(&got.outputs)),
                    (inputs.into(), outputs.into())
                );
            }
            (Err(fault), Err(words)) => assert!(fault.to_string().contains(words), "{fault}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn inputs_and_outputs_are_told_as_they_are_declared() {
        let graph = Message::default()
            .message(11, &value("x", 1, &["rows", "4"]))
            .message(12, &value("y", 7, &["", "a"]))
            .message(11, &value("s", 8, &[]));
        check(&graph, Ok(("x float32[rows, 4], s string[]", "y int64[?, a]")));
        check(&Message::default(), Ok(("", "")));
    }

    #[test]
    fn what_the_model_has_a_value_for_is_no_input() {
        let sparse = Message::default().message(1, &Message::default().text(8, "z"));
        let graph = Message::default()
            .message(11, &value("w", 1, &["4"]))
            .message(11, &value("x", 1, &["4"]))
            .message(11, &value("z", 1, &["4"]))
            .message(5, &Message::default().text(8, "w"))
            .message(15, &sparse);
        check(&graph, Ok(("x float32[4]", "")));
    }

    #[test]
    fn other_types_keep_their_names() {
        let sequence = Message::default().message(4, &Message::default());
        let graph = Message::default()
            .message(11, &value("x", 11, &["4"]))
            .message(12, &Message::named("maps").message(2, &sequence))
            .message(12, &value("y", 99, &[]));
        check(&graph, Ok(("x float64[4]", "maps sequence[], y number 99[]")));
    }

    #[test]
    fn a_tensor_without_a_shape_is_refused() {
        let tensor = Message::default().message(1, &Message::default().number(1, 1));
        let graph = Message::default().message(12, &Message::named("y").message(2, &tensor));
        check(&graph, Err("says of the output `y` not how many dimensions it has. Fix: export it"));
        check(&Message::default().bytes(11, &[0x0b]), Err("not in protobuf's format"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let graph = Message::default().bytes(11, &bytes).bytes(12, &bytes);
            let _ = declared(&bytes);
            let _ = declared(&Message::default().message(7, &graph).finish());
        }
    }
}
