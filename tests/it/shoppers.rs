//! The users of the tests: what each does, and the scores that are right for what was recorded of them.
//!
//! The candidates and what users do are of different departments, so that the scores tell the embedding and nothing else.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use podium::transport::pb::{
    Candidates, Column, Event, EventKind, FloatColumn, ModelSelector, RankRequest, RankResponse,
    RecordEventsRequest, User, UserEvent, column::Values,
};
use prost_types::Timestamp;

use crate::replica::Replica;

/// Unix seconds of the first event.
const START: i64 = 1_700_000_000;
const DAY: i64 = 86_400;
/// Events of a user at most; the encoder reads the last 16.
pub const MOST_EVENTS: usize = 12;
/// Scores that are this near are the same.
const SAME: f32 = 2e-5;
/// The scores of two lengths of a history differ at least by this.
const OTHER: f32 = 2e-4;
/// How many candidates are ranked.
pub const CANDIDATES: usize = 6;

/// Scores of the candidates, in the order of the request.
pub type Scores = Vec<f32>;

/// One user and what is known of them.
pub struct Shopper {
    pub id: String,
    /// What they do, in this order.
    pub events: Vec<UserEvent>,
    /// The right scores for each number of recorded events, from none on.
    pub right: Vec<Scores>,
    told: Mutex<Told>,
}

/// How far the recording of a user's events is.
#[derive(Default)]
struct Told {
    /// Events that were sent.
    sent: usize,
    /// When how many were acknowledged, in this order.
    acknowledged: Vec<(Instant, usize)>,
}

impl fmt::Debug for Shopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl Shopper {
    /// Makes a user with a taste of their own, and asks the server for the right scores.
    pub async fn new(id: &str, number: usize, server: &Replica) -> Self {
        let events: Vec<UserEvent> = (0..MOST_EVENTS).map(|at| event(id, number, at)).collect();
        let mut right = Vec::new();
        for count in 0..=MOST_EVENTS {
            right.push(scores_of_history(server, &events[..count]).await);
        }
        for (at, one) in right.iter().enumerate() {
            let twin = right[..at].iter().position(|other| distance(one, other) < OTHER);
            assert_eq!(twin, None, "{id}: {at} events score as another number of them");
        }
        Self { id: id.to_owned(), events, right, told: Mutex::default() }
    }

    /// A user whose history the bundle `tiny-encoder/1` ships.
    pub async fn shipped(server: &Replica) -> Self {
        let bought = [("item-03", 0), ("item-07", 30), ("item-03", 99)];
        let event = |(item, hour): (&str, i64)| UserEvent {
            item_id: item.to_owned(),
            time: Some(Timestamp { seconds: START + hour * 3600, nanos: 0 }),
            ..UserEvent::default()
        };
        let events: Vec<UserEvent> = bought.into_iter().map(event).collect();
        let none = scores_of_history(server, &[]).await;
        // The history is never shorter: no scores are right for a part of it.
        let part = vec![f32::NAN; CANDIDATES];
        let whole = scores_of_history(server, &events).await;
        let told = Told { sent: 3, acknowledged: vec![(Instant::now(), 3)] };
        let right = vec![none, part.clone(), part, whole];
        Self { id: "anna".to_owned(), events, right, told: Mutex::new(told) }
    }

    /// Asks for the order for this user, by id alone.
    pub fn request(&self) -> RankRequest {
        request(User { id: self.id.clone(), ..User::default() })
    }

    /// Records one more event; none is left where this answers false. Fails as the call does.
    pub async fn act(&self, server: &Replica) -> Result<bool, tonic::Status> {
        let next = self.acknowledged();
        let Some(event) = self.events.get(next).cloned() else { return Ok(false) };
        self.told.lock().unwrap().sent = next + 1;
        record(server, vec![event]).await?;
        self.told.lock().unwrap().acknowledged.push((Instant::now(), next + 1));
        Ok(true)
    }

    /// Records events until there are `count`.
    pub async fn act_until(&self, count: usize, server: &Replica) {
        while self.acknowledged() < count {
            self.act(server).await.unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
        }
    }

    /// Begins anew after the user was erased.
    pub fn forget(&self) {
        *self.told.lock().unwrap() = Told::default();
    }

    /// How many events were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.told.lock().unwrap().acknowledged.last().map_or(0, |(_, count)| *count)
    }

    /// How many were acknowledged at a time.
    pub fn acknowledged_at(&self, time: Instant) -> usize {
        let told = self.told.lock().unwrap();
        told.acknowledged.iter().rev().find(|(at, _)| *at <= time).map_or(0, |(_, count)| *count)
    }

    /// How many were sent.
    pub fn sent(&self) -> usize {
        self.told.lock().unwrap().sent
    }

    /// How many events the scores of an answer speak of; none where they are right for no number of them.
    pub fn events_in(&self, answer: &RankResponse) -> Option<usize> {
        let scores = scores(answer);
        self.right.iter().position(|right| distance(right, &scores) < SAME)
    }
}

/// Records events through a server.
pub async fn record(server: &Replica, events: Vec<UserEvent>) -> Result<(), tonic::Status> {
    let mut call = tonic::Request::new(RecordEventsRequest { events, ..Default::default() });
    call.set_timeout(Duration::from_secs(5));
    server.users().record_events(call).await.map(drop)
}

/// The event that a user does at that place: each an item of its own, at a time of its own.
fn event(id: &str, number: usize, at: usize) -> UserEvent {
    // Of the departments 2, 3 and 4; the candidates are of 0 and 1.
    let item = 2 + (number * 7 + at * 3) % 10 * 5 + (number + at) % 3;
    UserEvent {
        event_id: format!("{id}-{at}"),
        user_id: id.to_owned(),
        item_id: format!("item-{item:02}"),
        kind: EventKind::Purchase.into(),
        time: Some(Timestamp {
            seconds: START + DAY * (at * at * (1 + number % 4)) as i64,
            nanos: 0,
        }),
    }
}

/// The inline history that says the same as recorded events.
pub fn inline(events: &[UserEvent]) -> Vec<Event> {
    let inline = |event: &UserEvent| Event {
        item_id: event.item_id.clone(),
        kind: event.kind,
        time: event.time,
    };
    events.iter().map(inline).collect()
}

/// Asks for the order of the candidates for a user.
pub fn request(user: User) -> RankRequest {
    let ids = (0..CANDIDATES).map(|at| format!("item-{:02}", at / 2 * 15 + at % 2)).collect();
    let values = (0..CANDIDATES).map(|at| 1.0 + at as f32).collect();
    let price =
        Column { name: "price".to_owned(), values: Some(Values::Floats(FloatColumn { values })) };
    RankRequest {
        model: Some(ModelSelector { name: "tiny-ranker".to_owned(), selector: None }),
        user: Some(user),
        candidates: Some(Candidates { ids, columns: vec![price], ..Candidates::default() }),
        ..RankRequest::default()
    }
}

/// The scores of an answer, in the order of the request.
pub fn scores(answer: &RankResponse) -> Scores {
    let mut scores = vec![f32::NAN; CANDIDATES];
    for item in answer.items.iter() {
        scores[item.index as usize] = item.score.unwrap_or(f32::NAN);
    }
    scores
}

/// The right scores for a history.
pub async fn scores_of_history(server: &Replica, events: &[UserEvent]) -> Scores {
    let user = User { history: inline(events), ..User::default() };
    scores(&server.rank(request(user)).await.unwrap())
}

fn distance(one: &[f32], other: &[f32]) -> f32 {
    let apart = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    // What is not finite is far from everything.
    apart.fold(0.0, |most, apart| if apart.is_nan() { f32::INFINITY } else { most.max(apart) })
}
