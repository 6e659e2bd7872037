//! What users do.

use std::sync::Arc;

use sha2::{Digest, Sha256};

/// What a user did with an item; the number is what models see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Opened its page.
    View = 1,
    /// Put it into the cart.
    Cart = 2,
    /// Bought it.
    Purchase = 3,
}

impl EventKind {
    /// Takes `view`, `cart` or `purchase`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "view" => Some(Self::View),
            "cart" => Some(Self::Cart),
            "purchase" => Some(Self::Purchase),
            _ => None,
        }
    }

    /// Its name, as [`Self::parse`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Cart => "cart",
            Self::Purchase => "purchase",
        }
    }

    /// The kind of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::View, Self::Cart, Self::Purchase].into_iter().find(|&kind| kind as u8 == number)
    }
}

/// One thing that a user did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The item's id.
    pub item: Arc<str>,
    /// What was done.
    pub kind: EventKind,
    /// When, in unix seconds.
    pub time: i64,
}

impl Event {
    /// Whether it happened after a time, by the second.
    pub(super) fn is_after(&self, unix_ms: u64) -> bool {
        self.time > i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX)
    }
}

/// What a user did, oldest first.
pub type History = Arc<[Event]>;

/// The name of an event among those of its user: the first 16 bytes of the SHA-256 of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventDigest(pub [u8; 16]);

impl EventDigest {
    /// Sums an event's id.
    pub fn of(id: &str) -> Self {
        let mut digest = [0; 16];
        let sum = Sha256::digest(id.as_bytes());
        digest.iter_mut().zip(sum).for_each(|(byte, sum)| *byte = sum);
        Self(digest)
    }
}

/// An event with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedEvent {
    /// The name.
    pub digest: EventDigest,
    /// The event.
    pub event: Event,
}

/// The new events of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEvents {
    /// The user.
    pub user: Arc<str>,
    /// The events, in any order.
    pub events: Vec<NamedEvent>,
}

/// A span of seconds in days.
pub fn seconds_to_days(seconds: i64) -> f32 {
    (seconds as f64 / 86_400.0) as f32
}
