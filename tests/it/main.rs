//! Integration tests: the source's own rules, the server's parts against real ONNX Runtime, and servers that share a real Redis.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it stands")]

mod bundles;
mod encoding;
mod fixture;
mod floors;
mod graph_cache;
mod metrics_by_otlp;
mod metrics_table;
mod packed;
mod plain_models;

// A client of the server.
mod rust_client;

// A repository in an object store.
mod bucket;
mod s3_server;

// What the tests of users in Redis work with.
mod damage;
mod judge;
mod patience;
mod ports;
mod proxy;
mod rank_load;
mod redis_cluster;
mod redis_sentinel;
mod redis_server;
mod replica;
mod resp;
mod shop;
mod shoppers;
mod valkey;

// What is told of requests.
mod collector;
mod slow_causes;
mod swap_traces;
mod traces;
mod tracing_doc;

mod users_behind_a_door;
mod users_behind_a_proxy;
mod users_in_cluster;
mod users_in_redis;
mod users_in_trouble;
mod users_unfit;
