//! Asks what was logged again.

use std::time::{Duration, Instant};

use tonic::{Request, Status, metadata::MetadataValue, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    cli::{
        client::{Client, Target},
        replay::{
            answer::{Answered, now},
            target::Place,
        },
    },
    observing::{Entry, LoggedColumn, LoggedEvent, LoggedRequest, LoggedValues},
    transport::pb::{
        self, column::Values, model_selector::Selector, rank_service_client::RankServiceClient,
    },
};

/// What replayed requests say of who asks: those who count callers shall not take them for the ones that were logged.
const CALLER: &str = "podium-replay";

/// A server that is asked.
#[derive(Clone)]
pub(super) struct Asked {
    place: Place,
    client: RankServiceClient<Channel>,
    timeout: Duration,
}

impl Asked {
    /// Connects.
    pub(super) async fn connect(place: &Place, timeout: Duration) -> Result<Self, String> {
        let Client { rank, .. } = Target { target: place.url.clone() }.connect().await?;
        Ok(Self { place: place.clone(), client: rank, timeout })
    }

    /// Asks once.
    pub(super) async fn ask(&mut self, entry: &Entry) -> Answered {
        let mut message = message_of(&entry.request);
        message.request_id.clone_from(&entry.request_id);
        message.model = message.model.map(|logged| self.place.choice(logged));
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request.metadata_mut().insert("podium-caller", MetadataValue::from_static(CALLER));
        let begun = Instant::now();
        match self.client.rank(request).await {
            Ok(response) => Ok(now(response.get_ref(), begun.elapsed())),
            Err(status) => Err(reason(&status)),
        }
    }
}

/// Why there is no answer: the code, the reason and the faulty fields, which is what many requests share.
fn reason(status: &Status) -> String {
    let mut text = format!("{:?}", status.code());
    if let Some(info) = status.get_details_error_info() {
        text.push_str(&format!(" {}", info.reason));
    }
    for fault in status.get_details_bad_request().map_or_else(Vec::new, |b| b.field_violations) {
        text.push_str(&format!(" {}", fault.field));
    }
    text
}

fn message_of(logged: &LoggedRequest) -> pb::RankRequest {
    let selector = match (logged.version, &logged.label) {
        (Some(version), _) => Some(Selector::Version(version)),
        (None, Some(label)) => Some(Selector::Label(label.clone())),
        (None, None) => None,
    };
    let embedding = logged.embedding.as_ref().map(|given| pb::Embedding {
        values: given.values.clone(),
        shape: Vec::new(),
        encoder_version: given.encoder_version,
    });
    let history: Vec<pb::Event> = logged.history.iter().map(event_of).collect();
    let is_known = embedding.is_some() || !history.is_empty();
    pb::RankRequest {
        request_id: String::new(),
        model: Some(pb::ModelSelector { name: logged.model.clone(), selector }),
        user: is_known.then(|| pb::User { id: String::new(), history, embedding }),
        query: logged.query.clone().unwrap_or_default(),
        context: logged.context.iter().map(column_of).collect(),
        candidates: Some(pb::Candidates {
            ids: logged.candidates.iter().collect(),
            prior_scores: logged.prior_scores.clone(),
            columns: logged.columns.iter().map(column_of).collect(),
        }),
        top_k: logged.top_k as u32,
        explain: false,
        priority: logged.priority.into(),
        allow_partial: logged.allow_partial,
        // It is asked without a user.
        require_user_state: false,
    }
}

fn event_of(event: &LoggedEvent) -> pb::Event {
    let kind = match event.kind.as_str() {
        "view" => pb::EventKind::View,
        "cart" => pb::EventKind::Cart,
        _ => pb::EventKind::Purchase,
    };
    let time = Some(prost_types::Timestamp { seconds: event.time, nanos: 0 });
    pb::Event { item_id: event.item.clone(), kind: kind.into(), time }
}

fn column_of(column: &LoggedColumn) -> pb::Column {
    let values = match column.values.clone() {
        LoggedValues::Floats(values) => Values::Floats(pb::FloatColumn { values }),
        LoggedValues::Ints(values) => Values::Ints(pb::IntColumn { values }),
        LoggedValues::Strings(values) => {
            Values::Strings(pb::StringColumn { values: values.iter().collect() })
        }
        LoggedValues::Vectors { dim, values } => {
            Values::Vectors(pb::VectorColumn { dim: dim as u32, values })
        }
    };
    pb::Column { name: column.name.clone(), values: Some(values) }
}
