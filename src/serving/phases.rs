//! How long versions took on their way, and how many steps all of them have taken.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{ids::ModelId, serving::life::State};

/// The states whose time is told.
const TIMED: [State; 3] = [State::Verifying, State::Loading, State::Warming];

#[derive(Debug)]
struct Way {
    state: State,
    since: Instant,
    took: BTreeMap<State, Duration>,
}

/// What is noted of steps; of a version that is forgotten nothing stays but the number of its steps.
#[derive(Debug, Default)]
pub(super) struct Phases {
    ways: BTreeMap<ModelId, Way>,
    steps: BTreeMap<State, u64>,
}

impl Phases {
    /// Notes that a version has come to a state.
    pub(super) fn step(&mut self, id: &ModelId, state: State, now: Instant) {
        *self.steps.entry(state).or_default() += 1;
        let new = || Way { state, since: now, took: BTreeMap::new() };
        let way = self.ways.entry(id.clone()).or_insert_with(new);
        if TIMED.contains(&way.state) && way.state != state {
            way.took.insert(way.state, now.saturating_duration_since(way.since));
        }
        (way.state, way.since) = (state, now);
    }

    /// Forgets a version.
    pub(super) fn forget(&mut self, id: &ModelId) {
        self.ways.remove(id);
    }

    /// How long each version was in each of those states when it last left it.
    pub(super) fn took(&self) -> Vec<(ModelId, State, Duration)> {
        let of_way = |(id, way): (&ModelId, &Way)| {
            let id = id.clone();
            let took = way.took.clone().into_iter();
            took.map(move |(state, took)| (id.clone(), state, took))
        };
        self.ways.iter().flat_map(of_way).collect()
    }

    /// Steps so far, by the state that they led to.
    pub(super) fn steps(&self) -> BTreeMap<State, u64> {
        self.steps.clone()
    }
}

#[cfg(test)]
mod tests {
    use crate::ids::{ModelName, Version};

    use super::*;

    #[test]
    fn the_way_is_timed_and_forgotten_with_its_version() {
        let id = ModelId { name: ModelName::parse("m").unwrap(), version: Version(1) };
        let (mut phases, begun) = (Phases::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        let way = [
            (State::Found, 0),
            (State::Verifying, 10),
            (State::Loading, 13),
            (State::Warming, 14),
            (State::Ready, 19),
            (State::Draining, 100),
            (State::Freed, 200),
            (State::Verifying, 300),
        ];
        way.iter().for_each(|(state, at)| phases.step(&id, *state, after(*at)));
        let took: Vec<(State, u64)> =
            phases.took().into_iter().map(|(_, state, took)| (state, took.as_secs())).collect();
        assert_eq!(took, [(State::Verifying, 3), (State::Loading, 1), (State::Warming, 5)]);
        assert_eq!(phases.steps()[&State::Verifying], 2);
        phases.forget(&id);
        assert!(phases.took().is_empty());
        assert_eq!(phases.steps()[&State::Verifying], 2);
    }
}
