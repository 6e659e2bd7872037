//! What is wrong with a message, field by field, and the fields that many messages have.

use std::fmt::{Arguments, Display};

use crate::{
    ranking::{FieldFault, ModelChoice, RankError},
    serving::Selector,
    transport::{limits::Limits, pb},
    users::{Event, EventKind},
};

/// Faults that are told of one request; more are not looked for.
const MAX_FAULTS: usize = 8;

/// Years 1 to 9999 in unix seconds, which is what a protobuf timestamp may hold.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The faults of one message, as far as they are told.
pub(super) struct Faults<'a> {
    pub(super) limits: &'a Limits,
    all: Vec<FieldFault>,
}

impl<'a> Faults<'a> {
    pub(super) fn against(limits: &'a Limits) -> Self {
        Self { limits, all: Vec::new() }
    }
}

impl Faults<'_> {
    /// Ends the check.
    ///
    /// # Errors
    /// [`RankError::Invalid`] with every faulty field, where there is one.
    pub(super) fn none(self) -> Result<(), RankError> {
        match self.all.is_empty() {
            true => Ok(()),
            false => Err(RankError::Invalid(self.all)),
        }
    }

    /// Notes a fault; a field's path costs nothing before.
    pub(super) fn add(&mut self, field: impl Display, wrong: impl Into<String>) {
        if self.all.len() < MAX_FAULTS {
            self.all.push(FieldFault::new(field.to_string(), wrong));
        }
    }

    /// A length beyond its limit; `limit` is the limit's name.
    pub(super) fn bound(
        &mut self,
        field: &dyn Display,
        length: usize,
        limit: (&str, usize),
        unit: &str,
    ) -> bool {
        let (name, most) = limit;
        if length > most {
            self.add(field, format!("has {length} {unit}, and {name} is {most}"));
        }
        length <= most
    }

    pub(super) fn id(&mut self, field: &dyn Display, text: &str) {
        self.bound(field, text.len(), ("max_id_bytes", self.limits.max_id_bytes), "bytes");
    }

    /// An id that has to be there.
    pub(super) fn required_id(&mut self, field: &dyn Display, text: &str) {
        if text.is_empty() {
            self.add(field, "is empty");
        }
        self.id(field, text);
    }

    pub(super) fn text(&mut self, field: &dyn Display, text: &str) {
        self.bound(field, text.len(), ("max_string_bytes", self.limits.max_string_bytes), "bytes");
    }

    pub(super) fn finite(&mut self, field: Arguments<'_>, values: &[f32]) {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            self.add(
                format_args!("{field}[{at}]"),
                format!("is {}; send finite numbers", values[at]),
            );
        }
    }

    pub(super) fn count(&mut self, field: Arguments<'_>, got: usize, want: usize) -> bool {
        if got != want {
            self.add(field, format!("has {got} values, and {want} are needed, one a row"));
        }
        got == want
    }

    /// The model that a message chooses.
    pub(super) fn model(&mut self, message: Option<pb::ModelSelector>) -> ModelChoice {
        let choice = model_choice(message);
        self.id(&"model.name", &choice.name);
        if let Selector::Label(label) = &choice.selector {
            self.id(&"model.label", label);
        }
        choice
    }

    /// One thing that a user did, in the message at `place`.
    pub(super) fn event(&mut self, place: Arguments<'_>, event: pb::Event) -> Option<Event> {
        self.required_id(&format_args!("{place}.item_id"), &event.item_id);
        let kind = match pb::EventKind::try_from(event.kind) {
            Ok(pb::EventKind::View) => Some(EventKind::View),
            Ok(pb::EventKind::Cart) => Some(EventKind::Cart),
            Ok(pb::EventKind::Unspecified | pb::EventKind::Purchase) => Some(EventKind::Purchase),
            Err(_) => {
                self.add(format_args!("{place}.kind"), "is no EventKind");
                None
            }
        };
        let time = event.time.map(|time| time.seconds).filter(|time| TIMES.contains(time));
        if time.is_none() {
            let wrong = "is missing or outside of the years 1 to 9999";
            self.add(format_args!("{place}.time"), wrong);
        }
        Some(Event { item: event.item_id.into(), kind: kind?, time: time? })
    }
}

/// The model that a message chooses, whatever its name.
pub(in crate::transport) fn model_choice(message: Option<pb::ModelSelector>) -> ModelChoice {
    let message = message.unwrap_or_default();
    ModelChoice {
        name: message.name,
        selector: match message.selector {
            None => Selector::Live,
            Some(pb::model_selector::Selector::Version(version)) => Selector::Version(version),
            Some(pb::model_selector::Selector::Label(label)) => Selector::Label(label),
        },
    }
}

/// A name that is short enough for a message.
pub(super) fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}
