//! Text to index.

use crate::{
    repository::{Bundle, Fault, VocabularySpec, read_lines},
    texts::TextIndex,
};

/// A fixed list of texts, each with an index; everything else has one index of its own.
#[derive(Debug)]
pub struct Vocabulary {
    texts: TextIndex,
    /// The index of the first text.
    first: i64,
    oov: i64,
}

impl Vocabulary {
    /// Reads the vocabulary's file.
    ///
    /// # Errors
    /// A [`Fault`] when the file cannot be read or an entry stands twice.
    pub fn load(bundle: &Bundle, spec: &VocabularySpec) -> Result<Self, Fault> {
        let lines = read_lines(&bundle.file(&spec.file)).map_err(|cause| {
            Fault::new(&spec.file, format!("cannot be read: {cause}"), "export it again as UTF-8")
        })?;
        let (mut texts, first) = (TextIndex::default(), spec.first_index);
        for (index, line) in (first..).zip(lines) {
            if let Err(place) = texts.insert(&line) {
                let first = first + i64::from(place);
                return Err(Fault::new(
                    &spec.file,
                    format!("`{line}` stands twice, with the indices {first} and {index}"),
                    "keep one of them",
                ));
            }
        }
        Ok(Self { texts, first, oov: spec.oov })
    }

    /// The index of `text`, or the out-of-vocabulary index.
    pub fn index(&self, text: &str) -> i64 {
        self.texts.get(text).map_or(self.oov, |place| self.first + i64::from(place))
    }

    /// The out-of-vocabulary index.
    pub fn oov(&self) -> i64 {
        self.oov
    }
}
