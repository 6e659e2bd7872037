//! What a replay found, in figures.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    cli::replay::{
        answer::{Answer, Answered},
        pair::Pair,
    },
    observing::Entry,
};

/// The most different reasons and fields that are told apart.
const MOST_REASONS: usize = 64;

/// Collects pairs of answers.
#[derive(Debug, Default)]
pub(super) struct Collected {
    asked: u64,
    pairs: Vec<Pair>,
    /// Answers of the target that have a partner, and their partners.
    times: [Times; 2],
    failed: BTreeMap<String, u64>,
    failed_before: BTreeMap<String, u64>,
    left_out: BTreeMap<String, u64>,
    answered_by: BTreeMap<String, u64>,
    compared_with: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Times {
    client_us: Vec<u64>,
    server_us: Vec<u64>,
}

impl Times {
    fn add(&mut self, answer: &Answer) {
        self.client_us.extend(answer.client_us);
        self.server_us.push(answer.server_us);
    }
}

/// What a replay found.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// Requests that were asked.
    pub(super) asked: u64,
    /// Those that both have answered.
    pub(super) compared: u64,
    /// Lines that are no requests.
    pub(super) foreign_lines: u64,
    /// Whether it was stopped before its end.
    pub(super) interrupted: bool,
    /// How many the target did not answer, by reason.
    pub(super) failed: BTreeMap<String, u64>,
    /// How many had no answer to compare with, by reason.
    pub(super) nothing_to_compare: BTreeMap<String, u64>,
    /// Requests of which something is not in the log, by what it is.
    pub(super) left_out: BTreeMap<String, u64>,
    /// Who answered now, and then.
    pub(super) answered_by: BTreeMap<String, u64>,
    /// Whose answers those are compared with.
    pub(super) compared_with: BTreeMap<String, u64>,
    /// Kendall's tau of the orders.
    pub(super) kendall_tau: Option<Spread>,
    /// The share of requests whose order is the same throughout.
    pub(super) same_order: Option<f64>,
    /// The share whose best item is the same.
    pub(super) same_first: Option<f64>,
    /// How many items count as the best.
    pub(super) top: u16,
    /// The mean share of the best items that are among the best.
    pub(super) top_overlap: Option<f64>,
    /// The mean of the differences of scores.
    pub(super) mean_score_difference: Option<f64>,
    /// The largest one.
    pub(super) largest_score_difference: Option<f64>,
    /// Times of the target, and of what it is compared with.
    pub(super) latency_ms: BTreeMap<&'static str, Option<Percentiles>>,
}

/// How values lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p5: f64,
    pub(super) min: f64,
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

impl Collected {
    /// Takes in what came of one request.
    pub(super) fn add(&mut self, entry: &Entry, (answer, by): (&Answered, &Answered), top: u16) {
        self.asked += 1;
        entry.left_out.iter().for_each(|path| count(&mut self.left_out, path));
        for (answered, who, failed) in [
            (answer, &mut self.answered_by, &mut self.failed),
            (by, &mut self.compared_with, &mut self.failed_before),
        ] {
            match answered {
                Ok(answer) => count(who, &answer.by),
                Err(reason) => count(failed, reason),
            }
        }
        if let (Ok(answer), Ok(by)) = (answer, by) {
            self.pairs.push(Pair::of(answer, by, top.into()));
            self.times[0].add(answer);
            self.times[1].add(by);
        }
    }

    /// The figures of all of them.
    pub(super) fn figures(self, top: u16, foreign_lines: u64, interrupted: bool) -> Figures {
        let pairs = &self.pairs;
        let share = |one: &dyn Fn(&Pair) -> Option<bool>| {
            mean(&pairs.iter().filter_map(one).map(f64::from).collect::<Vec<_>>())
        };
        let differences: Vec<(f64, f64)> =
            pairs.iter().filter_map(|pair| pair.score_difference).collect();
        let means: Vec<f64> = differences.iter().map(|(mean, _)| *mean).collect();
        let [now, then] = self.times;
        Figures {
            asked: self.asked,
            compared: pairs.len() as u64,
            foreign_lines,
            interrupted,
            kendall_tau: spread(pairs.iter().filter_map(|pair| pair.tau).collect()),
            same_order: share(&|pair| Some(pair.is_same_order)),
            same_first: share(&|pair| pair.is_same_first),
            top,
            top_overlap: mean(&pairs.iter().filter_map(|pair| pair.overlap).collect::<Vec<_>>()),
            mean_score_difference: mean(&means),
            largest_score_difference: differences.iter().map(|(_, most)| *most).reduce(f64::max),
            latency_ms: BTreeMap::from([
                ("target_client", percentiles(now.client_us)),
                ("target_server", percentiles(now.server_us)),
                ("compared_client", percentiles(then.client_us)),
                ("compared_server", percentiles(then.server_us)),
            ]),
            failed: self.failed,
            nothing_to_compare: self.failed_before,
            left_out: self.left_out,
            answered_by: self.answered_by,
            compared_with: self.compared_with,
        }
    }
}

fn count(of: &mut BTreeMap<String, u64>, what: &str) {
    let what = match of.contains_key(what) || of.len() < MOST_REASONS {
        true => what,
        false => "others",
    };
    *of.entry(what.to_owned()).or_default() += 1;
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The smallest value that at least such a share of the values do not exceed.
fn at_share<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_unstable_by(f64::total_cmp);
    let (mean, min) = (mean(&values)?, *values.first()?);
    Some(Spread { mean, p50: at_share(&values, 0.5)?, p5: at_share(&values, 0.05)?, min })
}

fn percentiles(mut us: Vec<u64>) -> Option<Percentiles> {
    us.sort_unstable();
    let ms = |share| at_share(&us, share).map(|us| us as f64 / 1000.0);
    Some(Percentiles { p50: ms(0.5)?, p95: ms(0.95)?, p99: ms(0.99)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(order: &[u32], server_us: u64) -> Answered {
        let score = |place: usize| Some(1.0 - place as f32 / 8.0);
        let items = order.iter().enumerate().map(|(place, at)| (*at, score(place)));
        let by = "m version 1".to_owned();
        Ok(Answer { items: items.collect(), by, server_us, client_us: None })
    }

    #[test]
    fn what_was_found_is_counted() {
        let mut collected = Collected::default();
        let entry = Entry { left_out: vec!["query".to_owned()], ..Entry::default() };
        let gone: Answered = Err("Unavailable".to_owned());
        collected.add(&entry, (&answer(&[0, 1], 2000), &answer(&[0, 1], 1000)), 1);
        collected.add(&entry, (&answer(&[1, 0], 4000), &answer(&[0, 1], 1000)), 1);
        collected.add(&Entry::default(), (&gone, &answer(&[0, 1], 9)), 1);
        collected.add(&Entry::default(), (&answer(&[0, 1], 9), &Err("LEFT".to_owned())), 1);
        let figures = collected.figures(1, 3, true);
        assert_eq!((figures.asked, figures.compared, figures.foreign_lines), (4, 2, 3));
        assert_eq!(figures.kendall_tau, Some(Spread { mean: 0.0, p50: -1.0, p5: -1.0, min: -1.0 }));
        assert_eq!((figures.same_order, figures.same_first), (Some(0.5), Some(0.5)));
        assert_eq!((figures.top_overlap, figures.left_out["query"]), (Some(0.5), 2));
        assert_eq!(figures.largest_score_difference, Some(0.125));
        assert_eq!((figures.failed["Unavailable"], figures.nothing_to_compare["LEFT"]), (1, 1));
        let server = figures.latency_ms["target_server"].unwrap();
        assert_eq!((server.p50, server.p99), (2.0, 4.0));
        assert_eq!(figures.latency_ms["target_client"], None);
        assert_eq!(Collected::default().figures(1, 0, false).kendall_tau, None);
    }
}
