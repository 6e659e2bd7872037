//! From the wire to a request, all faults at once.

use std::fmt::Arguments;

use ahash::AHashSet;

use crate::{
    batching::Priority,
    ids::CallerName,
    ranking::{Candidates, Column, InlineEmbedding, RankError, RankRequest, User, Values},
    texts::{Texts, has_repeats},
    transport::{
        convert::faults::{Faults, shortened},
        limits::Limits,
        pb,
    },
    users::Event,
};

/// Checks a message against the limits and turns it into a request.
///
/// # Errors
/// [`RankError::Invalid`] with every faulty field, up to a number.
pub fn rank_request(message: pb::RankRequest, limits: &Limits) -> Result<RankRequest, RankError> {
    let mut faults = Faults::against(limits);
    faults.id(&"request_id", &message.request_id);
    faults.text(&"query", &message.query);
    if message.explain {
        faults.add("explain", "is not supported yet; leave it false");
    }
    let (count, candidates) = faults.candidates(message.candidates.unwrap_or_default());
    let context = faults.columns(format_args!("context"), message.context, 1);
    let user = faults.user(message.user.unwrap_or_default());
    let model = faults.model(message.model);
    let priority = faults.priority(message.priority);
    if count == 0 {
        faults.add("candidates.ids", "is empty; send at least one id");
    }
    faults.none()?;
    Ok(RankRequest {
        request_id: message.request_id,
        model,
        user,
        query: message.query,
        context,
        candidates,
        top_k: message.top_k as usize,
        priority,
        allow_partial: message.allow_partial,
        require_user_state: message.require_user_state,
        caller: CallerName::default(),
    })
}

impl Faults<'_> {
    fn priority(&mut self, given: u32) -> Option<Priority> {
        match u8::try_from(given) {
            Ok(0) => None,
            Ok(level) if level <= Priority::LOWEST => Some(Priority(level)),
            _ => {
                let lowest = Priority::LOWEST;
                self.add("priority", format!("is {given}; it must lie between 0 and {lowest}"));
                None
            }
        }
    }

    fn candidates(&mut self, message: pb::Candidates) -> (usize, Candidates) {
        let count = message.ids.len();
        let limit = ("max_candidates", self.limits.max_candidates);
        if !self.bound(&"candidates.ids", count, limit, "entries") {
            return (count, Candidates::default());
        }
        self.ids(&message.ids);
        if !message.prior_scores.is_empty() {
            let field = format_args!("candidates.prior_scores");
            self.count(field, message.prior_scores.len(), count);
            self.finite(field, &message.prior_scores);
        }
        let candidates = Candidates {
            columns: self.columns(format_args!("candidates.columns"), message.columns, count),
            ids: message.ids,
            prior_scores: message.prior_scores,
        };
        (count, candidates)
    }

    fn ids(&mut self, ids: &Texts) {
        let most = self.limits.max_id_bytes;
        let fits = |id: &str| !id.is_empty() && id.len() <= most;
        if ids.iter().all(fits) && !has_repeats(ids) {
            return;
        }
        let mut seen = AHashSet::with_capacity(ids.len());
        for (at, id) in ids.iter().enumerate() {
            if fits(id) && seen.insert(id) {
                continue;
            }
            let field = format_args!("candidates.ids[{at}]");
            match (id.is_empty(), fits(id)) {
                (true, _) => self.add(field, "is empty"),
                (_, false) => self.id(&field, id),
                _ => self.add(field, "was there before; send each id once"),
            }
        }
    }

    fn columns(
        &mut self,
        field: Arguments<'_>,
        mut columns: Vec<pb::Column>,
        count: usize,
    ) -> Vec<Column> {
        let limit = ("max_columns", self.limits.max_columns);
        if !self.bound(&field, columns.len(), limit, "columns") {
            return Vec::new();
        }
        let mut done = Vec::with_capacity(columns.len());
        for at in 0..columns.len() {
            let (before, rest) = columns.split_at_mut(at);
            let column = &mut rest[0];
            let place = format_args!("{field}[{at}]");
            if column.name.is_empty() {
                self.add(format_args!("{place}.name"), "is empty");
            }
            self.id(&format_args!("{place}.name"), &column.name);
            if before.iter().any(|other| other.name == column.name) {
                self.add(place, format!("`{}` is there twice", shortened(&column.name)));
            }
            let values = column.values.take();
            if let Some(values) = self.values((place, &column.name), values, count) {
                done.push(Column { name: column.name.clone(), values });
            }
        }
        done
    }

    fn values(
        &mut self,
        (place, name): (Arguments<'_>, &str),
        values: Option<pb::column::Values>,
        count: usize,
    ) -> Option<Values> {
        use pb::column::Values as Wire;
        match values {
            None => {
                self.add(place, "has no values; set floats, ints, strings or vectors");
                None
            }
            Some(Wire::Floats(column)) => {
                let field = format_args!("{place}.floats.values");
                self.finite(field, &column.values);
                self.count(field, column.values.len(), count)
                    .then_some(Values::Floats(column.values))
            }
            Some(Wire::Ints(column)) => self
                .count(format_args!("{place}.ints.values"), column.values.len(), count)
                .then_some(Values::Ints(column.values)),
            Some(Wire::Strings(column)) => {
                let field = format_args!("{place}.strings.values");
                let most = self.limits.max_string_bytes;
                for (at, text) in column.values.iter().enumerate().filter(|(_, t)| t.len() > most) {
                    let (name, got) = (shortened(name), text.len());
                    let wrong = format!(
                        "of the column `{name}` has {got} bytes, and max_string_bytes is {most}"
                    );
                    self.add(format_args!("{field}[{at}]"), wrong);
                }
                self.count(field, column.values.len(), count)
                    .then_some(Values::Strings(column.values))
            }
            Some(Wire::Vectors(column)) => self.vectors(place, column, count),
        }
    }

    fn vectors(
        &mut self,
        place: Arguments<'_>,
        column: pb::VectorColumn,
        count: usize,
    ) -> Option<Values> {
        let (dim, most) = (column.dim as usize, self.limits.max_vector_dim);
        if dim == 0 || dim > most {
            let wrong = format!("is {dim}, and must be 1 to max_vector_dim, {most}");
            self.add(format_args!("{place}.vectors.dim"), wrong);
            return None;
        }
        let field = format_args!("{place}.vectors.values");
        self.finite(field, &column.values);
        let want = count.saturating_mul(dim);
        let fits = column.values.len() == want;
        if !fits {
            let got = column.values.len();
            self.add(field, format!("has {got} values, and {want} are needed: {count} of {dim}"));
        }
        fits.then_some(Values::Vectors { dim, values: column.values })
    }

    fn user(&mut self, message: pb::User) -> User {
        self.id(&"user.id", &message.id);
        let limit = ("max_history", self.limits.max_history);
        let history = match self.bound(&"user.history", message.history.len(), limit, "events") {
            true => self.history(message.history),
            false => Vec::new(),
        };
        let embedding = message.embedding.map(|given| {
            self.finite(format_args!("user.embedding.values"), &given.values);
            InlineEmbedding {
                values: given.values,
                shape: given.shape.into_iter().map(|dim| dim as usize).collect(),
                encoder_version: given.encoder_version,
            }
        });
        User { id: message.id, history, embedding }
    }

    fn history(&mut self, events: Vec<pb::Event>) -> Vec<Event> {
        let mut done: Vec<Event> = Vec::with_capacity(events.len());
        for (at, event) in events.into_iter().enumerate() {
            let place = format_args!("user.history[{at}]");
            let Some(event) = self.event(place, event) else {
                continue;
            };
            if done.last().is_some_and(|before| before.time > event.time) {
                let wrong = "is earlier than the event before; send the oldest first";
                self.add(format_args!("{place}.time"), wrong);
            }
            done.push(event);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> pb::RankRequest {
        pb::RankRequest {
            candidates: Some(pb::Candidates {
                ids: ["a", "b"].into_iter().collect(),
                ..pb::Candidates::default()
            }),
            ..pb::RankRequest::default()
        }
    }

    fn candidates(change: impl FnOnce(&mut pb::Candidates)) -> pb::RankRequest {
        let mut message = request();
        change(message.candidates.get_or_insert_default());
        message
    }

    fn column(values: pb::column::Values) -> pb::Column {
        pb::Column { name: "x".to_owned(), values: Some(values) }
    }

    #[track_caller]
    fn check(message: pb::RankRequest, want: &[&str]) {
        let limits = Limits { max_candidates: 3, max_id_bytes: 8, ..Limits::default() };
        let faults = match rank_request(message, &limits) {
            Ok(_) => Vec::new(),
            Err(RankError::Invalid(faults)) => faults,
            Err(other) => panic!("{other}"),
        };
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, want, "{faults:?}");
    }

    #[test]
    fn faults_of_candidates_name_their_field() {
        check(request(), &[]);
        check(pb::RankRequest::default(), &["candidates.ids"]);
        let ids = |ids: &[&str]| candidates(|c| c.ids = ids.iter().collect());
        check(ids(&[""]), &["candidates.ids[0]"]);
        check(ids(&["a", "a"]), &["candidates.ids[1]"]);
        check(ids(&["a", "123456789"]), &["candidates.ids[1]"]);
        check(ids(&["a", "b", "c", "d"]), &["candidates.ids"]);
        check(candidates(|c| c.prior_scores = vec![1.0]), &["candidates.prior_scores"]);
        check(
            candidates(|c| c.prior_scores = vec![1.0, f32::NAN]),
            &["candidates.prior_scores[1]"],
        );
    }

    #[test]
    fn faults_of_columns_name_their_field() {
        use pb::column::Values as Wire;
        let floats = |values: &[f32]| Wire::Floats(pb::FloatColumn { values: values.to_vec() });
        let with = |values| candidates(|c| c.columns = vec![column(values)]);
        check(with(floats(&[1.0, 2.0])), &[]);
        check(with(floats(&[1.0])), &["candidates.columns[0].floats.values"]);
        check(with(floats(&[1.0, f32::INFINITY])), &["candidates.columns[0].floats.values[1]"]);
        let vectors =
            |dim, length| Wire::Vectors(pb::VectorColumn { dim, values: vec![0.0; length] });
        check(with(vectors(3, 6)), &[]);
        check(with(vectors(3, 5)), &["candidates.columns[0].vectors.values"]);
        check(with(vectors(0, 0)), &["candidates.columns[0].vectors.dim"]);
        check(with(vectors(u32::MAX, 0)), &["candidates.columns[0].vectors.dim"]);
        let twice = || vec![column(floats(&[1.0, 2.0])), column(floats(&[1.0, 2.0]))];
        check(candidates(|c| c.columns = twice()), &["candidates.columns[1]"]);
        let empty = pb::Column::default();
        check(
            candidates(|c| c.columns = vec![empty]),
            &["candidates.columns[0].name", "candidates.columns[0]"],
        );
        let mut context = request();
        context.context = vec![column(floats(&[1.0, 2.0]))];
        check(context, &["context[0].floats.values"]);
    }

    #[test]
    fn faults_of_the_user_name_their_field() {
        let event = |item: &str, kind, seconds| pb::Event {
            item_id: item.to_owned(),
            kind,
            time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        };
        let with = |history| {
            let mut message = request();
            message.user.get_or_insert_default().history = history;
            message
        };
        check(with(vec![event("a", 0, 1), event("a", 3, 1)]), &[]);
        check(with(vec![event("a", 9, 1)]), &["user.history[0].kind"]);
        check(with(vec![event("", 1, 1)]), &["user.history[0].item_id"]);
        check(with(vec![event("a", 1, 2), event("a", 1, 1)]), &["user.history[1].time"]);
        check(with(vec![event("a", 1, i64::MAX)]), &["user.history[0].time"]);
        check(
            with(vec![pb::Event::default()]),
            &["user.history[0].item_id", "user.history[0].time"],
        );
    }
}
