//! Templates of texts: plain text and fields in braces.

use crate::repository::{error::Fault, manifest::TextSpec};

/// The field that stands for the request's search text.
pub const QUERY: &str = "query";

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it stands.
    Plain(String),
    /// The request's search text.
    Query,
    /// A text column of the candidates.
    Field(String),
}

impl TextSpec {
    /// The template of each segment, cut at its braces.
    ///
    /// # Errors
    /// A [`Fault`] of `name`, the text's name, for a template whose braces do not match.
    pub fn segments(&self, name: &str) -> Result<Vec<Vec<Piece>>, Fault> {
        let bad = |template: &str| {
            let fix = "write {query} or {column}, each brace closed";
            Fault::new(format!("texts.{name}"), format!("`{template}` is no template"), fix)
        };
        let templates = std::iter::once(&self.first).chain(&self.second);
        templates.map(|template| parse(template).ok_or_else(|| bad(template))).collect()
    }

    /// Whether it depends on the candidate.
    pub(super) fn reads_candidates(&self) -> bool {
        let segments = self.segments("").unwrap_or_default();
        segments.iter().flatten().any(|piece| matches!(piece, Piece::Field(_)))
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
            QUERY => Piece::Query,
            name => Piece::Field(name.to_owned()),
        });
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest.to_owned()));
    }
    (!rest.contains('}')).then_some(pieces)
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
