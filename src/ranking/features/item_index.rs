//! A candidate's id through a vocabulary.

use std::sync::Arc;

use crate::{
    catalogue::{Catalogue, Vocabulary},
    ranking::features::{sources::Sources, values::ValueRule},
    repository::InputSpec,
    tensor::TensorData,
};

/// How the candidates' indices are made.
#[derive(Debug)]
pub(super) struct ItemIndexFeature {
    rule: ValueRule,
    vocabulary: Arc<Vocabulary>,
    /// The index of each row of the catalogue.
    by_row: Vec<i64>,
}

impl ItemIndexFeature {
    /// Looks up every item of the catalogue once, so that a request need not.
    pub(super) fn new(
        input: &InputSpec,
        vocabulary: Arc<Vocabulary>,
        catalogue: Option<&Catalogue>,
    ) -> Self {
        let ids = catalogue.into_iter().flat_map(|catalogue| catalogue.ids().iter());
        let by_row = ids.map(|id| vocabulary.index(id)).collect();
        Self { rule: ValueRule::new(input), vocabulary, by_row }
    }

    /// One index for each scored candidate.
    pub(super) fn values(&self, sources: &Sources<'_>) -> TensorData {
        let index = |&at: &u32| match sources.rows[at as usize] {
            Some(row) => self.by_row[row as usize],
            None => self.vocabulary.index(&sources.request.candidates.ids[at as usize]),
        };
        self.rule.ints(sources.scored.iter().map(index).collect())
    }
}
