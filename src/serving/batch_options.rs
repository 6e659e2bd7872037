//! How one model's requests are batched: as for all models, unless its manifest or the configuration says otherwise.

use crate::{
    batching::{BatchOptions, Priority},
    repository::BatchingSpec,
};

/// The options for all models, overridden by those of a manifest, overridden by those that the configuration has for the model.
pub(super) fn batch_options(
    general: &BatchOptions,
    manifest: Option<&BatchingSpec>,
    configured: Option<&BatchingSpec>,
) -> BatchOptions {
    let mut options = general.clone();
    for spec in manifest.into_iter().chain(configured) {
        let own = &mut options;
        replace(&mut own.instances, spec.instances);
        replace(&mut own.max_batch_rows, spec.max_batch_rows);
        replace(&mut own.preferred_batch_rows, spec.preferred_batch_rows);
        replace(&mut own.max_queue_delay, spec.max_queue_delay);
        replace(&mut own.length_buckets, spec.length_buckets.clone());
        replace(&mut own.max_queue_size, spec.max_queue_size);
        replace(&mut own.max_queue_rows, spec.max_queue_rows);
        replace(&mut own.max_queue_time, spec.max_queue_time);
        replace(&mut own.default_priority, spec.default_priority.map(Priority));
    }
    options
}

fn replace<T>(own: &mut T, other: Option<T>) {
    if let Some(other) = other {
        *own = other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_overrides_the_manifest() {
        let manifest = BatchingSpec {
            max_batch_rows: Some(64),
            preferred_batch_rows: Some(32),
            ..BatchingSpec::default()
        };
        let configured = BatchingSpec { max_batch_rows: Some(128), ..BatchingSpec::default() };
        let got = batch_options(&BatchOptions::default(), Some(&manifest), Some(&configured));
        let want = BatchOptions {
            max_batch_rows: 128,
            preferred_batch_rows: 32,
            ..BatchOptions::default()
        };
        assert_eq!(got, want);
    }
}
