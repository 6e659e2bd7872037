//! Text to index.

use ahash::AHashMap;

use crate::repository::{Bundle, Fault, VocabularySpec, read_lines};

/// A fixed list of texts, each with an index; everything else has one index of its own.
#[derive(Debug)]
pub struct Vocabulary {
    indices: AHashMap<Box<str>, i64>,
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
        let mut indices = AHashMap::with_capacity(lines.len());
        for (index, line) in (spec.first_index..).zip(lines) {
            if let Some(first) = indices.insert(line.clone().into_boxed_str(), index) {
                return Err(Fault::new(
                    &spec.file,
                    format!("`{line}` stands twice, with the indices {first} and {index}"),
                    "keep one of them",
                ));
            }
        }
        Ok(Self { indices, oov: spec.oov })
    }

    /// The index of `text`, or the out-of-vocabulary index.
    pub fn index(&self, text: &str) -> i64 {
        self.indices.get(text).copied().unwrap_or(self.oov)
    }

    /// The out-of-vocabulary index.
    pub fn oov(&self) -> i64 {
        self.oov
    }
}
