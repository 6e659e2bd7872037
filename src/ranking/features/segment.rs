//! One segment of a text: filled for a candidate, or tokenised for a whole catalogue beforehand.

use std::collections::BTreeMap;

use tokenizers::Tokenizer;

use crate::{
    catalogue::{Catalogue, FeatureColumn},
    ranking::{
        error::RankError,
        features::{sources::Sources, tokens::TokenLists},
        request::Values,
    },
    repository::{Piece, QUERY},
    texts::Texts,
};

/// A template's segment with what stands for its fields.
#[derive(Debug)]
pub(super) struct Segment {
    pieces: Vec<SegmentPiece>,
    /// The tokens of each row of the catalogue, where the segment depends on the catalogue alone.
    by_row: Option<TokenLists>,
}

#[derive(Debug)]
struct SegmentPiece {
    piece: Piece,
    /// What stands for the field where it is blank; none for a required one.
    default: Option<String>,
    in_catalogue: bool,
}

/// A field of a segment as requests see it.
pub(super) struct Field<'a> {
    /// Its name; none for the query.
    pub(super) name: Option<&'a str>,
    /// Whether a request without it is refused.
    pub(super) required: bool,
}

/// A field that has no text for a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blank<'a>(pub(super) &'a str);

impl Segment {
    /// Binds a segment's fields; `defaults` are those of the text.
    pub(super) fn new(
        pieces: Vec<Piece>,
        defaults: &BTreeMap<String, String>,
        catalogue: Option<&Catalogue>,
    ) -> Self {
        let bound = |piece: Piece| {
            let name = match &piece {
                Piece::Plain(_) => "",
                Piece::Query => QUERY,
                Piece::Field(name) => name,
            };
            let column = catalogue.and_then(|c| c.column(name));
            SegmentPiece {
                default: defaults.get(name).cloned(),
                in_catalogue: matches!(column, Some(FeatureColumn::Texts { .. })),
                piece,
            }
        };
        Self { pieces: pieces.into_iter().map(bound).collect(), by_row: None }
    }

    /// Tokenises every item of the catalogue, keeping up to `most` tokens of each, where no request is needed for that;
    /// returns how many items have a required field that is blank.
    pub(super) fn tokenise_catalogue(
        &mut self,
        catalogue: &Catalogue,
        tokenizer: &Tokenizer,
        most: usize,
    ) -> Result<usize, tokenizers::Error> {
        if !self.of_candidates() || self.reads_query() {
            return Ok(0);
        }
        let (mut lists, mut blank) = (TokenLists::default(), 0);
        let bound = self.bind(None, Some(catalogue));
        for row in 0..catalogue.len() as u32 {
            match bound.text(None, Some(row)) {
                Ok(text) => lists.push(tokenizer.encode_fast(text, false)?.get_ids(), most),
                Err(Blank(_)) => {
                    blank += 1;
                    lists.push(&[], most)
                }
            };
        }
        self.by_row = Some(lists);
        Ok(blank)
    }

    /// Whether it depends on the candidate.
    pub(super) fn of_candidates(&self) -> bool {
        self.pieces.iter().any(|p| matches!(p.piece, Piece::Field(_)))
    }

    fn reads_query(&self) -> bool {
        self.pieces.iter().any(|p| p.piece == Piece::Query)
    }

    /// The fields that a request may bring.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.pieces.iter().filter_map(|p| match &p.piece {
            Piece::Plain(_) => None,
            Piece::Query => Some(Field { name: None, required: p.default.is_none() }),
            Piece::Field(name) => {
                let required = p.default.is_none() && !p.in_catalogue;
                Some(Field { name: Some(name), required })
            }
        })
    }

    /// The tokens of each row of the catalogue, where they are known beforehand.
    pub(super) fn by_row(&self) -> Option<&TokenLists> {
        self.by_row.as_ref()
    }

    /// Finds the fields of one request.
    ///
    /// # Errors
    /// [`RankError::Invalid`] naming a column that is missing or of the wrong type, or a blank query.
    pub(super) fn of_request<'a>(
        &'a self,
        sources: &Sources<'a>,
        catalogue: Option<&'a Catalogue>,
    ) -> Result<BoundSegment<'a>, RankError> {
        let bound = self.bind(Some(sources), catalogue);
        for part in &bound.parts {
            let Part::Field { name, given, catalogue, default } = part else {
                continue;
            };
            if *name == QUERY && default.is_none() && is_blank(&sources.request.query) {
                let wrong = "is empty, and the model orders by it; send the search text";
                return Err(RankError::field(QUERY, wrong));
            }
            let field = format!("candidates.columns[{name}]");
            match given {
                Given::Other(kind) => {
                    let wrong = format!("holds {kind}, and the model takes strings");
                    return Err(RankError::field(field, wrong));
                }
                Given::Nothing if catalogue.is_none() && default.is_none() => {
                    let wrong = "is needed by the model, as strings: one text a candidate";
                    return Err(RankError::field(field, wrong));
                }
                _ => {}
            }
        }
        Ok(bound)
    }

    fn bind<'a>(
        &'a self,
        sources: Option<&Sources<'a>>,
        catalogue: Option<&'a Catalogue>,
    ) -> BoundSegment<'a> {
        let part = |own: &'a SegmentPiece| {
            let default = own.default.as_deref();
            match &own.piece {
                Piece::Plain(text) => Part::Plain(text),
                Piece::Query => Part::Field {
                    name: QUERY,
                    given: sources.map_or(Given::Nothing, |s| Given::Same(&s.request.query)),
                    catalogue: None,
                    default,
                },
                Piece::Field(name) => Part::Field {
                    name,
                    given: sources.map_or(Given::Nothing, |s| given(s, name)),
                    catalogue: catalogue.filter(|_| own.in_catalogue).and_then(|c| c.column(name)),
                    default,
                },
            }
        };
        BoundSegment { parts: self.pieces.iter().map(part).collect() }
    }
}

fn given<'a>(sources: &Sources<'a>, name: &str) -> Given<'a> {
    let columns = &sources.request.candidates.columns;
    match columns.iter().find(|column| column.name == *name).map(|c| &c.values) {
        Some(Values::Strings(all)) => Given::Each(all),
        Some(other) => Given::Other(other.kind()),
        None => Given::Nothing,
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A segment with its fields found.
pub(super) struct BoundSegment<'a> {
    parts: Vec<Part<'a>>,
}

enum Part<'a> {
    Plain(&'a str),
    Field {
        name: &'a str,
        given: Given<'a>,
        catalogue: Option<&'a FeatureColumn>,
        default: Option<&'a str>,
    },
}

/// What a request brings for a field.
enum Given<'a> {
    Nothing,
    Same(&'a str),
    Each(&'a Texts),
    /// Values that are no text: what they are.
    Other(&'static str),
}

impl<'a> Given<'a> {
    fn text(&self, at: Option<usize>) -> Option<&'a str> {
        let text = match self {
            Self::Same(text) => Some(*text),
            Self::Each(all) => at.map(|at| &all[at]),
            Self::Nothing | Self::Other(_) => None,
        };
        text.filter(|text| !is_blank(text))
    }
}

impl<'a> BoundSegment<'a> {
    /// Whether the request brings any of its fields for the candidate.
    pub(super) fn is_given(&self, at: usize) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Plain(_) => false,
            Part::Field { given, .. } => given.text(Some(at)).is_some(),
        })
    }

    /// The first field that has no text for a candidate, or for a row of the catalogue.
    pub(super) fn blank(&self, at: Option<usize>, row: Option<u32>) -> Option<Blank<'a>> {
        self.parts.iter().find_map(|part| match part {
            Part::Plain(_) => None,
            Part::Field { name, .. } => value(part, at, row).is_none().then_some(Blank(name)),
        })
    }

    /// The text of a candidate, or of a row of the catalogue.
    pub(super) fn text(&self, at: Option<usize>, row: Option<u32>) -> Result<String, Blank<'a>> {
        if let Some(blank) = self.blank(at, row) {
            return Err(blank);
        }
        let filled: String = self.parts.iter().filter_map(|part| value(part, at, row)).collect();
        Ok(filled.trim().to_owned())
    }
}

fn value<'a>(part: &Part<'a>, at: Option<usize>, row: Option<u32>) -> Option<&'a str> {
    match part {
        Part::Plain(text) => Some(text),
        Part::Field { given, catalogue, default, .. } => {
            let known = || {
                let text = catalogue.as_ref()?.text(row? as usize)?;
                Some(text).filter(|text| !is_blank(text))
            };
            given.text(at).or_else(known).or(*default)
        }
    }
}
