//! Item features as columns.

use std::{collections::BTreeMap, sync::Arc};

use ahash::AHashMap;

use crate::{
    repository::{Bundle, CatalogueFile, CatalogueSpec, ColumnType, Fault, read_table},
    texts::{TextIndex, Texts},
};

/// Longest text of a catalogue in bytes.
const MOST_TEXT_BYTES: usize = 64 << 10;

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
    ids: TextIndex,
    columns: BTreeMap<String, FeatureColumn>,
}

impl Catalogue {
    /// Reads a bundle's catalogue, at the cost of parsing all of it; none where no file is named.
    ///
    /// # Errors
    /// A [`Fault`] naming the file, or the key that names it, with the line or the column that is not what the manifest says.
    pub fn load(bundle: &Bundle) -> Result<Option<Self>, Fault> {
        match (&bundle.manifest.catalogue, bundle.catalogue_file()) {
            (Some(spec), Some(file)) => Self::read(&file, spec).map(Some),
            _ => Ok(None),
        }
    }

    fn read(file: &CatalogueFile, spec: &CatalogueSpec) -> Result<Self, Fault> {
        let fault = |wrong: String, fix: &str| Fault::new(&file.at, wrong, fix);
        let unreadable = |cause: String| {
            let fix = "name a CSV file with a header in UTF-8, plain or .gz, that is there";
            fault(format!("cannot be read: {cause}"), fix)
        };
        let mut table = read_table(&file.path).map_err(|cause| unreadable(cause.to_string()))?;
        let header = table.headers().map_err(|e| unreadable(e.to_string()))?.clone();
        let (key, mut builders) =
            columns_of(&header, spec).map_err(|(wrong, fix)| fault(wrong, &fix))?;
        let mut ids = TextIndex::default();
        let mut record = csv::StringRecord::new();
        while table.read_record(&mut record).map_err(|e| unreadable(e.to_string()))? {
            let line = record.position().map_or(0, csv::Position::line);
            let id = record.get(key).unwrap_or_default();
            if id.is_empty() || ids.insert(id).is_err() {
                let wrong = if id.is_empty() { "is empty" } else { "stands twice" };
                let fix = "give each item one line with an id of its own";
                return Err(fault(format!("line {line}: the id `{id}` {wrong}"), fix));
            }
            for (place, name, builder) in &mut builders {
                let text = record.get(*place).unwrap_or_default();
                builder.push(text).map_err(|fix| {
                    let text: String = text.chars().take(64).collect();
                    let wrong = format!("line {line}: `{text}` is no value of the column `{name}`");
                    fault(wrong, fix)
                })?;
            }
        }
        if ids.texts().is_empty() {
            return Err(fault(
                "has no item".to_owned(),
                "write one line for each item below the header",
            ));
        }
        let columns =
            builders.into_iter().map(|(_, name, builder)| (name, builder.column)).collect();
        Ok(Self { ids, columns })
    }

    /// The row of an item.
    pub fn row(&self, item: &str) -> Option<u32> {
        self.ids.get(item)
    }

    /// The row of each of many items.
    pub fn rows(&self, items: &Texts) -> Vec<Option<u32>> {
        self.ids.places(items)
    }

    /// The ids of all items, by row.
    pub fn ids(&self) -> &Texts {
        self.ids.texts()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.ids.texts().len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.ids.texts().is_empty()
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

    /// Whether a row has no value.
    pub fn is_absent(&self, row: usize) -> bool {
        match self {
            Self::Floats(all) => all[row].is_nan(),
            Self::Ints(all) => all[row].is_none(),
            Self::Texts { .. } => self.text(row).is_none(),
        }
    }
}

/// The place of the key, and for each declared column its place, its name and what collects it; else what is wrong, and its mend.
type Places = (usize, Vec<(usize, String, Builder)>);

fn columns_of(
    header: &csv::StringRecord,
    spec: &CatalogueSpec,
) -> Result<Places, (String, String)> {
    let place = |name: &str, what: &str| {
        if header.iter().filter(|column| *column == name).count() > 1 {
            let fix = "keep one of them, or rename the others".to_owned();
            return Err((format!("has the column `{name}` more than once"), fix));
        }
        header.iter().position(|column| column == name).ok_or_else(|| {
            let given = header.iter().collect::<Vec<_>>().join(", ");
            let wrong = format!("has no column `{name}`, {what}; it has {given}");
            (wrong, format!("name that column `{name}` in the header, or add it, empty where an item has none"))
        })
    };
    let key = place(&spec.key, "which holds the items' ids")?;
    let declared = spec.columns.iter().map(|(name, kind)| {
        let place = place(name, "which the manifest declares")?;
        Ok::<_, (String, String)>((place, name.clone(), Builder::new(*kind)))
    });
    Ok((key, declared.collect::<Result<_, _>>()?))
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

    /// Appends a value; where it is not of the column's type, says what to write.
    fn push(&mut self, text: &str) -> Result<(), &'static str> {
        let (float, int) =
            ("write a finite number, or nothing", "write a whole number, or nothing");
        match &mut self.column {
            FeatureColumn::Floats(all) => all.push(match text {
                "" => f32::NAN,
                _ => text.parse().ok().filter(|value: &f32| value.is_finite()).ok_or(float)?,
            }),
            FeatureColumn::Ints(all) => all.push(match text {
                "" => None,
                _ => Some(text.parse().map_err(|_| int)?),
            }),
            FeatureColumn::Texts { .. } if text.len() > MOST_TEXT_BYTES => {
                return Err("keep texts below 64 KiB");
            }
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
        Ok(())
    }
}
