//! Rank requests, put together step by step.

use crate::pb::{
    Candidates, Column, FloatColumn, IntColumn, ModelSelector, RankRequest, StringColumn, User,
    VectorColumn, column::Values, model_selector::Selector,
};

impl RankRequest {
    /// A request for the order of candidates, by the default model, for an unknown shopper.
    pub fn of(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let ids = ids.into_iter().map(Into::into).collect();
        Self { candidates: Some(Candidates { ids, ..Candidates::default() }), ..Self::default() }
    }

    /// For this shopper.
    #[must_use]
    pub fn for_user(mut self, id: impl Into<String>) -> Self {
        self.user.get_or_insert_with(User::default).id = id.into();
        self
    }

    /// With a feature: one value for each candidate.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, values: impl Into<Values>) -> Self {
        let column = Column { name: name.into(), values: Some(values.into()) };
        self.candidates.get_or_insert_with(Candidates::default).columns.push(column);
        self
    }

    /// With a feature of the request: one value.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>, value: impl Into<Values>) -> Self {
        self.context.push(Column { name: name.into(), values: Some(value.into()) });
        self
    }

    /// With the scores of an earlier stage, one for each candidate.
    #[must_use]
    pub fn prior_scores(mut self, scores: impl Into<Vec<f32>>) -> Self {
        self.candidates.get_or_insert_with(Candidates::default).prior_scores = scores.into();
        self
    }

    /// For this search text.
    #[must_use]
    pub fn search(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// By this model, in its live version.
    #[must_use]
    pub fn by(mut self, model: impl Into<String>) -> Self {
        self.model = Some(ModelSelector { name: model.into(), selector: None });
        self
    }

    /// By this version of the model.
    #[must_use]
    pub fn at_version(mut self, version: u64) -> Self {
        let model = self.model.get_or_insert_with(ModelSelector::default);
        model.selector = Some(Selector::Version(version));
        self
    }

    /// Only the best so many.
    #[must_use]
    pub fn best(mut self, count: u32) -> Self {
        self.top_k = count;
        self
    }

    /// Named, for logs and traces.
    #[must_use]
    pub fn named(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = request_id.into();
        self
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self::Floats(FloatColumn { values })
    }
}

impl From<Vec<i64>> for Values {
    fn from(values: Vec<i64>) -> Self {
        Self::Ints(IntColumn { values })
    }
}

impl From<Vec<String>> for Values {
    fn from(values: Vec<String>) -> Self {
        Self::Strings(StringColumn { values })
    }
}

impl From<Vec<&str>> for Values {
    fn from(values: Vec<&str>) -> Self {
        values.into_iter().map(str::to_owned).collect::<Vec<_>>().into()
    }
}

impl<T, const N: usize> From<[T; N]> for Values
where
    Self: From<Vec<T>>,
{
    fn from(values: [T; N]) -> Self {
        Vec::from(values).into()
    }
}

/// Vectors of so many numbers each, one behind another.
impl From<(u32, Vec<f32>)> for Values {
    fn from((dim, values): (u32, Vec<f32>)) -> Self {
        Self::Vectors(VectorColumn { dim, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_says_one_thing() {
        let request = RankRequest::of(["a", "b"])
            .for_user("7")
            .column("price", [1.0, 2.0])
            .column("shelf", [3_i64, 4])
            .column("brand", ["x", "y"])
            .column("image", (2, vec![0.1; 4]))
            .context("week", [45.0])
            .prior_scores([0.5, 0.25])
            .search("tea")
            .by("books")
            .at_version(3)
            .best(1)
            .named("r1");
        let candidates = request.candidates.unwrap();
        assert_eq!(candidates.ids, ["a", "b"]);
        assert_eq!(candidates.prior_scores, [0.5, 0.25]);
        let kinds = candidates.columns.into_iter().map(|column| match column.values.unwrap() {
            Values::Floats(_) => "floats",
            Values::Ints(_) => "ints",
            Values::Strings(_) => "strings",
            Values::Vectors(_) => "vectors",
        });
        assert_eq!(kinds.collect::<Vec<_>>(), ["floats", "ints", "strings", "vectors"]);
        assert_eq!((request.query.as_str(), request.top_k), ("tea", 1));
        assert_eq!(request.model.unwrap().selector, Some(Selector::Version(3)));
        assert_eq!((request.user.unwrap().id, request.request_id), ("7".into(), "r1".into()));
    }
}
