//! The example request that a bundle ships.

use std::fs;

use crate::{
    ranking::RankRequest,
    repository::{Bundle, Fault},
    transport::{Limits, from_json, rank_request},
};

/// Reads the example request of a bundle; none where it ships none.
///
/// # Errors
/// A [`Fault`] that says what is wrong with it.
pub fn load_example(bundle: &Bundle, limits: &Limits) -> Result<Option<RankRequest>, Fault> {
    let Some(spec) = &bundle.manifest.example else {
        return Ok(None);
    };
    let fault = |wrong: String| {
        let fix = "write a podium.v1.RankRequest in proto3's JSON mapping";
        Fault::new(&spec.file, wrong, fix)
    };
    let json = fs::read_to_string(bundle.file(&spec.file)).map_err(|e| fault(e.to_string()))?;
    let message = from_json(&json).map_err(|e| fault(e.to_string()))?;
    rank_request(message, limits).map(Some).map_err(|e| fault(e.to_string()))
}
