//! `podium rank`: asks a running server, and shows the order.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use tonic_types::StatusExt;

use crate::{
    cli::{
        candidates::{Types, read_candidates, values_of},
        client::{Client, Target, refusal},
    },
    transport::{
        pb::{self, column::Values, model_selector::Selector},
        to_json,
    },
};

/// Columns of the catalogue that a table shows first.
const SHOWN_FIRST: [&str; 4] = ["product", "title", "department", "brand"];

/// Most text columns that a table shows.
const MOST_SHOWN: usize = 4;

/// Most characters of a text that a cell shows.
const MOST_CHARACTERS: usize = 60;

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
    /// CSV, plain or .gz, with a header: the column `id` or `item` (else the first), and features; none: the model's example
    #[arg(long, value_name = "FILE")]
    candidates: Option<PathBuf>,
    /// Refuse to order for a shopper of whom nothing is known
    #[arg(long)]
    require_user_state: bool,
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
    let (types, context_types) = feature_types(&mut client, &request).await?;
    if let Some(path) = &args.candidates {
        request.candidates = Some(read_candidates(path, &types)?);
    }
    if request.candidates.as_ref().is_none_or(|c| c.ids.is_empty()) {
        return Err(
            "this model ships no example; name candidates with --candidates FILE".to_owned()
        );
    }
    for given in &args.context {
        set_context(&mut request.context, given, &context_types)?;
    }
    request.user = Some(pb::User { id: args.user.clone(), ..pb::User::default() });
    if !args.query.is_empty() {
        request.query.clone_from(&args.query);
    }
    let query = request.query.clone();
    request.top_k = args.top;
    request.require_user_state = args.require_user_state;
    let sent = request.candidates.clone().unwrap_or_default();
    let mut call = tonic::Request::new(request);
    call.set_timeout(Duration::from_millis(args.deadline_ms));
    let answer = client.rank.rank(call).await.map_err(|s| refused(&s, &args))?.into_inner();
    match args.json {
        true => println!("{}", to_json(&answer).map_err(|e| e.to_string())?),
        false => {
            show(&mut client, Asked { user: &args.user, query: &query, sent: &sent }, &answer)
                .await?
        }
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

/// The types of the model's features by name: those of candidates, and those of the context.
async fn feature_types(
    client: &mut Client,
    request: &pb::RankRequest,
) -> Result<(Types, Types), String> {
    let answer = client.info.get_server_info(pb::GetServerInfoRequest {}).await;
    let info = answer.map_err(|s| refusal(&s))?.into_inner();
    let model = request.model.clone().unwrap_or_default();
    let chosen = |known: &pb::ModelInfo| {
        let version = match &model.selector {
            Some(Selector::Version(version)) => known.version == *version,
            Some(Selector::Label(label)) => known.labels.contains(label),
            None => known.live,
        };
        known.name == model.name && version
    };
    let of_model = info.models.into_iter().filter(chosen);
    let newest = of_model.max_by_key(|model| model.version).unwrap_or_default();
    let of_scope = |scope: pb::FeatureScope| {
        let features = newest.features.iter().filter(|f| f.scope() == scope);
        features.map(|f| (f.name.clone(), f.r#type.clone())).collect()
    };
    Ok((of_scope(pb::FeatureScope::Candidate), of_scope(pb::FeatureScope::Context)))
}

/// A refusal, with where the faulty fields were given on the command line.
fn refused(status: &tonic::Status, args: &RankArgs) -> String {
    let mut text = refusal(status);
    let faults = status.get_details_bad_request().map_or_else(Vec::new, |b| b.field_violations);
    if let Some(path) = &args.candidates
        && faults.iter().any(|fault| fault.field.starts_with("candidates"))
    {
        text.push_str(&format!("\nThe candidates came from {}.", path.display()));
    }
    if faults.iter().any(|fault| fault.field == "query") {
        text.push_str("\nGive the search text with --query TEXT.");
    }
    let ended_here =
        status.code() == tonic::Code::Cancelled && status.message() == "Timeout expired";
    let too_late =
        status.get_details_error_info().is_some_and(|i| i.reason == "DEADLINE_TOO_SHORT");
    if ended_here || too_late || status.code() == tonic::Code::DeadlineExceeded {
        let given = args.deadline_ms;
        text.push_str(&format!("\nIt had {given} ms; give it more time with --deadline-ms."));
    }
    text
}

fn set_context(context: &mut Vec<pb::Column>, given: &str, types: &Types) -> Result<(), String> {
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

/// What was asked, as far as the answer is told with it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    user: &'a str,
    query: &'a str,
    sent: &'a pb::Candidates,
}

/// Prints the order as a table, with what the catalogue or the candidates say of each item.
async fn show(
    client: &mut Client,
    request: Asked<'_>,
    answer: &pb::RankResponse,
) -> Result<(), String> {
    let asked = pb::GetItemsRequest {
        model: Some(pb::ModelSelector {
            name: answer.model_name.clone(),
            selector: Some(Selector::Version(answer.model_version)),
        }),
        ids: answer.items.iter().map(|item| item.id).collect(),
    };
    let known = client.info.get_items(asked).await.map_err(|s| refusal(&s))?.into_inner();
    let texts = shown_texts(known.columns, request.sent, answer);
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    let items: Vec<pb::RankedItem> = answer.items.iter().collect();
    let heads = items.first().map(|item| item.outputs.as_slice()).unwrap_or_default();
    let mut header = vec!["rank".to_owned(), "item".to_owned()];
    header.extend(texts.iter().map(|(name, _)| name.clone()));
    header.push("score".to_owned());
    header.extend(heads.iter().map(|head| head.name.clone()));
    table.set_header(header);
    for (row, item) in items.iter().enumerate() {
        let mut cells = vec![item.rank.to_string(), item.id.clone()];
        cells.extend(texts.iter().map(|(_, all)| shortened(&all[row])));
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
    println!("{}", told(request, answer));
    Ok(())
}

/// A text that is short enough for a cell.
fn shortened(text: &str) -> String {
    match text.chars().count() > MOST_CHARACTERS {
        true => text.chars().take(MOST_CHARACTERS - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
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
            let cell = |item: pb::RankedItem| strings.values.get(item.index as usize);
            let cells = answer.items.iter().map(|item| cell(item).unwrap_or_default().to_owned());
            texts.push((column.name.clone(), cells.collect()));
        }
    }
    for column in known {
        if let Some(Values::Strings(strings)) = column.values
            && texts.iter().all(|(name, _)| *name != column.name)
        {
            let cells = strings.values.iter().map(str::to_owned);
            texts.push((column.name, cells.collect()));
        }
    }
    let place = |name: &str| SHOWN_FIRST.iter().position(|first| *first == name);
    texts.sort_by_key(|(name, _)| place(name).unwrap_or(SHOWN_FIRST.len()));
    texts.truncate(MOST_SHOWN);
    texts
}

/// An age in its largest unit.
fn rounded(age: Duration) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = age.as_secs();
    match units.into_iter().find(|(length, _)| seconds >= *length) {
        Some((length, unit)) => format!("{} {unit}", seconds / length),
        None => format!("{} ms", age.as_millis()),
    }
}

/// Which model answered, for whom, and what is to be known about the answer.
fn told(request: Asked<'_>, answer: &pb::RankResponse) -> String {
    let query = match request.query {
        "" => String::new(),
        query => format!(" by \"{query}\""),
    };
    let shopper = match (request.user, answer.user_state()) {
        ("", pb::UserState::Unspecified) => String::new(),
        ("", _) => " for an unknown shopper".to_owned(),
        (id, _) => format!(" for user {id}"),
    };
    let enum_name = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_lowercase();
    let state = enum_name(answer.user_state().as_str_name(), "USER_STATE_");
    let age = match answer.user_state_age_ms {
        0 => String::new(),
        age => format!(", {} old", rounded(Duration::from_millis(age))),
    };
    let user_side = match (answer.user_state(), answer.encoder_version) {
        (pb::UserState::Unspecified, _) => String::new(),
        (_, 0) => format!(" (user state: {state})"),
        (_, version) => format!(" (user state: {state}{age}, encoder version {version})"),
    };
    let took = answer.timings.as_ref().map_or(0, |timings| timings.total_us);
    let mut text = format!(
        "{} version {} ranked {} candidates{query}{shopper}{user_side} in {:.2} ms",
        answer.model_name,
        answer.model_version,
        request.sent.ids.len(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_their_largest_unit() {
        let told = |ms| rounded(Duration::from_millis(ms));
        assert_eq!([told(7), told(59_999), told(60_000)], ["7 ms", "59 s", "1 min"]);
        assert_eq!([told(7_200_000), told(200_000_000)], ["2 h", "2 d"]);
    }

    #[test]
    fn the_user_side_is_told_with_its_age() {
        let sent = pb::Candidates::default();
        let asked = Asked { user: "7", query: "", sent: &sent };
        let answer = |state: pb::UserState, user_state_age_ms| pb::RankResponse {
            user_state: state.into(),
            user_state_age_ms,
            encoder_version: 1,
            ..pb::RankResponse::default()
        };
        let stale = told(asked, &answer(pb::UserState::Stale, 90_000));
        assert!(stale.contains("(user state: stale, 1 min old, encoder version 1)"), "{stale}");
        let local = told(asked, &answer(pb::UserState::Local, 0));
        assert!(local.contains("(user state: local, encoder version 1)"), "{local}");
    }
}
