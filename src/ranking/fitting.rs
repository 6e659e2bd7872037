//! Holds a request's tensors against what a model takes.

use std::{collections::BTreeMap, fmt};

use crate::{
    batching::BatchOptions,
    ranking::error::{FieldFault, RankError},
    repository::{DimSpec, InputSpec, Layout, Manifest, Role, Source},
    tensor::{Tensor, TensorData},
};

/// Faults that are told of one request; more are not looked for.
const MOST_FAULTS: usize = 8;

/// Longest name of a caller's that an error repeats, in characters.
const LONGEST_NAME: usize = 64;

/// A tensor of a request, by the graph's name for it.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// The name.
    pub name: String,
    /// The tensor, whose elements are as many as its dims say.
    pub tensor: Tensor,
}

/// How many entries a request's tensors may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The most candidates.
    pub(super) candidates: usize,
    /// The most users of a model that is run by users.
    pub(super) users: usize,
}

impl Bounds {
    /// Those of a model's requests: as many candidates as a request may have, and no more users than one batch.
    pub(super) fn of(candidates: usize, batching: &BatchOptions) -> Self {
        Self { candidates, users: batching.max_batch_rows }
    }
}

/// A dimension that all inputs which have it share: its name, and of tokens the text.
type Shared<'a> = (&'a str, &'a str);

/// What has been found out of a request so far.
struct Fitting<'a> {
    manifest: &'a Manifest,
    /// The length of each shared dimension, and the input that said it first.
    lengths: BTreeMap<Shared<'a>, (usize, &'a str)>,
    faults: Vec<FieldFault>,
}

/// The tensors in the order of the manifest's inputs, where they are such as the model takes.
///
/// Names, dtypes, ranks and fixed dims are those of the manifest, inputs agree about every dynamic dim, and a `user_index` names users of
/// this very request: in a batch that it shares, another number would be another request's user.
///
/// # Errors
/// [`RankError::Invalid`] with every faulty field.
pub(super) fn fitted(
    manifest: &Manifest,
    inputs: Vec<NamedTensor>,
    bounds: Bounds,
) -> Result<Vec<Tensor>, RankError> {
    let mut fitting = Fitting { manifest, lengths: BTreeMap::new(), faults: Vec::new() };
    let mut places: Vec<Option<(usize, Tensor)>> = manifest.inputs.iter().map(|_| None).collect();
    for (at, NamedTensor { name, tensor }) in inputs.into_iter().enumerate() {
        let known = manifest.inputs.iter().position(|spec| spec.name == name);
        match known.and_then(|place| Some((manifest.inputs.get(place)?, places.get_mut(place)?))) {
            None => fitting.unknown(
                format_args!("inputs[{at}].name"),
                &name,
                manifest.inputs.iter().map(|spec| spec.name.as_str()),
            ),
            Some((spec, Some(_))) => {
                fitting.add(
                    format_args!("inputs[{at}].name"),
                    format!("`{}` is there twice", spec.name),
                );
            }
            Some((spec, place)) => {
                fitting.input(at, spec, &tensor);
                *place = Some((at, tensor));
            }
        }
    }
    for (spec, place) in manifest.inputs.iter().zip(&places) {
        if place.is_none() {
            let wrong = format!("`{}` is missing; every input is needed", spec.name);
            fitting.add(format_args!("inputs"), wrong);
        }
    }
    fitting.bound(bounds);
    for (spec, place) in manifest.inputs.iter().zip(&places) {
        if let (Source::UserIndex, Some((at, tensor))) = (spec.source, place) {
            fitting.user_index(*at, tensor);
        }
    }
    match fitting.faults.is_empty() {
        true => Ok(places.into_iter().flatten().map(|(_, tensor)| tensor).collect()),
        false => Err(RankError::Invalid(fitting.faults)),
    }
}

/// The places in the manifest of the outputs that are asked for; none: all of them.
///
/// # Errors
/// [`RankError::Invalid`] with every output that there is not, or that is named twice.
pub(super) fn asked_for(manifest: &Manifest, names: &[String]) -> Result<Vec<usize>, RankError> {
    if names.is_empty() {
        return Ok((0..manifest.outputs.len()).collect());
    }
    let mut fitting = Fitting { manifest, lengths: BTreeMap::new(), faults: Vec::new() };
    let mut places = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let field = format_args!("outputs[{at}].name");
        match manifest.outputs.iter().position(|spec| spec.name == *name) {
            None => fitting.unknown(field, name, manifest.output_names().into_iter()),
            Some(place) if places.contains(&place) => {
                fitting.add(field, format!("`{name}` is there twice"));
            }
            Some(place) => places.push(place),
        }
    }
    match fitting.faults.is_empty() {
        true => Ok(places),
        false => Err(RankError::Invalid(fitting.faults)),
    }
}

impl<'a> Fitting<'a> {
    fn add(&mut self, field: fmt::Arguments<'_>, wrong: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(FieldFault::new(field.to_string(), wrong));
        }
    }

    fn unknown<'n>(
        &mut self,
        field: fmt::Arguments<'_>,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) {
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let known = known.collect::<Vec<_>>().join(", ");
        self.add(field, format!("the model has no `{name}`; it has: {known}"));
    }

    /// Holds one tensor against what the manifest says of it.
    fn input(&mut self, at: usize, spec: &'a InputSpec, tensor: &Tensor) {
        let (name, dtype) = (&spec.name, tensor.data.dtype());
        if dtype != spec.dtype {
            let wrong = format!("`{name}` is {}, not {dtype}", spec.dtype);
            self.add(format_args!("inputs[{at}].datatype"), wrong);
        }
        if tensor.shape.len() != spec.shape.len() {
            let (has, wants) = (tensor.shape.len(), spec.shape.len());
            let wrong = format!("`{name}` has {wants} dims, not {has}");
            return self.add(format_args!("inputs[{at}].shape"), wrong);
        }
        for (place, (dim, has)) in spec.shape.iter().zip(&tensor.shape).enumerate() {
            let field = format_args!("inputs[{at}].shape[{place}]");
            match dim {
                DimSpec::Fixed(wants) if wants != has => {
                    self.add(field, format!("of `{name}` is {wants}, not {has}"));
                }
                DimSpec::Fixed(_) => {}
                DimSpec::Named(dim) => self.shared(field, (spec, dim), *has),
            }
        }
    }

    /// Holds the length of a dynamic dim against the other inputs that have it.
    fn shared(
        &mut self,
        field: fmt::Arguments<'_>,
        (spec, dim): (&'a InputSpec, &'a str),
        has: usize,
    ) {
        let name = &spec.name;
        let text = if dim == "tokens" { spec.text.as_deref().unwrap_or_default() } else { "" };
        let (wants, first) = *self.lengths.entry((dim, text)).or_insert((has, name));
        let longest = match dim {
            "length" => self.manifest.history.as_ref().map(|history| history.max_length),
            "tokens" => self.manifest.texts.get(text).map(|text| text.max_tokens),
            _ => None,
        };
        if has == 0 {
            self.add(field, format!("of `{name}` is 0, and there must be one entry at least"));
        } else if has != wants {
            self.add(
                field,
                format!("of `{name}` is {has}, and of `{first}` it is {wants}; both are `{dim}`"),
            );
        } else if let Some(longest) = longest.filter(|longest| has > *longest) {
            self.add(field, format!("of `{name}` is {has}, and the model takes {longest} at most"));
        }
    }

    fn length(&self, dim: &str) -> Option<usize> {
        self.lengths.get(&(dim, "")).map(|(length, _)| *length)
    }

    /// Holds the numbers of candidates and users against their bounds.
    fn bound(&mut self, bounds: Bounds) {
        let users = self.length("users");
        let lists = self.length("candidates").map(|each| each.saturating_mul(users.unwrap_or(1)));
        let candidates = self.length("rows").or(lists).unwrap_or(0);
        if candidates > bounds.candidates {
            let limit = bounds.candidates;
            let wrong = format!("has {candidates} candidates, and max_candidates is {limit}");
            self.add(format_args!("inputs"), wrong);
        }
        let Some(users) = users else { return };
        let (most, limit) = match by_rows(self.manifest) {
            true => (bounds.candidates, "max_candidates"),
            false => (bounds.users, "max_batch_rows"),
        };
        if by_rows(self.manifest) && reads_one_user(self.manifest) && users > 1 {
            let wrong = format!("has {users} users; the model has no user index, and takes one");
            self.add(format_args!("inputs"), wrong);
        } else if users > most {
            self.add(format_args!("inputs"), format!("has {users} users, and {limit} is {most}"));
        }
    }

    /// Holds the numbers of users against how many of them there are.
    fn user_index(&mut self, at: usize, tensor: &Tensor) {
        let users = self.length("users").unwrap_or(1) as i64;
        let is_user = |number: i64| (0..users).contains(&number);
        let stray = match &tensor.data {
            TensorData::Int64(values) => values.iter().position(|value| !is_user(*value)),
            TensorData::Int32(values) => values.iter().position(|value| !is_user((*value).into())),
            _ => None,
        };
        if let Some(entry) = stray {
            let wrong = format!("must be a number from 0 to {}", users - 1);
            self.add(format_args!("inputs[{at}].contents[{entry}]"), wrong);
        }
    }
}

/// Whether a batch is counted in candidates.
fn by_rows(manifest: &Manifest) -> bool {
    manifest.role == Role::Ranker && manifest.layout == Layout::Rows
}

/// Whether the graph reads the user's side without being told whose row it is.
fn reads_one_user(manifest: &Manifest) -> bool {
    manifest.inputs.iter().all(|input| input.source != Source::UserIndex)
}

#[cfg(test)]
mod tests {
    use crate::tensor::DType;

    use super::*;

    const ROWS: &str = r#"
        [[inputs]]
        name = "user"
        source = "context"
        dtype = "float32"
        shape = ["users", 2]
        [[inputs]]
        name = "user_index"
        source = "user_index"
        dtype = "int64"
        shape = ["rows"]
        [[inputs]]
        name = "price"
        source = "candidate"
        dtype = "float32"
        shape = ["rows"]
    "#;

    const ONE_USER: &str = r#"
        [[inputs]]
        name = "hour"
        source = "context"
        dtype = "float32"
        shape = ["users"]
        [[inputs]]
        name = "price"
        source = "candidate"
        dtype = "float32"
        shape = ["rows"]
    "#;

    const HISTORY: &str = r#"
        history = { max_length = 4 }
        [[inputs]]
        name = "item"
        source = "history"
        field = "item"
        dtype = "int32"
        shape = ["users", "length"]
        [[inputs]]
        name = "mask"
        source = "history_mask"
        dtype = "bool"
        shape = ["users", "length"]
    "#;

    fn manifest(head: &str, inputs: &str) -> Manifest {
        let outputs = "[[outputs]]\nname = \"a\"\nshape = [\"rows\"]\n[[outputs]]\nname = \"b\"\nshape = [\"rows\"]";
        toml::from_str(&format!("format = 1\n{head}\n{inputs}\n{outputs}")).unwrap()
    }

    fn tensor(name: &str, dtype: DType, shape: &[usize]) -> NamedTensor {
        let zeros = vec![0.0; shape.iter().product()];
        let data = TensorData::from_floats(dtype, zeros);
        NamedTensor { name: name.to_owned(), tensor: Tensor { shape: shape.to_vec(), data } }
    }

    fn index(values: &[i64]) -> NamedTensor {
        let data = TensorData::Int64(values.to_vec());
        let tensor = Tensor { shape: vec![values.len()], data };
        NamedTensor { name: "user_index".to_owned(), tensor }
    }

    /// The faults, or the dims in the order of the manifest.
    fn told((head, specs): (&str, &str), inputs: Vec<NamedTensor>) -> Vec<String> {
        let bounds = Bounds { candidates: 6, users: 3 };
        match fitted(&manifest(head, specs), inputs, bounds) {
            Ok(tensors) => tensors.iter().map(|tensor| format!("{:?}", tensor.shape)).collect(),
            Err(RankError::Invalid(faults)) => faults.iter().map(ToString::to_string).collect(),
            Err(other) => vec![other.to_string()],
        }
    }

    #[track_caller]
    fn check_rows(inputs: Vec<NamedTensor>, want: &[&str]) {
        assert_eq!(told(("role = \"ranker\"", ROWS), inputs), want);
    }

    #[track_caller]
    fn check_history(inputs: Vec<NamedTensor>, want: &[&str]) {
        assert_eq!(told(("role = \"user_encoder\"", HISTORY), inputs), want);
    }

    fn f32s(name: &str, shape: &[usize]) -> NamedTensor {
        tensor(name, DType::Float32, shape)
    }

    #[test]
    fn tensors_that_fit_come_in_the_order_of_the_manifest() {
        let inputs = vec![f32s("price", &[3]), index(&[1, 0, 1]), f32s("user", &[2, 2])];
        check_rows(inputs, &["[2, 2]", "[3]", "[3]"]);
    }

    #[test]
    fn every_fault_is_told_with_its_field() {
        check_rows(
            vec![tensor("price", DType::Int64, &[3]), f32s("user", &[1, 5]), f32s("what", &[1])],
            &[
                "inputs[0].datatype: `price` is float32, not int64",
                "inputs[1].shape[1]: of `user` is 2, not 5",
                "inputs[2].name: the model has no `what`; it has: user, user_index, price",
                "inputs: `user_index` is missing; every input is needed",
            ],
        );
        check_rows(
            vec![f32s("price", &[3]), index(&[0, 0]), f32s("price", &[3]), f32s("user", &[2])],
            &[
                "inputs[1].shape[0]: of `user_index` is 2, and of `price` it is 3; both are `rows`",
                "inputs[2].name: `price` is there twice",
                "inputs[3].shape: `user` has 2 dims, not 1",
            ],
        );
        check_rows(
            vec![f32s("price", &[0]), index(&[]), f32s("user", &[1, 2])],
            &[
                "inputs[0].shape[0]: of `price` is 0, and there must be one entry at least",
                "inputs[1].shape[0]: of `user_index` is 0, and there must be one entry at least",
            ],
        );
    }

    #[test]
    fn a_row_belongs_to_a_user_of_its_own_request() {
        for stray in [2, -1] {
            check_rows(
                vec![f32s("price", &[2]), index(&[1, stray]), f32s("user", &[2, 2])],
                &["inputs[1].contents[1]: must be a number from 0 to 1"],
            );
        }
    }

    #[test]
    fn there_are_bounds() {
        check_rows(
            vec![f32s("price", &[7]), index(&[0; 7]), f32s("user", &[8, 2])],
            &[
                "inputs: has 7 candidates, and max_candidates is 6",
                "inputs: has 8 users, and max_candidates is 6",
            ],
        );
        let two = vec![f32s("hour", &[2]), f32s("price", &[2])];
        let why = "inputs: has 2 users; the model has no user index, and takes one";
        assert_eq!(told(("role = \"ranker\"", ONE_USER), two), [why]);
        let history = |users, length| {
            vec![
                tensor("item", DType::Int32, &[users, length]),
                tensor("mask", DType::Bool, &[users, length]),
            ]
        };
        check_history(history(3, 4), &["[3, 4]", "[3, 4]"]);
        check_history(history(4, 1), &["inputs: has 4 users, and max_batch_rows is 3"]);
        check_history(
            history(1, 5),
            &[
                "inputs[0].shape[1]: of `item` is 5, and the model takes 4 at most",
                "inputs[1].shape[1]: of `mask` is 5, and the model takes 4 at most",
            ],
        );
    }

    #[track_caller]
    fn check_outputs(names: &[&str], want: Result<&[usize], &str>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let got = asked_for(&manifest("role = \"ranker\"", ROWS), &names);
        let got = got.map_err(|error| error.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), want);
    }

    #[test]
    fn outputs_come_as_they_are_asked_for() {
        check_outputs(&[], Ok(&[0, 1]));
        check_outputs(&["b", "a"], Ok(&[1, 0]));
        check_outputs(&["b"], Ok(&[1]));
        check_outputs(&["b", "b"], Err("outputs[1].name: `b` is there twice"));
        check_outputs(&["c"], Err("outputs[0].name: the model has no `c`; it has: a, b"));
    }
}
