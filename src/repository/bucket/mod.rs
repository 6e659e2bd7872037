//! A model repository in an object store, whose bundles are kept in a cache on this machine.

mod bringing;
mod cache;
mod cause;
mod fetch;
mod incoming;
mod listing;
mod memory;
mod opening;
mod operations;
mod room;
mod writing;

pub(super) use operations::Bucket;
