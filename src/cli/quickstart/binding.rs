//! What feeds an input, by a guess from its name, type and shape.

use crate::{
    runtime::{Dim, TensorInfo},
    tensor::DType,
};

/// The file of a tokeniser, beside a model that reads tokens.
pub(super) const TOKENIZER: &str = "tokenizer.json";

/// The binding of an input: keys of its table behind the name, and what to do about them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Binding {
    /// Lines of the table.
    pub(super) lines: Vec<String>,
    /// What to look at; a person has to where it begins with `FILL IN`.
    pub(super) comment: String,
    /// What else the manifest needs for it.
    pub(super) needs: Option<Need>,
}

/// A section of the manifest that bindings need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// `[encoder]`
    Encoder,
    /// `[vocabularies.item]`
    Items,
    /// `[texts.text]`
    Text,
}

impl Binding {
    fn of(source: &str, more: &[&str], comment: &str) -> Self {
        let mut lines = vec![format!("source = \"{source}\"")];
        lines.extend(more.iter().map(|line| (*line).to_owned()));
        Self { lines, comment: comment.to_owned(), needs: None }
    }

    fn needing(self, need: Need) -> Self {
        Self { needs: Some(need), ..self }
    }
}

/// Whether an input is part of a tokenised text.
pub(super) fn is_tokens(info: &TensorInfo) -> bool {
    part_of_text(info).is_some()
}

fn part_of_text(info: &TensorInfo) -> Option<&'static str> {
    let parts = [("input_ids", "ids"), ("attention_mask", "mask"), ("token_type_ids", "types")];
    let own = parts.iter().find(|(name, _)| *name == info.name)?;
    (info.dims.len() == 2).then_some(own.1)
}

/// What feeds an input of a ranker.
pub(super) fn of_ranker(info: &TensorInfo) -> Binding {
    let name = info.name.to_lowercase();
    let is_whole = matches!(info.dtype, Ok(DType::Int64 | DType::Int32));
    if let Some(part) = part_of_text(info) {
        let part = format!("part = \"{part}\"");
        let shape = "shape = [\"rows\", \"tokens\"]";
        let more = ["text = \"text\"", &part, shape];
        return Binding::of("tokens", &more, "").needing(Need::Text);
    }
    if is_whole && info.dims.len() == 1 && matches!(name.as_str(), "user_index" | "user_idx") {
        let comment = "for each candidate, which of the batch's users it belongs to";
        return Binding::of("user_index", &["shape = [\"rows\"]"], comment);
    }
    if let ("user" | "user_embedding" | "user_emb" | "user_vector", [_, Dim::Fixed(width)]) =
        (name.as_str(), &info.dims[..])
    {
        let shape = format!("shape = [\"users\", {width}]");
        let comment = "what the user encoder gives; take \"rows\" for \"users\" where the graph has no user index";
        return Binding::of("user_embedding", &[&shape], comment).needing(Need::Encoder);
    }
    let shape = match &info.dims[1..] {
        [] => "shape = [\"rows\"]".to_owned(),
        [Dim::Fixed(width)] => format!("shape = [\"rows\", {width}]"),
        other => {
            let dims: Vec<String> = other.iter().map(told).collect();
            let shape = format!("shape = [\"rows\", {}]", dims.join(", "));
            let comment =
                "FILL IN: no source is known that gives this shape; docs/bundle.md lists all";
            return Binding::of("candidate", &[&shape], comment);
        }
    };
    let comment = match (&info.dims[1..], &info.dtype) {
        ([], Ok(DType::String)) => "a text column of the request's candidates",
        ([], _) => {
            "a column of the request's candidates; source = \"context\" for one value a request; \
             default = 0.0 where it may be missing"
        }
        _ => "a `vectors` column of the request's candidates",
    };
    Binding::of("candidate", &[&shape], comment)
}

/// What feeds an input of a user encoder.
pub(super) fn of_encoder(info: &TensorInfo) -> Binding {
    let name = info.name.to_lowercase();
    if info.dims.len() == 1 {
        return Binding::of(
            "history_length",
            &["shape = [\"users\"]"],
            "how many events there are",
        );
    }
    let shape = match info.dims.len() {
        2 => "shape = [\"users\", \"length\"]",
        _ => {
            let comment =
                "FILL IN: no source is known that gives this shape; docs/bundle.md lists all";
            return Binding::of("history", &["shape = [\"users\", \"length\"]"], comment);
        }
    };
    if name.contains("mask") {
        return Binding::of("history_mask", &[shape], "1 for an event, 0 for padding");
    }
    let fields = [("gap", "gap_days"), ("age", "age_days"), ("kind", "kind"), ("type", "kind")];
    if let Some((_, field)) = fields.iter().find(|(part, _)| name.contains(part)) {
        let field = format!("field = \"{field}\"");
        return Binding::of("history", &[&field, shape], "of each event, oldest first");
    }
    let more = ["field = \"item\"", "vocabulary = \"item\"", shape];
    Binding::of("history", &more, "the item of each event, oldest first").needing(Need::Items)
}

fn told(dim: &Dim) -> String {
    match dim {
        Dim::Fixed(length) => length.to_string(),
        Dim::Dynamic(name) if name.is_empty() => "\"?\"".to_owned(),
        Dim::Dynamic(name) => toml::Value::String(name.clone()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, dtype: DType, dims: &[Option<usize>]) -> TensorInfo {
        let dim = |dim: &Option<usize>| dim.map_or(Dim::Dynamic("n".to_owned()), Dim::Fixed);
        TensorInfo { name: name.to_owned(), dtype: Ok(dtype), dims: dims.iter().map(dim).collect() }
    }

    #[track_caller]
    fn check(binding: &Binding, want: &str) {
        assert_eq!(binding.lines.join(" "), want);
    }

    #[test]
    fn inputs_of_rankers_are_bound_by_their_names_and_shapes() {
        let (float, int, text) = (DType::Float32, DType::Int64, DType::String);
        let of = |name: &str, dtype, dims: &[Option<usize>]| of_ranker(&info(name, dtype, dims));
        check(&of("price", float, &[None]), "source = \"candidate\" shape = [\"rows\"]");
        check(&of("brand", text, &[None]), "source = \"candidate\" shape = [\"rows\"]");
        check(&of("x", float, &[None, Some(8)]), "source = \"candidate\" shape = [\"rows\", 8]");
        check(&of("user_index", int, &[None]), "source = \"user_index\" shape = [\"rows\"]");
        check(&of("user_index", float, &[None]), "source = \"candidate\" shape = [\"rows\"]");
        let user = of("user_embedding", float, &[None, Some(16)]);
        check(&user, "source = \"user_embedding\" shape = [\"users\", 16]");
        assert_eq!(user.needs, Some(Need::Encoder));
        let ids = of("input_ids", int, &[None, None]);
        check(
            &ids,
            "source = \"tokens\" text = \"text\" part = \"ids\" shape = [\"rows\", \"tokens\"]",
        );
        assert_eq!(ids.needs, Some(Need::Text));
        let odd = of("image", float, &[None, Some(3), None]);
        check(&odd, "source = \"candidate\" shape = [\"rows\", 3, \"n\"]");
        assert!(odd.comment.starts_with("FILL IN"));
    }

    #[test]
    fn inputs_of_encoders_read_the_history() {
        let of = |name: &str, dims: &[Option<usize>]| of_encoder(&info(name, DType::Int64, dims));
        check(
            &of("mask", &[None, None]),
            "source = \"history_mask\" shape = [\"users\", \"length\"]",
        );
        check(&of("length", &[None]), "source = \"history_length\" shape = [\"users\"]");
        check(
            &of("gap_days", &[None, None]),
            "source = \"history\" field = \"gap_days\" shape = [\"users\", \"length\"]",
        );
        let items = of("items", &[None, None]);
        assert_eq!(items.needs, Some(Need::Items));
        assert!(of("x", &[None, None, Some(2)]).comment.starts_with("FILL IN"));
    }
}
