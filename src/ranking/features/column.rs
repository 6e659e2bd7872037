//! A feature that comes as a column: from the request, else from the catalogue, else by default.

use std::sync::Arc;

use crate::{
    catalogue::{Catalogue, FeatureColumn, Vocabulary},
    ranking::{
        error::RankError,
        features::{sources::Sources, values::ValueRule},
        request::{Column, Values},
    },
    repository::{DimSpec, Fault, InputSpec},
    tensor::{DType, TensorData},
};

/// How one column feature becomes a tensor's elements.
#[derive(Debug)]
pub(super) struct ColumnFeature {
    name: String,
    rule: ValueRule,
    vocabulary: Option<Arc<Vocabulary>>,
    /// The vocabulary's index of each different text of the catalogue's column.
    catalogue_indices: Vec<i64>,
    in_catalogue: bool,
    /// The length of a vector feature.
    width: Option<usize>,
}

impl ColumnFeature {
    /// Binds a feature; `catalogue` is where it may be looked up.
    ///
    /// # Errors
    /// A [`Fault`] where the catalogue's column cannot feed the input.
    pub(super) fn new(
        input: &InputSpec,
        vocabulary: Option<Arc<Vocabulary>>,
        catalogue: Option<&Catalogue>,
    ) -> Result<Self, Fault> {
        let column = catalogue.and_then(|c| c.column(input.feature()));
        let rule = ValueRule::new(input);
        let fits = match column {
            Some(FeatureColumn::Floats(_)) => !rule.whole() && rule.dtype != DType::String,
            Some(FeatureColumn::Ints(_)) => rule.dtype != DType::String && vocabulary.is_none(),
            Some(FeatureColumn::Texts { .. }) => {
                vocabulary.is_some() || rule.dtype == DType::String
            }
            None => true,
        };
        if !fits {
            return Err(Fault::new(
                format!("inputs.{}", input.name),
                format!("cannot be {} from the catalogue's column", rule.dtype),
                "change the column's type, name a vocabulary for text, or export another dtype",
            ));
        }
        let catalogue_indices = match (&vocabulary, column) {
            (Some(vocabulary), Some(FeatureColumn::Texts { values, .. })) => {
                values.iter().map(|text| vocabulary.index(text)).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self {
            name: input.feature().to_owned(),
            rule,
            vocabulary,
            catalogue_indices,
            in_catalogue: column.is_some(),
            width: match input.shape.last() {
                Some(DimSpec::Fixed(width)) => Some(*width),
                _ => None,
            },
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What a request's column of it holds.
    pub(super) fn kind(&self) -> &'static str {
        match (&self.vocabulary, self.width) {
            _ if self.rule.dtype == DType::String => "string",
            (Some(_), _) => "string",
            (None, Some(_)) => "vector",
            (None, None) if self.rule.whole() => "int",
            (None, None) => "float",
        }
    }

    /// Whether nothing stands in for it.
    pub(super) fn required(&self) -> bool {
        !self.in_catalogue && self.rule.default.is_none() && self.vocabulary.is_none()
    }

    /// The request's value, repeated `times`.
    pub(super) fn context(&self, given: &[Column], times: usize) -> Result<TensorData, RankError> {
        let field = format!("context[{}]", self.name);
        match given.iter().find(|column| column.name == self.name) {
            Some(column) => self.convert(&field, &column.values, std::iter::repeat_n(0, times)),
            None => self.defaults(&field, times),
        }
    }

    /// One value for each scored candidate.
    pub(super) fn candidates(
        &self,
        sources: &Sources<'_>,
        catalogue: Option<&Catalogue>,
    ) -> Result<TensorData, RankError> {
        let columns = &sources.request.candidates.columns;
        let field = format!("candidates.columns[{}]", self.name);
        if let Some(column) = columns.iter().find(|column| column.name == self.name) {
            let rows = sources.scored.iter().map(|&at| at as usize);
            return self.convert(&field, &column.values, rows);
        }
        match catalogue.and_then(|c| c.column(&self.name)) {
            Some(column) => self.look_up(&field, column, sources),
            None => self.defaults(&field, sources.scored.len()),
        }
    }

    /// Takes the request's values at `rows`.
    fn convert(
        &self,
        field: &str,
        values: &Values,
        rows: impl Iterator<Item = usize>,
    ) -> Result<TensorData, RankError> {
        let wrong_kind = || {
            let wrong = format!("holds {}, and the model takes {}s", values.kind(), self.kind());
            RankError::field(field, wrong)
        };
        let misfit = |wrong: String| RankError::field(field, wrong);
        match (values, &self.vocabulary) {
            (Values::Strings(all), Some(vocabulary)) => {
                let indices = rows.map(|row| vocabulary.index(&all[row])).collect();
                Ok(TensorData::from_ints(self.rule.dtype, indices))
            }
            (Values::Strings(all), None) if self.rule.dtype == DType::String => {
                Ok(TensorData::String(rows.map(|row| all[row].to_owned()).collect()))
            }
            (Values::Vectors { dim, values }, None) => match self.width {
                Some(width) if width == *dim => {
                    let taken = rows.flat_map(|row| &values[row * dim..(row + 1) * dim]);
                    self.rule.given_floats(taken.copied().collect()).map_err(misfit)
                }
                Some(width) => {
                    let wrong = format!("has vectors of {dim}, and the model takes {width}");
                    Err(RankError::field(field, wrong))
                }
                None => Err(wrong_kind()),
            },
            _ if self.kind() == "vector" || self.kind() == "string" => Err(wrong_kind()),
            (Values::Floats(all), None) if !self.rule.whole() => {
                self.rule.given_floats(rows.map(|row| all[row]).collect()).map_err(misfit)
            }
            (Values::Ints(all), None) => {
                self.rule.given_ints(rows.map(|row| all[row]).collect()).map_err(misfit)
            }
            _ => Err(wrong_kind()),
        }
    }

    /// Takes the catalogue's values of the scored candidates, the default where it has none.
    fn look_up(
        &self,
        field: &str,
        column: &FeatureColumn,
        sources: &Sources<'_>,
    ) -> Result<TensorData, RankError> {
        let rows = sources.scored.iter().map(|&at| (at, sources.rows[at as usize]));
        let absent = |at: u32| {
            let id = &sources.request.candidates.ids[at as usize];
            let wrong =
                format!("is needed: the catalogue has no `{}` for the item `{id}`", self.name);
            RankError::field(field, wrong)
        };
        let default = self.rule.default;
        match column {
            FeatureColumn::Floats(all) => {
                let value = |(at, row): (u32, Option<u32>)| {
                    let known = row.map(|row| all[row as usize]).filter(|v| !v.is_nan());
                    known.or(default.map(|d| d as f32)).ok_or_else(|| absent(at))
                };
                Ok(self.rule.floats(rows.map(value).collect::<Result<_, _>>()?))
            }
            FeatureColumn::Ints(all) => {
                let value = |(at, row): (u32, Option<u32>)| {
                    let known = row.and_then(|row| all[row as usize]);
                    known.or(default.map(|d| d as i64)).ok_or_else(|| absent(at))
                };
                Ok(self.rule.ints(rows.map(value).collect::<Result<_, _>>()?))
            }
            FeatureColumn::Texts { codes, values } => Ok(match &self.vocabulary {
                Some(vocabulary) => {
                    let unknown = default.map_or(vocabulary.oov(), |d| d as i64);
                    let index = |(_, row): (u32, Option<u32>)| {
                        row.map_or(unknown, |row| {
                            self.catalogue_indices[codes[row as usize] as usize]
                        })
                    };
                    TensorData::from_ints(self.rule.dtype, rows.map(index).collect())
                }
                None => {
                    let text = |(_, row): (u32, Option<u32>)| {
                        row.map_or(String::new(), |row| {
                            values[codes[row as usize] as usize].to_string()
                        })
                    };
                    TensorData::String(rows.map(text).collect())
                }
            }),
        }
    }

    fn defaults(&self, field: &str, count: usize) -> Result<TensorData, RankError> {
        let count = count * self.width.unwrap_or(1);
        match (self.rule.default, &self.vocabulary) {
            (Some(value), _) if self.rule.whole() => Ok(self.rule.ints(vec![value as i64; count])),
            (Some(value), _) => Ok(self.rule.floats(vec![value as f32; count])),
            (None, Some(vocabulary)) => {
                Ok(TensorData::from_ints(self.rule.dtype, vec![vocabulary.oov(); count]))
            }
            (None, None) => {
                let wrong = format!("is needed by the model, as {}s", self.kind());
                Err(RankError::field(field, wrong))
            }
        }
    }
}
