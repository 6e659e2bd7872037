//! A list of texts in one piece of memory.

use std::{fmt, ops::Index};

/// A list of texts, one after another in one string.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Texts {
    joined: String,
    /// Where each text ends in `joined`.
    ends: Vec<usize>,
}

impl Texts {
    /// Makes an empty list with room for `texts` texts of `bytes` bytes together.
    pub fn with_capacity(texts: usize, bytes: usize) -> Self {
        Self { joined: String::with_capacity(bytes), ends: Vec::with_capacity(texts) }
    }

    /// Appends a text.
    #[inline]
    pub fn push(&mut self, text: &str) {
        self.joined.push_str(text);
        self.ends.push(self.joined.len());
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The length of all texts together in bytes.
    pub fn bytes(&self) -> usize {
        self.joined.len()
    }

    /// One text; none beyond the end.
    pub fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        self.joined.get(self.begin(at)..end)
    }

    /// All texts in their order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.len()).map(|at| &self[at])
    }

    /// Whether the text at `at` is this one.
    #[inline]
    pub(super) fn is(&self, at: usize, text: &str) -> bool {
        self.joined.as_bytes()[self.begin(at)..self.ends[at]] == *text.as_bytes()
    }

    #[inline]
    fn begin(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

impl Index<usize> for Texts {
    type Output = str;

    #[inline]
    fn index(&self, at: usize) -> &str {
        &self.joined[self.begin(at)..self.ends[at]]
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Texts {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text.as_ref()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_went_in() {
        let given = ["a", "", "üb", "", "c"];
        let texts: Texts = given.into_iter().collect();
        assert_eq!(texts.iter().collect::<Vec<_>>(), given);
        assert_eq!((texts.len(), texts.bytes(), &texts[2]), (5, 5, "üb"));
        assert_eq!((texts.get(1), texts.get(4), texts.get(5)), (Some(""), Some("c"), None));
        assert_ne!(texts, ["a", "ü", "b", "", "c"].into_iter().collect());
        assert_eq!(format!("{texts:?}"), format!("{given:?}"));
    }
}
