//! The report as text: what runs cost, what each choice did, and what to paste.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

use crate::{
    cli::{
        span,
        tune::{
            measure::{MOST_PER_S, Report},
            point::{Point, WANTED, closest},
        },
    },
    repository::BatchingSpec,
};

/// All that is told of a report, the settings to paste last.
pub(super) fn text(report: &Report) -> Result<String, String> {
    let mut text = heading(report);
    let _ = writeln!(text, "{}", costs(report));
    let _ = writeln!(text, "{}", points(report));
    if report.capped {
        let _ = writeln!(
            text,
            "The costs promise more than {MOST_PER_S} requests/s, and no more are sent: 100% stands for that. A larger --rows asks more of it."
        );
    }
    if report.stopped {
        text.push_str("It was stopped before all was measured.\n");
    }
    if let Some(settings) = &report.settings {
        text.push_str(&proposal(report, settings)?);
    }
    Ok(text)
}

fn heading(report: &Report) -> String {
    let Report { model, version, device, rows, golden_cases, .. } = report;
    let made_of = match golden_cases {
        0 => "made-up values".to_owned(),
        count => format!("{count} golden case(s)"),
    };
    format!(
        "{model}/{version} on {device}: requests of {rows} row(s) made of {made_of}; one alone takes {:.2} ms, in time is within {}\n",
        report.alone_ms,
        span::told(report.demand.slo)
    )
}

fn costs(report: &Report) -> Table {
    let rows = match report.cost_length {
        1 => "rows of a run".to_owned(),
        length => format!("rows of a run, each {length} long"),
    };
    let mut table = new_table([rows.as_str(), "run ms", "rows/s"]);
    for cost in &report.costs {
        table.add_row([
            cost.rows.to_string(),
            format!("{:.3}", cost.run_ms),
            format!("{:.0}", cost.rows_per_s),
        ]);
    }
    aligned(table)
}

fn points(report: &Report) -> Table {
    let mut table = new_table([
        "instances",
        "batch rows",
        "load",
        "sent/s",
        "in time/s",
        "in time",
        "refused",
        "expired",
        "p50 ms",
        "p99 ms",
        "",
    ]);
    for (place, point) in report.points.iter().enumerate() {
        let mark = match (report.proposed == Some(place), point.meets()) {
            (true, _) => "proposed",
            (_, true) => "meets the slo",
            _ => "",
        };
        table.add_row([
            point.choice.instances.to_string(),
            point.choice.batch_rows.to_string(),
            format!("{:.0}%", point.share * 100.0),
            format!("{:.0}", point.offered_per_s),
            format!("{:.0}", point.in_time_per_s),
            format!("{:.1}%", point.kept() * 100.0),
            point.refused.to_string(),
            point.expired.to_string(),
            format!("{:.2}", point.p50_ms),
            format!("{:.2}", point.p99_ms),
            mark.to_owned(),
        ]);
    }
    aligned(table)
}

/// The settings, as the manifest and the configuration take them.
fn proposal(report: &Report, settings: &BatchingSpec) -> Result<String, String> {
    let manifest = toml_of(&BTreeMap::from([("batching", settings)]))?;
    let models = BTreeMap::from([(report.model.as_str(), settings)]);
    let batching = BTreeMap::from([("batching", models)]);
    let configuration = toml_of(&BTreeMap::from([("models", batching)]))?;
    Ok(format!(
        "For the bundle's model.toml, wherever it is served:\n\n{manifest}\n\
         Or for podium.toml, on machines like this one; it goes before the manifest's:\n\n{configuration}"
    ))
}

fn toml_of<T: Serialize>(value: &T) -> Result<String, String> {
    toml::to_string(value).map_err(|e| e.to_string())
}

/// What to do where no point meets the slo.
pub(super) fn advice(report: &Report) -> String {
    let slo = span::told(report.demand.slo);
    let share = WANTED * 100.0;
    let mut text = format!("no choice answers {share:.0}% of the requests within {slo}");
    let alone = Duration::from_secs_f64(report.alone_ms / 1e3);
    if alone > report.demand.slo {
        let _ = write!(text, ": one that comes alone takes {:.1} ms", report.alone_ms);
    } else if let Some(Point { choice, offered_per_s, in_time, sent, .. }) = closest(&report.points)
    {
        let _ = write!(
            text,
            ": the closest is {choice}, {in_time} of {sent} at {offered_per_s:.0} requests/s"
        );
    }
    text.push_str(
        ".\nWhat helps: a longer --slo, fewer --rows a request, a smaller or an int8 model (models/README.md, compressing), or a \
         GPU (README.md, Configuration). On a busy machine, measure again with a longer --duration.",
    );
    text
}

fn new_table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn aligned(mut table: Table) -> Table {
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
