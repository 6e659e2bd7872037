//! Integration tests: the source's own rules, and the server's parts against real ONNX Runtime.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it stands")]

mod bundles;
mod encoding;
mod fixture;
mod floors;
mod packed;
