//! Counts without a lock, by the names of a short list of the program's own or without one.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// Names that are told apart; more of them count together.
const MOST: usize = 32;

/// The name of those that found no place.
const OTHER: &str = "OTHER";

/// Counts by name; names are constants of the program, such as the reasons of errors.
#[derive(Debug, Default)]
pub struct Words {
    counts: [(OnceLock<&'static str>, AtomicU64); MOST],
    others: AtomicU64,
}

impl Words {
    /// Adds one.
    pub fn count(&self, word: &'static str) {
        let own = self.counts.iter().find(|(name, _)| *name.get_or_init(|| word) == word);
        let count = own.map_or(&self.others, |(_, count)| count);
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Vec<(&'static str, u64)> {
        let named = self.counts.iter().map_while(|(name, count)| {
            name.get().map(|name| (*name, count.load(Ordering::Relaxed)))
        });
        let others = self.others.load(Ordering::Relaxed);
        named.chain((others > 0).then_some((OTHER, others))).collect()
    }
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds some.
    pub fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// What it stands at.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&'static str], want: &[(&str, u64)]) {
        let counts = Words::default();
        words.iter().for_each(|word| counts.count(word));
        assert_eq!(counts.read(), want);
    }

    #[test]
    fn words_are_told_apart_as_far_as_there_is_room() {
        check(&[], &[]);
        check(&["a", "b", "a"], &[("a", 2), ("b", 1)]);
        let many: Vec<&'static str> = (0..MOST + 3).map(|n| &*format!("{n}").leak()).collect();
        let mut want: Vec<(&str, u64)> = many[..MOST].iter().map(|word| (*word, 1)).collect();
        want.push((OTHER, 3));
        check(&many, &want);
    }
}
