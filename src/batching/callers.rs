//! What each caller has waiting, so that one's backlog delays nobody else.

use ahash::AHashMap;

use crate::ids::CallerName;

/// What each caller has waiting, as a size.
#[derive(Debug, Default)]
pub(super) struct Callers {
    waiting: AHashMap<CallerName, usize>,
    all: usize,
}

impl Callers {
    /// Notes that a caller waits for so much more.
    pub(super) fn add(&mut self, caller: &CallerName, size: usize) {
        self.all += size;
        match self.waiting.get_mut(caller) {
            Some(own) => *own += size,
            None => {
                self.waiting.insert(caller.clone(), size);
            }
        }
    }

    /// Notes that a caller waits for so much less.
    pub(super) fn take(&mut self, caller: &CallerName, size: usize) {
        self.all -= size;
        if let Some(own) = self.waiting.get_mut(caller) {
            *own -= size;
            if *own == 0 {
                self.waiting.remove(caller);
            }
        }
    }

    /// By how much a caller would pass an equal share of all that waits, had it so much more waiting.
    pub(super) fn excess(&self, caller: &CallerName, more: usize) -> usize {
        let own = self.waiting.get(caller);
        let callers = self.waiting.len() + usize::from(own.is_none());
        (own.copied().unwrap_or(0) + more).saturating_sub((self.all + more) / callers)
    }

    /// The caller that waits for most.
    pub(super) fn greediest(&self) -> Option<&CallerName> {
        self.waiting.iter().max_by_key(|(name, size)| (**size, *name)).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CallerName {
        CallerName::parse(text).unwrap()
    }

    #[test]
    fn only_who_has_more_than_a_share_is_in_excess() {
        let (flood, other) = (name("flood"), name("other"));
        let mut callers = Callers::default();
        assert_eq!(callers.excess(&flood, 9), 0, "alone, all is one's own");
        callers.add(&flood, 90);
        assert_eq!(callers.excess(&flood, 10), 0);
        assert_eq!(callers.excess(&other, 10), 0);
        callers.add(&other, 10);
        assert_eq!(callers.excess(&flood, 0), 40);
        assert_eq!(callers.excess(&other, 20), 0);
        assert_eq!(callers.greediest(), Some(&flood));
        callers.take(&flood, 90);
        assert_eq!(callers.excess(&other, 50), 0);
        assert_eq!(callers.greediest(), Some(&other));
    }
}
