//! What of a request is written, and what is left out.

use crate::{
    observing::request_log::entry::{
        Entry, LoggedColumn, LoggedEmbedding, LoggedEvent, LoggedRequest, LoggedValues,
    },
    ranking::{Column, RankRequest, Seen, User, UserState, Values},
    serving::Selector,
    telemetry::{KeyedHash, LoggedUserSide, RequestLogOptions},
    users::Event,
};

/// Writes requests as far as they may be written.
#[derive(Debug)]
pub(super) struct Redaction {
    options: RequestLogOptions,
    hash: KeyedHash,
}

impl Redaction {
    /// Writes what the options name, and users as their hashes.
    pub(super) fn new(options: RequestLogOptions, hash: KeyedHash) -> Self {
        Self { options, hash }
    }

    /// Adds to a line what was asked.
    pub(super) fn fill(&self, entry: &mut Entry, request: &RankRequest, seen: Option<&Seen>) {
        let user = &request.user;
        if !user.id.is_empty() {
            entry.user = self.hash.of(&user.id);
        }
        let (version, label) = match &request.model.selector {
            Selector::Live => (None, None),
            Selector::Version(version) => (Some(*version), None),
            Selector::Label(label) => (None, Some(label.clone())),
        };
        let candidates = &request.candidates;
        entry.request = LoggedRequest {
            model: request.model.name.clone(),
            version,
            label,
            candidates: candidates.ids.iter().map(str::to_owned).collect(),
            top_k: request.top_k,
            priority: request.priority.map_or(0, |priority| priority.0),
            allow_partial: request.allow_partial,
            require_user_state: request.require_user_state,
            ..LoggedRequest::default()
        };
        let (asked, left_out) = (&mut entry.request, &mut entry.left_out);
        match (request.query.is_empty(), self.options.query) {
            (true, _) => {}
            (false, true) => asked.query = Some(request.query.clone()),
            (false, false) => left_out.push("query".to_owned()),
        }
        if !candidates.prior_scores.is_empty() {
            match names(&self.options.columns, "prior_scores") {
                true => asked.prior_scores.clone_from(&candidates.prior_scores),
                false => left_out.push("candidates.prior_scores".to_owned()),
            }
        }
        let columns = (&candidates.columns[..], "candidates.columns");
        asked.columns = kept(columns, &self.options.columns, left_out);
        asked.context = kept((&request.context, "context"), &self.options.context, left_out);
        self.fill_user(asked, left_out, (user, seen));
    }

    fn fill_user(
        &self,
        asked: &mut LoggedRequest,
        left_out: &mut Vec<String>,
        (user, seen): (&User, Option<&Seen>),
    ) {
        let (history, embedding) = match seen {
            Some(seen) => (&seen.history[..], embedding_of(seen)),
            None => (&user.history[..], inline_embedding(user)),
        };
        // Of a shopper of whom nothing is known there is nothing to leave out.
        let is_known = match seen {
            Some(seen) => !matches!(seen.state, UserState::Default | UserState::None),
            None => !user.id.is_empty(),
        };
        let side = self.options.user_side;
        if matches!(side, LoggedUserSide::History | LoggedUserSide::All) {
            asked.history = history.iter().map(logged_event).collect();
        } else if !history.is_empty() {
            left_out.push("user.history".to_owned());
        }
        match (side, embedding) {
            (LoggedUserSide::Embedding | LoggedUserSide::All, given)
                if is_known || seen.is_none() =>
            {
                asked.embedding = given;
            }
            // From a history it can be computed again.
            (LoggedUserSide::History, _) if user.embedding.is_none() => {}
            (_, Some(_)) if is_known || user.embedding.is_some() => {
                left_out.push("user.embedding".to_owned());
            }
            _ => {}
        }
    }
}

fn embedding_of(seen: &Seen) -> Option<LoggedEmbedding> {
    let (encoder_version, values) = (seen.encoder_version, seen.embedding.to_vec());
    (!values.is_empty()).then_some(LoggedEmbedding { encoder_version, values })
}

fn inline_embedding(user: &User) -> Option<LoggedEmbedding> {
    let given = user.embedding.as_ref()?;
    let (encoder_version, values) = (given.encoder_version, given.values.clone());
    Some(LoggedEmbedding { encoder_version, values })
}

fn names(list: &[String], name: &str) -> bool {
    list.iter().any(|named| named == name || named == "*")
}

/// The columns that are written; the path of each other one is noted.
fn kept(
    (columns, path): (&[Column], &str),
    named: &[String],
    left_out: &mut Vec<String>,
) -> Vec<LoggedColumn> {
    let mut done = Vec::new();
    for column in columns {
        match names(named, &column.name) {
            true => done.push(logged_column(column)),
            false => left_out.push(format!("{path}[{}]", column.name)),
        }
    }
    done
}

fn logged_column(column: &Column) -> LoggedColumn {
    let values = match &column.values {
        Values::Floats(values) => LoggedValues::Floats(values.clone()),
        Values::Ints(values) => LoggedValues::Ints(values.clone()),
        Values::Strings(texts) => LoggedValues::Strings(texts.iter().map(str::to_owned).collect()),
        Values::Vectors { dim, values } => {
            LoggedValues::Vectors { dim: *dim, values: values.clone() }
        }
    };
    LoggedColumn { name: column.name.clone(), values }
}

fn logged_event(event: &Event) -> LoggedEvent {
    let kind = event.kind.name().to_owned();
    LoggedEvent { item: event.item.to_string(), kind, time: event.time }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        ranking::{Candidates, InlineEmbedding},
        users::EventKind,
    };

    use super::*;

    fn request() -> RankRequest {
        let column = |name: &str, values| Column { name: name.to_owned(), values };
        let texts = ["red", "blue"].into_iter().collect();
        RankRequest {
            request_id: "r".to_owned(),
            user: User { id: "anna".to_owned(), ..User::default() },
            query: "socks".to_owned(),
            context: vec![column("week", Values::Ints(vec![7]))],
            candidates: Candidates {
                ids: ["a", "b"].into_iter().collect(),
                prior_scores: vec![0.5, 0.25],
                columns: vec![
                    column("price", Values::Floats(vec![1.5, 2.5])),
                    column("colour", Values::Strings(texts)),
                ],
            },
            ..RankRequest::default()
        }
    }

    fn seen(state: UserState) -> Seen {
        let event = Event { item: "hat".into(), kind: EventKind::Cart, time: 9 };
        let known = state != UserState::Default;
        Seen {
            embedding: Arc::from([0.125, 8.0]),
            encoder_version: 3,
            history: if known { Arc::from([event]) } else { Arc::from([]) },
            state,
        }
    }

    #[track_caller]
    fn check(
        options: RequestLogOptions,
        (request, seen): (&RankRequest, Option<&Seen>),
        written: &[&str],
        left_out: &[&str],
    ) {
        let redaction = Redaction::new(options, KeyedHash::new("key"));
        let mut entry = Entry::default();
        redaction.fill(&mut entry, request, seen);
        let text = serde_json::to_string(&entry).unwrap();
        assert!(!text.contains("anna"), "{text}");
        assert_eq!(entry.user, KeyedHash::new("key").of("anna"));
        for value in ["socks", "1.5", "red", "[7]", "0.5", "hat", "0.125"] {
            let is_written = text.contains(value);
            assert_eq!(is_written, written.contains(&value), "{value} in {text}");
        }
        assert_eq!(entry.left_out, left_out, "{text}");
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    }

    #[test]
    fn what_is_not_named_is_left_out_and_said_to_be() {
        let (request, seen) = (request(), seen(UserState::Cached));
        let none = RequestLogOptions::default();
        let columns = [
            "query",
            "candidates.prior_scores",
            "candidates.columns[price]",
            "candidates.columns[colour]",
            "context[week]",
        ];
        let all = [&columns[..], &["user.history", "user.embedding"]].concat();
        check(none.clone(), (&request, Some(&seen)), &[], &all);
        let some = RequestLogOptions {
            query: true,
            columns: vec!["price".to_owned(), "prior_scores".to_owned()],
            context: vec!["*".to_owned()],
            ..none
        };
        check(
            some,
            (&request, Some(&seen)),
            &["socks", "1.5", "[7]", "0.5"],
            &["candidates.columns[colour]", "user.history", "user.embedding"],
        );
    }

    #[test]
    fn the_users_side_is_written_as_far_as_it_is_named() {
        let every = vec!["*".to_owned()];
        let options = |user_side| RequestLogOptions {
            query: true,
            columns: every.clone(),
            context: every.clone(),
            user_side,
            ..RequestLogOptions::default()
        };
        let (request, known, unknown) =
            (request(), seen(UserState::Cached), seen(UserState::Default));
        let base = ["socks", "1.5", "red", "[7]", "0.5"];
        let with = |more: &[&'static str]| [&base[..], more].concat();
        let cases = [
            (LoggedUserSide::None, with(&[]), vec!["user.history", "user.embedding"]),
            (LoggedUserSide::Embedding, with(&["0.125"]), vec!["user.history"]),
            (LoggedUserSide::History, with(&["hat"]), vec![]),
            (LoggedUserSide::All, with(&["hat", "0.125"]), vec![]),
        ];
        for (side, written, left_out) in cases {
            check(options(side), (&request, Some(&known)), &written, &left_out);
            check(options(side), (&request, Some(&unknown)), &base, &[]);
        }
        let given = InlineEmbedding { values: vec![0.125], shape: vec![], encoder_version: 3 };
        let mut inline = request;
        inline.user.embedding = Some(given);
        let history = options(LoggedUserSide::History);
        check(history, (&inline, Some(&known)), &with(&["hat"]), &["user.embedding"]);
        check(options(LoggedUserSide::All), (&inline, None), &with(&["0.125"]), &[]);
    }
}
