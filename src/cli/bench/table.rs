//! The report as tables for people.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::cli::bench::{
    recorder::STAGES,
    report::{Point, Report, Spread},
};

/// The whole report as text.
pub(super) fn tables(report: &Report) -> String {
    let mut text = heading(report);
    if report.points.is_empty() {
        text.push_str("No load was measured long enough to tell of.");
        return text;
    }
    let _ = writeln!(text, "\nRate and latency in milliseconds: median (least to most)");
    let columns = [
        ("answers/s", "answers_per_s", 0),
        ("goodput/s", "goodput_per_s", 0),
        ("p50", "p50_ms", 2),
        ("p90", "p90_ms", 2),
        ("p99", "p99_ms", 2),
        ("p99.9", "p999_ms", 2),
    ];
    let _ = writeln!(text, "{}", table(report, &columns));
    text.push_str(&failures(report));
    if report.points.iter().any(|point| point.figure("ratio").is_some()) {
        let _ = writeln!(text, "\nBeside raw ONNX Runtime, on the same rows and threads");
        let columns = [
            ("raw runs/s", "raw_per_s", 0),
            ("raw drift %", "raw_drift_percent", 1),
            ("server / raw", "ratio", 3),
            ("raw, 1 session", "raw_single_per_s", 0),
            ("server / it", "ratio_single", 3),
        ];
        let _ = writeln!(text, "{}", table(report, &columns));
    }
    let _ = writeln!(text, "\nProcessor time a request in microseconds, and shares of the machine");
    let columns = [
        ("server", "server_cpu_us", 0),
        ("raw run", "raw_cpu_us", 0),
        ("outside ORT", "outside_cpu_us", 0),
        ("other threads", "besides_cpu_us", 0),
        ("generator", "generator_cpu_us", 0),
        ("server %", "server_percent", 0),
        ("generator %", "generator_percent", 0),
        ("others %", "other_percent", 0),
    ];
    let _ = writeln!(text, "{}", table(report, &columns));
    let _ = writeln!(text, "\nStages as the server tells them: mean microseconds, the median run");
    let _ = write!(text, "{}", stages(report));
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
        0 => "the unknown shopper".to_owned(),
        count => format!("{count} users"),
    };
    let _ = writeln!(
        text,
        "{} different requests of {} candidates for {users}, seed {}, deadline {} ms",
        report.requests, report.candidates, report.seed, report.deadline_ms
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

fn table(report: &Report, columns: &[(&str, &str, usize)]) -> Table {
    let shown = |name: &str| report.points.iter().any(|point| point.figure(name).is_some());
    let columns: Vec<_> = columns.iter().filter(|(_, name, _)| shown(name)).collect();
    let header = std::iter::once("load").chain(columns.iter().map(|(title, ..)| *title));
    let mut table = new_table(header.map(str::to_owned).collect());
    for point in &report.points {
        let mut cells = vec![point.load.clone()];
        let cell = |(_, name, places): &&(&str, &str, usize)| told(point.figure(name), *places);
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
    for point in &report.points {
        let mut cells = vec![point.load.clone()];
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
        for (code, count) in point.errors() {
            let _ = writeln!(text, "{}: {count} x {code}", point.load);
        }
        for (what, count) in unusual(point) {
            if count > 0 {
                let _ = writeln!(text, "{}: {count} {what}", point.load);
            }
        }
    }
    match text.is_empty() {
        true => "No errors, no missed or late sends, no embedding computed.\n".to_owned(),
        false => text,
    }
}

fn unusual(point: &Point) -> [(&'static str, u64); 3] {
    [
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
