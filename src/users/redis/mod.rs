//! The user store in Redis: one node, Sentinels or a Cluster.

mod address;
mod breaker;
mod budget;
mod keeper;
mod keys;
mod line;
mod link;
mod local;
mod log;
mod parts;
mod reading;
mod scripts;
mod store;
mod tracking;
mod value;
mod writing;

pub use store::RedisStore;
