//! The callers that figures tell apart: the first so many that ask, and all others together.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use ahash::RandomState;

use crate::ids::CallerName;

/// What the others are called.
const OTHER: &str = "other";

/// Places for callers' names; a name keeps its place as long as the server runs.
#[derive(Debug)]
pub(super) struct Callers {
    /// At least twice as many as may be taken, so that a search ends soon.
    slots: Box<[OnceLock<CallerName>]>,
    most: usize,
    taken: AtomicUsize,
    hasher: RandomState,
}

impl Callers {
    /// Tells so many callers apart.
    pub(super) fn new(most: usize) -> Self {
        let slots = (2 * most.max(1)).next_power_of_two();
        Self {
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            most,
            taken: AtomicUsize::new(0),
            hasher: RandomState::new(),
        }
    }

    /// How many places there are: one of each slot, one of who gives no name, one of the others.
    pub(super) fn places(&self) -> usize {
        self.slots.len() + 2
    }

    /// The place of a caller, who is given one if there is one left.
    pub(super) fn place(&self, caller: &CallerName) -> usize {
        let (nameless, others) = (self.slots.len(), self.slots.len() + 1);
        match caller.as_str() {
            "" => return nameless,
            OTHER => return others,
            _ => {}
        }
        let first = self.hasher.hash_one(caller) as usize;
        for step in 0..self.slots.len() {
            let place = first.wrapping_add(step) % self.slots.len();
            let slot = &self.slots[place];
            if slot.get().is_none() && !self.take(slot, caller) {
                return others;
            }
            if slot.get() == Some(caller) {
                return place;
            }
        }
        others
    }

    /// Takes a place for a caller, unless another was quicker; says whether there was one to be taken.
    fn take(&self, slot: &OnceLock<CallerName>, caller: &CallerName) -> bool {
        let more = |taken| (taken < self.most).then_some(taken + 1);
        if self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return false;
        }
        if slot.set(caller.clone()).is_err() {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
        true
    }

    /// The name of who has a place.
    pub(super) fn name(&self, place: usize) -> &str {
        match self.slots.get(place) {
            Some(slot) => slot.get().map_or("", CallerName::as_str),
            None if place == self.slots.len() => "",
            None => OTHER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(most: usize, names: &[&str], want: &[&str]) {
        let callers = Callers::new(most);
        let called = |name: &&str| callers.place(&CallerName::parse(name).unwrap());
        let places: Vec<usize> = names.iter().map(called).collect();
        let again: Vec<usize> = names.iter().map(called).collect();
        assert_eq!(places, again);
        assert!(places.iter().all(|place| *place < callers.places()));
        let got: Vec<&str> = places.iter().map(|place| callers.name(*place)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn the_first_callers_have_names_of_their_own() {
        check(2, &["a", "b", "c", "a", "", "d"], &["a", "b", "other", "a", "", "other"]);
        check(0, &["a", ""], &["other", ""]);
        check(3, &["other", "a"], &["other", "a"]);
    }

    #[test]
    fn a_hundred_callers_take_no_more_than_there_are_places() {
        let callers = Callers::new(32);
        let names: Vec<CallerName> =
            (0..100).map(|n| CallerName::parse(&format!("caller-{n}")).unwrap()).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    names.iter().for_each(|name| {
                        callers.place(name);
                    });
                });
            }
        });
        let own = names.iter().filter(|name| callers.name(callers.place(name)) != OTHER);
        assert!((30..=32).contains(&own.count()), "a race may waste a place, and never make one");
    }
}
