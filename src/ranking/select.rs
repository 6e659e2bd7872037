//! From the model's outputs to an order.

use std::cmp::Ordering;

use crate::{
    ranking::response::Scored,
    repository::{Activation, OutputSpec},
    tensor::Tensor,
};

/// Applies a head's activation and takes its column: one value for each of `count` candidates.
///
/// # Errors
/// What is wrong with the output: its length, or a value that is not finite.
pub(super) fn head_values(
    spec: &OutputSpec,
    output: Tensor,
    count: usize,
) -> Result<Vec<f32>, &'static str> {
    let width = spec.width();
    let raw = output.into_floats();
    if raw.len() != count * width {
        return Err("has another length than there are candidates");
    }
    let mut values: Vec<f32> = match (spec.activation, width) {
        (Activation::Softmax, _) => {
            raw.chunks_exact(width).map(|row| softmax(row, spec.column)).collect()
        }
        (_, 1) => raw,
        _ => raw.chunks_exact(width).map(|row| row[spec.column]).collect(),
    };
    if spec.activation == Activation::Sigmoid {
        values.iter_mut().for_each(|v| *v = sigmoid(*v));
    }
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err("is not finite"),
    }
}

fn sigmoid(x: f32) -> f32 {
    match x.is_nan() {
        true => x,
        false => 1.0 / (1.0 + (-x).exp()),
    }
}

fn softmax(row: &[f32], column: usize) -> f32 {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = row.iter().map(|x| (x - highest).exp()).sum();
    (row[column] - highest).exp() / sum
}

/// Orders candidates: scored before unscored, by score, then by prior score, then as they came; the best `top_k`,
/// or all where that is 0. Costs a full sort only where all are asked for.
pub fn best(mut items: Vec<Scored>, prior: &[f32], top_k: usize) -> Vec<Scored> {
    let prior_of = |item: &Scored| prior.get(item.index as usize).copied().unwrap_or(0.0);
    let order = |a: &Scored, b: &Scored| {
        let by_score = match (a.score, b.score) {
            (Some(a), Some(b)) => b.total_cmp(&a),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        by_score
            .then_with(|| prior_of(b).total_cmp(&prior_of(a)))
            .then_with(|| a.index.cmp(&b.index))
    };
    cut(&mut items, top_k, order);
    items.sort_unstable_by(order);
    items
}

fn cut(items: &mut Vec<Scored>, top_k: usize, order: impl Fn(&Scored, &Scored) -> Ordering) {
    if (1..items.len()).contains(&top_k) {
        items.select_nth_unstable_by(top_k - 1, order);
        items.truncate(top_k);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::repository::DimSpec;

    use super::*;

    fn items(scores: &[Option<f32>]) -> Vec<Scored> {
        let item = |(index, score): (usize, &Option<f32>)| Scored {
            index: index as u32,
            score: *score,
            row: None,
        };
        scores.iter().enumerate().map(item).collect()
    }

    #[track_caller]
    fn check_order(scores: &[Option<f32>], prior: &[f32], top_k: usize, want: &[u32]) {
        let got: Vec<u32> = best(items(scores), prior, top_k).iter().map(|i| i.index).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn ties_fall_to_the_prior_and_then_to_the_request() {
        check_order(&[Some(0.1), Some(0.9), Some(0.5)], &[], 0, &[1, 2, 0]);
        check_order(&[Some(0.5), Some(0.5), Some(0.5)], &[1.0, 3.0, 1.0], 0, &[1, 0, 2]);
        check_order(&[None, Some(-9.0), None], &[0.0, 0.0, 1.0], 0, &[1, 2, 0]);
        check_order(&[Some(0.1), Some(0.9), Some(0.5)], &[], 2, &[1, 2]);
        check_order(&[Some(0.1)], &[], 9, &[0]);
        check_order(&[], &[], 3, &[]);
    }

    proptest! {
        #[test]
        fn the_top_k_is_the_start_of_the_whole_order(
            scores in prop::collection::vec(prop::option::of(0_u8..4), 0..40),
            top_k in 1_usize..50,
        ) {
            let scores: Vec<Option<f32>> = scores.iter().map(|s| s.map(f32::from)).collect();
            let all = best(items(&scores), &[], 0);
            let some = best(items(&scores), &[], top_k);
            prop_assert_eq!(&all[..top_k.min(all.len())], some.as_slice());
        }
    }

    fn spec(activation: Activation, width: Option<usize>, column: usize) -> OutputSpec {
        let mut shape = vec![DimSpec::Named("rows".to_owned())];
        shape.extend(width.map(DimSpec::Fixed));
        OutputSpec { name: "y".to_owned(), shape, head: None, activation, column }
    }

    #[track_caller]
    fn check_head(spec: &OutputSpec, raw: &[f32], count: usize, want: Result<&[f32], &str>) {
        let got = head_values(spec, Tensor::floats(vec![raw.len()], raw.to_vec()), count);
        match (got, want) {
            (Ok(got), Ok(want)) => {
                let close = got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6);
                assert!(close && got.len() == want.len(), "{got:?} is not {want:?}");
            }
            (Err(got), Err(want)) => assert!(got.contains(want), "{got}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn activations_give_finite_values_or_say_so() {
        check_head(&spec(Activation::None, None, 0), &[1.0, -2.0], 2, Ok(&[1.0, -2.0]));
        check_head(
            &spec(Activation::Sigmoid, None, 0),
            &[0.0, 900.0, -900.0],
            3,
            Ok(&[0.5, 1.0, 0.0]),
        );
        check_head(
            &spec(Activation::Softmax, Some(2), 1),
            &[0.0, 0.0, 900.0, 0.0],
            2,
            Ok(&[0.5, 0.0]),
        );
        check_head(&spec(Activation::None, Some(3), 2), &[1.0, 2.0, 3.0], 1, Ok(&[3.0]));
        check_head(&spec(Activation::Sigmoid, None, 0), &[f32::NAN], 1, Err("finite"));
        check_head(&spec(Activation::None, None, 0), &[f32::INFINITY], 1, Err("finite"));
        check_head(&spec(Activation::None, None, 0), &[1.0], 2, Err("length"));
    }
}
