//! Holds a manifest against itself and against the graph's real signature.

use std::collections::BTreeSet;

use crate::{
    repository::{
        batching_spec::BatchingSpec,
        error::Fault,
        manifest::{
            CatalogueSpec, ColumnType, DimSpec, EventField, InputSpec, Layout, Manifest,
            OutputSpec, ROWS, Role, Sharing, Source,
        },
        verify_texts::check_texts,
    },
    runtime::{Dim, Signature, TensorInfo},
    tensor::DType,
};

/// Lists everything that is wrong between a manifest and the graph that it binds; empty where nothing is.
pub fn verify(manifest: &Manifest, signature: &Signature) -> Vec<Fault> {
    let mut faults = Vec::new();
    if manifest.role == Role::Tensors {
        check_derived(manifest, signature, &mut faults);
        return faults;
    }
    check_role(manifest, &mut faults);
    check_names(manifest, signature, &mut faults);
    check_texts(manifest, &mut faults);
    for (key, wrong) in manifest.batching.iter().flat_map(BatchingSpec::faults) {
        let fix = "mend the value, or leave the key out";
        faults.push(Fault::new(format!("batching.{key}"), wrong, fix));
    }
    for input in &manifest.inputs {
        let at = format!("inputs.{}", input.name);
        if let Some(info) = signature.inputs.iter().find(|i| i.name == input.name) {
            check_tensor(&at, Some(input.dtype), &input.shape, info, &mut faults);
        }
        check_source(&at, manifest, input, &mut faults);
        check_values(&at, input, &mut faults);
    }
    for output in &manifest.outputs {
        let at = format!("outputs.{}", output.name);
        if let Some(info) = signature.outputs.iter().find(|o| o.name == output.name) {
            check_tensor(&at, None, &output.shape, info, &mut faults);
        }
        check_output(&at, manifest, output, &mut faults);
    }
    faults
}

/// Holds what a graph declares of itself, and what stands beside it, against what its session knows.
fn check_derived(manifest: &Manifest, signature: &Signature, faults: &mut Vec<Fault>) {
    check_names(manifest, signature, faults);
    for input in &manifest.inputs {
        let at = format!("inputs.{}", input.name);
        if let Some(info) = signature.inputs.iter().find(|i| i.name == input.name) {
            check_tensor(&at, Some(input.dtype), &input.shape, info, faults);
        }
    }
    let is_guessed = manifest.sharing == Some(Sharing::JoinedIfIndependent);
    for output in &manifest.outputs {
        let info = signature.outputs.iter().find(|o| o.name == output.name);
        // A session may know the length of what is declared as of any length.
        let first = |info: &TensorInfo| matches!(info.dims.first(), Some(Dim::Fixed(_)));
        let is_batch = output.shape.first().is_some_and(|dim| dim.is(ROWS));
        if is_batch && !is_guessed && info.is_some_and(first) {
            faults.push(Fault::new(
                format!("outputs.{}.shape[0]", output.name),
                "is the batch's dimension, and the graph gives always the same length",
                "write `max_batch_size: 0` in config.pbtxt, or export a graph that gives a row for each row",
            ));
        }
    }
}

fn check_role(manifest: &Manifest, faults: &mut Vec<Fault>) {
    let reads_embedding = manifest.inputs.iter().any(|input| input.source == Source::UserEmbedding);
    match (manifest.role, reads_embedding, &manifest.encoder) {
        (Role::Ranker, true, None) => faults.push(Fault::new(
            "encoder",
            "is missing, and an input has the source user_embedding",
            "name the user encoder and its version under [encoder]",
        )),
        (Role::Ranker, false, Some(_)) => faults.push(Fault::new(
            "encoder",
            "is named, but no input has the source user_embedding",
            "bind the embedding's input, or take [encoder] out",
        )),
        (Role::UserEncoder, _, Some(_)) => {
            faults.push(Fault::new("encoder", "is named by a user encoder", "take [encoder] out"))
        }
        _ => {}
    }
    if manifest.role == Role::UserEncoder && manifest.outputs.len() != 1 {
        faults.push(Fault::new(
            "outputs",
            format!("has {} entries", manifest.outputs.len()),
            "a user encoder lists exactly one output, the embedding",
        ));
    }
    if manifest.role == Role::Ranker && manifest.outputs.is_empty() {
        let fix = "list the ranking head first";
        faults.push(Fault::new("outputs", "has no entry", fix));
    }
    if manifest.layout == Layout::Rows && !manifest.independent {
        faults.push(Fault::new(
            "independent",
            "is false in the layout `rows`, where batches mix requests",
            "export the graph in the layout `lists`, or say true if candidates do not influence one another",
        ));
    }
    if let Some(history) = &manifest.history
        && history.max_length == 0
    {
        let fix = "give the number of events to read";
        faults.push(Fault::new("history.max_length", "is 0", fix));
    }
}

/// Every input bound exactly once, every output known, no binding to what is not there.
fn check_names(manifest: &Manifest, signature: &Signature, faults: &mut Vec<Fault>) {
    let names = |infos: &[TensorInfo]| -> Vec<String> {
        infos.iter().map(|info| info.name.clone()).collect()
    };
    let (graph_inputs, graph_outputs) = (names(&signature.inputs), names(&signature.outputs));
    let bound: Vec<&str> = manifest.inputs.iter().map(|i| i.name.as_str()).collect();
    let listed = manifest.output_names();
    for (kind, own, graph) in
        [("inputs", &bound, &graph_inputs), ("outputs", &listed, &graph_outputs)]
    {
        let mut seen = BTreeSet::new();
        for name in own {
            let at = format!("{kind}.{name}");
            if !seen.insert(*name) {
                faults.push(Fault::new(&at, "stands twice", "keep one of them"));
            }
            if !graph.iter().any(|known| known == name) {
                let known = graph.join(", ");
                let fix = format!("use a name of the graph: {known}");
                faults.push(Fault::new(&at, "is not in the graph", fix));
            }
        }
    }
    for info in &signature.inputs {
        if !bound.contains(&info.name.as_str()) {
            faults.push(Fault::new(
                format!("inputs.{}", info.name),
                format!("is not bound, and the graph needs it as {info}"),
                "add an [[inputs]] entry with its source, dtype and shape",
            ));
        }
    }
}

/// What to do about a tensor of a type that is not carried.
pub(super) const CARRIED: &str = "export it as float32, float16, int64, int32, bool or string";

/// Dtype, rank and dims, as declared and as the graph has them.
fn check_tensor(
    at: &str,
    dtype: Option<DType>,
    shape: &[DimSpec],
    info: &TensorInfo,
    faults: &mut Vec<Fault>,
) {
    match (&info.dtype, dtype) {
        (Err(name), _) => faults.push(Fault::new(
            at,
            format!("has the type {name} in the graph, which is not carried"),
            CARRIED,
        )),
        (Ok(real), Some(said)) if *real != said => faults.push(Fault::new(
            format!("{at}.dtype"),
            format!("is {said}, and the graph has {real}"),
            format!("write dtype = \"{real}\""),
        )),
        _ => {}
    }
    if shape.len() != info.dims.len() {
        faults.push(Fault::new(
            format!("{at}.shape"),
            format!("has {} dims, and the graph has {info}", shape.len()),
            "name every dimension in the graph's order",
        ));
        return;
    }
    for (place, (said, real)) in shape.iter().zip(&info.dims).enumerate() {
        let (wrong, fix) = match (said, real) {
            (DimSpec::Fixed(said), Dim::Fixed(real)) if said != real => {
                (format!("is {said}, and the graph has {real}"), format!("write {real}"))
            }
            (DimSpec::Named(name), Dim::Fixed(real)) => (
                format!("is `{name}`, and the graph is fixed to {real}"),
                "export the graph with a dynamic axis there".to_owned(),
            ),
            _ => continue,
        };
        faults.push(Fault::new(format!("{at}.shape[{place}]"), wrong, fix));
    }
}

/// What a source's shape must begin with.
enum Leading {
    /// `users`.
    User,
    /// `users`, or `rows` to have it repeated for each candidate.
    UserOrRow,
    /// `rows`, or `users, candidates`, by the layout.
    Candidate,
    /// `users, length`.
    Event,
}

fn leading(manifest: &Manifest, input: &InputSpec, candidate: &[&str]) -> Leading {
    let text = input.text.as_ref().and_then(|name| manifest.texts.get(name));
    match input.source {
        Source::Tokens
            if text.is_some_and(|text| !text.reads_candidates())
                && !begins(&input.shape, candidate) =>
        {
            Leading::User
        }
        Source::UserEmbedding | Source::Context => Leading::UserOrRow,
        Source::HistoryLength => Leading::User,
        Source::UserIndex
        | Source::Candidate
        | Source::PriorScore
        | Source::ItemIndex
        | Source::UserItem
        | Source::CandidateMask
        | Source::Tokens => Leading::Candidate,
        Source::History | Source::HistoryMask => Leading::Event,
        Source::Given => Leading::Candidate,
    }
}

fn begins(shape: &[DimSpec], names: &[&str]) -> bool {
    shape.len() >= names.len() && shape.iter().zip(names).all(|(dim, name)| dim.is(name))
}

fn check_source(at: &str, manifest: &Manifest, input: &InputSpec, faults: &mut Vec<Fault>) {
    let candidate: &[&str] = match manifest.layout {
        Layout::Rows => &["rows"],
        Layout::Lists => &["users", "candidates"],
    };
    let (fits, want, used) = match leading(manifest, input, candidate) {
        Leading::User => (begins(&input.shape, &["users"]), "\"users\"", 1),
        Leading::UserOrRow if manifest.layout == Layout::Rows => (
            begins(&input.shape, &["users"]) || begins(&input.shape, &["rows"]),
            "\"users\" or \"rows\"",
            1,
        ),
        Leading::UserOrRow => (begins(&input.shape, &["users"]), "\"users\"", 1),
        Leading::Candidate if manifest.layout == Layout::Rows => {
            (begins(&input.shape, candidate), "\"rows\"", 1)
        }
        Leading::Candidate => (begins(&input.shape, candidate), "\"users\", \"candidates\"", 2),
        Leading::Event => (begins(&input.shape, &["users", "length"]), "\"users\", \"length\"", 2),
    };
    if !fits {
        faults.push(Fault::new(
            format!("{at}.shape"),
            format!("does not begin with {want}"),
            format!("the source needs it in the layout `{:?}`", manifest.layout).to_lowercase(),
        ));
        return;
    }
    check_trailing(at, input, &input.shape[used..], faults);
    check_role_of_source(at, manifest, input, faults);
    check_references(at, manifest, input, faults);
}

fn check_trailing(at: &str, input: &InputSpec, rest: &[DimSpec], faults: &mut Vec<Fault>) {
    let fits = match input.source {
        Source::UserEmbedding => rest.iter().all(|dim| matches!(dim, DimSpec::Fixed(_))),
        Source::Tokens => rest.len() == 1 && rest[0].is("tokens"),
        Source::Context | Source::Candidate => {
            rest.is_empty() || (rest.len() == 1 && matches!(rest[0], DimSpec::Fixed(_)))
        }
        _ => rest.is_empty(),
    };
    if !fits {
        let fix = match input.source {
            Source::Tokens => "end it with \"tokens\"",
            Source::UserEmbedding => "follow with the fixed dims of the encoder's output",
            Source::Context | Source::Candidate => "end there, or with one fixed dim for vectors",
            _ => "end it there",
        };
        faults.push(Fault::new(format!("{at}.shape"), "has other dims than the source gives", fix));
    }
}

fn check_role_of_source(at: &str, manifest: &Manifest, input: &InputSpec, faults: &mut Vec<Fault>) {
    let of_history =
        matches!(input.source, Source::History | Source::HistoryMask | Source::HistoryLength);
    if manifest.role == Role::UserEncoder && !of_history {
        faults.push(Fault::new(
            format!("{at}.source"),
            "is not known to a user encoder",
            "use history, history_mask or history_length: an embedding depends on the history alone",
        ));
    }
    if (of_history || input.source == Source::UserItem) && manifest.history.is_none() {
        faults.push(Fault::new(
            format!("{at}.source"),
            "reads the history, and [history] is missing",
            "add [history] with max_length",
        ));
    }
    let wrong_layout = match input.source {
        Source::UserIndex => manifest.layout != Layout::Rows,
        Source::CandidateMask => manifest.layout != Layout::Lists,
        _ => false,
    };
    if wrong_layout {
        let fix = "use user_index with `rows` and candidate_mask with `lists`";
        faults.push(Fault::new(format!("{at}.source"), "does not exist in this layout", fix));
    }
    let whole = matches!(input.dtype, DType::Int64 | DType::Int32);
    if input.source == Source::UserIndex && !whole {
        let fix = "export it as int64 or int32";
        faults.push(Fault::new(format!("{at}.dtype"), "is not a whole number", fix));
    }
}

/// Vocabulary, catalogue column, text: what an input names must be there, and be of the right kind.
fn check_references(at: &str, manifest: &Manifest, input: &InputSpec, faults: &mut Vec<Fault>) {
    if let Some(name) = &input.vocabulary {
        if !manifest.vocabularies.contains_key(name) {
            let fix = format!("add [vocabularies.{name}], or use one that is there");
            faults.push(Fault::new(
                format!("{at}.vocabulary"),
                format!("`{name}` is not defined"),
                fix,
            ));
        }
        if !matches!(input.dtype, DType::Int64 | DType::Int32) {
            let fix = "an index needs int64 or int32";
            faults.push(Fault::new(format!("{at}.dtype"), "is not a whole number", fix));
        }
    }
    let mut need = |key: &str, missing: bool, fix: &str| {
        if missing {
            faults.push(Fault::new(format!("{at}.{key}"), "is missing", fix));
        }
    };
    match input.source {
        Source::ItemIndex => {
            need("vocabulary", input.vocabulary.is_none(), "name the vocabulary of item ids");
        }
        Source::History => {
            need("field", input.field.is_none(), "name what is read of an event");
            let is_item = input.field == Some(EventField::Item);
            need(
                "vocabulary",
                is_item && input.vocabulary.is_none(),
                "name the vocabulary of item ids",
            );
        }
        Source::UserItem => {
            need("stat", input.stat.is_none(), "write \"count\" or \"age_days\"");
            let ages = input.stat == Some(crate::repository::manifest::UserItemStat::AgeDays);
            need("default", ages && input.default.is_none(), "give the value for items never met");
        }
        Source::Tokens => {
            need("part", input.part.is_none(), "write \"ids\", \"mask\" or \"types\"");
            let known = input.text.as_ref().is_some_and(|t| manifest.texts.contains_key(t));
            need("text", !known, "name an entry of [texts]");
        }
        _ => {}
    }
    let column = match (&input.source, &input.field, &input.matching) {
        (Source::History, Some(EventField::Column(name)), _) => Some(("field", name)),
        (Source::UserItem, _, Some(name)) if name != "item" => Some(("match", name)),
        _ => None,
    };
    if let Some((key, name)) = column {
        check_column(&format!("{at}.{key}"), name, input, manifest.catalogue.as_ref(), faults);
    }
}

fn check_column(
    at: &str,
    name: &str,
    input: &InputSpec,
    catalogue: Option<&CatalogueSpec>,
    faults: &mut Vec<Fault>,
) {
    match catalogue.and_then(|c| c.columns.get(name)) {
        None => faults.push(Fault::new(
            at,
            format!("`{name}` is no column of [catalogue.columns]"),
            "add the column there, or name one that is",
        )),
        Some(ColumnType::Float | ColumnType::Int) if input.source == Source::UserItem => {
            let fix = "name a text column: items with the same text are alike";
            faults.push(Fault::new(at, format!("`{name}` holds numbers"), fix));
        }
        Some(ColumnType::String)
            if input.source == Source::History
                && input.vocabulary.is_none()
                && input.dtype != DType::String =>
        {
            let fix = "name the vocabulary that turns it into an index";
            faults.push(Fault::new(at, format!("`{name}` is text"), fix));
        }
        Some(_) => {}
    }
}

fn check_values(at: &str, input: &InputSpec, faults: &mut Vec<Fault>) {
    if let Some([low, high]) = input.clip
        && (low > high || low.is_nan() || high.is_nan())
    {
        let fix = "write [low, high] with low <= high";
        faults.push(Fault::new(format!("{at}.clip"), format!("is [{low}, {high}]"), fix));
    }
    if input.default.is_some_and(|value| !value.is_finite()) {
        let fix = "give a finite number";
        faults.push(Fault::new(format!("{at}.default"), "is not finite", fix));
    }
    let transformed = input.log || input.clip.is_some();
    if transformed && input.vocabulary.is_some() {
        let fix = "take clip and log out: an index is no amount";
        faults.push(Fault::new(at, "has a vocabulary and a transform", fix));
    }
    if input.log && !matches!(input.dtype, DType::Float32 | DType::Float16) {
        let fix = "export the input as a float, or take log out";
        faults.push(Fault::new(format!("{at}.log"), "is true for a whole number", fix));
    }
}

fn check_output(at: &str, manifest: &Manifest, output: &OutputSpec, faults: &mut Vec<Fault>) {
    let rest = match (manifest.role, manifest.layout) {
        (Role::UserEncoder, _) if begins(&output.shape, &["users"]) => {
            if !output.shape[1..].iter().all(|dim| matches!(dim, DimSpec::Fixed(_))) {
                let fix = "give the embedding fixed dims after \"users\"";
                faults.push(Fault::new(format!("{at}.shape"), "is not fixed", fix));
            }
            return;
        }
        (Role::Ranker, Layout::Rows) if begins(&output.shape, &["rows"]) => &output.shape[1..],
        (Role::Ranker, Layout::Lists) if begins(&output.shape, &["users", "candidates"]) => {
            &output.shape[2..]
        }
        _ => {
            let fix =
                "begin with \"users\" (encoders), \"rows\", or \"users\", \"candidates\" (lists)";
            faults.push(Fault::new(format!("{at}.shape"), "does not fit the layout", fix));
            return;
        }
    };
    let fits = match rest {
        [] => output.column == 0,
        [DimSpec::Fixed(width)] => output.column < *width,
        _ => false,
    };
    if !fits {
        let fix = "one value a candidate, or one more fixed dim with `column` inside it";
        faults.push(Fault::new(
            format!("{at}.shape"),
            "has too many dims or `column` is outside",
            fix,
        ));
    }
}
