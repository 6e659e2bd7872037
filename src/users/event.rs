//! What users do.

use std::sync::Arc;

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

/// What a user did, oldest first.
pub type History = Arc<[Event]>;

/// A span of seconds in days.
pub fn seconds_to_days(seconds: i64) -> f32 {
    (seconds as f64 / 86_400.0) as f32
}
