//! From a feature's value to a tensor's element: default, clip, log, dtype, in this order.

use crate::{
    repository::InputSpec,
    tensor::{DType, TensorData},
};

/// What is done to the values of one input.
#[derive(Debug, Clone)]
pub(super) struct ValueRule {
    pub(super) dtype: DType,
    pub(super) default: Option<f64>,
    clip: Option<(f32, f32)>,
    log: bool,
}

impl ValueRule {
    pub(super) fn new(input: &InputSpec) -> Self {
        Self {
            dtype: input.dtype,
            default: input.default,
            clip: input.clip.map(|[low, high]| (low as f32, high as f32)),
            log: input.log,
        }
    }

    /// Whether the tensor holds whole numbers.
    pub(super) fn whole(&self) -> bool {
        matches!(self.dtype, DType::Int64 | DType::Int32 | DType::Bool)
    }

    /// Finishes values that stand where a float belongs.
    pub(super) fn floats(&self, mut values: Vec<f32>) -> TensorData {
        if let Some((low, high)) = self.clip {
            values.iter_mut().for_each(|v| *v = v.clamp(low, high));
        }
        if self.log {
            values.iter_mut().for_each(|v| *v = v.ln_1p());
        }
        TensorData::from_floats(self.dtype, values)
    }

    /// Finishes values that stand where an integer belongs; for a float input they become floats.
    pub(super) fn ints(&self, mut values: Vec<i64>) -> TensorData {
        if !self.whole() {
            return self.floats(values.into_iter().map(|v| v as f32).collect());
        }
        if let Some((low, high)) = self.clip {
            let (low, high) = (low.ceil() as i64, high.floor() as i64);
            values.iter_mut().for_each(|v| *v = (*v).max(low).min(high));
        }
        TensorData::from_ints(self.dtype, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(dtype: DType, clip: Option<(f32, f32)>, log: bool) -> ValueRule {
        ValueRule { dtype, default: None, clip, log }
    }

    #[test]
    fn clip_comes_before_log() {
        let rule = rule(DType::Float32, Some((0.0, 3.0)), true);
        let want = vec![0.0, 1.0_f32.ln_1p(), 3.0_f32.ln_1p()];
        assert_eq!(rule.floats(vec![-5.0, 1.0, 9.0]), TensorData::Float32(want));
    }

    #[test]
    fn ints_feed_floats_and_stay_within_the_clip() {
        let floats = rule(DType::Float32, None, false);
        assert_eq!(floats.ints(vec![2]), TensorData::Float32(vec![2.0]));
        let ints = rule(DType::Int64, Some((0.5, 3.5)), false);
        assert_eq!(ints.ints(vec![-1, 2, 9]), TensorData::Int64(vec![1, 2, 3]));
    }
}
