//! What a replay found, in words.

use std::{collections::BTreeMap, fmt::Write};

use crate::cli::replay::{
    args::ReplayArgs,
    figures::{Figures, Percentiles},
};

/// A report for people.
pub(super) fn words(args: &ReplayArgs, figures: &Figures, foreign: &[String]) -> String {
    let mut text = String::new();
    let against = match &args.compare {
        Some(place) => place.to_string(),
        None => "the log".to_owned(),
    };
    let (asked, compared) = (figures.asked, figures.compared);
    let stopped = if figures.interrupted { ", stopped before the end" } else { "" };
    let _ = writeln!(
        text,
        "{asked} requests asked of {}, {compared} compared with {against}{stopped}",
        args.target
    );
    counted(&mut text, "answered by", &figures.answered_by);
    counted(&mut text, "compared with", &figures.compared_with);
    counted(&mut text, "not answered", &figures.failed);
    counted(&mut text, "nothing to compare with", &figures.nothing_to_compare);
    for (path, count) in &figures.left_out {
        let _ = writeln!(
            text,
            "{count} requests lack {path}, which the log left out: their answers may differ for that reason"
        );
    }
    if figures.foreign_lines > 0 {
        let _ = writeln!(text, "{} lines are no requests:", figures.foreign_lines);
        for line in foreign {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let Some(tau) = figures.kendall_tau {
        let _ = writeln!(
            text,
            "Kendall tau           mean {:.4}, median {:.4}, p5 {:.4}, lowest {:.4}",
            tau.mean, tau.p50, tau.p5, tau.min
        );
    }
    share(&mut text, "same order", figures.same_order);
    share(&mut text, "same first item", figures.same_first);
    share(&mut text, &format!("overlap of the top {}", figures.top), figures.top_overlap);
    if let (Some(mean), Some(largest)) =
        (figures.mean_score_difference, figures.largest_score_difference)
    {
        let _ = writeln!(text, "scores differ by      {mean:.6} in the mean, {largest:.6} at most");
    }
    times(&mut text, "in the server", figures, ("target_server", "compared_server"));
    times(&mut text, "for the caller", figures, ("target_client", "compared_client"));
    text
}

fn counted(text: &mut String, what: &str, counts: &BTreeMap<String, u64>) {
    for (name, count) in counts {
        let _ = writeln!(text, "  {what}: {name} ({count})");
    }
}

fn share(text: &mut String, what: &str, share: Option<f64>) {
    if let Some(share) = share {
        let _ = writeln!(text, "{what:<21} {:.2} %", 100.0 * share);
    }
}

/// The times of both, and how many times the other's the target's are.
fn times(text: &mut String, what: &str, figures: &Figures, (now, then): (&str, &str)) {
    let of = |name: &str| figures.latency_ms.get(name).copied().flatten();
    let told = |p: Percentiles| format!("p50 {:.2}, p95 {:.2}, p99 {:.2} ms", p.p50, p.p95, p.p99);
    match (of(now), of(then)) {
        (Some(now), Some(then)) => {
            let ratio = |now: f64, then: f64| if then > 0.0 { now / then } else { f64::NAN };
            let _ = writeln!(
                text,
                "{what:<21} {}; before {}; {:.2}, {:.2}, {:.2} times as long",
                told(now),
                told(then),
                ratio(now.p50, then.p50),
                ratio(now.p95, then.p95),
                ratio(now.p99, then.p99)
            );
        }
        (Some(now), None) => {
            let _ = writeln!(text, "{what:<21} {}", told(now));
        }
        _ => {}
    }
}
