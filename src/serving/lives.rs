//! The lives of all versions, for who leads them and for who shows them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    ids::{ModelId, Version},
    serving::{
        history::{Change, History},
        life::{Life, State},
        phases::Phases,
        registry::Route,
    },
};

/// Every version that is in the repository or held, with its state.
#[derive(Debug)]
pub struct Lives {
    all: Mutex<BTreeMap<ModelId, Life>>,
    phases: Mutex<Phases>,
    /// Versions that shall not serve, with the reasons.
    rejected: Mutex<BTreeMap<ModelId, Arc<str>>>,
    /// What is wrong with the repository itself.
    fault: Mutex<Option<String>>,
    history: History,
    news: watch::Sender<()>,
}

impl Default for Lives {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            phases: Mutex::default(),
            rejected: Mutex::default(),
            fault: Mutex::default(),
            history: History::default(),
            news: watch::Sender::new(()),
        }
    }
}

impl Lives {
    /// Begins a version's life, unless it has one.
    pub fn begin(&self, id: &ModelId) {
        let mut all = lock(&self.all);
        if !all.contains_key(id) {
            all.insert(id.clone(), Life { state: State::Found, reason: None });
            lock(&self.phases).step(id, State::Found, Instant::now());
            self.history.stepped(id, (None, State::Found), None);
            self.news.send_replace(());
        }
    }

    /// Takes a version a step further; says whether it may take that step, and leaves it where it is if not.
    pub fn step(&self, id: &ModelId, next: State, reason: Option<&str>) -> bool {
        let mut all = lock(&self.all);
        let now = all.get(id).map(|life| life.state);
        if !now.is_some_and(|now| now.may_become(next)) {
            let now = now.map_or("unknown", State::name);
            tracing::error!(model = %id, %now, %next, "a version cannot take this step; this is a bug");
            return false;
        }
        let told: Option<Arc<str>> = reason.map(Into::into);
        self.history.stepped(id, (now, next), told.as_ref());
        all.insert(id.clone(), Life { state: next, reason: told });
        lock(&self.phases).step(id, next, Instant::now());
        drop(all);
        tracing::debug!(model = %id, state = %next, reason, "a version's life goes on");
        self.news.send_replace(());
        true
    }

    /// Notes where a route leads from now on.
    pub fn note_led(&self, route: &Route, from: Option<Version>, to: Option<Version>) {
        self.history.led(route, from, to);
    }

    /// The last changes of lives and routes, the latest first; there is a bound on how many.
    pub fn recent(&self) -> Vec<Change> {
        self.history.all()
    }

    /// Tells how far a version is in the state that it has.
    pub fn tell(&self, id: &ModelId, how_far: &str) {
        if let Some(life) = lock(&self.all).get_mut(id) {
            life.reason = Some(how_far.into());
        }
        self.news.send_replace(());
    }

    /// Ends the story of a version of which nothing is held.
    pub fn forget(&self, id: &ModelId) {
        let mut all = lock(&self.all);
        if all.get(id).is_some_and(|life| !life.state.is_held()) {
            all.remove(id);
            lock(&self.phases).forget(id);
            self.news.send_replace(());
        }
    }

    /// How long each version took when it was last verified, loaded and warmed.
    pub fn took(&self) -> Vec<(ModelId, State, Duration)> {
        lock(&self.phases).took()
    }

    /// Steps that versions have taken so far, by the state that they came to.
    pub fn steps(&self) -> BTreeMap<State, u64> {
        lock(&self.phases).steps()
    }

    /// The state of a version that has one.
    pub fn state(&self, id: &ModelId) -> Option<State> {
        lock(&self.all).get(id).map(|life| life.state)
    }

    /// All of them, by name and then by version; those that are rejected with the reason, where they have no other.
    pub fn all(&self) -> BTreeMap<ModelId, Life> {
        let mut all = lock(&self.all).clone();
        for (id, reason) in lock(&self.rejected).iter() {
            if let Some(life) = all.get_mut(id) {
                let rejected = || format!("rejected: {reason}").into();
                life.reason = Some(life.reason.take().unwrap_or_else(rejected));
            }
        }
        all
    }

    /// Notes which versions shall not serve, and why.
    pub fn note_rejected(&self, rejected: BTreeMap<ModelId, Arc<str>>) {
        let mut noted = lock(&self.rejected);
        if *noted != rejected {
            *noted = rejected;
            drop(noted);
            self.news.send_replace(());
        }
    }

    /// Notes what is wrong with the repository itself, or that nothing is; says whether that is news.
    pub fn note_fault(&self, fault: Option<String>) -> bool {
        let mut noted = lock(&self.fault);
        let news = *noted != fault;
        *noted = fault;
        drop(noted);
        if news {
            self.tell_news();
        }
        news
    }

    /// What is wrong with the repository itself, while what was known before goes on.
    pub fn fault(&self) -> Option<String> {
        lock(&self.fault).clone()
    }

    /// Tells who waits for news that something else has changed that is shown with the lives.
    pub fn tell_news(&self) {
        self.news.send_replace(());
    }

    /// Tells when something has changed.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crate::ids::{ModelName, Version};

    use super::*;

    fn id(version: u64) -> ModelId {
        ModelId { name: ModelName::parse("m").unwrap(), version: Version(version) }
    }

    #[test]
    fn a_step_that_does_not_exist_changes_nothing() {
        let lives = Lives::default();
        assert!(!lives.step(&id(1), State::Verifying, None), "it was never found");
        lives.begin(&id(1));
        assert!(!lives.step(&id(1), State::Ready, None));
        assert_eq!(lives.state(&id(1)), Some(State::Found));
        assert!(lives.step(&id(1), State::Verifying, None));
        lives.begin(&id(1));
        assert_eq!(lives.state(&id(1)), Some(State::Verifying));
    }

    #[test]
    fn how_far_it_is_goes_with_the_next_step() {
        let lives = Lives::default();
        lives.tell(&id(1), "nobody knows it");
        assert!(lives.all().is_empty());
        lives.begin(&id(1));
        let news = lives.news();
        lives.tell(&id(1), "1 of 2");
        assert!(news.has_changed().unwrap());
        assert_eq!(lives.all()[&id(1)].reason.as_deref(), Some("1 of 2"));
        lives.step(&id(1), State::Verifying, None);
        assert_eq!(lives.all()[&id(1)].reason, None);
    }

    #[test]
    fn why_a_version_is_rejected_is_shown_where_nothing_else_is() {
        let lives = Lives::default();
        [1, 2].iter().for_each(|version| lives.begin(&id(*version)));
        lives.step(&id(2), State::Failed, Some("it is broken"));
        let rejected = [1, 2, 3].map(|version| (id(version), "it was worse".into()));
        lives.note_rejected(rejected.into());
        let reasons = lives.all().into_values().map(|life| life.reason.unwrap().to_string());
        assert_eq!(reasons.collect::<Vec<_>>(), ["rejected: it was worse", "it is broken"]);
        lives.note_rejected(BTreeMap::new());
        assert_eq!(lives.all()[&id(1)].reason, None);
    }

    #[test]
    fn what_is_held_is_not_forgotten() {
        let lives = Lives::default();
        lives.begin(&id(1));
        lives.step(&id(1), State::Verifying, None);
        lives.forget(&id(1));
        assert_eq!(lives.state(&id(1)), Some(State::Verifying));
        lives.step(&id(1), State::Failed, Some("why"));
        assert_eq!(lives.all()[&id(1)].reason.as_deref(), Some("why"));
        lives.forget(&id(1));
        assert_eq!(lives.state(&id(1)), None);
    }
}
