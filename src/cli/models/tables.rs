//! Models as text: their versions, their traffic, and how versions compare.

use std::{fmt::Write, time::Duration};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use crate::{
    cli::models::words,
    transport::pb::{ComparisonVerdict, ListModelsResponse, ModelComparison, ServedModel},
};

/// Widest table where nobody says how wide the screen is.
const WIDTH: u16 = 140;

/// All models, a row for each version.
pub(super) fn list(state: &ListModelsResponse) -> String {
    let mut table = new_table(["model", "version", "state", "role", "labels", "note"]);
    for model in &state.models {
        for (at, info) in model.versions.iter().enumerate() {
            let mut row = version_row(model, info);
            row.insert(0, if at == 0 { model.name.clone() } else { String::new() });
            table.add_row(row);
        }
    }
    right(&mut table, &[1]);
    format!("{table}\n{}", footer(state))
}

/// One model with all that is known of it.
pub(super) fn status(state: &ListModelsResponse) -> String {
    let mut text = String::new();
    for model in &state.models {
        let _ = writeln!(text, "{}: live is {}", model.name, words::live(model));
        let mut table = new_table(["version", "state", "role", "labels", "note"]);
        for info in &model.versions {
            table.add_row(version_row(model, info));
        }
        right(&mut table, &[0]);
        let _ = writeln!(text, "{table}");
        if !model.comparisons.is_empty() {
            let _ = writeln!(text, "{}", comparisons(&model.comparisons));
        }
    }
    text + &footer(state)
}

fn version_row(model: &ServedModel, info: &crate::transport::pb::ModelInfo) -> Vec<String> {
    vec![
        info.version.to_string(),
        words::state(info).to_owned(),
        words::roles(model, info.version).join(", "),
        info.labels.join(", "),
        words::note(model, info),
    ]
}

/// What is told of the file and of the repository.
fn footer(state: &ListModelsResponse) -> String {
    let mut text = match state.revision.as_str() {
        "" => {
            "There is no serving.toml: all versions are loaded, the highest of each model answers\n"
                .to_owned()
        }
        revision => format!("serving.toml is at revision {revision}\n"),
    };
    if !state.repository_fault.is_empty() {
        let _ = writeln!(text, "FAULT: {}", state.repository_fault);
    }
    text
}

fn comparisons(all: &[ModelComparison]) -> Table {
    let header = [
        "version",
        "beside",
        "requests",
        "skipped",
        "kendall tau",
        "top-k overlap",
        "psi",
        "errors",
        "p95 ms",
        "reward",
        "guard rails",
    ];
    let mut table = new_table(header);
    for comparison in all {
        table.add_row([
            comparison.version.to_string(),
            comparison.baseline_version.to_string(),
            comparison.requests.to_string(),
            comparison.skipped.to_string(),
            format!("{:.3}", comparison.kendall_tau),
            format!("{:.3}", comparison.top_k_overlap),
            format!("{:.3}", comparison.psi),
            both(comparison.error_rate * 100.0, comparison.baseline_error_rate * 100.0, "%"),
            both(millis(comparison.latency), millis(comparison.baseline_latency), ""),
            reward(comparison),
            verdict(comparison),
        ]);
    }
    right(&mut table, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    table
}

/// How much more users took of the version's orders, within two standard errors, and of how many items that is.
fn reward(comparison: &ModelComparison) -> String {
    let (difference, error) = (comparison.reward_difference, comparison.reward_error);
    match comparison.rewards {
        0 => "none".to_owned(),
        rewards => format!("{difference:+.3} ± {:.3} of {rewards}", 2.0 * error),
    }
}

fn both(own: f64, baseline: f64, unit: &str) -> String {
    format!("{own:.2}{unit} / {baseline:.2}{unit}")
}

fn millis(time: Option<prost_types::Duration>) -> f64 {
    let time = time.and_then(|time| Duration::try_from(time).ok());
    time.unwrap_or_default().as_secs_f64() * 1e3
}

/// What the guard rails say, and what they wait for or which one is broken.
pub(super) fn verdict(comparison: &ModelComparison) -> String {
    let said = match comparison.verdict() {
        ComparisonVerdict::Unspecified => return "none".to_owned(),
        ComparisonVerdict::Waits => "waits",
        ComparisonVerdict::Passes => "passes",
        ComparisonVerdict::Fails => "fails",
    };
    match comparison.verdict_reason.as_str() {
        "" => said.to_owned(),
        why => format!("{said}: {why}"),
    }
}

fn new_table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for at in columns {
        if let Some(column) = table.column_mut(*at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
