//! A report as text: a summary, the models, the slowest requests, recent swaps and comparisons.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};

use crate::{
    observing::{Figures, SlowRequest},
    transport::{ChangeReport, ComparisonReport, Report, VersionReport},
};

/// Rows of a list that are shown.
const MOST_ROWS: usize = 8;

/// The report in so many columns.
pub(super) fn text(report: &Report, width: u16) -> String {
    let mut text = summary(report);
    let _ = writeln!(text, "\n{}", models(report, width));
    let live = &report.live;
    if !live.slowest.is_empty() {
        let _ = writeln!(
            text,
            "\nSlowest requests of the last minutes\n{}",
            slowest(&live.slowest, width)
        );
    }
    if !report.comparisons.is_empty() {
        let _ = writeln!(
            text,
            "\nVersions beside the live ones\n{}",
            comparisons(&report.comparisons, width)
        );
    }
    if !report.changes.is_empty() {
        let _ = writeln!(text, "\nRecent swaps\n{}", changes(report, width));
    }
    text
}

/// A text without characters that a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

fn summary(report: &Report) -> String {
    let ten = &report.live.last_10_s;
    let state = if report.draining { "draining" } else { "serving" };
    let up = span(Duration::from_secs_f64(report.uptime_s.max(0.0)));
    let mut text = format!(
        "podium {} {state}, up {up}, gRPC on {}\n",
        clean(&report.version),
        clean(&report.listen)
    );
    if !report.repository_fault.is_empty() {
        let _ = writeln!(text, "FAULT: {}", clean(&report.repository_fault));
    }
    let waiting: u64 = report.models.iter().map(|model| model.queue.requests).sum();
    let _ = writeln!(
        text,
        "requests {}/s   errors {}/s   {}   waiting {waiting}   in flight {} of {}",
        figure(ten.requests_per_second),
        figure(rate(ten, ten.failed)),
        latency(ten),
        report.in_flight,
        report.max_in_flight
    );
    let batches = &ten.batches;
    let _ = writeln!(
        text,
        "rows/batch {}   fill {}   padding {}   run {}   user cache hits {}",
        optional(batches.rows_per_batch, figure),
        optional(batches.fill, percent),
        optional(batches.padding_share, percent),
        optional(batches.run_ms, ms),
        optional(ten.user_hit_share, percent),
    );
    for (what, counts) in [("errors", &ten.failures), ("degraded", &ten.degraded)] {
        if !counts.is_empty() {
            let _ = writeln!(text, "{what} in 10 s: {}", counted(counts));
        }
    }
    text
}

fn models(report: &Report, width: u16) -> Table {
    let header = [
        "model",
        "state",
        "traffic",
        "req/s",
        "err/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "rows/batch",
        "fill",
        "waiting",
        "where",
    ];
    let mut table = new_table(header, width);
    for version in &report.models {
        let own = report.live.models.iter();
        let own =
            own.into_iter().find(|own| own.name == version.name && own.version == version.version);
        table.add_row(model_row(version, own.map(|own| &own.last_10_s)));
    }
    right(&mut table, 3..11);
    table
}

fn model_row(version: &VersionReport, figures: Option<&Figures>) -> Vec<String> {
    let none = Figures::default();
    let figures = figures.unwrap_or(&none);
    let latency = figures.latency.as_ref();
    let time = |pick: fn(&crate::observing::Latency) -> f64| optional(latency.map(pick), figure);
    let state = match version.state_reason.as_str() {
        "" => version.state.clone(),
        why => format!("{}: {why}", version.state),
    };
    let is_loaded = !version.device.is_empty();
    vec![
        clean(&format!("{}/{}", version.name, version.version)),
        clean(&state),
        clean(&traffic(version).join(", ")),
        figure(figures.requests_per_second),
        figure(rate(figures, figures.failed)),
        time(|latency| latency.p50_ms),
        time(|latency| latency.p95_ms),
        time(|latency| latency.p99_ms),
        optional(figures.batches.rows_per_batch, figure),
        optional(figures.batches.fill, percent),
        if is_loaded { version.queue.requests.to_string() } else { String::new() },
        if is_loaded {
            format!("{} × {}", version.device, version.instances)
        } else {
            String::new()
        },
    ]
}

fn traffic(version: &VersionReport) -> Vec<String> {
    let live = version.live.then(|| "live".to_owned());
    let split = version.split_percent.map(|share| format!("{share}% of users"));
    let compared = version.compared_percent.map(|share| format!("compared on {share}%"));
    let callers = version.callers.iter().map(|caller| format!("caller {caller}"));
    live.into_iter().chain(split).chain(compared).chain(callers).collect()
}

fn slowest(all: &[SlowRequest], width: u16) -> Table {
    let mut table =
        new_table(["took ms", "why", "outcome", "model", "caller", "request", "trace"], width);
    for one in all.iter().take(MOST_ROWS) {
        let model = if one.model.is_empty() {
            String::new()
        } else {
            format!("{}/{}", one.model, one.version)
        };
        let row = [
            figure(one.total_ms),
            format!("{}: {}", one.reason, one.text),
            one.outcome.clone(),
            model,
            one.caller.clone(),
            one.request_id.clone(),
            one.trace_id.clone(),
        ];
        table.add_row(row.map(|cell| clean(&cell)));
    }
    right(&mut table, 0..1);
    table
}

fn comparisons(all: &[ComparisonReport], width: u16) -> Table {
    let header = [
        "version",
        "beside",
        "verdict",
        "requests",
        "kendall tau",
        "overlap",
        "psi",
        "errors",
        "p95 ms",
    ];
    let mut table = new_table(header, width);
    for one in all {
        let beside = |own: String, live: String| format!("{own} (live {live})");
        let row = [
            format!("{}/{}", one.name, one.version),
            format!("{} of {}", one.beside, one.baseline),
            [one.verdict.as_str(), one.verdict_reason.as_str()].join(" ").trim().to_owned(),
            one.requests.to_string(),
            optional(one.kendall_tau, figure),
            optional(one.top_k_overlap, percent),
            optional(one.psi, figure),
            beside(optional(one.error_rate, percent), optional(one.baseline_error_rate, percent)),
            beside(figure(one.p95_ms), figure(one.baseline_p95_ms)),
        ];
        table.add_row(row.map(|cell| clean(&cell)));
    }
    right(&mut table, 3..9);
    table
}

fn changes(report: &Report, width: u16) -> Table {
    let mut table = new_table(["ago", "what", "change", "reason"], width);
    for one in report.changes.iter().take(MOST_ROWS) {
        let ago = Duration::from_millis(report.now_ms.saturating_sub(one.at_ms));
        let row = [span(ago), what(one), change(one), one.reason.clone()];
        table.add_row(row.map(|cell| clean(&cell)));
    }
    right(&mut table, 0..1);
    table
}

fn what(of: &ChangeReport) -> String {
    match (of.kind.as_str(), of.label.as_str()) {
        ("life", _) => format!("{}/{}", of.name, of.version),
        (_, "") => format!("live route of {}", of.name),
        (_, label) => format!("label {label} of {}", of.name),
    }
}

fn change(of: &ChangeReport) -> String {
    let place =
        |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
    match of.kind.as_str() {
        "life" => format!("{} → {}", place(&of.from, "new"), place(&of.to, "gone")),
        _ => format!("{} → {}", place(&of.from, "highest"), place(&of.to, "highest")),
    }
}

fn new_table<const N: usize>(header: [&str; N], width: u16) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(header);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(40));
    table
}

fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in table.column_iter_mut().enumerate().filter(|(at, _)| columns.contains(at)) {
        column.1.set_cell_alignment(CellAlignment::Right);
    }
}

fn rate(figures: &Figures, count: u64) -> f64 {
    if figures.seconds > 0.0 { count as f64 / figures.seconds } else { 0.0 }
}

fn latency(figures: &Figures) -> String {
    match &figures.latency {
        None => "no request was ranked".to_owned(),
        Some(times) => format!(
            "p50 {}   p95 {}   p99 {}",
            ms(times.p50_ms),
            ms(times.p95_ms),
            ms(times.p99_ms)
        ),
    }
}

fn counted(counts: &BTreeMap<String, u64>) -> String {
    let all: Vec<String> =
        counts.iter().map(|(name, count)| format!("{} {count}", clean(name))).collect();
    all.join(", ")
}

fn optional(value: Option<f64>, told: fn(f64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), told)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn ms(value: f64) -> String {
    format!("{} ms", figure(value))
}

/// A number with as many digits as say something.
fn figure(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value.abs() >= 100.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// A time in its largest unit.
fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_report_can_be_shown() {
        let told = text(&Report::default(), 80);
        assert!(told.contains("serving") && told.contains("no request was ranked"), "{told}");
        assert!(!told.contains("Slowest") && !told.contains("Recent"), "{told}");
    }

    #[test]
    fn nothing_that_a_terminal_would_obey_is_shown() {
        let hostile = "\u{1b}[2Jgone\r\n\u{7}";
        let mut report = Report { repository_fault: hostile.to_owned(), ..Report::default() };
        report.live.slowest.push(SlowRequest {
            request_id: hostile.to_owned(),
            caller: hostile.to_owned(),
            ..SlowRequest::default()
        });
        report.changes.push(ChangeReport { reason: hostile.to_owned(), ..ChangeReport::default() });
        let told = text(&report, 200);
        assert!(told.contains("gone"), "{told}");
        assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
    }

    #[track_caller]
    fn check(seconds: u64, want: &str) {
        assert_eq!(span(Duration::from_secs(seconds)), want);
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
        check(0, "0 s");
        check(119, "119 s");
        check(120, "2 min");
        check(7200, "2 h");
        check(200_000, "2 d");
    }
}
