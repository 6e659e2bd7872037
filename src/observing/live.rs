//! Live figures of the last seconds, out of each request that ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use crate::{
    batching::{BatchEnd, BatchNote},
    ids::{ModelId, ModelName, Version},
    observing::{
        figures::{Figures, LiveFigures, ModelFigures},
        finished::Finished,
        second::Counted,
        slowest::Slowest,
        window::{KEPT, Window},
    },
    telemetry::{LiveOptions, TraceContext},
};

/// A series without a request for so many seconds goes.
const FORGOTTEN_AFTER: u64 = 300;

/// Most versions that are told apart; further ones count to no version.
const MOST_SERIES: usize = 256;

type Series = Arc<Mutex<Window>>;

/// Live figures of the last seconds; taking in a request costs a look-up and an uncontended lock.
#[derive(Debug)]
pub struct Live {
    begun: Instant,
    /// Requests that came to no version.
    nowhere: Series,
    by_version: RwLock<HashMap<ModelId, Series, ahash::RandomState>>,
    slowest: Slowest,
}

impl Live {
    /// Begins to count.
    pub fn new(options: &LiveOptions) -> Self {
        Self {
            begun: Instant::now(),
            nowhere: Series::default(),
            by_version: RwLock::default(),
            slowest: Slowest::new(options),
        }
    }

    /// When it began to count.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Takes in a request that has ended.
    pub(super) fn note(&self, finished: &Finished) {
        let second = self.second(finished.ended);
        let notes = &finished.notes;
        let series = match &notes.model {
            Some(id) => self.series(id),
            None => Arc::clone(&self.nowhere),
        };
        let mut window = lock(&series);
        let counted = window.at(second);
        counted.request(finished);
        let own = notes.trip.notes.iter().filter(|note| tells_of(note, &notes.trace));
        own.for_each(|note| counted.batch(note));
        drop(window);
        for note in notes.user.trip.notes.iter().filter(|note| tells_of(note, &notes.trace)) {
            if let Some(encoder) = id_of(&note.model) {
                lock(&self.series(&encoder)).at(second).batch(note);
            }
        }
        self.slowest.offer(finished);
    }

    /// The figures now.
    pub fn figures(&self) -> LiveFigures {
        self.figures_at(Instant::now())
    }

    fn figures_at(&self, now: Instant) -> LiveFigures {
        let second = self.second(now);
        let all = self.all(second);
        let sum = |of: &[&Window], seconds: u64| self.sum(of, (second, now), seconds);
        let models = all.iter().map(|(id, own)| ModelFigures {
            name: id.as_ref().map(|id| id.name.to_string()).unwrap_or_default(),
            version: id.as_ref().map_or(0, |id| id.version.0),
            last_10_s: sum(&[own], 10),
            last_60_s: sum(&[own], 60),
        });
        let models = models
            .filter(|model| model.last_60_s.requests > 0 || model.last_60_s.batches.batches > 0)
            .collect();
        let windows: Vec<&Window> = all.iter().map(|(_, window)| window).collect();
        let oldest = (second + 1).saturating_sub(KEPT);
        let per_second = (oldest..second).map(|second| {
            let mut sum = Counted::default();
            windows.iter().for_each(|window| window.add_to(&mut sum, (second, second)));
            sum.second()
        });
        LiveFigures {
            last_10_s: sum(&windows, 10),
            last_60_s: sum(&windows, 60),
            models,
            per_second: per_second.collect(),
            slowest: self.slowest.all(now),
        }
    }

    /// The figures of the last seconds, of which the last one still goes on.
    fn sum(&self, windows: &[&Window], (second, now): (u64, Instant), seconds: u64) -> Figures {
        let from = (second + 1).saturating_sub(seconds);
        let mut sum = Counted::default();
        windows.iter().for_each(|window| window.add_to(&mut sum, (from, second)));
        let since_begun = now.saturating_duration_since(self.begun).as_secs_f64();
        sum.figures((since_begun - from as f64).max(0.001))
    }

    fn second(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.begun).as_secs()
    }

    fn series(&self, id: &ModelId) -> Series {
        let known = self.by_version.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(id) {
            return Arc::clone(series);
        }
        drop(known);
        let mut all = self.by_version.write().unwrap_or_else(PoisonError::into_inner);
        match all.len() >= MOST_SERIES && !all.contains_key(id) {
            true => Arc::clone(&self.nowhere),
            false => Arc::clone(all.entry(id.clone()).or_default()),
        }
    }

    /// Copies of all series, by name and version; those that have been silent for long are forgotten.
    fn all(&self, second: u64) -> Vec<(Option<ModelId>, Window)> {
        let known = self.by_version.read().unwrap_or_else(PoisonError::into_inner);
        let copy = |(id, series): (&ModelId, &Series)| (Some(id.clone()), Arc::clone(series));
        let mut all: Vec<(Option<ModelId>, Series)> = known.iter().map(copy).collect();
        drop(known);
        all.push((None, Arc::clone(&self.nowhere)));
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        // Each is locked for as long as copying it takes.
        let copied = all.iter().map(|(id, series)| (id.clone(), lock(series).clone()));
        let copied: Vec<(Option<ModelId>, Window)> = copied.collect();
        let silent = |window: &Window| window.last() + FORGOTTEN_AFTER < second;
        if copied.iter().any(|(id, window)| id.is_some() && silent(window)) {
            let mut known = self.by_version.write().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, series| !silent(&lock(series)));
        }
        copied
    }
}

/// Whether it is this request that tells of the batch: the first of those in it, so that each batch is counted once.
fn tells_of(note: &BatchNote, trace: &TraceContext) -> bool {
    let first = note.members.first();
    let is_first = first.is_some_and(|first| {
        first.trace.span_id == trace.span_id && first.trace.trace_id == trace.trace_id
    });
    is_first && matches!(note.end(), Some((_, BatchEnd::Ran)))
}

fn id_of(text: &str) -> Option<ModelId> {
    let (name, version) = text.rsplit_once('/')?;
    Some(ModelId { name: ModelName::parse(name)?, version: Version::parse(version)? })
}

fn lock(series: &Series) -> MutexGuard<'_, Window> {
    series.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        batching::Member,
        error_code::ErrorCode,
        ids::CallerName,
        observing::finished::Outcome,
        ranking::{Degraded, Notes, Step, UserState},
    };

    use super::*;

    fn finished(arrival: Instant, ms: u64, model: Option<&str>) -> Finished {
        let notes = Notes {
            model: model.and_then(id_of),
            candidates: 5,
            ..Notes::of(TraceContext::root(false))
        };
        Finished {
            method: "m",
            carried: None,
            arrival,
            ended: arrival + Duration::from_millis(ms),
            request_id: String::new(),
            caller: CallerName::default(),
            validate: Step { begun: Some(arrival), ended: Some(arrival) },
            notes,
            outcome: Outcome::Ranked,
        }
    }

    fn failed(mut one: Finished, code: ErrorCode, reason: &'static str) -> Finished {
        one.outcome = Outcome::Failed { code, reason };
        one
    }

    fn live() -> Live {
        Live::new(&LiveOptions::default())
    }

    #[test]
    fn requests_are_counted_by_version_second_and_reason() {
        let live = live();
        let at = |second| live.begun + Duration::from_secs(second);
        live.note(&finished(at(0), 100, Some("a/1")));
        for ms in [10, 20, 30] {
            live.note(&finished(at(55), ms, Some("a/1")));
        }
        let mut partly = finished(at(55), 40, Some("a/2"));
        partly.notes.degraded = vec![Degraded::ItemsMissing];
        partly.notes.user.state = Some(UserState::Local);
        partly.notes.user.read = Step { begun: Some(at(55)), ended: Some(at(55)) };
        live.note(&partly);
        let refused = failed(finished(at(56), 1, None), ErrorCode::ResourceExhausted, "FULL");
        live.note(&refused);
        live.note(&failed(finished(at(56), 1, Some("a/2")), ErrorCode::Internal, "RUN_FAILED"));

        let told = live.figures_at(at(59) + Duration::from_millis(500));
        let all = &told.last_60_s;
        assert_eq!((all.requests, all.ranked, all.failed, all.refused), (7, 5, 2, 1));
        assert_eq!(all.failures, [("FULL".to_owned(), 1), ("RUN_FAILED".to_owned(), 1)].into());
        assert_eq!(all.degraded, [("ITEMS_MISSING".to_owned(), 1)].into());
        assert_eq!((all.user_lookups, all.user_hit_share), (1, Some(1.0)));
        assert_eq!((told.last_10_s.requests, told.last_10_s.seconds), (6, 9.5));
        assert_eq!(all.seconds, 59.5);
        let names: Vec<(&str, u64, u64)> = told
            .models
            .iter()
            .map(|m| (m.name.as_str(), m.version, m.last_60_s.requests))
            .collect();
        assert_eq!(names, [("", 0, 1), ("a", 1, 4), ("a", 2, 2)]);
        let latency = told.models[1].last_10_s.latency.clone().unwrap();
        assert!((latency.p50_ms - 20.0).abs() < 0.3 && (latency.max_ms - 30.0).abs() < 0.3);
        let seconds: Vec<u64> = told.per_second.iter().map(|one| one.requests).collect();
        assert_eq!((seconds.len(), seconds[0], seconds[55], seconds[56]), (59, 1, 4, 2));
        assert_eq!(told.slowest[0].total_ms, 100.0);
    }

    #[test]
    fn a_minute_later_nothing_is_left() {
        let live = live();
        live.note(&finished(live.begun, 5, Some("a/1")));
        let told = live.figures_at(live.begun + Duration::from_secs(90));
        assert_eq!((told.last_60_s.requests, told.models.len()), (0, 0));
        assert_eq!((told.last_60_s.latency, told.per_second.len()), (None, 60));
        assert_eq!(live.by_version.read().unwrap().len(), 1);
        live.figures_at(live.begun + Duration::from_secs(FORGOTTEN_AFTER + 1));
        assert_eq!(live.by_version.read().unwrap().len(), 0);
    }

    #[test]
    fn a_batch_is_counted_once_with_the_model_that_ran_it() {
        let live = live();
        let mut two = [(); 2].map(|()| finished(live.begun, 5, Some("a/1")));
        let traces: Vec<TraceContext> = two.iter().map(|one| one.notes.trace).collect();
        let note = |model: &str| {
            let mut note = BatchNote::that_ran(live.begun, Duration::from_millis(4));
            let member = |trace: &TraceContext| Member { trace: *trace, units: 3, length: 1 };
            note.members = traces.iter().map(member).collect();
            note.model = model.into();
            (note.facts.units, note.facts.jobs) = (6, 2);
            Arc::new(note)
        };
        let (ranker, encoder) = (note("a/1"), note("e/7"));
        for one in &mut two {
            one.notes.trip.notes.push(Arc::clone(&ranker));
            Arc::make_mut(&mut one.notes.user.trip).notes.push(Arc::clone(&encoder));
            live.note(one);
        }
        let told = live.figures_at(live.begun + Duration::from_millis(100));
        for model in &told.models {
            let batches = &model.last_10_s.batches;
            assert_eq!((batches.batches, batches.rows), (1, 6), "{}", model.name);
            assert_eq!((batches.requests_per_batch, batches.run_ms), (Some(2.0), Some(4.0)));
        }
        assert_eq!(told.models.len(), 2);
    }

    #[test]
    fn there_is_a_bound_on_what_is_told_apart() {
        let live = live();
        for version in 1..=MOST_SERIES + 5 {
            live.note(&finished(live.begun, 1, Some(&format!("a/{version}"))));
        }
        let told = live.figures_at(live.begun + Duration::from_millis(10));
        assert_eq!(told.models.len(), MOST_SERIES + 1);
        assert_eq!((told.models[0].version, told.models[0].last_10_s.requests), (0, 5));
    }
}
