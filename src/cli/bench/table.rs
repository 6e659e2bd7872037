//! The report as tables for people.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::cli::bench::{
    recorder::STAGES,
    report::{Point, Report, Spread},
};

/// A column: its title, its figure, its decimal places.
type Column = (&'static str, &'static str, usize);

const LATENCY: [Column; 9] = [
    ("answers/s", "answers_per_s", 0),
    ("goodput/s", "goodput_per_s", 0),
    ("/ peak", "goodput_over_peak", 3),
    ("within %", "within_percent", 2),
    ("p50", "p50_ms", 2),
    ("p90", "p90_ms", 2),
    ("p99", "p99_ms", 2),
    ("p99.9", "p999_ms", 2),
    ("p99 / p50", "p99_over_p50", 2),
];

const RAW: [Column; 7] = [
    ("raw/s", "raw_per_s", 0),
    ("server / raw", "ratio", 3),
    ("best raw/s", "raw_best_per_s", 0),
    ("its rows", "raw_best_rows", 0),
    ("drift %", "raw_drift_percent", 1),
    ("server / best", "ratio_best", 3),
    ("goodput / best", "goodput_over_raw", 3),
];

const SINGLE: [Column; 2] =
    [("raw/s, 1 session", "raw_single_per_s", 0), ("server / it", "ratio_single", 3)];

const OTHERS: [Column; 3] = [
    ("Podium / it, answers/s", "podium_over", 2),
    ("it / Podium, p50", "p50_over_podium", 2),
    ("it / Podium, p99", "p99_over_podium", 2),
];

const BATCHES: [Column; 7] = [
    ("rows", "batch_rows", 2),
    ("requests", "batch_requests", 2),
    ("fill", "batch_fill", 2),
    ("padded / real", "padded_over_real", 3),
    ("run us/request", "run_us_a_request", 1),
    ("join us/request", "join_us_a_request", 1),
    ("for nobody %", "abandoned_percent", 2),
];

const PROCESSORS: [Column; 9] = [
    ("server", "server_cpu_us", 1),
    ("raw run", "raw_cpu_us", 1),
    ("outside ORT", "outside_cpu_us", 1),
    ("other threads", "besides_cpu_us", 1),
    ("they and joining", "around_cpu_us", 1),
    ("generator", "generator_cpu_us", 1),
    ("server %", "server_percent", 0),
    ("generator %", "generator_percent", 0),
    ("others %", "other_percent", 0),
];

const PRESSED: [Column; 8] = [
    ("refusal p99 ms", "refusal_p99_ms", 2),
    ("MiB before", "memory_before_mib", 0),
    ("MiB after", "memory_after_mib", 0),
    ("round after s", "round_after_s", 2),
    ("p99 2 s after, ms", "p99_later_ms", 2),
    ("leavers' rows run %", "left_rows_run_percent", 2),
    ("latest beyond ms", "latest_beyond_ms", 2),
    ("server's clock", "latest_told_beyond_ms", 2),
];

/// The whole report as text.
pub(super) fn tables(report: &Report) -> String {
    let mut text = heading(report);
    if report.points.is_empty() {
        text.push_str("No load was measured long enough to tell of.");
        return text;
    }
    section(
        &mut text,
        report,
        "Rate and latency in milliseconds: median (least to most)",
        &LATENCY,
    );
    text.push_str(&failures(report));
    let title = "Other servers under the same load: above 1, Podium is ahead";
    section(&mut text, report, title, &OTHERS);
    section(&mut text, report, "Beside raw ONNX Runtime, in requests, on the same threads", &RAW);
    section(&mut text, report, "Beside one session of it", &SINGLE);
    section(&mut text, report, "Batches, as answers and the server tell them", &BATCHES);
    text.push_str(&closed(report));
    let title = "Processor time a request in microseconds, and shares of the machine";
    section(&mut text, report, title, &PROCESSORS);
    section(&mut text, report, "Refusals, memory, and what scenarios show", &PRESSED);
    report.points.iter().for_each(|point| details(&mut text, point));
    let _ = writeln!(text, "\nStages as the server tells them: mean microseconds, the median run");
    let _ = write!(text, "{}", stages(report));
    text
}

/// A titled table; nothing where no load has any of the figures.
fn section(text: &mut String, report: &Report, title: &str, columns: &[Column]) {
    let has = |(_, name, _): &Column| report.points.iter().any(|p| p.figure(name).is_some());
    if columns.iter().any(has) {
        let _ = writeln!(text, "\n{title}\n{}", table(report, columns));
    }
}

/// Lines of a gauge that are printed; the report in JSON has all.
const MOST_LINES: usize = 16;

/// What the gauge of a scenario found in the last repetition.
fn details(text: &mut String, point: &Point) {
    let Some(told) = point.repetitions.iter().rev().find_map(|one| one.told.as_ref()) else {
        return;
    };
    let mut table = new_table(told.columns.iter().map(|title| (*title).to_owned()).collect());
    for row in told.rows.iter().take(MOST_LINES) {
        table.add_row(row.iter().map(|value| match value {
            value if value.is_nan() => "not told".to_owned(),
            value if value.is_infinite() => "failed".to_owned(),
            value => format!("{:.2}", value).trim_end_matches(".00").to_owned(),
        }));
    }
    align(&mut table);
    let _ = writeln!(text, "\n{}, the last repetition\n{table}", point.name());
}

/// Why batches were closed.
fn closed(report: &Report) -> String {
    let mut text = String::new();
    for point in &report.points {
        let why = |(why, percent): (&str, f64)| {
            format!("{} {percent:.0}%", why.trim_start_matches("CLOSED_"))
        };
        let all: Vec<String> = point.closed_percent().into_iter().map(why).collect();
        if !all.is_empty() {
            let _ = writeln!(text, "{}: closed {}", point.name(), all.join(", "));
        }
    }
    text
}

fn heading(report: &Report) -> String {
    let (server, machine) = (&report.server, &report.machine);
    let build = &server.onnxruntime_build;
    let commit = build.split(", ").find(|part| part.starts_with("git-commit-id="));
    let mut text = format!(
        "{}/{} on {}, {} instance(s){}, ONNX Runtime {}, Podium {} ({} build)\n",
        server.model,
        server.model_version,
        server.device,
        server.instances,
        report.intra_op_threads.map_or_else(String::new, |n| format!(" of {n} thread(s)")),
        commit.unwrap_or(build),
        server.server_version,
        report.build,
    );
    let users = match report.users {
        None => "out of a file".to_owned(),
        Some(0) => "for the unknown shopper".to_owned(),
        Some(count) => format!("for {count} users"),
    };
    let _ = writeln!(
        text,
        "{} different requests of {} candidate(s) {users}, seed {}, deadline {} ms, objective {} ms",
        report.requests, report.candidates, report.seed, report.deadline_ms, report.objective_ms
    );
    let _ = writeln!(
        text,
        "{} x {}; load average {} before, {} after",
        machine.processors,
        machine.processor,
        machine.load_average_before,
        machine.load_average_after
    );
    if report.cut_short {
        text.push_str("Ended early: what follows was measured until then.\n");
    }
    text
}

fn table(report: &Report, columns: &[Column]) -> Table {
    let shown = |name: &str| report.points.iter().any(|point| point.figure(name).is_some());
    let columns: Vec<_> = columns.iter().filter(|(_, name, _)| shown(name)).collect();
    let header = std::iter::once("load").chain(columns.iter().map(|(title, ..)| *title));
    let mut table = new_table(header.map(str::to_owned).collect());
    let has_any = |point: &&Point| columns.iter().any(|(_, name, _)| point.figure(name).is_some());
    for point in report.points.iter().filter(has_any) {
        let mut cells = vec![point.name()];
        let cell = |(_, name, places): &&Column| told(point.figure(name), *places);
        cells.extend(columns.iter().map(cell));
        table.add_row(cells);
    }
    align(&mut table);
    table
}

fn told(spread: Option<Spread>, places: usize) -> String {
    match spread {
        None => String::new(),
        Some(Spread { median, min, max }) if min == max => format!("{median:.places$}"),
        Some(Spread { median, min, max }) => {
            format!("{median:.places$} ({min:.places$} to {max:.places$})")
        }
    }
}

fn stages(report: &Report) -> Table {
    let header = std::iter::once("load").chain(STAGES).map(str::to_owned).collect();
    let mut table = new_table(header);
    for point in report.points.iter().filter(|point| point.peer.is_none()) {
        let mut cells = vec![point.name()];
        cells.extend(STAGES.iter().map(|stage| {
            let of = |one: &crate::cli::bench::report::Measured| one.stages_us.get(*stage).copied();
            let spread = Spread::of(point.repetitions.iter().filter_map(of).collect());
            spread.map_or_else(String::new, |spread| format!("{:.0}", spread.median))
        }));
        table.add_row(cells);
    }
    align(&mut table);
    table
}

fn failures(report: &Report) -> String {
    let mut text = String::new();
    for point in &report.points {
        for (name, (count, p99)) in point.errors() {
            let _ = writeln!(text, "{}: {count} x {name}, p99 {p99:.2} ms", point.name());
        }
        for (what, count) in unusual(point) {
            if count > 0 {
                let _ = writeln!(text, "{}: {count} {what}", point.name());
            }
        }
    }
    match text.is_empty() {
        true => "No errors, no missed or late sends, no embedding computed.\n".to_owned(),
        false => text,
    }
}

fn unusual(point: &Point) -> [(&'static str, u64); 4] {
    [
        ("requests whose caller left", point.total(|one| one.left)),
        ("sends missed: too many requests were on their way", point.total(|one| one.missed)),
        (
            "sends more than 1 ms late; their latency counts from their time",
            point.total(|one| one.late),
        ),
        ("answers for a user whose embedding was computed first", point.total(|one| one.computed)),
    ]
}

fn new_table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
