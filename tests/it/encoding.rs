//! The user's side end to end in process: many first requests, one run of the encoder, then the stored embedding.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use podium::{
    config::Config,
    deadline::Deadline,
    ranking::{
        Candidates, Encoder, Engine, EngineParts, InlineEmbedding, Model, Notes, RankError,
        RankRequest, Ranker, Ranking, User, UserState,
    },
    serving::{LoadOptions, ModelHandle, Registry},
    users::{MemoryStore, Shipped, UsersOptions, load_histories},
};

use crate::fixture::{open, runtime, shipped};

async fn engine() -> Engine {
    let runtime = runtime();
    let options = LoadOptions { instances: 1, ..Config::default().load_options(0) };
    let shipped_histories = Arc::new(Shipped::default());
    let registry = Arc::new(Registry::default());
    let bundle = open(&shipped("grocery-encoder/1"));
    shipped_histories.publish(&bundle.id, load_histories(&bundle).unwrap());
    let handle = ModelHandle::load(&runtime, &bundle, &options).unwrap();
    let encoder = Arc::new(Encoder::compile(&bundle, handle).await.unwrap());
    registry.publish(bundle.id.clone(), Arc::new(Model::Encoder(Arc::clone(&encoder))));
    let bundle = open(&shipped("grocery-ranker/1"));
    let handle = ModelHandle::load(&runtime, &bundle, &options).unwrap();
    let ranker = Ranker::compile(&bundle, handle, Some(encoder), None).unwrap();
    registry.publish(bundle.id.clone(), Arc::new(Model::Ranker(Arc::new(ranker))));
    let options = Config::default().engine_options("grocery-ranker".to_owned());
    let users = Arc::new(MemoryStore::new(UsersOptions::default(), shipped_histories));
    Engine::new(EngineParts { registry, users, options })
}

fn request(user: &str) -> RankRequest {
    let ids = ["1082185", "866227", "1133018", "no such item"].into_iter().collect();
    RankRequest {
        user: User { id: user.to_owned(), ..User::default() },
        candidates: Candidates { ids, ..Candidates::default() },
        ..RankRequest::default()
    }
}

fn soon() -> Deadline {
    Deadline::after(Instant::now(), Duration::from_secs(30))
}

async fn rank(engine: &Engine, request: &Arc<RankRequest>) -> Result<Ranking, RankError> {
    engine.rank(request, soon(), &mut Notes::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn first_requests_share_one_run_and_later_ones_find_it_stored() {
    let engine = engine().await;
    let asked = Arc::new(request("1228"));
    let first = join_all((0..100).map(|_| rank(&engine, &asked))).await;
    let first: Vec<_> = first.into_iter().map(Result::unwrap).collect();
    assert_eq!(first[0].user_state, UserState::Computed);
    let later = rank(&engine, &asked).await.unwrap();
    assert_eq!(later.user_state, UserState::Cached);
    assert!(first.iter().all(|ranking| ranking.items == later.items));
    assert_eq!(later.missing, [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_the_embedding_of_an_empty_history() {
    let engine = engine().await;
    let stranger = rank(&engine, &Arc::new(request("nobody at all"))).await.unwrap();
    assert_eq!(stranger.user_state, UserState::Default);
    let unnamed = rank(&engine, &Arc::new(request(""))).await.unwrap();
    assert_eq!(stranger.items, unnamed.items);
    let known = rank(&engine, &Arc::new(request("1228"))).await.unwrap();
    assert_ne!(stranger.items, known.items);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedding_of_another_shape_or_version_is_refused() {
    let engine = engine().await;
    let refused = async |values: usize, shape: Vec<usize>, encoder_version: u64| {
        let mut asked = request("");
        let values = vec![0.0; values];
        asked.user.embedding = Some(InlineEmbedding { values, shape, encoder_version });
        match rank(&engine, &Arc::new(asked)).await {
            Err(RankError::Invalid(faults)) => faults[0].field.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(3, vec![], 0).await, "user.embedding.values");
    assert_eq!(refused(256, vec![256], 0).await, "user.embedding.shape");
    assert_eq!(refused(256, vec![], 2).await, "user.embedding.encoder_version");
}
