//! Puts values that stand in other files into the model, so that ONNX Runtime gets one that names no file.
//!
//! ONNX Runtime can be given such files in memory, but takes them for the weights of the main graph alone: for tensors of inner graphs, of
//! functions and for sparse ones it opens files by their names, beginning from wherever the process was started.

use std::collections::BTreeMap;

use crate::{
    runtime::{
        external_tensor::{ExternalTensor, at},
        graph_fault::GraphFault,
        onnx_parts::Kind,
        summed::Summed,
    },
    wire::{Value, header, next_field},
};

/// Largest model: what protobuf reads.
const MOST_BYTES: usize = (1 << 31) - 1;

/// The model with the values of the files in it.
///
/// # Errors
/// A [`GraphFault`] where a value is not there, or all together are too much.
pub(super) fn inlined(
    model: &[u8],
    files: &BTreeMap<String, Summed>,
) -> Result<Vec<u8>, GraphFault> {
    let mut pieces = Vec::new();
    if !(Inlining { files }).pieces(Kind::Model, model, &mut pieces)? {
        return Ok(model.to_vec());
    }
    let bytes = pieces.iter().fold(0, |all: usize, piece| all.saturating_add(piece.get().len()));
    if bytes > MOST_BYTES {
        let wrong =
            format!("has {bytes} bytes with its external data, and {MOST_BYTES} are the most");
        return Err(GraphFault::new(wrong, "export a smaller one, or weights of fewer bits"));
    }
    let mut whole = Vec::with_capacity(bytes);
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece.get()));
    Ok(whole)
}

/// A part of the model that is being written.
enum Piece<'a> {
    /// Bytes of the model, or of a file.
    Kept(&'a [u8]),
    /// What stands before something that has another length now.
    Header(Vec<u8>),
}

impl Piece<'_> {
    fn get(&self) -> &[u8] {
        match self {
            Self::Kept(bytes) => bytes,
            Self::Header(bytes) => bytes,
        }
    }
}

struct Inlining<'a> {
    files: &'a BTreeMap<String, Summed>,
}

impl<'a> Inlining<'a> {
    /// Adds the pieces of a message; says whether it is another one now, else it adds nothing. The model was looked through: it is as deep as
    /// it may be at most.
    fn pieces(
        &self,
        kind: Kind,
        message: &'a [u8],
        all: &mut Vec<Piece<'a>>,
    ) -> Result<bool, GraphFault> {
        if kind == Kind::Tensor {
            return self.tensor(message, all);
        }
        let begun = all.len();
        let mut rest = message;
        // What was not added yet.
        let mut kept = message;
        while !rest.is_empty() {
            let before = rest;
            let field = next_field(&mut rest).ok_or_else(|| GraphFault::malformed(kind.name()))?;
            let (Some(part), Value::Bytes(bytes)) = (kind.part(field.number), field.value) else {
                continue;
            };
            let mark = all.len();
            all.push(Piece::Kept(&kept[..kept.len() - before.len()]));
            all.push(Piece::Header(Vec::new()));
            if self.pieces(part.kind, bytes, all)? {
                let length = all[mark + 2..].iter().map(|piece| piece.get().len()).sum();
                all[mark + 1] = Piece::Header(header(field.number, length));
                kept = rest;
            } else {
                all.truncate(mark);
            }
        }
        let changed = all.len() > begun;
        if changed {
            all.push(Piece::Kept(kept));
        }
        Ok(changed)
    }

    /// A tensor with its values, in the place of what says where they are.
    fn tensor(&self, tensor: &'a [u8], all: &mut Vec<Piece<'a>>) -> Result<bool, GraphFault> {
        let Some(external) = ExternalTensor::of(tensor, "the model")? else { return Ok(false) };
        let file = self.files.get(&external.location).ok_or_else(|| {
            let wrong = format!("{} has its data in `{}`", external.what, external.location);
            GraphFault::new(wrong, "put that file into the bundle")
        })?;
        let range = external.range(file.bytes.len())?;
        let mut rest = tensor;
        while !rest.is_empty() {
            let field = next_field(&mut rest).ok_or_else(|| GraphFault::malformed("tensor"))?;
            if !ExternalTensor::tells_so(&field) && field.number != at::RAW_DATA {
                all.push(Piece::Kept(field.raw));
            }
        }
        all.push(Piece::Header(header(at::RAW_DATA, range.len())));
        all.push(Piece::Kept(&file.bytes[range]));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{
        runtime::{external_tensor::tests::external, graph_scan::scan},
        wire::{Message, fields},
    };

    use super::*;

    fn files() -> BTreeMap<String, Summed> {
        let bytes: Vec<u8> = (0..200).collect();
        [("w.bin".to_owned(), Summed::of(bytes))].into()
    }

    /// A tensor of the same kind with its values in it, as it is written by the rewriting.
    fn inline(name: &str, values: &[u8]) -> Message {
        let tensor = Message::default().number(1, 3).number(2, 1).text(8, name);
        tensor.bytes(9, values)
    }

    /// A model that has the tensors in its main graph, in a graph in a node of a function, and between other parts.
    fn model(tensors: [&Message; 3]) -> Vec<u8> {
        let inner = Message::default().message(5, tensors[0]).text(2, "inner");
        let node = Message::named("x").message(5, &Message::named("then").message(6, &inner));
        let function = Message::named("f").message(7, &node).text(10, "my");
        let constant =
            Message::default().message(5, &Message::named("value").message(5, tensors[1]));
        let graph = Message::default().message(1, &node).message(1, &constant);
        let graph = graph.message(5, tensors[2]).text(2, "g").message(5, tensors[0]);
        let model = Message::default().number(1, 8).message(7, &graph).text(2, "made up");
        model.message(25, &function).number(5, 3).finish()
    }

    #[test]
    fn every_value_comes_to_its_place_and_nothing_else_changes() {
        let entries = |offset| [("location", "w.bin"), ("offset", offset), ("length", "12")];
        let outside = ["0", "40", "188"].map(|offset| external("w", &entries(offset)));
        let values = [0_u8, 40, 188].map(|start| (start..start + 12).collect::<Vec<u8>>());
        let inside = values.map(|values| inline("w", &values));
        let got = inlined(&model(outside.each_ref()), &files()).unwrap();
        assert_eq!(got, model(inside.each_ref()));
        assert_eq!(scan(&got).unwrap().external, []);
        assert_eq!(inlined(&got, &BTreeMap::new()).unwrap(), got, "there is nothing left to do");
    }

    #[test]
    fn lengths_grow_with_what_is_in_them() {
        let files = [("w.bin".to_owned(), Summed::of(vec![7; 70_000]))].into();
        let long = [("location", "w.bin"), ("length", "70000")];
        let tensor = external("w", &long);
        let got = inlined(&model([&tensor, &tensor, &tensor]), &files).unwrap();
        let parts = fields(&got).unwrap();
        assert_eq!(parts.len(), 5);
        assert!(parts[1].raw.len() > 4 * 70_000 && parts[3].raw.len() > 70_000);
    }

    #[track_caller]
    fn check(entries: &[(&str, &str)], words: &str) {
        let tensor = external("w", entries);
        let fault = inlined(&model([&tensor, &tensor, &tensor]), &files()).unwrap_err();
        assert!(fault.wrong.contains(words), "{fault}");
    }

    #[test]
    fn what_is_not_there_is_told() {
        check(&[("location", "v.bin")], "data in `v.bin`");
        check(&[("location", "w.bin"), ("offset", "189")], "ends at byte 200");
    }

    #[test]
    fn small_tensors_that_become_a_large_model_are_refused_before_it_is_made() {
        let whole = [("w.bin".to_owned(), Summed::of(vec![0; 1 << 20]))].into();
        let tensor = external("w", &[("location", "w.bin"), ("length", "1048576")]);
        let graph = (0..2048).fold(Message::default(), |graph, _| graph.message(5, &tensor));
        let model = Message::default().message(7, &graph).finish();
        let fault = inlined(&model, &whole).unwrap_err();
        assert!(fault.wrong.contains("2147483647 are the most"), "{fault}");
    }

    /// Real models of the repository and the test bundles, as far as they are there.
    fn real_models() -> Vec<Vec<u8>> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let paths = ["models/grocery-ranker/1", "target/test-models/tiny-encoder/1"];
        let read = |path: &str| std::fs::read(root.join(path).join("model.onnx")).ok();
        paths.into_iter().filter_map(read).collect()
    }

    #[test]
    fn mutated_models_panic_nothing() {
        let entries = [("location", "w.bin"), ("length", "12")];
        let tensor = external("w", &entries);
        let mut models = real_models();
        assert!(!models.is_empty());
        // Weights are most of a real model, and none of its structure.
        models.iter_mut().for_each(|model| model.truncate(40_000));
        models.push(model([&tensor, &tensor, &tensor]));
        let mut random = 88_172_645_463_325_252_u64;
        let mut next = move |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize % below
        };
        let (mut told, mut passed) = (0, 0);
        for round in 0..3000 {
            let mut model = models[round % models.len()].clone();
            for _ in 0..1 + next(4) {
                let at = next(model.len());
                match next(3) {
                    0 => model[at] = next(256) as u8,
                    1 => model.truncate(at + 1),
                    _ => {
                        let from = next(model.len());
                        let some = model[from..(from + 20).min(model.len())].to_vec();
                        model.splice(at..at, some);
                    }
                }
            }
            match scan(&model).and_then(|_| inlined(&model, &files())) {
                Ok(_) => passed += 1,
                Err(_) => told += 1,
            }
        }
        assert!(told > 100 && passed > 10, "{told} told, {passed} passed");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for model in [bytes.clone(), Message::default().bytes(7, &bytes).finish()] {
                if scan(&model).is_ok() {
                    let _ = inlined(&model, &files());
                }
            }
        }
    }
}
