//! The text of a first manifest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{
    cli::quickstart::{
        binding::{Binding, Need, TOKENIZER, of_encoder, of_ranker},
        kind::Kind,
    },
    runtime::{Dim, Signature, TensorInfo},
    tensor::DType,
};

/// What a person has to look at is marked with it.
const FILL_IN: &str = "FILL IN";

/// A first manifest.
#[derive(Debug)]
pub(super) struct First {
    /// Its text.
    pub(super) text: String,
    /// What was bound, for people.
    pub(super) bound: String,
    /// Places that a person has to fill in.
    pub(super) left: usize,
}

/// Writes a manifest for a graph, whose files have these sums.
///
/// # Errors
/// Why the graph can be no such model, with the fix.
pub(super) fn first_manifest(
    signature: &Signature,
    kind: Kind,
    sums: &BTreeMap<String, String>,
) -> Result<First, String> {
    if signature.inputs.is_empty() {
        return Err("has no inputs. Fix: export a graph that takes something".to_owned());
    }
    let mut tables = String::new();
    let mut needs = BTreeSet::new();
    for info in &signature.inputs {
        let dtype = leading(info)?;
        let Binding { lines, comment, needs: need } = match kind {
            Kind::Ranker => of_ranker(info),
            Kind::UserEncoder => of_encoder(info),
        };
        needs.extend(need);
        let _ = writeln!(tables, "\n[[inputs]]                       # {info} in the graph");
        let _ = writeln!(tables, "name = {}", quoted(&info.name));
        let mut lines = lines.into_iter();
        let source = lines.next().unwrap_or_default();
        match comment.is_empty() {
            true => drop(writeln!(tables, "{source}")),
            false => drop(writeln!(tables, "{source:<32} # {comment}")),
        }
        let _ = writeln!(tables, "dtype = \"{dtype}\"");
        for line in lines {
            let _ = writeln!(tables, "{line}");
        }
    }
    let outputs = outputs(signature, kind)?;
    let mut text = head(kind).to_owned();
    needs.into_iter().for_each(|need| text.push_str(section(need, sums)));
    text.push_str(&tables);
    text.push_str(&outputs);
    text.push_str("\n[files]                          # sha256 of every file but this one; sha256sum prints it\n");
    for (name, sum) in sums {
        let _ = writeln!(text, "{} = \"{sum}\"", quoted(name));
    }
    let count = signature.inputs.len();
    let bound = if count == 1 { "1 input".to_owned() } else { format!("each of {count} inputs") };
    Ok(First { left: text.matches(FILL_IN).count(), bound, text })
}

/// The type of an input that has a first dimension of any length.
fn leading(info: &TensorInfo) -> Result<DType, String> {
    let wrong = |wrong: &str, fix: &str| {
        Err(format!("the input `{}`, {info}, {wrong}. Fix: {fix}", info.name))
    };
    let axis = "export it with a dynamic first axis, over candidates (rankers) or users (encoders)";
    match (&info.dtype, info.dims.first()) {
        (Err(_), _) => wrong(
            "is of a type that is not carried",
            "export it as float32, float16, int64, int32, bool or string",
        ),
        (_, None) => wrong("has no dimension", axis),
        (_, Some(Dim::Fixed(length))) => wrong(&format!("has always {length} rows"), axis),
        (Ok(dtype), Some(Dim::Dynamic(_))) => Ok(*dtype),
    }
}

fn head(kind: Kind) -> &'static str {
    match kind {
        Kind::Ranker => {
            "# A first manifest, guessed from what the graph says of itself; docs/bundle.md describes every key.\n\
             # `podium check` on this directory tells what is still wrong.\n\
             format = 1\nrole = \"ranker\"\ndescription = \"\"                 # one sentence for people\n"
        }
        Kind::UserEncoder => {
            "# A first manifest, guessed from what the graph says of itself; docs/bundle.md describes every key.\n\
             # `podium check` on this directory tells what is still wrong.\n\
             format = 1\nrole = \"user_encoder\"\ndescription = \"\"                 # one sentence for people\n\n\
             [history]\nmax_length = 256                 # the most recent events that are read\n"
        }
    }
}

fn section(need: Need, sums: &BTreeMap<String, String>) -> &'static str {
    match need {
        Need::Encoder => {
            "\n[encoder]                        # FILL IN: the user encoder that the ranker was trained with\n\
             name = \"encoder\"\nversion = 1\n"
        }
        Need::Items => {
            "\n[vocabularies.item]              # FILL IN: put the ids there, one a line, and list the file under [files]\n\
             file = \"items.txt\"\nfirst_index = 2                  # the index of the first line\n\
             oov = 1                          # the index of whatever is not listed\n"
        }
        Need::Text if sums.contains_key(TOKENIZER) => {
            "\n[texts.text]\ntokenizer = \"tokenizer.json\"\n\
             first = \"{query}\"                # FILL IN: what the model was trained on; fields in braces are the query and columns\n\
             second = \"{title}\"\nmax_tokens = 128                 # longer texts are cut\n"
        }
        Need::Text => {
            "\n[texts.text]\ntokenizer = \"tokenizer.json\"       # FILL IN: put it there, and list it under [files]\n\
             first = \"{query}\"                # FILL IN: what the model was trained on; fields in braces are the query and columns\n\
             second = \"{title}\"\nmax_tokens = 128                 # longer texts are cut\n"
        }
    }
}

/// The tables of the outputs that can be a score, or the embedding; the others are named in comments.
fn outputs(signature: &Signature, kind: Kind) -> Result<String, String> {
    let mut text = String::new();
    let mut left_out = String::new();
    let mut used = 0;
    for info in &signature.outputs {
        let is_float = matches!(info.dtype, Ok(DType::Float32 | DType::Float16));
        let width = match (kind, &info.dims[..]) {
            (Kind::Ranker, [Dim::Dynamic(_)]) if is_float => None,
            (_, [Dim::Dynamic(_), Dim::Fixed(width)]) if is_float => Some(*width),
            _ => {
                let _ = writeln!(left_out, "# Not used: {}, {info}", one_line(&info.name));
                continue;
            }
        };
        if kind == Kind::UserEncoder && used == 1 {
            let _ = writeln!(left_out, "# Not used: {}, {info}", one_line(&info.name));
            continue;
        }
        used += 1;
        let _ = writeln!(text, "\n[[outputs]]                      # {info} in the graph");
        let _ = writeln!(text, "name = {}", quoted(&info.name));
        let lead = if kind == Kind::Ranker { "rows" } else { "users" };
        let _ = match width {
            None => writeln!(text, "shape = [\"{lead}\"]"),
            Some(width) => writeln!(text, "shape = [\"{lead}\", {width}]"),
        };
        if kind == Kind::Ranker {
            if let Some(width) = width.filter(|width| *width > 1) {
                let comment = "which of the values is the score";
                let column = format!("column = {}", width - 1);
                let _ = writeln!(text, "{column:<32} # {comment}");
            }
            text.push_str(
                "activation = \"none\"              # \"sigmoid\" or \"softmax\" where the graph gives logits\n",
            );
        }
    }
    match used {
        0 => Err(match kind {
            Kind::Ranker => "has no output that can be a score. Fix: export one of floats, of the shape [rows] or [rows, N]",
            Kind::UserEncoder => "has no output that can be an embedding. Fix: export one of floats, of the shape [users, N]",
        }
        .to_owned()),
        _ if left_out.is_empty() => Ok(text),
        _ => Ok(format!("{text}\n{left_out}")),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name as it may stand in a comment.
fn one_line(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use crate::repository::{Manifest, Role, verify};

    use super::*;

    fn info(name: &str, dtype: Result<DType, String>, dims: &[Option<usize>]) -> TensorInfo {
        let dim = |dim: &Option<usize>| dim.map_or(Dim::Dynamic("n".to_owned()), Dim::Fixed);
        TensorInfo { name: name.to_owned(), dtype, dims: dims.iter().map(dim).collect() }
    }

    fn float(name: &str, dims: &[Option<usize>]) -> TensorInfo {
        info(name, Ok(DType::Float32), dims)
    }

    fn sums() -> BTreeMap<String, String> {
        BTreeMap::from([("model.onnx".to_owned(), "0".repeat(64))])
    }

    #[test]
    fn the_manifest_of_a_table_ranker_needs_nothing_more() {
        let signature = Signature {
            inputs: vec![float("price", &[None]), float("odd \"name\"", &[None, Some(4)])],
            outputs: vec![
                info("label", Ok(DType::Int64), &[None]),
                float("probabilities", &[None, Some(2)]),
                float("margin", &[None]),
            ],
        };
        let first = first_manifest(&signature, Kind::Ranker, &sums()).unwrap();
        let manifest: Manifest = toml::from_str(&first.text).unwrap();
        assert_eq!(verify(&manifest, &signature), []);
        assert_eq!((manifest.role, first.left), (Role::Ranker, 0));
        let heads: Vec<&str> = manifest.output_names();
        assert_eq!(heads, ["probabilities", "margin"]);
        assert_eq!(manifest.outputs[0].column, 1);
        assert!(first.text.contains("# Not used: label, int64[n]"), "{}", first.text);
    }

    #[test]
    fn sections_that_need_a_person_are_marked() {
        let ids = |name: &str, dims: &[Option<usize>]| info(name, Ok(DType::Int64), dims);
        let signature = Signature {
            inputs: vec![
                ids("input_ids", &[None, None]),
                ids("attention_mask", &[None, None]),
                float("user", &[None, Some(8)]),
                ids("user_index", &[None]),
            ],
            outputs: vec![float("logits", &[None, Some(1)])],
        };
        let first = first_manifest(&signature, Kind::Ranker, &sums()).unwrap();
        let manifest: Manifest = toml::from_str(&first.text).unwrap();
        assert_eq!(verify(&manifest, &signature), []);
        assert_eq!(first.left, 3, "{}", first.text);
        assert!(manifest.encoder.is_some() && manifest.texts.contains_key("text"));
    }

    #[test]
    fn the_manifest_of_an_encoder_reads_the_history() {
        let signature = Signature {
            inputs: vec![
                info("items", Ok(DType::Int64), &[None, None]),
                float("mask", &[None, None]),
            ],
            outputs: vec![float("embedding", &[None, Some(8)]), float("other", &[None, Some(8)])],
        };
        let first = first_manifest(&signature, Kind::UserEncoder, &sums()).unwrap();
        let manifest: Manifest = toml::from_str(&first.text).unwrap();
        assert_eq!(verify(&manifest, &signature), []);
        assert_eq!((manifest.role, first.left), (Role::UserEncoder, 1));
    }

    #[track_caller]
    fn check(inputs: &[TensorInfo], outputs: &[TensorInfo], want: &str) {
        let signature = Signature { inputs: inputs.to_vec(), outputs: outputs.to_vec() };
        let wrong = first_manifest(&signature, Kind::Ranker, &sums()).unwrap_err();
        assert!(wrong.contains(want) && wrong.contains("Fix: "), "{wrong}");
    }

    #[test]
    fn what_can_be_no_ranker_is_told_with_the_fix() {
        let score = [float("score", &[None])];
        check(&[], &score, "has no inputs");
        check(&[float("x", &[])], &score, "the input `x`, float32[], has no dimension");
        check(&[float("x", &[Some(1), Some(4)])], &score, "float32[1, 4], has always 1 rows");
        let odd = info("x", Err("float64".to_owned()), &[None]);
        check(&[odd], &score, "is of a type that is not carried");
        let x = [float("x", &[None])];
        check(&x, &[], "no output that can be a score");
        check(&x, &[float("y", &[Some(1)])], "no output that can be a score");
        check(&x, &[info("y", Ok(DType::Int64), &[None])], "no output that can be a score");
    }
}
