//! A model without a manifest: what its graph declares, and `config.pbtxt` says beside it, takes the manifest's place.

use std::collections::BTreeMap;

use crate::{
    repository::{
        error::Fault,
        manifest::{
            Activation, DimSpec, FORMAT, InputSpec, Layout, Manifest, OutputSpec, ROWS, Role,
            Sharing, Source,
        },
        model_config::{ModelConfig, TensorConfig},
        plain_place::CONFIG,
        verify::CARRIED,
    },
    runtime::{Dim, Signature, TensorInfo},
    tensor::DType,
};

/// Makes the manifest of a graph, whose files have these sums.
///
/// # Errors
/// Everything of the graph that cannot be served, or is not what `config.pbtxt` says of it.
pub(super) fn derived(
    signature: &Signature,
    files: BTreeMap<String, String>,
    config: Option<&ModelConfig>,
) -> Result<Manifest, Vec<Fault>> {
    let mut faults = Vec::new();
    if signature.inputs.is_empty() {
        let fix = "export a graph that takes something";
        faults.push(Fault::new("inputs", "has no entry: the graph has no inputs", fix));
    }
    let sharing = match config {
        None if leads_to_rows(signature) => Sharing::JoinedIfIndependent,
        Some(config) if config.max_batch_size > 0 && config.joins => Sharing::Joined,
        Some(config) if config.max_batch_size > 0 => Sharing::Apart,
        _ => Sharing::Whole,
    };
    let described = |kind| config.map_or(&[][..], |config| config.of(kind));
    let mut inputs = Vec::new();
    for (info, said) in held("input", &signature.inputs, described("input"), &mut faults) {
        let shape = shape("input", info, (said, sharing), &mut faults);
        match carried("inputs", info) {
            Ok(dtype) => inputs.push(input(info, dtype, shape)),
            Err(fault) => faults.push(fault),
        }
    }
    let mut outputs = Vec::new();
    for (info, said) in held("output", &signature.outputs, described("output"), &mut faults) {
        let shape = shape("output", info, (said, sharing), &mut faults);
        match carried("outputs", info) {
            Ok(_) => outputs.push(output(info, shape)),
            Err(fault) => faults.push(fault),
        }
    }
    let batching = config.map(ModelConfig::batching);
    match faults.is_empty() {
        true => Ok(Manifest { batching, ..manifest(inputs, outputs, files, sharing) }),
        false => Err(faults),
    }
}

/// The inputs or outputs that are used, each with what is said of it: all of them, or the outputs that are listed where some are.
fn held<'a>(
    kind: &str,
    infos: &'a [TensorInfo],
    said: &'a [TensorConfig],
    faults: &mut Vec<Fault>,
) -> Vec<(&'a TensorInfo, Option<&'a TensorConfig>)> {
    let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    for tensor in said.iter().filter(|tensor| !names.contains(&tensor.name.as_str())) {
        let fix = format!("use a name of the graph: {}", names.join(", "));
        let at = format!("{CONFIG}: {kind}.{}", tensor.name);
        faults.push(Fault::new(at, "is not in the graph", fix));
    }
    let pairs = infos.iter().map(|info| (info, said.iter().find(|one| one.name == info.name)));
    let (listed, others): (Vec<_>, Vec<_>) = pairs.partition(|(_, own)| own.is_some());
    if said.is_empty() {
        return others;
    }
    for (info, _) in others.iter().filter(|_| kind == "input") {
        let wrong = format!("is not described, and the graph needs it as {info}");
        let fix = "describe it, or describe no input at all";
        faults.push(Fault::new(format!("{CONFIG}: {kind}.{}", info.name), wrong, fix));
    }
    listed
}

/// Whether the first dimension of every input and output may be that of a batch: of any length, and by all names the same.
fn leads_to_rows(signature: &Signature) -> bool {
    let mut names =
        signature.inputs.iter().chain(&signature.outputs).map(|info| match info.dims.first() {
            Some(Dim::Dynamic(name)) => Some(name.as_str()),
            _ => None,
        });
    let mut own = None;
    names.all(|name| match name {
        None => false,
        Some(name) if is_made_up(name) => true,
        Some(name) => *own.get_or_insert(name) == name,
    })
}

/// Whether a dimension's name says nothing: there is none, or tf2onnx counted it, which gives each its own (`unk__7`).
fn is_made_up(name: &str) -> bool {
    let number = name.strip_prefix("unk__");
    name.is_empty() || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The element type, where it is one that is carried.
fn carried(kind: &str, info: &TensorInfo) -> Result<DType, Fault> {
    info.dtype.clone().map_err(|name| {
        let at = format!("{kind}.{}", info.name);
        Fault::new(at, format!("has the type {name} in the graph, which is not carried"), CARRIED)
    })
}

/// The shape of a tensor by the graph and by what is said of it; a length that is said counts where the graph has none.
fn shape(
    kind: &str,
    info: &TensorInfo,
    (said, sharing): (Option<&TensorConfig>, Sharing),
    faults: &mut Vec<Fault>,
) -> Vec<DimSpec> {
    let at = |key: &str| format!("{CONFIG}: {kind}.{}.{key}", info.name);
    let mut shape = own_shape(info);
    let batch = usize::from(sharing != Sharing::Whole);
    match shape.first_mut().filter(|_| batch == 1) {
        Some(first @ DimSpec::Named(_)) => *first = DimSpec::Named(ROWS.to_owned()),
        _ if batch == 0 => {}
        _ => {
            let wrong = format!("is not 0, and the {kind} `{}` is {info} in the graph", info.name);
            let fix = "export the graph with a dynamic first axis, or write `max_batch_size: 0`";
            faults.push(Fault::new(format!("{CONFIG}: max_batch_size"), wrong, fix));
            return shape;
        }
    }
    let Some(said) = said else { return shape };
    if let (Some(dtype), Ok(real)) = (said.dtype, &info.dtype)
        && dtype != *real
    {
        let wrong = format!("is {dtype}, and the graph has {real}");
        faults.push(Fault::new(at("data_type"), wrong, format!("say that it is {real}")));
    }
    let own = &mut shape[batch..];
    if !said.dims.is_empty() && said.dims.len() != own.len() {
        let wrong = format!("has {} entries, and the graph has {info}", said.dims.len());
        let fix = match batch {
            0 => "write one for each of the graph's dimensions",
            _ => "write one for each of the graph's dimensions but the first, or none",
        };
        faults.push(Fault::new(at("dims"), wrong, fix));
        return shape;
    }
    for (place, (said, own)) in said.dims.iter().zip(own).enumerate() {
        match (said, &own) {
            (None, DimSpec::Named(_)) => {}
            (Some(length), DimSpec::Fixed(real)) if length == real => {}
            (Some(length), DimSpec::Named(_)) => *own = DimSpec::Fixed(*length),
            (_, DimSpec::Fixed(real)) => {
                let is = said.map_or("-1".to_owned(), |length| length.to_string());
                let wrong = format!("is {is}, and the graph has {real}");
                faults.push(Fault::new(
                    at(&format!("dims[{place}]")),
                    wrong,
                    format!("write {real}"),
                ));
            }
        }
    }
    shape
}

/// The names that dynamic dimensions have by their meaning.
const MEANT: [&str; 4] = [ROWS, "users", "candidates", "tokens"];

/// The shape as the graph has it. Dimensions are of the same name where the graph gives them one, and so says that they are of one length;
/// the first ones have names of their own, as long as they are not known to be rows.
fn own_shape(info: &TensorInfo) -> Vec<DimSpec> {
    let dim = |(place, dim): (usize, &Dim)| match dim {
        Dim::Fixed(length) => DimSpec::Fixed(*length),
        Dim::Dynamic(name) if place == 0 || name.is_empty() || MEANT.contains(&name.as_str()) => {
            DimSpec::Named(format!("{}[{place}]", info.name))
        }
        Dim::Dynamic(name) => DimSpec::Named(name.clone()),
    };
    info.dims.iter().enumerate().map(dim).collect()
}

fn input(info: &TensorInfo, dtype: DType, shape: Vec<DimSpec>) -> InputSpec {
    InputSpec {
        name: info.name.clone(),
        source: Source::Given,
        dtype,
        shape,
        feature: None,
        vocabulary: None,
        default: None,
        clip: None,
        log: false,
        field: None,
        stat: None,
        matching: None,
        text: None,
        part: None,
    }
}

fn output(info: &TensorInfo, shape: Vec<DimSpec>) -> OutputSpec {
    let (head, activation) = (None, Activation::None);
    OutputSpec { name: info.name.clone(), shape, head, activation, column: 0 }
}

fn manifest(
    inputs: Vec<InputSpec>,
    outputs: Vec<OutputSpec>,
    files: BTreeMap<String, String>,
    sharing: Sharing,
) -> Manifest {
    Manifest {
        format: FORMAT,
        role: Role::Tensors,
        description: String::new(),
        layout: Layout::Rows,
        independent: true,
        encoder: None,
        history: None,
        catalogue: None,
        vocabularies: BTreeMap::new(),
        texts: BTreeMap::new(),
        inputs,
        outputs,
        batching: None,
        golden: None,
        example: None,
        warm_up: None,
        files,
        sharing: Some(sharing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, dims: &[&str]) -> TensorInfo {
        let dim = |dim: &&str| match dim.parse() {
            Ok(length) => Dim::Fixed(length),
            Err(_) => Dim::Dynamic((*dim).to_owned()),
        };
        let dtype = Ok(DType::Float32);
        TensorInfo { name: name.to_owned(), dtype, dims: dims.iter().map(dim).collect() }
    }

    #[track_caller]
    fn check(inputs: &[&[&str]], outputs: &[&[&str]], want: Sharing) {
        let infos = |all: &[&[&str]]| all.iter().map(|dims| info("x", dims)).collect();
        let signature = Signature { inputs: infos(inputs), outputs: infos(outputs) };
        let manifest = derived(&signature, BTreeMap::new(), None).unwrap();
        assert_eq!(manifest.sharing, Some(want));
        let is_rows = |shape: &[DimSpec]| shape.first().is_some_and(|dim| dim.is(ROWS));
        let rows = manifest.inputs.iter().all(|input| is_rows(&input.shape));
        assert_eq!(rows, want != Sharing::Whole);
    }

    #[test]
    fn rows_are_what_all_first_dimensions_agree_on() {
        let tried = Sharing::JoinedIfIndependent;
        check(&[&["n", "4"]], &[&["n"]], tried);
        check(&[&["", "4"], &["", "a"]], &[&["", "2"]], tried);
        check(&[&["n", "4"], &["", "a"]], &[&["n"]], tried);
        check(&[&["unk__7", "4"], &["n"]], &[&["unk__8"]], tried);
        check(&[&["n", "4"], &["m"]], &[&["n"]], Sharing::Whole);
        check(&[&["unk__a", "4"]], &[&["unk__b"]], Sharing::Whole);
        check(&[&["n", "4"]], &[&["found"]], Sharing::Whole);
        check(&[&["n", "4"], &[]], &[&["n"]], Sharing::Whole);
        check(&[&["n", "4"]], &[&["1"]], Sharing::Whole);
        check(&[&["8", "4"]], &[&["8"]], Sharing::Whole);
    }

    #[test]
    fn what_is_not_carried_is_told_all_at_once() {
        let odd = |name: &str, dtype: &str| TensorInfo {
            dtype: Err(dtype.to_owned()),
            ..info(name, &["n"])
        };
        let signature =
            Signature { inputs: vec![odd("x", "float64")], outputs: vec![odd("y", "sequence")] };
        let faults = derived(&signature, BTreeMap::new(), None).unwrap_err();
        let told: Vec<&str> = faults.iter().map(|fault| fault.at.as_str()).collect();
        assert_eq!(told, ["inputs.x", "outputs.y"]);
        let none = derived(&Signature::default(), BTreeMap::new(), None).unwrap_err();
        assert!(none[0].wrong.contains("no inputs"), "{}", none[0]);
    }

    /// Holds the faults of a graph `float32[n, 4], int64[n] => float32[n, ?], float32[n]` beside a configuration; or the shapes.
    #[track_caller]
    fn check_config(config: &str, want: Result<&str, &[&str]>) {
        let whole = TensorInfo { dtype: Ok(DType::Int64), ..info("i", &["n"]) };
        let signature = Signature {
            inputs: vec![info("x", &["n", "4"]), whole],
            outputs: vec![info("y", &["n", ""]), info("z", &["n"])],
        };
        let config = crate::repository::model_config::parse(config, "m").unwrap();
        match (derived(&signature, BTreeMap::new(), Some(&config)), want) {
            (Ok(manifest), Ok(want)) => {
                let told = |name: &str, shape: &[DimSpec]| {
                    let dims = shape.iter().map(|dim| match dim {
                        DimSpec::Fixed(length) => length.to_string(),
                        DimSpec::Named(name) => name.clone(),
                    });
                    format!("{name}({})", dims.collect::<Vec<_>>().join(" "))
                };
                let inputs = manifest.inputs.iter().map(|one| told(&one.name, &one.shape));
                let outputs = manifest.outputs.iter().map(|one| told(&one.name, &one.shape));
                let shapes: Vec<String> = inputs.chain(outputs).collect();
                let got = format!("{:?} {}", manifest.sharing.unwrap(), shapes.join(" "));
                assert_eq!(got, want);
            }
            (Err(faults), Err(want)) => {
                let got: Vec<String> =
                    faults.iter().map(|fault| format!("{}: {}", fault.at, fault.wrong)).collect();
                assert_eq!(got, want);
            }
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn dimensions_share_a_name_where_the_graph_says_that_they_are_alike() {
        let named = |name: &str| DimSpec::Named(name.to_owned());
        let got = own_shape(&info("x", &["n", "length", "", "tokens", "3"]));
        let want =
            [named("x[0]"), named("length"), named("x[2]"), named("x[3]"), DimSpec::Fixed(3)];
        assert_eq!(got, want);
    }

    #[test]
    fn a_configuration_is_held_against_the_graph() {
        let whole = "Whole x(x[0] 4) i(i[0]) y(y[0] y[1]) z(z[0])";
        check_config("", Ok(whole));
        check_config("max_batch_size: 2", Ok("Apart x(rows 4) i(rows) y(rows y[1]) z(rows)"));
        check_config(
            "max_batch_size: 2 dynamic_batching { } output { name: 'y' dims: 3 data_type: TYPE_FP32 }",
            Ok("Joined x(rows 4) i(rows) y(rows 3)"),
        );
        check_config(
            "input [ { name: 'x' dims: [ 8, 4 ] }, { name: 'i' dims: -1 } ]",
            Ok("Whole x(8 4) i(i[0]) y(y[0] y[1]) z(z[0])"),
        );
        check_config(
            "max_batch_size: 2 input [ { name: 'x' dims: [ 3 ] data_type: TYPE_FP16 }, { name: 'k' } ]",
            Err(&[
                "config.pbtxt: input.k: is not in the graph",
                "config.pbtxt: input.i: is not described, and the graph needs it as int64[n]",
                "config.pbtxt: input.x.data_type: is float16, and the graph has float32",
                "config.pbtxt: input.x.dims[0]: is 3, and the graph has 4",
            ]),
        );
        check_config(
            "max_batch_size: 2 output { name: 'z' dims: 1 }",
            Err(&["config.pbtxt: output.z.dims: has 1 entries, and the graph has float32[n]"]),
        );
        check_config(
            "input [ { name: 'x' dims: [ -1, -1 ] }, { name: 'i' } ]",
            Err(&["config.pbtxt: input.x.dims[1]: is -1, and the graph has 4"]),
        );
    }

    #[test]
    fn a_batch_needs_a_first_dimension_of_any_length() {
        let signature =
            Signature { inputs: vec![info("x", &["2"])], outputs: vec![info("y", &[])] };
        let config = crate::repository::model_config::parse("max_batch_size: 2", "m").unwrap();
        let faults = derived(&signature, BTreeMap::new(), Some(&config)).unwrap_err();
        let got: Vec<&str> = faults.iter().map(|fault| fault.wrong.as_str()).collect();
        let want = [
            "is not 0, and the input `x` is float32[2] in the graph",
            "is not 0, and the output `y` is float32[] in the graph",
        ];
        assert_eq!(got, want);
    }
}
