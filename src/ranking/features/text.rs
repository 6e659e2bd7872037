//! Texts made of query and item fields, tokenised.

use std::{collections::BTreeMap, time::Instant};

use tokenizers::Tokenizer;

use crate::{
    catalogue::Catalogue,
    ranking::{
        error::{FieldFault, RankError, Stage},
        features::{
            description::{FeatureDescription, FeatureScope},
            segment::{BoundSegment, Segment},
            sources::Sources,
            tokens::{Frame, TokenLists, Tokens},
            values::ValueRule,
        },
    },
    repository::{Bundle, Fault, InputSpec, QUERY, TextSpec, TokenPart},
    tensor::{Tensor, TensorData},
};

/// Faults that are told of one text; more are not looked for.
const MAX_FAULTS: usize = 8;

/// Texts that are tokenised between two looks at the clock.
const TEXTS_PER_LOOK: usize = 32;

/// Which part of which text an input takes.
#[derive(Debug)]
pub(super) struct TextFeature {
    pub(super) text: String,
    part: TokenPart,
    rule: ValueRule,
    /// Whether it has one entry a candidate, not one a request.
    of_candidates: bool,
}

impl TextFeature {
    pub(super) fn new(input: &InputSpec) -> Self {
        let of_candidates =
            |dim: &crate::repository::DimSpec| dim.is("rows") || dim.is("candidates");
        Self {
            text: input.text.clone().unwrap_or_default(),
            part: input.part.unwrap_or(TokenPart::Ids),
            rule: ValueRule::new(input),
            of_candidates: input.shape.iter().any(of_candidates),
        }
    }

    /// Makes the tensor `[candidates…, tokens]` for candidates of that shape, or `[1, tokens]` for a text of the request.
    pub(super) fn tensor(&self, tokens: &Tokenised<'_>, candidates: Vec<usize>) -> Tensor {
        let mut shape = if self.of_candidates { candidates } else { vec![1] };
        let rows: usize = shape.iter().product();
        shape.push(tokens.length);
        let mut values = tokens.part(self.part);
        if tokens.rows == 1 && rows != 1 {
            values = values.repeat(rows);
        }
        Tensor { shape, data: TensorData::from_ints(self.rule.dtype, values) }
    }
}

/// A text of the manifest with its tokenizer.
#[derive(Debug)]
pub(super) struct TextTemplate {
    segments: Vec<Segment>,
    /// Without truncation, padding and post-processor: these are done here.
    tokenizer: Tokenizer,
    frame: Frame,
    padding: i64,
}

/// Loads the texts of a bundle's manifest, at the cost of tokenising the catalogue.
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

/// Reads the texts of a bundle as its load does; returns their names.
///
/// # Errors
/// The [`Fault`] of a tokenizer or a template.
pub fn check_texts(
    bundle: &Bundle,
    catalogue: Option<&Catalogue>,
) -> Result<Vec<String>, Vec<Fault>> {
    load(bundle, catalogue).map(|texts| texts.into_keys().collect())
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
        tokenizer.with_padding(None).with_truncation(None).map_err(refused)?;
        let frame = Frame::read(&tokenizer, spec.second.is_some(), spec.max_tokens);
        let frame = frame.map_err(refused)?.ok_or_else(|| {
            let wrong = format!("is {}, which the special tokens take up", spec.max_tokens);
            let fix = "give the longest text that the graph takes, special tokens included";
            Fault::new(format!("texts.{name}.max_tokens"), wrong, fix)
        })?;
        tokenizer.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        let segments = spec.segments(name)?.into_iter();
        let segments = segments.map(|pieces| Segment::new(pieces, &spec.defaults, catalogue));
        let mut template = Self { segments: segments.collect(), tokenizer, frame, padding };
        if let Some(catalogue) = catalogue {
            template.tokenise_catalogue(bundle, name, catalogue).map_err(refused)?;
        }
        Ok(template)
    }

    fn tokenise_catalogue(
        &mut self,
        bundle: &Bundle,
        name: &str,
        catalogue: &Catalogue,
    ) -> Result<(), tokenizers::Error> {
        let begun = Instant::now();
        let mut blank = 0;
        for segment in &mut self.segments {
            blank += segment.tokenise_catalogue(catalogue, &self.tokenizer, self.frame.room())?;
        }
        if self.segments.iter().any(|segment| segment.by_row().is_some()) {
            let (model, items) = (&bundle.id, catalogue.len());
            let took_ms = begun.elapsed().as_millis();
            tracing::info!(%model, text = name, items, took_ms, "the catalogue's texts are tokenised");
        }
        if blank > 0 {
            let model = &bundle.id;
            tracing::warn!(%model, text = name, items = blank, "items have no text: requests must bring it");
        }
        Ok(())
    }

    /// The features that a request may bring for it.
    pub(super) fn describe(&self) -> Vec<FeatureDescription> {
        let fields = self.segments.iter().flat_map(Segment::fields);
        let described = fields.map(|field| FeatureDescription {
            name: field.name.unwrap_or(QUERY).to_owned(),
            scope: match field.name {
                Some(_) => FeatureScope::Candidate,
                None => FeatureScope::Query,
            },
            kind: "string",
            required: field.required,
        });
        described.collect()
    }

    /// Tokenises what the catalogue does not have, at the cost of that on the caller's thread: the query once, and the
    /// texts that the request brings.
    ///
    /// # Errors
    /// [`RankError::Invalid`] naming the query, or each candidate without a text, up to a number; [`RankError::Expired`].
    pub(super) fn tokenise<'a>(
        &'a self,
        sources: &Sources<'_>,
        catalogue: Option<&Catalogue>,
    ) -> Result<Tokenised<'a>, RankError> {
        let of_candidates = self.segments.iter().any(Segment::of_candidates);
        let mut tokens = Tokenised {
            template: self,
            rows: if of_candidates { sources.scored.len() } else { 1 },
            given: TokenLists::default(),
            places: Vec::new(),
            length: 1,
        };
        for segment in &self.segments {
            let bound = segment.of_request(sources, catalogue)?;
            let places = match segment.of_candidates() {
                true => self.place(segment, &bound, sources, &mut tokens.given)?,
                false => {
                    let text = bound.text(None, None).unwrap_or_default();
                    vec![Place::Given(self.encode(text, &mut tokens.given)?); tokens.rows]
                }
            };
            tokens.places.push(places);
        }
        let lengths = (0..tokens.rows).map(|row| self.frame.length(tokens.segments(row)));
        tokens.length = lengths.max().unwrap_or(0).max(1);
        Ok(tokens)
    }

    /// Finds or makes the tokens of each scored candidate.
    fn place(
        &self,
        segment: &Segment,
        bound: &BoundSegment<'_>,
        sources: &Sources<'_>,
        given: &mut TokenLists,
    ) -> Result<Vec<Place>, RankError> {
        let mut places = Vec::with_capacity(sources.scored.len());
        let mut faults = Vec::new();
        for &at in sources.scored {
            let (at, row) = (at as usize, sources.rows[at as usize]);
            let known = segment.by_row().zip(row).filter(|_| !bound.is_given(at));
            if let Some((lists, row)) = known
                && lists.get(row).whole > 0
            {
                places.push(Place::Row(row));
                continue;
            }
            match bound.text(Some(at), row) {
                Ok(text) if faults.is_empty() => {
                    places.push(Place::Given(self.encode(text, given)?));
                    let look = given.len().is_multiple_of(TEXTS_PER_LOOK);
                    if look && sources.deadline.expired(Instant::now()) {
                        return Err(RankError::Expired(Stage::Features));
                    }
                }
                Ok(_) => {}
                Err(blank) => faults.push(no_text(blank.0, at, sources)),
            }
            if faults.len() == MAX_FAULTS {
                break;
            }
        }
        if faults.is_empty() { Ok(places) } else { Err(RankError::Invalid(faults)) }
    }

    fn encode(&self, text: String, given: &mut TokenLists) -> Result<u32, RankError> {
        let failed = |cause: tokenizers::Error| RankError::Features(cause.to_string());
        let encoding = self.tokenizer.encode_fast(text, false).map_err(failed)?;
        Ok(given.push(encoding.get_ids(), self.frame.room()))
    }
}

/// What is wrong with a candidate that has no text for a field.
fn no_text(name: &str, at: usize, sources: &Sources<'_>) -> FieldFault {
    let candidates = &sources.request.candidates;
    let column = candidates.columns.iter().any(|column| column.name == name);
    let (field, wrong) = match (column, sources.rows[at]) {
        (true, None) => (format!("candidates.columns[{name}].strings.values[{at}]"), "is blank"),
        (true, Some(_)) => (
            format!("candidates.columns[{name}].strings.values[{at}]"),
            "is blank, in the catalogue too,",
        ),
        (false, Some(_)) => (format!("candidates.columns[{name}]"), "is blank in the catalogue"),
        (false, None) => (format!("candidates.columns[{name}]"), "is not in the catalogue"),
    };
    let wrong = format!(
        "{wrong} for the item candidates.ids[{at}], and the model needs it; send its {name}, or leave the item out"
    );
    FieldFault::new(field, wrong)
}

/// Where the tokens of one segment of one candidate are.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Among those of the catalogue's rows.
    Row(u32),
    /// Among those that were made for the request.
    Given(u32),
}

/// The texts of one request's scored candidates, tokenised; a text without a candidate's field has one row.
pub(super) struct Tokenised<'a> {
    template: &'a TextTemplate,
    rows: usize,
    given: TokenLists,
    /// For each segment, where the tokens of each row are.
    places: Vec<Vec<Place>>,
    /// Tokens of the longest row.
    length: usize,
}

impl Tokenised<'_> {
    /// The segments of a row, cut to the text's length.
    fn segments(&self, row: usize) -> [&[u32]; 2] {
        let tokens = |segment: usize| {
            let place = self.places.get(segment).map(|places| places[row]);
            let by_row = || self.template.segments[segment].by_row();
            let found = match place {
                Some(Place::Row(row)) => by_row().map(|lists| lists.get(row)),
                Some(Place::Given(at)) => Some(self.given.get(at)),
                None => None,
            };
            found.unwrap_or(Tokens { ids: &[], whole: 0 })
        };
        self.template.frame.cut(tokens(0), tokens(1))
    }

    /// One part of all rows, padded to the longest.
    fn part(&self, part: TokenPart) -> Vec<i64> {
        let frame = &self.template.frame;
        let mut all = Vec::with_capacity(self.rows * self.length);
        for row in 0..self.rows {
            let segments = self.segments(row);
            match part {
                TokenPart::Ids => frame.ids(segments, &mut all),
                TokenPart::Types => frame.types(segments, &mut all),
                TokenPart::Mask => {
                    all.resize(row * self.length + frame.length(segments), 1);
                }
            }
            let padding = if part == TokenPart::Ids { self.template.padding } else { 0 };
            all.resize((row + 1) * self.length, padding);
        }
        all
    }
}
