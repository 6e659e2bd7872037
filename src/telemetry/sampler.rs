//! Which requests are drawn when they come: by their caller's word, or by the id of their trace.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::{
    options::{SamplerKind, TraceOptions},
    trace_context::TraceContext,
};

/// Draws requests; the share can be changed while it does.
#[derive(Debug)]
pub struct Sampler {
    kind: SamplerKind,
    /// The bits of a float between 0 and 1.
    ratio: AtomicU64,
}

impl Sampler {
    /// Draws as the options say.
    pub fn new(options: &TraceOptions) -> Self {
        Self { kind: options.sampler, ratio: AtomicU64::new(options.ratio.to_bits()) }
    }

    /// The share that is drawn.
    pub fn ratio(&self) -> f64 {
        f64::from_bits(self.ratio.load(Ordering::Relaxed))
    }

    /// Draws another share from now on.
    pub fn set_ratio(&self, ratio: f64) {
        self.ratio.store(ratio.clamp(0.0, 1.0).to_bits(), Ordering::Relaxed);
    }

    /// Begins a span below the caller's, or a trace of its own.
    pub fn begin(&self, parent: Option<TraceContext>) -> TraceContext {
        let context = parent.map_or_else(|| TraceContext::root(false), |parent| parent.child());
        let is_sampled = match (self.kind, parent) {
            (SamplerKind::AlwaysOn, _) | (SamplerKind::ParentBasedAlwaysOn, None) => true,
            (SamplerKind::AlwaysOff, _) | (SamplerKind::ParentBasedAlwaysOff, None) => false,
            (SamplerKind::Ratio, _) | (SamplerKind::ParentBasedRatio, None) => {
                is_drawn(context.trace_id, self.ratio())
            }
            (_, Some(parent)) => parent.is_sampled,
        };
        TraceContext { is_sampled, ..context }
    }
}

/// Whether a trace is among a share, as other SDKs decide it of the same id.
///
/// Source: OpenTelemetry SDKs compare the last 63 bits of the id with the share of them.
pub fn is_drawn(trace_id: u128, ratio: f64) -> bool {
    let bound = (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
    (trace_id as u64) >> 1 < bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: SamplerKind, ratio: f64, parent: Option<bool>, want: bool) {
        let options = TraceOptions { sampler: kind, ratio, ..TraceOptions::default() };
        let parent = parent.map(TraceContext::root);
        let context = Sampler::new(&options).begin(parent);
        assert_eq!(context.is_sampled, want, "{kind:?} {ratio} {parent:?}");
        assert_eq!(context.parent_id, parent.map_or(0, |parent| parent.span_id));
        assert!(context.is_valid());
    }

    #[test]
    fn the_callers_word_goes_first_where_it_is_asked() {
        use SamplerKind::*;
        check(AlwaysOn, 0.0, Some(false), true);
        check(AlwaysOff, 1.0, Some(true), false);
        check(Ratio, 1.0, Some(false), true);
        check(Ratio, 0.0, Some(true), false);
        for kind in [ParentBasedAlwaysOn, ParentBasedAlwaysOff, ParentBasedRatio] {
            check(kind, 0.5, Some(true), true);
            check(kind, 0.5, Some(false), false);
        }
        check(ParentBasedAlwaysOn, 0.0, None, true);
        check(ParentBasedAlwaysOff, 1.0, None, false);
        check(ParentBasedRatio, 1.0, None, true);
        check(ParentBasedRatio, 0.0, None, false);
    }

    #[test]
    fn a_share_is_drawn_by_the_id_alone() {
        assert!(is_drawn(1 << 70, 0.001));
        assert!(!is_drawn(u128::MAX, 0.999));
        let drawn = (0..10_000).filter(|_| is_drawn(TraceContext::root(false).trace_id, 0.25));
        let count = drawn.count();
        assert!((2200..2800).contains(&count), "{count}");
    }
}
