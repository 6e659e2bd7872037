//! What shoppers took after two versions had ordered their candidates: which of the two had it further in front.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ahash::RandomState;
use moka::sync::Cache;

use crate::{
    ids::Version,
    serving::{Pair, Side, Tally},
    texts::Texts,
    users::{EventKind, UserEvents},
};

/// Places of an order that are remembered; what stands behind them counts as nowhere.
const PLACES: usize = 20;

/// Users whose last orders are remembered.
const MOST_USERS: u64 = 20_000;

/// Orders of one user that are remembered.
const MOST_ORDERS: usize = 4;

/// How long after an order an event says something of it.
const MEMORY: Duration = Duration::from_secs(1800);

/// The orders that two versions gave to users' candidates, in the memory of this process and under hashed names.
pub(super) struct Rewards {
    /// Its keys are drawn when the process starts, and are told to nobody.
    hasher: RandomState,
    users: Cache<u64, Arc<[Arc<TwoOrders>]>>,
}

/// The first places of two orders of the same candidates.
struct TwoOrders {
    tally: Arc<Tally>,
    baseline: Version,
    /// Whose order was shown.
    shown: Side,
    unix_s: i64,
    items: Vec<Ranked>,
}

struct Ranked {
    item: u64,
    /// What the version's order is worth if the item is taken, less what the live one's is.
    difference: f64,
    taken: AtomicBool,
}

impl Rewards {
    pub(super) fn new() -> Self {
        let users = Cache::builder().max_capacity(MOST_USERS).time_to_live(MEMORY).build();
        Self { hasher: RandomState::new(), users }
    }

    /// Remembers how two versions ordered a user's candidates; one of the two was shown.
    pub(super) fn remember(
        &self,
        (user, ids): (&str, &Texts),
        (tally, baseline): (&Arc<Tally>, Version),
        shown: Side,
        pair: Pair<'_>,
    ) {
        if user.is_empty() {
            return;
        }
        let orders = TwoOrders {
            tally: Arc::clone(tally),
            baseline,
            shown,
            unix_s: now_unix_s(),
            items: self.ranked(ids, pair),
        };
        let user = self.hasher.hash_one(user);
        let before = self.users.get(&user);
        let before = before.iter().flat_map(|orders| orders.iter().cloned());
        let all = std::iter::once(Arc::new(orders)).chain(before).take(MOST_ORDERS);
        self.users.insert(user, all.collect());
    }

    /// The items among the first places of either order, of those that both scored.
    fn ranked(&self, ids: &Texts, pair: Pair<'_>) -> Vec<Ranked> {
        let (of_baseline, of_version) = (rewards_of(pair.baseline), rewards_of(pair.version));
        let scored = |scores: &[(u32, f32)], at: u32| {
            scores.binary_search_by_key(&at, |(position, _)| *position).is_ok()
        };
        let reward = |rewards: &[(u32, f64)], at: u32| {
            rewards.iter().find(|(position, _)| *position == at).map_or(0.0, |(_, reward)| *reward)
        };
        let mut firsts: Vec<u32> =
            of_baseline.iter().chain(&of_version).map(|(position, _)| *position).collect();
        firsts.sort_unstable();
        firsts.dedup();
        let both =
            firsts.into_iter().filter(|at| scored(pair.baseline, *at) && scored(pair.version, *at));
        let ranked = both.filter_map(|at| {
            Some(Ranked {
                item: self.hasher.hash_one(ids.get(at as usize)?),
                difference: reward(&of_version, at) - reward(&of_baseline, at),
                taken: AtomicBool::new(false),
            })
        });
        ranked.collect()
    }

    /// Counts what users put into their carts or bought, for the latest order that had it; each item of an order once.
    pub(super) fn note(&self, events: &[UserEvents]) {
        for of_user in events {
            let Some(orders) = self.users.get(&self.hasher.hash_one(&*of_user.user)) else {
                continue;
            };
            let taken = of_user.events.iter().map(|named| &named.event);
            for event in taken.filter(|event| event.kind != EventKind::View) {
                let item = self.hasher.hash_one(&*event.item);
                let found = orders.iter().filter(|orders| orders.unix_s <= event.time + 1);
                let found = found.flat_map(|orders| {
                    let ranked = orders.items.iter().filter(|ranked| ranked.item == item);
                    ranked.map(move |ranked| (orders, ranked))
                });
                if let Some((orders, ranked)) = found.into_iter().next()
                    && !ranked.taken.swap(true, Ordering::Relaxed)
                {
                    orders.tally.reward(orders.baseline, orders.shown, ranked.difference);
                }
            }
        }
    }

    /// Lets go of a user.
    pub(super) fn forget(&self, user: &str) {
        self.users.invalidate(&self.hasher.hash_one(user));
    }
}

/// The reciprocal ranks of the first places of an order, by position.
fn rewards_of(scores: &[(u32, f32)]) -> Vec<(u32, f64)> {
    let mut order = scores.to_vec();
    order.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let firsts = order.into_iter().take(PLACES).enumerate();
    firsts.map(|(rank, (position, _))| (position, 1.0 / (rank + 1) as f64)).collect()
}

fn now_unix_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::users::{Event, EventDigest, NamedEvent};

    use super::*;

    const LIVE: Version = Version(1);

    fn took(user: &str, item: &str, kind: EventKind, time: i64) -> Vec<UserEvents> {
        let event = Event { item: item.into(), kind, time };
        let events = vec![NamedEvent { digest: EventDigest::of(item), event }];
        vec![UserEvents { user: user.into(), events }]
    }

    /// Orders `a b c`, of which the live version has `a` in front and the other one `c`, shown by the live one.
    fn remembered() -> (Rewards, Arc<Tally>) {
        let (rewards, tally) = (Rewards::new(), Arc::new(Tally::new(10)));
        let ids: Texts = ["a", "b", "c"].into_iter().collect();
        let pair = Pair {
            baseline: &[(0, 3.0), (1, 2.0), (2, 1.0)],
            version: &[(0, 1.0), (1, 2.0), (2, 3.0)],
        };
        rewards.remember(("anna", &ids), (&tally, LIVE), Side::Baseline, pair);
        rewards.users.run_pending_tasks();
        (rewards, tally)
    }

    #[track_caller]
    fn check(events: &[Vec<UserEvents>], want: (u64, f64)) {
        let (rewards, tally) = remembered();
        events.iter().for_each(|events| rewards.note(events));
        let got = tally.evidence();
        assert_eq!((got.rewards, got.reward.value), want);
    }

    #[test]
    fn what_is_taken_rewards_who_had_it_further_in_front() {
        use EventKind::{Cart, Purchase, View};
        let now = now_unix_s();
        let third = 1.0 / 3.0;
        check(&[took("anna", "c", Purchase, now)], (1, 1.0 - third));
        check(&[took("anna", "a", Cart, now)], (1, third - 1.0));
        check(&[took("anna", "b", Purchase, now)], (1, 0.0));
        let twice = [took("anna", "c", Cart, now), took("anna", "c", Purchase, now)];
        check(&twice, (1, 1.0 - third));
        for nothing in [
            took("anna", "c", View, now),
            took("anna", "d", Purchase, now),
            took("berta", "c", Purchase, now),
            took("anna", "c", Purchase, now - 60),
        ] {
            check(&[nothing], (0, 0.0));
        }
    }

    #[test]
    fn who_is_erased_is_forgotten() {
        let (rewards, tally) = remembered();
        rewards.forget("anna");
        rewards.note(&took("anna", "c", EventKind::Purchase, now_unix_s()));
        assert_eq!(tally.evidence().rewards, 0);
    }

    #[test]
    fn a_user_has_a_few_orders_and_the_latest_counts() {
        let (rewards, old) = remembered();
        let new = Arc::new(Tally::new(10));
        let ids: Texts = ["a", "c"].into_iter().collect();
        let pair = Pair { baseline: &[(0, 2.0), (1, 1.0)], version: &[(0, 1.0), (1, 2.0)] };
        for _ in 0..9 {
            rewards.remember(("anna", &ids), (&new, LIVE), Side::Version, pair);
        }
        rewards.users.run_pending_tasks();
        rewards.note(&took("anna", "c", EventKind::Purchase, now_unix_s()));
        assert_eq!((old.evidence().rewards, new.evidence().rewards), (0, 1));
        let kept = rewards.users.get(&rewards.hasher.hash_one("anna")).unwrap();
        assert_eq!(kept.len(), MOST_ORDERS);
    }
}
