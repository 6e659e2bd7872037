//! A feature that comes as a column: from the request, else from the catalogue, else by default.

use std::{fmt, sync::Arc};

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
    /// The finished values of the catalogue's column by row, and behind them that of an item that is in no row; none where
    /// they are text.
    finished: Option<TensorData>,
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
        Ok(Self {
            name: input.feature().to_owned(),
            finished: column.and_then(|column| finished(&rule, vocabulary.as_deref(), column)),
            rule,
            vocabulary,
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
        let field = Field("context", &self.name);
        match given.iter().find(|column| column.name == self.name) {
            Some(column) => self.convert(field, &column.values, std::iter::repeat_n(0, times)),
            None => self.defaults(field, times),
        }
    }

    /// One value for each scored candidate.
    pub(super) fn candidates(
        &self,
        sources: &Sources<'_>,
        catalogue: Option<&Catalogue>,
    ) -> Result<TensorData, RankError> {
        let columns = &sources.request.candidates.columns;
        let field = Field("candidates.columns", &self.name);
        if let Some(column) = columns.iter().find(|column| column.name == self.name) {
            let rows = sources.scored.iter().map(|&at| at as usize);
            return self.convert(field, &column.values, rows);
        }
        match catalogue.and_then(|c| c.column(&self.name)) {
            Some(column) => self.look_up(field, column, sources),
            None => self.defaults(field, sources.scored.len()),
        }
    }

    /// Takes the request's values at `rows`.
    fn convert(
        &self,
        field: Field<'_>,
        values: &Values,
        rows: impl Iterator<Item = usize>,
    ) -> Result<TensorData, RankError> {
        let wrong_kind = || {
            let wrong = format!("holds {}, and the model takes {}s", values.kind(), self.kind());
            field.fault(wrong)
        };
        let misfit = |wrong: String| field.fault(wrong);
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
                    Err(field.fault(wrong))
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
        field: Field<'_>,
        column: &FeatureColumn,
        sources: &Sources<'_>,
    ) -> Result<TensorData, RankError> {
        let rows = sources.scored.iter().map(|&at| sources.rows[at as usize]);
        let Some(finished) = &self.finished else {
            let text = |row: Option<u32>| row.and_then(|row| column.text(row as usize));
            let text = |row| text(row).unwrap_or_default().to_owned();
            return Ok(TensorData::String(rows.map(text).collect()));
        };
        let lacks = |row: Option<u32>| row.is_none_or(|row| column.is_absent(row as usize));
        if self.rule.default.is_none()
            && !matches!(column, FeatureColumn::Texts { .. })
            && let Some(at) = rows.clone().position(lacks)
        {
            let (name, at) = (&self.name, sources.scored[at]);
            let wrong = format!(
                "is needed: the catalogue has no `{name}` for the item candidates.ids[{at}]"
            );
            return Err(field.fault(wrong));
        }
        let unknown = finished.len() - 1;
        Ok(finished.gather(rows.map(|row| row.map_or(unknown, |row| row as usize))))
    }

    fn defaults(&self, field: Field<'_>, count: usize) -> Result<TensorData, RankError> {
        let count = count * self.width.unwrap_or(1);
        match (self.rule.default, &self.vocabulary) {
            (Some(value), _) if self.rule.whole() => Ok(self.rule.ints(vec![value as i64; count])),
            (Some(value), _) => Ok(self.rule.floats(vec![value as f32; count])),
            (None, Some(vocabulary)) => {
                Ok(TensorData::from_ints(self.rule.dtype, vec![vocabulary.oov(); count]))
            }
            (None, None) => {
                Err(field.fault(format!("is needed by the model, as {}s", self.kind())))
            }
        }
    }
}

/// The path of a column in a request: where it stands, and its name.
#[derive(Clone, Copy)]
struct Field<'a>(&'static str, &'a str);

impl Field<'_> {
    fn fault(self, wrong: String) -> RankError {
        RankError::field(self.to_string(), wrong)
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.0, self.1)
    }
}

/// The values of a column of the catalogue as a tensor has them, and behind them that of an item without a row; none for
/// text that stays text. Where there is no default, what is absent is 0, which nobody is given.
fn finished(
    rule: &ValueRule,
    vocabulary: Option<&Vocabulary>,
    column: &FeatureColumn,
) -> Option<TensorData> {
    let default = rule.default.unwrap_or(0.0);
    Some(match (column, vocabulary) {
        (FeatureColumn::Floats(all), _) => {
            let value = |v: &f32| if v.is_nan() { default as f32 } else { *v };
            rule.floats(all.iter().map(value).chain([default as f32]).collect())
        }
        (FeatureColumn::Ints(all), _) => {
            let value = |v: &Option<i64>| v.unwrap_or(default as i64);
            rule.ints(all.iter().map(value).chain([default as i64]).collect())
        }
        (FeatureColumn::Texts { codes, values }, Some(vocabulary)) => {
            let indices: Vec<i64> = values.iter().map(|text| vocabulary.index(text)).collect();
            let unknown = rule.default.map_or(vocabulary.oov(), |d| d as i64);
            let known = codes.iter().map(|code| indices[*code as usize]);
            TensorData::from_ints(rule.dtype, known.chain([unknown]).collect())
        }
        (FeatureColumn::Texts { .. }, None) => return None,
    })
}
