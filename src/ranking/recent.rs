//! The last requests of a model, without who asked: what a new version is warmed up with and held against.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    batching::Priority,
    ids::{CallerName, ModelName},
    ranking::request::{Column, ModelChoice, RankRequest, User, Values},
    serving::Selector,
};

/// How long the next request is not kept after one was, once there are as many as are kept.
const PAUSE: Duration = Duration::from_millis(250);

/// Requests that take more than so many bytes are not kept.
const MOST_BYTES_OF_ONE: usize = 256 << 10;

/// Bytes that the kept requests of one model take together.
const MOST_BYTES: usize = 8 << 20;

/// The last requests of each model.
#[derive(Debug)]
pub struct RecentByModel {
    /// Requests that are kept of each.
    most: usize,
    all: Mutex<BTreeMap<ModelName, Weak<RecentRequests>>>,
}

impl RecentByModel {
    /// Keeps so many requests of each model.
    pub fn new(most: usize) -> Self {
        Self { most, all: Mutex::default() }
    }

    /// Those of one model, which all of its versions share; they go when its last version does.
    pub fn of(&self, name: &ModelName) -> Arc<RecentRequests> {
        let mut all = lock(&self.all);
        all.retain(|_, requests| requests.strong_count() > 0);
        let known = all.get(name).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let new = Arc::new(RecentRequests::new(self.most));
            all.insert(name.clone(), Arc::downgrade(&new));
            new
        })
    }
}

/// The last requests of one model that were answered, in memory only; nobody sees from them who asked.
pub struct RecentRequests {
    most: usize,
    begun: Instant,
    /// Before so many microseconds after the beginning nothing is kept.
    due_us: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Oldest first, each with its size in bytes.
    requests: VecDeque<(Arc<RankRequest>, usize)>,
    bytes: usize,
}

impl RecentRequests {
    /// Keeps so many requests.
    pub fn new(most: usize) -> Self {
        let due_us = AtomicU64::new(0);
        Self { most, begun: Instant::now(), due_us, kept: Mutex::default() }
    }

    /// Keeps a request that was answered, if one is due; costs a look at the clock where none is, and never waits.
    pub fn offer(&self, request: &RankRequest) {
        if self.most == 0 {
            return;
        }
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let due = self.due_us.load(Ordering::Relaxed);
        // Who names a version means that one, and says nothing of what others are asked.
        if now < due || matches!(request.model.selector, Selector::Version(_)) {
            return;
        }
        let bytes = bytes_of(request);
        if bytes > MOST_BYTES_OF_ONE {
            return;
        }
        let Ok(mut kept) = self.kept.try_lock() else { return };
        if self.due_us.load(Ordering::Relaxed) != due {
            return;
        }
        kept.add((Arc::new(without_who_asked(request)), bytes), self.most);
        if kept.requests.len() == self.most {
            self.due_us.store(now + PAUSE.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// All of them, the latest first.
    pub fn latest_first(&self) -> Vec<Arc<RankRequest>> {
        lock(&self.kept).requests.iter().rev().map(|(request, _)| Arc::clone(request)).collect()
    }
}

/// Tells no request: what users look for is not for the log.
impl fmt::Debug for RecentRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentRequests").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Kept {
    fn add(&mut self, new: (Arc<RankRequest>, usize), most: usize) {
        self.bytes += new.1;
        self.requests.push_back(new);
        while self.requests.len() > most || self.bytes > MOST_BYTES {
            let Some((_, bytes)) = self.requests.pop_front() else { break };
            self.bytes -= bytes;
        }
    }
}

/// What a request asks, without the user's id, the caller's name and the caller's id of it; to be run when nobody waits.
pub(super) fn without_who_asked(request: &RankRequest) -> RankRequest {
    RankRequest {
        request_id: String::new(),
        model: ModelChoice::default(),
        user: User {
            id: String::new(),
            history: request.user.history.clone(),
            embedding: request.user.embedding.clone(),
        },
        query: request.query.clone(),
        context: request.context.clone(),
        candidates: request.candidates.clone(),
        top_k: request.top_k,
        priority: Some(Priority(Priority::LOWEST)),
        allow_partial: false,
        require_user_state: false,
        caller: CallerName::default(),
    }
}

/// What a request takes in memory, within a few bytes for each of its parts.
fn bytes_of(request: &RankRequest) -> usize {
    let columns = request.context.iter().chain(&request.candidates.columns);
    let columns: usize = columns.map(bytes_of_column).sum();
    let history: usize = request.user.history.iter().map(|event| event.item.len() + 48).sum();
    let embedding = request.user.embedding.as_ref().map_or(0, |given| given.values.len() * 4);
    let ids = request.candidates.ids.bytes() + request.candidates.ids.len() * 8;
    let prior = request.candidates.prior_scores.len() * 4;
    size_of::<RankRequest>() + request.query.len() + columns + history + embedding + ids + prior
}

fn bytes_of_column(column: &Column) -> usize {
    let values = match &column.values {
        Values::Floats(all) => all.len() * 4,
        Values::Ints(all) => all.len() * 8,
        Values::Strings(all) => all.bytes() + all.len() * 8,
        Values::Vectors { values, .. } => values.len() * 4,
    };
    size_of::<Column>() + column.name.len() + values
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crate::{
        ranking::request::Candidates,
        users::{Event, EventKind},
    };

    use super::*;

    fn asked(query: &str) -> RankRequest {
        RankRequest { query: query.to_owned(), ..RankRequest::default() }
    }

    fn queries(recent: &RecentRequests) -> Vec<String> {
        recent.latest_first().iter().map(|request| request.query.clone()).collect()
    }

    #[test]
    fn the_last_ones_are_kept_and_once_there_are_enough_only_now_and_then() {
        let recent = RecentRequests::new(3);
        ["a", "b", "c", "d", "e"].iter().for_each(|query| recent.offer(&asked(query)));
        assert_eq!(queries(&recent), ["c", "b", "a"]);
        recent.due_us.store(0, Ordering::Relaxed);
        recent.offer(&asked("f"));
        recent.offer(&asked("g"));
        assert_eq!(queries(&recent), ["f", "c", "b"]);
    }

    #[test]
    fn nobody_sees_who_asked() {
        let recent = RecentRequests::new(3);
        let event = Event { item: "milk".into(), kind: EventKind::View, time: 1 };
        recent.offer(&RankRequest {
            request_id: "secret-request".to_owned(),
            user: User { id: "secret-user".to_owned(), history: vec![event], embedding: None },
            caller: CallerName::parse("secret-caller").unwrap(),
            require_user_state: true,
            ..asked("a")
        });
        let kept = &recent.latest_first()[0];
        assert!(!format!("{kept:?}").contains("secret"), "{kept:?}");
        assert_eq!(kept.user.history.len(), 1);
        assert!(!kept.require_user_state, "it would be refused without a user");
        assert!(!format!("{recent:?}").contains("milk"));
    }

    #[track_caller]
    fn check_kept(request: &RankRequest, want: bool) {
        let recent = RecentRequests::new(3);
        recent.offer(request);
        assert_eq!(recent.latest_first().len(), usize::from(want));
    }

    #[test]
    fn large_requests_and_those_that_name_a_version_are_left_out() {
        let choose = |selector| ModelChoice { name: "m".to_owned(), selector };
        check_kept(&RankRequest { model: choose(Selector::Live), ..asked("a") }, true);
        check_kept(
            &RankRequest { model: choose(Selector::Label("x".to_owned())), ..asked("a") },
            true,
        );
        check_kept(&RankRequest { model: choose(Selector::Version(1)), ..asked("a") }, false);
        let with = |count: usize| {
            let values = Values::Floats(vec![0.0; count]);
            let columns = vec![Column { name: "x".to_owned(), values }];
            let candidates = Candidates { columns, ..Candidates::default() };
            RankRequest { candidates, ..asked("a") }
        };
        check_kept(&with(MOST_BYTES_OF_ONE / 8), true);
        check_kept(&with(MOST_BYTES_OF_ONE / 4), false);
        let none = RecentRequests::new(0);
        none.offer(&asked("a"));
        assert!(none.latest_first().is_empty());
    }

    #[test]
    fn together_they_have_a_bound() {
        let recent = RecentRequests::new(1000);
        let text = "x".repeat(MOST_BYTES_OF_ONE / 2);
        for _ in 0..200 {
            recent.offer(&asked(&text));
        }
        let kept = lock(&recent.kept);
        let sum: usize = kept.requests.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(kept.bytes, sum);
        assert!((MOST_BYTES * 9 / 10..=MOST_BYTES).contains(&sum), "{sum}");
    }

    #[test]
    fn versions_of_a_model_share_them_and_they_go_with_the_last() {
        let all = RecentByModel::new(3);
        let name = ModelName::parse("m").unwrap();
        let first = all.of(&name);
        first.offer(&asked("a"));
        let second = all.of(&name);
        drop(first);
        assert_eq!(queries(&second), ["a"]);
        drop(second);
        assert!(queries(&all.of(&name)).is_empty());
    }
}
