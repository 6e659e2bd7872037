//! Tries a version in a process of its own, so that one that crashes, hangs, or takes all memory does it there.
//!
//! The parent (`watch`) starts this same program as `podium trial`, tells it what to try (`message`), and kills it where it takes more than
//! it may; the child (`child`) binds itself (`confine`), loads the version as the server would, and runs it. What came of it (`outcome`)
//! is judged by a pure function; versions that passed are remembered (`passed`).

mod child;
mod confine;
mod heard;
mod message;
mod outcome;
mod passed;
mod trials;
mod trying;
mod watch;

pub use child::try_one;
pub(super) use message::Report;
pub(super) use outcome::{Live, Outcome, Refusal, judge};
pub(super) use trials::Trials;
pub(super) use trying::Trying;
