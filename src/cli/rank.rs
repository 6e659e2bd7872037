//! `podium rank`: asks a running server, and shows the order.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::{
    cli::client::{Client, Target, refusal},
    transport::{
        pb::{self, column::Values, model_selector::Selector},
        to_json,
    },
};

/// Columns of the catalogue that a table shows first.
const SHOWN_FIRST: [&str; 4] = ["product", "title", "department", "brand"];

/// Most text columns that a table shows.
const MOST_SHOWN: usize = 4;

/// What to ask.
#[derive(Debug, Args)]
pub(super) struct RankArgs {
    /// The shopper's id; none: an unknown shopper
    #[arg(long, value_name = "ID", default_value = "")]
    user: String,
    /// How many of the best to show; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: u32,
    /// The model; none: the server's default
    #[arg(long, value_name = "NAME", default_value = "")]
    model: String,
    /// The model's version
    #[arg(long = "model-version", value_name = "N", conflicts_with = "label")]
    version: Option<u64>,
    /// A label of the model's versions
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// The search text
    #[arg(long, value_name = "TEXT", default_value = "")]
    query: String,
    /// A context feature; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<String>,
    /// CSV with a header: the column `id` or `item` (else the first), and features; none: the model's example
    #[arg(long, value_name = "FILE")]
    candidates: Option<PathBuf>,
    /// How long the answer may take
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    deadline_ms: u64,
    /// Print the response as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Asks and prints.
pub(super) fn run(args: RankArgs) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(ask(args))
}

async fn ask(args: RankArgs) -> Result<(), String> {
    let mut client = args.target.connect().await?;
    let mut request = example(&mut client, &args).await?;
    let types = feature_types(&mut client, &request).await?;
    if let Some(path) = &args.candidates {
        request.candidates = Some(read_candidates(path, &types)?);
    }
    if request.candidates.as_ref().is_none_or(|c| c.ids.is_empty()) {
        return Err(
            "this model ships no example; name candidates with --candidates FILE".to_owned()
        );
    }
    for given in &args.context {
        set_context(&mut request.context, given, &types)?;
    }
    request.user = Some(pb::User { id: args.user.clone(), ..pb::User::default() });
    request.query.clone_from(&args.query);
    request.top_k = args.top;
    let sent = request.candidates.clone().unwrap_or_default();
    let mut call = tonic::Request::new(request);
    call.set_timeout(Duration::from_millis(args.deadline_ms));
    let answer = client.rank.rank(call).await.map_err(|s| refusal(&s))?.into_inner();
    match args.json {
        true => println!("{}", to_json(&answer).map_err(|e| e.to_string())?),
        false => show(&mut client, &args, &sent, &answer).await?,
    }
    Ok(())
}

/// The model's example request, which also names the model.
async fn example(client: &mut Client, args: &RankArgs) -> Result<pb::RankRequest, String> {
    let selector = match (args.version, &args.label) {
        (Some(version), _) => Some(Selector::Version(version)),
        (None, Some(label)) => Some(Selector::Label(label.clone())),
        (None, None) => None,
    };
    let model = Some(pb::ModelSelector { name: args.model.clone(), selector });
    let asked = pb::GetExampleRequest { model: model.clone() };
    let answer = client.info.get_example(asked).await.map_err(|s| refusal(&s))?;
    let mut request = answer.into_inner().request.unwrap_or_default();
    if args.candidates.is_some() {
        request.candidates = None;
    }
    if let (Some(model), Some(own)) = (model, request.model.as_mut()) {
        own.selector = model.selector;
    }
    Ok(request)
}

/// The types of the model's features by name.
async fn feature_types(
    client: &mut Client,
    request: &pb::RankRequest,
) -> Result<BTreeMap<String, String>, String> {
    let answer = client.info.get_server_info(pb::GetServerInfoRequest {}).await;
    let info = answer.map_err(|s| refusal(&s))?.into_inner();
    let name = request.model.as_ref().map(|model| model.name.as_str()).unwrap_or_default();
    let of_model = info.models.into_iter().filter(|model| model.name == name);
    let features = of_model.flat_map(|model| model.features);
    Ok(features.map(|feature| (feature.name, feature.r#type)).collect())
}

/// Reads candidates from CSV; a column has the type that the model gives to it, else the narrowest that fits.
fn read_candidates(
    path: &PathBuf,
    types: &BTreeMap<String, String>,
) -> Result<pb::Candidates, String> {
    let told = |cause: csv::Error| format!("--candidates {}: {cause}", path.display());
    let mut reader = csv::Reader::from_path(path).map_err(told)?;
    let header = reader.headers().map_err(told)?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let key = place("id").or_else(|| place("item")).unwrap_or(0);
    let mut cells: Vec<Vec<String>> = vec![Vec::new(); header.len()];
    for record in reader.records() {
        let record = record.map_err(told)?;
        cells.iter_mut().zip(&record).for_each(|(column, cell)| column.push(cell.to_owned()));
    }
    let ids = cells.get_mut(key).map(std::mem::take).unwrap_or_default();
    let mut columns = Vec::new();
    for (place, (name, cells)) in header.iter().zip(cells).enumerate() {
        if place == key {
            continue;
        }
        let kind = types.get(name).map(String::as_str);
        let values = values_of(&cells, kind).ok_or_else(|| {
            let kind = kind.unwrap_or_default();
            format!("--candidates {}: the column `{name}` must hold {kind}s", path.display())
        })?;
        columns.push(pb::Column { name: name.to_owned(), values: Some(values) });
    }
    Ok(pb::Candidates { ids, columns, ..pb::Candidates::default() })
}

fn values_of(cells: &[String], kind: Option<&str>) -> Option<Values> {
    let ints = || {
        let values = cells.iter().map(|cell| cell.parse().ok()).collect::<Option<_>>()?;
        Some(Values::Ints(pb::IntColumn { values }))
    };
    let floats = || {
        let values = cells.iter().map(|cell| cell.parse().ok()).collect::<Option<_>>()?;
        Some(Values::Floats(pb::FloatColumn { values }))
    };
    let strings = || Values::Strings(pb::StringColumn { values: cells.to_vec() });
    match kind {
        Some("int") => ints(),
        Some("float") => floats(),
        Some("string") => Some(strings()),
        Some(_) => None,
        None => ints().or_else(floats).or_else(|| Some(strings())),
    }
}

fn set_context(
    context: &mut Vec<pb::Column>,
    given: &str,
    types: &BTreeMap<String, String>,
) -> Result<(), String> {
    let (name, value) =
        given.split_once('=').ok_or_else(|| format!("--context {given}: write NAME=VALUE"))?;
    let kind = types.get(name).map(String::as_str);
    let values = values_of(&[value.to_owned()], kind).ok_or_else(|| {
        format!("--context {given}: the model takes a {}", kind.unwrap_or_default())
    })?;
    context.retain(|column| column.name != name);
    context.push(pb::Column { name: name.to_owned(), values: Some(values) });
    Ok(())
}

/// Prints the order as a table, with what the catalogue or the candidates say of each item.
async fn show(
    client: &mut Client,
    args: &RankArgs,
    sent: &pb::Candidates,
    answer: &pb::RankResponse,
) -> Result<(), String> {
    let asked = pb::GetItemsRequest {
        model: Some(pb::ModelSelector {
            name: answer.model_name.clone(),
            selector: Some(Selector::Version(answer.model_version)),
        }),
        ids: answer.items.iter().map(|item| item.id.clone()).collect(),
    };
    let known = client.info.get_items(asked).await.map_err(|s| refusal(&s))?.into_inner();
    let texts = shown_texts(known.columns, sent, answer);
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    let heads = answer.items.first().map(|item| item.outputs.as_slice()).unwrap_or_default();
    let mut header = vec!["rank".to_owned(), "item".to_owned()];
    header.extend(texts.iter().map(|(name, _)| name.clone()));
    header.push("score".to_owned());
    header.extend(heads.iter().map(|head| head.name.clone()));
    table.set_header(header);
    for (row, item) in answer.items.iter().enumerate() {
        let mut cells = vec![item.rank.to_string(), item.id.clone()];
        cells.extend(texts.iter().map(|(_, all)| all[row].clone()));
        cells.push(item.score.map_or("not scored".to_owned(), |score| format!("{score:.4}")));
        cells.extend(item.outputs.iter().map(|output| format!("{:.4}", output.value)));
        table.add_row(cells);
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        if place == 0 || place > 1 + texts.len() {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
    println!("{}", told(args, sent, answer));
    Ok(())
}

/// The text columns to show, each with one cell an item of the answer.
fn shown_texts(
    known: Vec<pb::Column>,
    sent: &pb::Candidates,
    answer: &pb::RankResponse,
) -> Vec<(String, Vec<String>)> {
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for column in &sent.columns {
        if let Some(Values::Strings(strings)) = &column.values {
            let cell = |item: &pb::RankedItem| strings.values.get(item.index as usize).cloned();
            let cells = answer.items.iter().map(|item| cell(item).unwrap_or_default());
            texts.push((column.name.clone(), cells.collect()));
        }
    }
    for column in known {
        if let Some(Values::Strings(strings)) = column.values
            && texts.iter().all(|(name, _)| *name != column.name)
        {
            texts.push((column.name, strings.values));
        }
    }
    let place = |name: &str| SHOWN_FIRST.iter().position(|first| *first == name);
    texts.sort_by_key(|(name, _)| place(name).unwrap_or(SHOWN_FIRST.len()));
    texts.truncate(MOST_SHOWN);
    texts
}

/// Which model answered, for whom, and what is to be known about the answer.
fn told(args: &RankArgs, sent: &pb::Candidates, answer: &pb::RankResponse) -> String {
    let shopper = match args.user.as_str() {
        "" => "an unknown shopper".to_owned(),
        id => format!("user {id}"),
    };
    let enum_name = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_lowercase();
    let state = enum_name(answer.user_state().as_str_name(), "USER_STATE_");
    let user_side = match (answer.user_state(), answer.encoder_version) {
        (pb::UserState::Unspecified, _) => String::new(),
        (_, 0) => format!(" (user state: {state})"),
        (_, version) => format!(" (user state: {state}, encoder version {version})"),
    };
    let took = answer.timings.as_ref().map_or(0, |timings| timings.total_us);
    let mut text = format!(
        "{} version {} ranked {} candidates for {shopper}{user_side} in {:.2} ms",
        answer.model_name,
        answer.model_version,
        sent.ids.len(),
        f64::from(took) / 1000.0
    );
    for reason in answer.degraded() {
        let reason = enum_name(reason.as_str_name(), "DEGRADED_REASON_");
        text.push_str(&format!("\ndegraded: {reason}"));
    }
    if !answer.missing_items.is_empty() {
        text.push_str(&format!("\nunknown to the catalogue: {}", answer.missing_items.join(", ")));
    }
    text
}
