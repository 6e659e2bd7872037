//! From the wire to the events of users, all faults at once.

use std::sync::Arc;

use ahash::AHashMap;

use crate::{
    ranking::RankError,
    transport::{convert::faults::Faults, limits::Limits, pb},
    users::{EventDigest, NamedEvent, UserEvents},
};

/// Checks a message against the limits and sorts its events by user, each user's in the order of the message.
///
/// # Errors
/// [`RankError::Invalid`] with every faulty field, up to a number.
pub(in crate::transport) fn user_events(
    message: pb::RecordEventsRequest,
    limits: &Limits,
) -> Result<Vec<UserEvents>, RankError> {
    let mut faults = Faults::against(limits);
    faults.id(&"request_id", &message.request_id);
    let mut by_user = ByUser::default();
    let limit = ("max_events", limits.max_events);
    if message.events.is_empty() {
        faults.add("events", "is empty; send at least one event");
    } else if faults.bound(&"events", message.events.len(), limit, "events") {
        for (at, event) in message.events.into_iter().enumerate() {
            let place = format_args!("events[{at}]");
            faults.required_id(&format_args!("{place}.event_id"), &event.event_id);
            faults.required_id(&format_args!("{place}.user_id"), &event.user_id);
            let digest = EventDigest::of(&event.event_id);
            let done = pb::Event { item_id: event.item_id, kind: event.kind, time: event.time };
            if let Some(done) = faults.event(place, done) {
                by_user.add(event.user_id, NamedEvent { digest, event: done });
            }
        }
    }
    faults.none()?;
    Ok(by_user.all)
}

/// Events by user, the users in the order of their first event.
#[derive(Default)]
struct ByUser {
    places: AHashMap<Arc<str>, usize>,
    all: Vec<UserEvents>,
}

impl ByUser {
    fn add(&mut self, user: String, event: NamedEvent) {
        let user: Arc<str> = user.into();
        let place = *self.places.entry(Arc::clone(&user)).or_insert_with(|| {
            self.all.push(UserEvents { user, events: Vec::new() });
            self.all.len() - 1
        });
        if let Some(of_user) = self.all.get_mut(place) {
            of_user.events.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event_id: &str, user_id: &str, seconds: i64) -> pb::UserEvent {
        pb::UserEvent {
            event_id: event_id.to_owned(),
            user_id: user_id.to_owned(),
            item_id: "x".to_owned(),
            kind: 1,
            time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        }
    }

    fn read(events: Vec<pb::UserEvent>) -> Result<Vec<UserEvents>, RankError> {
        let limits = Limits { max_events: 4, max_id_bytes: 8, ..Limits::default() };
        user_events(pb::RecordEventsRequest { events, request_id: String::new() }, &limits)
    }

    #[track_caller]
    fn check_refused(events: Vec<pb::UserEvent>, want: &[&str]) {
        let Err(RankError::Invalid(faults)) = read(events) else { panic!("is not refused") };
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, want, "{faults:?}");
    }

    #[test]
    fn events_are_sorted_by_user_and_keep_their_order() {
        let events = vec![event("a", "u", 3), event("b", "v", 2), event("c", "u", 1)];
        let read = read(events).unwrap();
        let times = |of_user: &UserEvents| {
            of_user.events.iter().map(|event| event.event.time).collect::<Vec<_>>()
        };
        let got: Vec<(&str, Vec<i64>)> =
            read.iter().map(|of_user| (of_user.user.as_ref(), times(of_user))).collect();
        assert_eq!(got, [("u", vec![3, 1]), ("v", vec![2])]);
        assert_eq!(read[1].events[0].digest, EventDigest::of("b"));
    }

    #[test]
    fn faults_name_their_event() {
        check_refused(vec![], &["events"]);
        check_refused(vec![event("a", "u", 1); 5], &["events"]);
        let odd = pb::UserEvent { kind: 9, time: None, ..event("a", "u", 1) };
        check_refused(
            vec![event("", "u", 1), event("a", "", 1), odd],
            &["events[0].event_id", "events[1].user_id", "events[2].kind", "events[2].time"],
        );
        let long = "123456789";
        let item = pb::UserEvent { item_id: String::new(), ..event(long, long, i64::MAX) };
        let fields = ["event_id", "user_id", "item_id", "time"];
        check_refused(
            vec![item],
            &fields.map(|field| format!("events[0].{field}")).each_ref().map(String::as_str),
        );
    }
}
