//! Podium, a ranking server for online shops.
//!
//! It answers one question: in what order should this shopper see these candidates?
//! `ARCHITECTURE.md` has the map; a module here names only modules of floors below its own.

pub mod app;
pub mod batching;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod deadline;
pub mod error_code;
pub mod ids;
pub mod observing;
pub mod priority;
pub mod ranking;
pub mod repository;
pub mod runtime;
pub mod serving;
pub mod telemetry;
pub mod tensor;
pub mod texts;
pub mod transport;
pub mod users;
mod wire;
