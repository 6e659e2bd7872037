//! Item features as columns.

use std::{collections::BTreeMap, sync::Arc};

use ahash::AHashMap;

use crate::repository::{Bundle, CatalogueSpec, ColumnType, Fault, read_table};

/// The values of one feature, one for each item.
#[derive(Debug)]
pub enum FeatureColumn {
    /// Floats; NaN where there is none.
    Floats(Vec<f32>),
    /// Integers; `None` where there is none.
    Ints(Vec<Option<i64>>),
    /// Texts, as positions in a list of the different ones.
    Texts {
        /// For each item, which of `values` it has.
        codes: Vec<u32>,
        /// The different texts; the empty text means none.
        values: Vec<Arc<str>>,
    },
}

/// The features of a model's items.
#[derive(Debug)]
pub struct Catalogue {
    rows: AHashMap<Box<str>, u32>,
    columns: BTreeMap<String, FeatureColumn>,
}

impl Catalogue {
    /// Reads the catalogue's file, at the cost of parsing all of it.
    ///
    /// # Errors
    /// A [`Fault`] naming the line or the column when the file is not what the manifest says.
    pub fn load(bundle: &Bundle, spec: &CatalogueSpec) -> Result<Self, Fault> {
        let fault = |wrong: String| Fault::new(&spec.file, wrong, "export the catalogue again");
        let mut table =
            read_table(&bundle.file(&spec.file)).map_err(|cause| fault(cause.to_string()))?;
        let header = table.headers().map_err(|e| fault(e.to_string()))?.clone();
        let place = |name: &str| {
            header
                .iter()
                .position(|column| column == name)
                .ok_or_else(|| fault(format!("has no column `{name}`")))
        };
        let key = place(&spec.key)?;
        let mut builders = spec
            .columns
            .iter()
            .map(|(name, kind)| Ok((place(name)?, name.clone(), Builder::new(*kind))))
            .collect::<Result<Vec<_>, Fault>>()?;
        let mut rows = AHashMap::new();
        let mut record = csv::StringRecord::new();
        while table.read_record(&mut record).map_err(|e| fault(e.to_string()))? {
            let line = record.position().map_or(0, csv::Position::line);
            let row = rows.len() as u32;
            let id = record.get(key).unwrap_or_default();
            if id.is_empty() || rows.insert(id.into(), row).is_some() {
                return Err(fault(format!("line {line}: the id `{id}` is empty or stands twice")));
            }
            for (place, name, builder) in &mut builders {
                let text = record.get(*place).unwrap_or_default();
                builder.push(text).ok_or_else(|| {
                    fault(format!("line {line}: `{text}` is no value of the column `{name}`"))
                })?;
            }
        }
        let columns =
            builders.into_iter().map(|(_, name, builder)| (name, builder.column)).collect();
        Ok(Self { rows, columns })
    }

    /// The row of an item.
    pub fn row(&self, item: &str) -> Option<usize> {
        self.rows.get(item).map(|&row| row as usize)
    }

    /// The ids of all items, in no order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(AsRef::as_ref)
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One feature of all items.
    pub fn column(&self, name: &str) -> Option<&FeatureColumn> {
        self.columns.get(name)
    }

    /// The text features with their names.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &FeatureColumn)> {
        self.columns
            .iter()
            .filter(|(_, column)| matches!(column, FeatureColumn::Texts { .. }))
            .map(|(name, column)| (name.as_str(), column))
    }
}

impl FeatureColumn {
    /// The text of a row; none where the column holds numbers or the text is empty.
    pub fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Texts { codes, values } => {
                Some(values[codes[row] as usize].as_ref()).filter(|text| !text.is_empty())
            }
            _ => None,
        }
    }
}

struct Builder {
    column: FeatureColumn,
    codes: AHashMap<Arc<str>, u32>,
}

impl Builder {
    fn new(kind: ColumnType) -> Self {
        let column = match kind {
            ColumnType::Float => FeatureColumn::Floats(Vec::new()),
            ColumnType::Int => FeatureColumn::Ints(Vec::new()),
            ColumnType::String => FeatureColumn::Texts { codes: Vec::new(), values: Vec::new() },
        };
        Self { column, codes: AHashMap::new() }
    }

    /// Appends a value; `None` where it is not of the column's type.
    fn push(&mut self, text: &str) -> Option<()> {
        match &mut self.column {
            FeatureColumn::Floats(all) => all.push(match text {
                "" => f32::NAN,
                _ => text.parse().ok().filter(|value: &f32| value.is_finite())?,
            }),
            FeatureColumn::Ints(all) => all.push(match text {
                "" => None,
                _ => Some(text.parse().ok()?),
            }),
            FeatureColumn::Texts { codes, values } => {
                let code = match self.codes.get(text) {
                    Some(code) => *code,
                    None => {
                        let (text, code) = (Arc::<str>::from(text), values.len() as u32);
                        values.push(Arc::clone(&text));
                        self.codes.insert(text, code);
                        code
                    }
                };
                codes.push(code);
            }
        }
        Some(())
    }
}
