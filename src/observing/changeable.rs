//! A setting that can be changed while the server serves, for good or for a while.

use std::time::Instant;

/// A setting with what stands in its place for a while.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Changeable<T> {
    /// What the configuration says.
    pub(super) configured: T,
    base: T,
    temporary: Option<(T, Instant)>,
}

impl<T: Clone> Changeable<T> {
    /// As configured.
    pub(super) fn new(configured: T) -> Self {
        Self { base: configured.clone(), configured, temporary: None }
    }

    /// Sets it: until then, or for good. One change takes the place of the one before; what ends by itself goes back to what was last set for
    /// good.
    pub(super) fn set(&mut self, value: T, until: Option<Instant>) {
        match until {
            Some(until) => self.temporary = Some((value, until)),
            None => (self.base, self.temporary) = (value, None),
        }
    }

    /// What is in force at that time, and when that ends by itself.
    pub(super) fn at(&self, now: Instant) -> (&T, Option<Instant>) {
        match &self.temporary {
            Some((value, until)) if *until > now => (value, Some(*until)),
            _ => (&self.base, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Sets values at seconds, each until another second where one is named, and looks at some seconds.
    #[track_caller]
    fn check(sets: &[(u64, &'static str, Option<u64>)], want: &[(u64, &'static str)]) {
        let begin = Instant::now();
        let second = |number| begin + Duration::from_secs(number);
        for (at, value) in want {
            let mut setting = Changeable::new("configured");
            for (_, value, until) in sets.iter().filter(|(set_at, ..)| set_at <= at) {
                setting.set(*value, until.map(second));
            }
            assert_eq!(setting.at(second(*at)).0, value, "at {at}: {setting:?}");
        }
    }

    #[test]
    fn a_change_for_a_while_goes_back_by_itself() {
        check(&[], &[(0, "configured")]);
        check(&[(1, "a", None)], &[(0, "configured"), (1, "a"), (99, "a")]);
        check(&[(1, "a", Some(5))], &[(4, "a"), (5, "configured")]);
        check(&[(1, "a", None), (2, "b", Some(5))], &[(4, "b"), (5, "a")]);
    }

    #[test]
    fn of_two_changes_the_later_one_counts() {
        check(&[(1, "a", Some(5)), (2, "b", Some(9))], &[(4, "b"), (8, "b"), (9, "configured")]);
        check(&[(1, "a", Some(9)), (2, "b", Some(5))], &[(4, "b"), (5, "configured")]);
        check(&[(1, "a", Some(9)), (2, "b", None)], &[(1, "a"), (2, "b"), (9, "b")]);
    }
}
