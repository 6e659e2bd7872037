//! What a model tells of the features that a request may bring.

/// Where a feature stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureScope {
    /// In `context`.
    Context,
    /// In `candidates.columns`.
    Candidate,
    /// The field `query`.
    Query,
}

/// A feature that a request may bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureDescription {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub scope: FeatureScope,
    /// `float`, `int`, `string` or `vector`.
    pub kind: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
}
