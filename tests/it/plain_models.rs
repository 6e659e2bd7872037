//! Models without a manifest against real ONNX Runtime: what is derived, who shares a run, and what is refused.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::future::join_all;
use podium::{
    batching::{BatchError, Turns, Work},
    config,
    deadline::Deadline,
    ranking::TensorModel,
    repository::{Bundle, Place, Role, Sharing},
    serving::ModelHandle,
    tensor::{Tensor, TensorData},
};

use crate::fixture::{open, plain_models, runtime};

fn plain(path: &str) -> PathBuf {
    plain_models().join(path)
}

fn load(path: &str) -> TensorModel {
    let options = config::load(None, &[]).unwrap().0.load_options(0);
    let options = podium::serving::LoadOptions { turns: vec![Turns::new(1)], ..options };
    let handle = ModelHandle::load(&runtime(), &open(&plain(path)), &options);
    TensorModel::new(handle.unwrap_or_else(|error| panic!("{error}")))
}

fn floats(shape: &[usize], first: f32) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::floats(shape.to_vec(), (0..count).map(|at| first + at as f32).collect())
}

async fn run(model: &TensorModel, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, BatchError> {
    let work = Work::new(inputs, Deadline::after(Instant::now(), Duration::from_secs(20)));
    model.handle().run(work).await
}

/// Runs 40 requests of 1 to 3 rows at once, holds each answer, and says whether any of them shared a run.
async fn shares(path: &str) -> bool {
    let model = load(path);
    let before = model.handle().counts();
    let requests: Vec<Tensor> = (0..40).map(|n| floats(&[1 + n % 3, 3], n as f32)).collect();
    let answers = join_all(requests.iter().map(|x| run(&model, vec![x.clone()]))).await;
    for (x, answer) in requests.iter().zip(answers) {
        let sums: Vec<f32> = x.to_floats().chunks(3).map(|row| row.iter().sum()).collect();
        assert_eq!(answer.unwrap(), [Tensor::floats(vec![sums.len()], sums)]);
    }
    let after = model.handle().counts();
    assert_eq!(after.rows - before.rows, requests.iter().map(|x| x.shape[0] as u64).sum::<u64>());
    after.batches - before.batches < 40
}

#[tokio::test]
async fn requests_share_runs_where_that_changes_nothing_or_is_asked_for() {
    for (path, sharing, want) in [
        ("summing/1", Sharing::JoinedIfIndependent, true),
        ("joined/2", Sharing::Joined, true),
        ("apart/1", Sharing::Apart, false),
    ] {
        assert_eq!(open(&plain(path)).manifest.sharing, Some(sharing), "{path}");
        assert_eq!(shares(path).await, want, "{path}");
    }
}

#[tokio::test]
async fn requests_stay_whole_where_company_would_change_them() {
    for (path, x, want) in [
        ("mixing/1", floats(&[3], 1.0), floats(&[3], -1.0)),
        ("fixed/3", floats(&[2, 2], 0.5), Tensor::floats(vec![2, 2], vec![1.0, 3.0, 5.0, 7.0])),
    ] {
        let model = load(path);
        let manifest = model.handle().manifest();
        assert_eq!(manifest.sharing, Some(Sharing::Whole), "{path}");
        assert!(!manifest.inputs[0].shape[0].is("rows"), "{path}");
        let answers = join_all((0..20).map(|_| run(&model, vec![x.clone()]))).await;
        for answer in answers {
            assert_eq!(answer.unwrap(), std::slice::from_ref(&want), "{path}");
        }
    }
}

#[tokio::test]
async fn only_requests_of_the_same_lengths_are_joined() {
    let model = load("lengths");
    assert_eq!(model.id().to_string(), "lengths/1");
    assert_eq!(model.handle().manifest().sharing, Some(Sharing::Joined));
    let request = |length: usize| {
        let ids = TensorData::Int64((0..2 * length as i64).collect());
        let kept = TensorData::Bool((0..2 * length).map(|at| at % 2 == 0).collect());
        let shape = vec![2, length];
        vec![Tensor { shape: shape.clone(), data: ids }, Tensor { shape, data: kept }]
    };
    let sum = |row: usize, length: usize| {
        (row * length..(row + 1) * length).filter(|at| at % 2 == 0).sum::<usize>() as i64
    };
    let lengths: Vec<usize> = (0..30).map(|n| 1 + n % 4).collect();
    let answers = join_all(lengths.iter().map(|length| run(&model, request(*length)))).await;
    for (length, answer) in lengths.iter().zip(answers) {
        let want = TensorData::Int64(vec![sum(0, *length), sum(1, *length)]);
        assert_eq!(answer.unwrap(), [Tensor { shape: vec![2], data: want }]);
    }
}

#[tokio::test]
async fn a_repository_of_triton_is_found_with_its_configurations() {
    let found = Place::directory(plain_models()).bundles().await.unwrap();
    let ids: Vec<String> = found.iter().map(|found| found.id.to_string()).collect();
    let want = ["apart/1", "apart/2", "fixed/3", "joined/1", "joined/2", "lengths/1", "mixing/1"];
    assert_eq!(ids, [&want[..], &["summing/1"]].concat());
    for found in found {
        let bundle = Bundle::open(&found.path).unwrap();
        assert_eq!((bundle.id, bundle.manifest.role), (found.id, Role::Tensors));
    }
    let joined = open(&plain("joined/1")).manifest.batching.unwrap();
    assert_eq!((joined.max_batch_rows, joined.instances), (Some(4), Some(1)));
    assert_eq!(joined.max_queue_delay, Some(Duration::from_millis(5)));
}
