//! What has been counted of a version, as the protocol's clients read it.

use crate::{
    ids::ModelId,
    ranking::{Model, RequestFigures, STAGES},
    telemetry::Distribution,
    transport::pb::inference::{InferStatistics, ModelStatistics, StatisticDuration},
};

/// What was counted of a version since it was loaded. What is not counted is empty.
pub(super) fn statistics(id: &ModelId, model: &Model) -> ModelStatistics {
    let counts = model.handle().counts();
    ModelStatistics {
        name: id.name.to_string(),
        version: id.version.to_string(),
        last_inference: model.handle().last_run_ms(),
        inference_count: counts.rows,
        execution_count: counts.batches,
        inference_stats: Some(of_requests(model.figures())),
        batch_stats: Vec::new(),
    }
}

fn of_requests(figures: &RequestFigures) -> InferStatistics {
    let (mut success, mut fail) = (StatisticDuration::default(), StatisticDuration::default());
    for ((code, _), durations) in figures.durations() {
        add(if code == 0 { &mut success } else { &mut fail }, &durations);
    }
    let stages = |names: &[&str]| {
        let mut sum = StatisticDuration::default();
        for (_, durations) in
            STAGES.iter().zip(&figures.stages).filter(|(name, _)| names.contains(name))
        {
            let StatisticDuration { count, ns } = of(&durations.read());
            sum = StatisticDuration { count: sum.count.max(count), ns: sum.ns + ns };
        }
        Some(sum)
    };
    InferStatistics {
        success: Some(success),
        fail: Some(fail),
        queue: stages(&["queue"]),
        compute_input: stages(&["features", "batch"]),
        compute_infer: stages(&["run"]),
        compute_output: stages(&["scatter", "select"]),
        cache_hit: Some(StatisticDuration::default()),
        cache_miss: Some(StatisticDuration::default()),
    }
}

fn add(sum: &mut StatisticDuration, durations: &Distribution) {
    let StatisticDuration { count, ns } = of(durations);
    sum.count += count;
    sum.ns += ns;
}

fn of(durations: &Distribution) -> StatisticDuration {
    StatisticDuration { count: durations.counts.iter().sum(), ns: (durations.sum * 1e9) as u64 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(duration: Option<StatisticDuration>) -> (u64, u64) {
        duration.map_or((0, 0), |told| (told.count, told.ns / 1_000_000))
    }

    #[test]
    fn times_are_summed_by_what_they_were_spent_on() {
        let figures = RequestFigures::default();
        let record = |code, ms| {
            let cell = figures.duration(code, (0, 1)).unwrap();
            cell.record_time(Duration::from_millis(ms));
        };
        record(0, 5);
        record(0, 6);
        record(1, 7);
        record(4, 8);
        for (stage, ms) in figures.stages.iter().zip(1..) {
            stage.record_time(Duration::from_millis(ms));
        }
        let told_all = of_requests(&figures);
        assert_eq!(told(told_all.success), (2, 11));
        assert_eq!(told(told_all.fail), (2, 15));
        assert_eq!(told(told_all.queue), (1, 5));
        assert_eq!(told(told_all.compute_input), (1, 10), "features and batch");
        assert_eq!(told(told_all.compute_infer), (1, 7));
        assert_eq!(told(told_all.compute_output), (1, 17), "scatter and select");
    }
}
