//! Recorded events as bytes: records one behind another, in the order in which they came.
//!
//! One record, all numbers little-endian:
//!
//! | offset | bytes | what |
//! |---:|---:|---|
//! | 0 | 1 | the format, 1 |
//! | 1 | 2 | the length of what follows |
//! | 3 | 16 | the event's name ([`EventDigest`]) |
//! | 19 | 8 | its time, unix seconds |
//! | 27 | 1 | its kind |
//! | 28 | n | the item's id |
//! | 28 + n | 4 | the lower half of XXH3-64 of the user's key and of the record before these four bytes |

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::users::event::{Event, EventKind, History, NamedEvent};

const FORMAT: u8 = 1;
const HEADER: usize = 3;
const ITEM: usize = 28;
const SUM: usize = 4;

/// Writes one event of the user that the key belongs to.
pub(super) fn encode(key: &str, named: &NamedEvent) -> Vec<u8> {
    let NamedEvent { digest, event } = named;
    let item = event.item.as_bytes();
    // Ids are bounded by `limits.max_id_bytes`; the lower bits of a longer one would be a wrong length, which reading finds.
    let length = (ITEM - HEADER + item.len() + SUM) as u16;
    let mut bytes = Vec::with_capacity(ITEM + item.len() + SUM);
    bytes.push(FORMAT);
    bytes.extend(length.to_le_bytes());
    bytes.extend(digest.0);
    bytes.extend(event.time.to_le_bytes());
    bytes.push(event.kind as u8);
    bytes.extend(item);
    let sum = sum_of(key, &bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// The events of a log, oldest first, and how many records could not be read.
#[derive(Debug, PartialEq)]
pub(super) struct Log {
    /// None where there are none.
    pub(super) history: Option<History>,
    pub(super) unfit: usize,
}

/// Reads the log under a user's key; what is none of its records is left out.
pub(super) fn decode(key: &str, mut bytes: &[u8]) -> Log {
    let mut events: Vec<Event> = Vec::with_capacity(bytes.len() / 40);
    let mut unfit = 0;
    while !bytes.is_empty() {
        let Some((record, rest)) = first_record(bytes) else {
            unfit += 1;
            break;
        };
        bytes = rest;
        match event_of(key, record) {
            Some(event) => events.push(event),
            None => unfit += 1,
        }
    }
    if !events.is_sorted_by_key(|event| event.time) {
        events.sort_by_key(|event| event.time);
    }
    Log { history: (!events.is_empty()).then(|| events.into()), unfit }
}

fn first_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [FORMAT, low, high] = *bytes.first_chunk::<HEADER>()? else {
        return None;
    };
    let length = HEADER + usize::from(u16::from_le_bytes([low, high]));
    (length >= ITEM + SUM && length <= bytes.len()).then(|| bytes.split_at(length))
}

fn event_of(key: &str, record: &[u8]) -> Option<Event> {
    let (body, sum) = record.split_last_chunk::<SUM>()?;
    if sum_of(key, body) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some(Event {
        time: i64::from_le_bytes(*body.get(19..)?.first_chunk()?),
        kind: EventKind::from_number(*body.get(27)?)?,
        item: Arc::from(std::str::from_utf8(body.get(ITEM..)?).ok()?),
    })
}

fn sum_of(key: &str, bytes: &[u8]) -> u32 {
    let mut sum = Xxh3::new();
    sum.update(key.as_bytes());
    sum.update(bytes);
    sum.digest() as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::users::event::EventDigest;

    use super::*;

    fn named(item: &str, time: i64) -> NamedEvent {
        let event = Event { item: item.into(), kind: EventKind::Cart, time };
        NamedEvent { digest: EventDigest::of(item), event }
    }

    fn log(events: &[NamedEvent]) -> Vec<u8> {
        events.iter().flat_map(|event| encode("k", event)).collect()
    }

    #[test]
    fn what_is_written_is_read_in_the_order_of_time() {
        let (old, new) = (named("äpfel", -5), named("", 9));
        let read = decode("k", &log(&[new.clone(), old.clone()]));
        assert_eq!(read, Log { history: Some([old.event, new.event].into()), unfit: 0 });
        assert_eq!(decode("k", &[]), Log { history: None, unfit: 0 });
    }

    #[test]
    fn anothers_events_are_not_ones_own() {
        assert_eq!(decode("other", &log(&[named("a", 1)])), Log { history: None, unfit: 1 });
    }

    #[test]
    fn the_name_stands_where_scripts_look_for_it() {
        let record = encode("k", &named("a", 1));
        assert_eq!(record[3..19], EventDigest::of("a").0);
    }

    proptest! {
        #[test]
        fn one_wrong_byte_costs_no_other_event_before_it(at in 0..99_usize, flip in 1..=255_u8) {
            let events = [named("a", 1), named("b", 2), named("c", 3)];
            let mut bytes = log(&events);
            prop_assert_eq!(bytes.len(), 99);
            bytes[at] ^= flip;
            let read = decode("k", &bytes);
            let history = read.history.unwrap_or_else(|| Arc::from(Vec::new()));
            prop_assert!(read.unfit >= 1);
            for (got, want) in history.iter().zip(&events).take(at / 33) {
                prop_assert_eq!(got, &want.event);
            }
            prop_assert!(history.iter().all(|got| events.iter().any(|e| e.event == *got)));
        }

        #[test]
        fn garbage_is_no_event(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            let read = decode("k", &bytes);
            prop_assert!(read.history.is_none() && read.unfit > 0);
        }
    }
}
