//! Finds texts by what they say.

use ahash::RandomState;

use crate::texts::list::Texts;

/// Different texts, each found by what it says; its place is how many were there before it.
#[derive(Debug, Default)]
pub struct TextIndex {
    texts: Texts,
    slots: Slots,
    hasher: RandomState,
}

impl TextIndex {
    /// Adds a text and returns its place; where it is there already, returns its place as the error.
    ///
    /// # Errors
    /// The place of the same text.
    pub fn insert(&mut self, text: &str) -> Result<u32, u32> {
        if !self.slots.has_room_for(self.texts.len() + 1) {
            self.slots = Slots::for_texts(self.texts.len() + 1);
            for (place, text) in (0..).zip(self.texts.iter()) {
                let hash = self.hasher.hash_one(text);
                if let Err(free) = self.slots.find(hash, |_| false) {
                    self.slots.take(free, hash, place);
                }
            }
        }
        let hash = self.hasher.hash_one(text);
        match self.slots.find(hash, |place| self.texts.is(place as usize, text)) {
            Ok(place) => Err(place),
            Err(free) => {
                let place = self.texts.len() as u32;
                self.slots.take(free, hash, place);
                self.texts.push(text);
                Ok(place)
            }
        }
    }

    /// The place of a text.
    pub fn get(&self, text: &str) -> Option<u32> {
        self.find(self.hasher.hash_one(text), text)
    }

    /// The place of each of `texts`.
    ///
    /// The table is read for all of them before any text is, so that one read from memory need not wait for another.
    pub fn places(&self, texts: &Texts) -> Vec<Option<u32>> {
        let guess = |text| {
            let hash = self.hasher.hash_one(text);
            (hash, self.slots.find(hash, |_| true).ok())
        };
        let guesses: Vec<(u64, Option<u32>)> = texts.iter().map(guess).collect();
        let verified = |(text, (hash, guess)): (&str, (u64, Option<u32>))| match guess {
            Some(place) if self.texts.is(place as usize, text) => Some(place),
            Some(_) => self.find(hash, text),
            None => None,
        };
        texts.iter().zip(guesses).map(verified).collect()
    }

    fn find(&self, hash: u64, text: &str) -> Option<u32> {
        self.slots.find(hash, |place| self.texts.is(place as usize, text)).ok()
    }

    /// The texts, each at its place.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }
}

/// Whether any text is there twice, at the cost of one hash a text.
pub fn has_repeats(texts: &Texts) -> bool {
    let hasher = RandomState::new();
    let mut slots = Slots::for_texts(texts.len());
    (0..).zip(texts.iter()).any(|(place, text)| {
        let hash = hasher.hash_one(text);
        match slots.find(hash, |before| texts.is(before as usize, text)) {
            Ok(_) => true,
            Err(free) => {
                slots.take(free, hash, place);
                false
            }
        }
    })
}

/// A table of places by the hash of what stands there, probed from slot to slot; at most half full.
#[derive(Debug)]
struct Slots(Vec<Slot>);

/// A place with the part of its hash that does not choose the slot.
#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    place: u32,
}

/// The place of a slot that is free.
const FREE: u32 = u32::MAX;

impl Default for Slots {
    fn default() -> Self {
        Self::for_texts(0)
    }
}

impl Slots {
    fn for_texts(count: usize) -> Self {
        Self(vec![Slot { tag: 0, place: FREE }; (2 * count).next_power_of_two().max(2)])
    }

    fn has_room_for(&self, count: usize) -> bool {
        2 * count <= self.0.len()
    }

    /// The place with this hash that is the `same`; else the slot where it belongs.
    #[inline]
    fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Result<u32, usize> {
        let last = self.0.len() - 1;
        let mut at = hash as usize & last;
        loop {
            let slot = self.0[at];
            if slot.place == FREE {
                return Err(at);
            }
            if slot.tag == tag(hash) && same(slot.place) {
                return Ok(slot.place);
            }
            at = (at + 1) & last;
        }
    }

    fn take(&mut self, free: usize, hash: u64, place: u32) {
        self.0[free] = Slot { tag: tag(hash), place };
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_text_is_found_where_it_stands_first(
            given in prop::collection::vec("[a-c]{0,3}", 0..80),
        ) {
            let mut index = TextIndex::default();
            let mut first: Vec<String> = Vec::new();
            for text in &given {
                let known = first.iter().position(|other| other == text).map(|at| at as u32);
                let place = index.insert(text);
                prop_assert_eq!(place, known.map_or(Ok(first.len() as u32), Err));
                if known.is_none() {
                    first.push(text.clone());
                }
            }
            for (at, text) in first.iter().enumerate() {
                prop_assert_eq!(index.get(text), Some(at as u32));
            }
            prop_assert_eq!(index.get("d"), None);
            let texts: Texts = given.iter().map(String::as_str).chain(["d"]).collect();
            let places: Vec<Option<u32>> = texts.iter().map(|text| index.get(text)).collect();
            prop_assert_eq!(index.places(&texts), places);
            prop_assert_eq!(has_repeats(&texts), first.len() < given.len());
            prop_assert!(!has_repeats(index.texts()));
        }
    }
}
