//! The Rust client against servers: what it answers, refuses, waits for and gives up.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use podium_client::{Client, ErrorKind, RankRequest, RetryBudget, RetryPolicy, pb};
use prost::Message;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use crate::{
    collector::Collector, fixture, patience::eventually, ports::free_port, replica::Replica,
    shoppers,
};

const LONG: Duration = Duration::from_secs(10);

/// A request of the tests by the client's messages, which are the same on the wire.
fn request(user: &str) -> RankRequest {
    let user = podium::transport::pb::User { id: user.to_owned(), ..Default::default() };
    RankRequest::decode(shoppers::request(user).encode_to_vec().as_slice()).unwrap()
}

fn client(server: &Replica) -> Client {
    let address = format!("http://127.0.0.1:{}", server.port);
    Client::builder(&address).caller("homepage").deadline(LONG).connect().unwrap()
}

/// A client of a port that nobody listens on.
fn lonely(port: u16, deadline: Duration, (attempts, burst): (u32, f64)) -> Client {
    let policy = RetryPolicy { attempts, ..RetryPolicy::default() };
    let budget = RetryBudget::new(0.0, 0.0, burst);
    let builder = Client::builder(&format!("http://127.0.0.1:{port}"));
    builder.deadline(deadline).retries(policy).budget(budget).connect().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_what_the_server_answers() {
    let server = Replica::configured(&[]).await;
    let client = client(&server);
    let user = podium::transport::pb::User { id: "nobody".to_owned(), ..Default::default() };
    let plain = server.rank(shoppers::request(user)).await.unwrap();
    let answer = client.rank(request("nobody")).await.unwrap();
    let own: Vec<_> = answer.items.iter().map(|item| (item.id.clone(), item.score)).collect();
    let want: Vec<_> = plain.items.iter().map(|item| (item.id.to_string(), item.score)).collect();
    assert!(!own.is_empty());
    assert_eq!(own, want);

    let event = pb::UserEvent {
        event_id: "1".to_owned(),
        user_id: "ada".to_owned(),
        item_id: "item-03".to_owned(),
        kind: pb::EventKind::Purchase.into(),
        time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
    };
    for recorded in [1, 0] {
        let told = client.record_events(vec![event.clone()]).await.unwrap();
        assert_eq!((told.recorded, told.duplicates), (recorded, 1 - recorded));
    }
    let known = client.get_user("ada", "tiny-ranker").await.unwrap();
    assert_eq!(known.recorded_events, 1);
    assert_eq!(client.delete_user("ada").await.unwrap().events, 1);
    let gone = client.get_user("ada", "tiny-ranker").await;
    assert!(gone.is_ok_and(|user| user.recorded_events == 0));
    let items = client.items(["item-00", "item-01"], "tiny-ranker").await.unwrap();
    assert!(!items.columns.is_empty(), "the catalogue has columns");
    let models = client.server_info().await.unwrap().models;
    assert!(models.iter().any(|model| model.name == "tiny-ranker"));
    let counted = server.metric("podium_request_duration_seconds_count").await;
    assert!(counted.iter().any(|(labels, _)| labels.contains("homepage")), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_by_its_field() {
    let server = Replica::configured(&[]).await;
    let client = client(&server);
    let faulty = request("nobody").column("price", [1.0]).named("r1");
    let error = client.rank(faulty.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::InvalidArgument, "INVALID_FIELD"));
    assert!(error.violations()[0].field.starts_with("candidates.columns["), "{error:?}");
    assert_eq!((error.request_id(), error.attempts()), ("r1", 1));
    let error = client.rank(request("nobody").by("books")).await.unwrap_err();
    assert_eq!((error.kind(), error.resource()), (ErrorKind::NotFound, "books"));
    let slow = client.with_deadline(Duration::from_nanos(1)).rank(request("nobody")).await;
    assert_eq!(slow.unwrap_err().kind(), ErrorKind::DeadlineExceeded);

    let requests = vec![request("a").named("a"), faulty, request("b").named("b")];
    let mut answers = client.rank_stream(requests).await.unwrap();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(answer) => good.push(answer.request_id),
            Err(error) => bad.push((error.request_id().to_owned(), error.kind())),
        }
    }
    good.sort();
    assert_eq!(good, ["a", "b"]);
    assert_eq!(bad, [("r1".to_owned(), ErrorKind::InvalidArgument)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_late_is_waited_for() {
    let server = Replica::configured(&[]).await;
    let (door, behind) = (free_port(), server.port);
    let patient = lonely(door, LONG, (100, 100.0));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let listener = TcpListener::bind(("127.0.0.1", door)).await.unwrap();
        while let Ok((mut outside, _)) = listener.accept().await {
            let mut inside = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
            tokio::spawn(async move {
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await.ok();
            });
        }
    });
    let begun = Instant::now();
    patient.rank(request("nobody")).await.unwrap();
    assert!(begun.elapsed() > Duration::from_millis(350), "nobody was there before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_in_a_call_is_tried_again() {
    let server = Replica::configured(&[]).await;
    let (door, behind) = (free_port(), server.port);
    let listener = TcpListener::bind(("127.0.0.1", door)).await.unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut outside, _) = listener.accept().await.unwrap();
            if number < 2 {
                // It breaks while the call is on its way.
                outside.read_u64().await.unwrap();
                continue;
            }
            let mut inside = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
            tokio::spawn(async move {
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await.ok();
            });
        }
    });
    let error = lonely(door, LONG, (1, 0.0)).rank(request("nobody")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    lonely(door, LONG, (100, 100.0)).rank(request("nobody")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gives_up_with_the_budget_or_the_deadline() {
    let bound = lonely(free_port(), LONG, (10, 2.0));
    let error = bound.rank(request("nobody")).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 3), "{error}");
    let error = bound.rank(request("nobody")).await.unwrap_err();
    assert_eq!(error.attempts(), 1, "the budget is shared by all calls");
    let hurried = lonely(free_port(), Duration::from_millis(300), (1000, 1000.0));
    let begun = Instant::now();
    let error = hurried.rank(request("nobody")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.attempts() > 1);
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_stand_below_a_span_that_is_named() {
    let collector = Collector::by_grpc().await;
    let server = Replica::configured(&collector.settings(&[])).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = client(&server).with_trace(parent, "vendor=1").unwrap();
    traced.rank(request("nobody")).await.unwrap();
    let trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    let trace = collector.trace_with(&trace_id, &["podium.v1.RankService/Rank"]).await;
    let rank = trace.span("podium.v1.RankService/Rank");
    assert_eq!(rank.0.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(rank.0.trace_state, "vendor=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_prints_an_order_and_a_mistake() {
    let server = Replica::of_models(&fixture::shipped_models(), &[]).await;
    let program = Path::new(env!("CARGO_BIN_EXE_podium")).with_file_name("examples").join("rank");
    let ended = eventually("the example has an answer", LONG * 6, async || {
        let address = format!("http://127.0.0.1:{}", server.port);
        let ended = Command::new(&program).arg(address).output();
        let ended = ended.unwrap_or_else(|e| {
            panic!("{}: {e}: cargo test --workspace builds it", program.display())
        });
        ended.status.success().then_some(ended)
    })
    .await;
    let printed = String::from_utf8(ended.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("grocery-ranker/1, user "), "{printed}");
    for id in ["1082185", "866227", "1133018"] {
        assert!(lines[1..4].iter().any(|line| line.contains(id)), "{printed}");
    }
    assert!(lines[4].contains("candidates.columns[1]"), "{printed}");
}
