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

    /// Finishes a request's values; says what is wrong where one does not fit.
    pub(super) fn given_floats(&self, values: Vec<f32>) -> Result<TensorData, String> {
        let done = self.floats(values);
        let finite = match &done {
            TensorData::Float32(all) => all.iter().all(|v| v.is_finite()),
            TensorData::Float16(all) => all.iter().all(|v| v.is_finite()),
            _ => true,
        };
        let wrong = || match self.log {
            true => {
                "has a value that is -1 or less, or too large, of which the model takes ln(1 + x)"
                    .to_owned()
            }
            false => format!("has a value that is too large for {}", self.dtype),
        };
        if finite { Ok(done) } else { Err(wrong()) }
    }

    /// Finishes a request's values; says what is wrong where one does not fit.
    pub(super) fn given_ints(&self, values: Vec<i64>) -> Result<TensorData, String> {
        if !self.whole() {
            return self.given_floats(values.into_iter().map(|v| v as f32).collect());
        }
        let values = self.clipped(values);
        let small = |v: &i64| i32::try_from(*v).is_ok();
        match self.dtype == DType::Int32 && !values.iter().all(small) {
            true => Err("has a value that is too large for int32".to_owned()),
            false => Ok(TensorData::from_ints(self.dtype, values)),
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
    pub(super) fn ints(&self, values: Vec<i64>) -> TensorData {
        match self.whole() {
            true => TensorData::from_ints(self.dtype, self.clipped(values)),
            false => self.floats(values.into_iter().map(|v| v as f32).collect()),
        }
    }

    fn clipped(&self, mut values: Vec<i64>) -> Vec<i64> {
        if let Some((low, high)) = self.clip {
            let (low, high) = (low.ceil() as i64, high.floor() as i64);
            values.iter_mut().for_each(|v| *v = (*v).max(low).min(high));
        }
        values
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

    #[test]
    fn what_a_request_gives_must_fit() {
        let half = rule(DType::Float16, None, false);
        assert!(half.given_floats(vec![1e30]).is_err_and(|wrong| wrong.contains("float16")));
        let log = rule(DType::Float32, None, true);
        assert!(log.given_floats(vec![-1.0]).is_err());
        assert!(log.given_floats(vec![-0.5]).is_ok());
        let int = rule(DType::Int32, None, false);
        let wrong = int.given_ints(vec![1 << 40]).map(drop).unwrap_err();
        assert!(wrong.contains("int32") && !wrong.contains("1099511627776"), "{wrong}");
        assert!(rule(DType::Int32, Some((0.0, 9.0)), false).given_ints(vec![1 << 40]).is_ok());
    }
}
