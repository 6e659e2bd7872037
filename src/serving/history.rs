//! What has become of versions and routes lately.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::{
    ids::{ModelId, ModelName, Version},
    serving::{life::State, registry::Route},
};

/// Changes that are kept; the oldest goes for a new one.
const MOST_CHANGES: usize = 100;

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// A version has taken a step in its life.
    Life {
        /// The version.
        version: Version,
        /// Its state before; none at its beginning.
        from: Option<State>,
        /// Its state since.
        to: State,
        /// Why, where there is something to say.
        reason: Option<Arc<str>>,
    },
    /// A route leads to another version.
    Route {
        /// The label; none: requests that name neither version nor label.
        label: Option<Arc<str>>,
        /// Where it led; none: to the highest version, or nowhere.
        from: Option<Version>,
        /// Where it leads.
        to: Option<Version>,
    },
}

/// A change, and when it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When it was.
    pub at: SystemTime,
    /// The model.
    pub model: ModelName,
    /// What has changed.
    pub changed: Changed,
}

/// The last changes.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Change>>);

impl History {
    /// Notes a step of a version's life.
    pub(super) fn stepped(
        &self,
        id: &ModelId,
        (from, to): (Option<State>, State),
        reason: Option<&Arc<str>>,
    ) {
        let (version, reason) = (id.version, reason.cloned());
        self.push(&id.name, Changed::Life { version, from, to, reason });
    }

    /// Notes where a route leads.
    pub(super) fn led(&self, route: &Route, from: Option<Version>, to: Option<Version>) {
        if from != to {
            let label = route.label.clone();
            self.push(&route.model, Changed::Route { label, from, to });
        }
    }

    fn push(&self, model: &ModelName, changed: Changed) {
        let change = Change { at: SystemTime::now(), model: model.clone(), changed };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == MOST_CHANGES {
            all.pop_front();
        }
        all.push_back(change);
    }

    /// The last changes, the latest first.
    pub(super) fn all(&self) -> Vec<Change> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_changes_are_kept() {
        let history = History::default();
        let model = ModelName::parse("m").unwrap();
        for version in 1..=MOST_CHANGES as u64 + 3 {
            let id = ModelId { name: model.clone(), version: Version(version) };
            history.stepped(&id, (None, State::Found), None);
        }
        history.led(&Route::live(&model), Some(Version(1)), Some(Version(2)));
        history.led(&Route::live(&model), Some(Version(2)), Some(Version(2)));
        let all = history.all();
        assert_eq!(all.len(), MOST_CHANGES);
        let led = Changed::Route { label: None, from: Some(Version(1)), to: Some(Version(2)) };
        assert_eq!(all[0].changed, led);
        let oldest = &all[MOST_CHANGES - 1].changed;
        assert!(matches!(oldest, Changed::Life { version: Version(5), .. }), "{oldest:?}");
    }
}
