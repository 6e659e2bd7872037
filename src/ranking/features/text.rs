//! Texts made of query and item fields, tokenised.

use std::{borrow::Cow, collections::BTreeMap};

use tokenizers::{EncodeInput, InputSequence, Tokenizer, TruncationParams};

use crate::{
    catalogue::{Catalogue, FeatureColumn},
    ranking::{
        error::RankError,
        features::{
            description::{FeatureDescription, FeatureScope},
            sources::Sources,
            values::ValueRule,
        },
        request::Values,
    },
    repository::{Bundle, Fault, InputSpec, TextSpec, TokenPart},
    tensor::{Tensor, TensorData},
};

/// Which part of which text an input takes.
#[derive(Debug)]
pub(super) struct TextFeature {
    pub(super) text: String,
    part: TokenPart,
    rule: ValueRule,
}

/// The texts of one request's scored candidates, tokenised and padded to the longest.
pub(super) struct Tokenised {
    length: usize,
    ids: Vec<i64>,
    mask: Vec<i64>,
    types: Vec<i64>,
}

impl TextFeature {
    pub(super) fn new(input: &InputSpec) -> Self {
        Self {
            text: input.text.clone().unwrap_or_default(),
            part: input.part.unwrap_or(TokenPart::Ids),
            rule: ValueRule::new(input),
        }
    }

    /// Makes the tensor `[candidates…, tokens]`.
    pub(super) fn tensor(&self, tokens: &Tokenised, mut shape: Vec<usize>) -> Tensor {
        shape.push(tokens.length);
        let values = match self.part {
            TokenPart::Ids => &tokens.ids,
            TokenPart::Mask => &tokens.mask,
            TokenPart::Types => &tokens.types,
        };
        Tensor { shape, data: TensorData::from_ints(self.rule.dtype, values.clone()) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Query,
    Field(String),
}

/// A text of the manifest with its tokenizer.
#[derive(Debug)]
pub(super) struct TextTemplate {
    first: Vec<Piece>,
    second: Option<Vec<Piece>>,
    /// Fields that only a request can bring.
    needed: Vec<String>,
    /// Fields that the catalogue has.
    known: Vec<String>,
    tokenizer: Tokenizer,
    padding: i64,
}

/// Loads the texts of a bundle's manifest.
///
/// # Errors
/// The [`Fault`] of a tokenizer or a template.
pub(super) fn load(
    bundle: &Bundle,
    catalogue: Option<&Catalogue>,
) -> Result<BTreeMap<String, TextTemplate>, Vec<Fault>> {
    let load_one = |(name, spec): (&String, &TextSpec)| {
        let template = TextTemplate::load(bundle, name, spec, catalogue)?;
        Ok((name.clone(), template))
    };
    let all = bundle.manifest.texts.iter().map(load_one);
    all.collect::<Result<_, Fault>>().map_err(|fault| vec![fault])
}

impl TextTemplate {
    fn load(
        bundle: &Bundle,
        name: &str,
        spec: &TextSpec,
        catalogue: Option<&Catalogue>,
    ) -> Result<Self, Fault> {
        let refused = |cause: tokenizers::Error| {
            let fix = "export it in the format of Hugging Face's tokenizers";
            Fault::new(&spec.tokenizer, format!("is no tokenizer: {cause}"), fix)
        };
        let mut tokenizer = Tokenizer::from_file(bundle.file(&spec.tokenizer)).map_err(refused)?;
        let padding = tokenizer.get_padding().map_or(0, |p| i64::from(p.pad_id));
        tokenizer.with_padding(None);
        let truncation =
            TruncationParams { max_length: spec.max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(refused)?;
        let bad = |template: &str| {
            let fix = "write {query} or {column}, each brace closed";
            Fault::new(format!("texts.{name}"), format!("`{template}` is no template"), fix)
        };
        let first = parse(&spec.first).ok_or_else(|| bad(&spec.first))?;
        let second = match &spec.second {
            Some(text) => Some(parse(text).ok_or_else(|| bad(text))?),
            None => None,
        };
        let pieces = first.iter().chain(second.iter().flatten());
        let (known, needed) = pieces
            .filter_map(|piece| match piece {
                Piece::Field(name) => Some(name.clone()),
                _ => None,
            })
            .partition(|name| {
                let column = catalogue.and_then(|c| c.column(name));
                matches!(column, Some(FeatureColumn::Texts { .. }))
            });
        Ok(Self { first, second, needed, known, tokenizer, padding })
    }

    /// The features that a request may bring for it.
    pub(super) fn describe(&self) -> Vec<FeatureDescription> {
        let describe = |name: &String, scope, required| FeatureDescription {
            name: name.clone(),
            scope,
            kind: "string",
            required,
        };
        let pieces = self.first.iter().chain(self.second.iter().flatten());
        let query = pieces.filter(|piece| **piece == Piece::Query).take(1);
        query
            .map(|_| describe(&"query".to_owned(), FeatureScope::Query, false))
            .chain(self.needed.iter().map(|n| describe(n, FeatureScope::Candidate, true)))
            .chain(self.known.iter().map(|n| describe(n, FeatureScope::Candidate, false)))
            .collect()
    }

    /// Tokenises the text of each scored candidate, at the cost of that on the caller's thread.
    pub(super) fn tokenise(
        &self,
        sources: &Sources<'_>,
        catalogue: Option<&Catalogue>,
    ) -> Result<Tokenised, RankError> {
        let first = Filler::new(&self.first, sources, catalogue)?;
        let second = match &self.second {
            Some(pieces) => Some(Filler::new(pieces, sources, catalogue)?),
            None => None,
        };
        let failed = |cause: tokenizers::Error| RankError::Features(cause.to_string());
        let mut encodings = Vec::with_capacity(sources.scored.len());
        for &at in sources.scored {
            let segment = |filler: &Filler<'_>| InputSequence::from(filler.fill(at as usize));
            let input = match &second {
                Some(second) => EncodeInput::Dual(segment(&first), segment(second)),
                None => EncodeInput::Single(segment(&first)),
            };
            encodings.push(self.tokenizer.encode_fast(input, true).map_err(failed)?);
        }
        let length = encodings.iter().map(tokenizers::Encoding::len).max().unwrap_or(0).max(1);
        let mut tokens = Tokenised {
            length,
            ids: Vec::with_capacity(length * encodings.len()),
            mask: Vec::with_capacity(length * encodings.len()),
            types: Vec::with_capacity(length * encodings.len()),
        };
        for (number, encoding) in encodings.iter().enumerate() {
            let end = (number + 1) * length;
            let whole = |all: &[u32]| all.iter().map(|&v| i64::from(v)).collect::<Vec<_>>();
            tokens.ids.extend(whole(encoding.get_ids()));
            tokens.ids.resize(end, self.padding);
            tokens.mask.extend(whole(encoding.get_attention_mask()));
            tokens.mask.resize(end, 0);
            tokens.types.extend(whole(encoding.get_type_ids()));
            tokens.types.resize(end, 0);
        }
        Ok(tokens)
    }
}

/// Cuts a template at its braces; `None` where they do not match.
fn parse(template: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}')?;
        let (plain, name) = (&rest[..open], &rest[open + 1..close]);
        if plain.contains('}') || name.is_empty() || name.contains('{') {
            return None;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain.to_owned()));
        }
        pieces.push(match name {
            "query" => Piece::Query,
            name => Piece::Field(name.to_owned()),
        });
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest.to_owned()));
    }
    (!rest.contains('}')).then_some(pieces)
}

/// A template with its fields found in one request.
struct Filler<'a> {
    parts: Vec<Part<'a>>,
    rows: &'a [Option<u32>],
}

enum Part<'a> {
    Same(&'a str),
    Given(&'a [String]),
    Catalogue(&'a FeatureColumn),
}

impl<'a> Filler<'a> {
    fn new(
        pieces: &'a [Piece],
        sources: &Sources<'a>,
        catalogue: Option<&'a Catalogue>,
    ) -> Result<Self, RankError> {
        let part = |piece: &'a Piece| match piece {
            Piece::Plain(text) => Ok(Part::Same(text)),
            Piece::Query => Ok(Part::Same(&sources.request.query)),
            Piece::Field(name) => {
                let columns = &sources.request.candidates.columns;
                let field = format!("candidates.columns[{name}]");
                match columns.iter().find(|column| column.name == *name).map(|c| &c.values) {
                    Some(Values::Strings(all)) => Ok(Part::Given(all)),
                    Some(other) => {
                        let wrong = format!("holds {}, and the model takes strings", other.kind());
                        Err(RankError::field(field, wrong))
                    }
                    None => catalogue.and_then(|c| c.column(name)).map(Part::Catalogue).ok_or_else(
                        || RankError::field(field, "is needed by the model, as strings"),
                    ),
                }
            }
        };
        Ok(Self { parts: pieces.iter().map(part).collect::<Result<_, _>>()?, rows: sources.rows })
    }

    fn fill(&self, at: usize) -> String {
        let text = |part: &Part<'a>| -> Cow<'a, str> {
            match part {
                Part::Same(text) => Cow::Borrowed(*text),
                Part::Given(all) => Cow::Borrowed(all[at].as_str()),
                Part::Catalogue(column) => {
                    let known = self.rows[at].and_then(|row| column.text(row as usize));
                    Cow::Borrowed(known.unwrap_or_default())
                }
            }
        };
        let filled: String = self.parts.iter().map(text).collect();
        filled.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, want: Option<&[Piece]>) {
        assert_eq!(parse(template).as_deref(), want, "{template}");
    }

    #[test]
    fn a_template_is_cut_at_its_braces() {
        let field = |name: &str| Piece::Field(name.to_owned());
        let plain = |text: &str| Piece::Plain(text.to_owned());
        check("{query}", Some(&[Piece::Query]));
        check(
            "{title} by {brand}!",
            Some(&[field("title"), plain(" by "), field("brand"), plain("!")]),
        );
        check("plain", Some(&[plain("plain")]));
        check("", Some(&[]));
        check("{title", None);
        check("title}", None);
        check("{}", None);
        check("{{a}}", None);
    }
}
