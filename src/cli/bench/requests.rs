//! The requests that are sent: the model's example for shoppers drawn at random.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::index};

use crate::transport::pb::{self, column::Values};

/// Most different requests.
const MOST_REQUESTS: usize = 256;

/// Fewest different requests.
const FEWEST_REQUESTS: usize = 8;

/// Candidates of all different requests together, where that leaves enough of them.
const MOST_ROWS: usize = 200_000;

/// Different requests of one shape.
#[derive(Debug)]
pub(super) struct Pool {
    /// The requests.
    pub(super) requests: Vec<pb::RankRequest>,
    /// Candidates of each.
    pub(super) candidates: usize,
    /// Items that each answer must have.
    pub(super) items: usize,
}

/// What requests are made of.
#[derive(Debug)]
pub(super) struct Ingredients {
    /// The example request.
    pub(super) example: pb::RankRequest,
    /// The shape of the embeddings that requests bring; none where they bring none.
    pub(super) embedding: Option<Vec<usize>>,
    /// Users to draw from; none means the unknown shopper.
    pub(super) users: Vec<String>,
    /// Items to draw from where more candidates are wanted than the example has; sorted.
    pub(super) items: Vec<String>,
    /// Candidates of each request; none means the example's.
    pub(super) candidates: Option<usize>,
    /// How many items to ask for; 0 asks for all.
    pub(super) top: u32,
    /// What the draw starts from.
    pub(super) seed: u64,
}

impl Pool {
    /// Draws the requests.
    pub(super) fn draw(from: &Ingredients) -> Result<Self, String> {
        let own = from.example.candidates.as_ref().map_or(0, |all| all.ids.len());
        if own == 0 {
            return Err("this model ships no example request, which the bench needs".to_owned());
        }
        let candidates = from.candidates.unwrap_or(own);
        let most = own.max(from.items.len());
        if !(1..=most).contains(&candidates) {
            return Err(format!("--candidates {candidates}: there are 1 to {most} to draw from"));
        }
        let mut random = StdRng::seed_from_u64(from.seed);
        let count = (MOST_ROWS / candidates).clamp(FEWEST_REQUESTS, MOST_REQUESTS);
        let requests: Vec<pb::RankRequest> =
            (0..count).map(|_| request(from, candidates, &mut random)).collect();
        Ok(Self {
            requests,
            candidates,
            items: match from.top as usize {
                0 => candidates,
                top => top.min(candidates),
            },
        })
    }
}

fn request(from: &Ingredients, candidates: usize, random: &mut StdRng) -> pb::RankRequest {
    let mut request = from.example.clone();
    let example = request.candidates.take().unwrap_or_default();
    let id = match from.users.len() {
        0 => String::new(),
        count => from.users[random.random_range(0..count)].clone(),
    };
    let embedding = from.embedding.as_ref().map(|shape| pb::Embedding {
        values: (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect(),
        shape: shape.iter().map(|&dim| dim as u32).collect(),
        encoder_version: 0,
    });
    request.user = Some(pb::User { id, embedding, ..pb::User::default() });
    request.top_k = from.top;
    let own = example.ids.len();
    let all_own = candidates <= own;
    let drawn = index::sample(random, if all_own { own } else { from.items.len() }, candidates);
    // A drawn item that is none of the example's has the features of a row of it.
    let rows: Vec<usize> = match all_own {
        true => drawn.iter().collect(),
        false => (0..candidates).map(|_| random.random_range(0..own)).collect(),
    };
    let id = |at: usize| match all_own {
        true => &example.ids[at],
        false => from.items[at].as_str(),
    };
    let columns = example.columns.iter().map(|column| pb::Column {
        name: column.name.clone(),
        values: column.values.as_ref().map(|values| taken(values, &rows)),
    });
    let prior = &example.prior_scores;
    request.candidates = Some(pb::Candidates {
        ids: drawn.iter().map(id).collect(),
        columns: columns.collect(),
        prior_scores: if prior.is_empty() { Vec::new() } else { picked(prior, &rows) },
    });
    request
}

fn picked<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().filter_map(|&row| values.get(row).cloned()).collect()
}

/// The values of the rows.
fn taken(values: &Values, rows: &[usize]) -> Values {
    match values {
        Values::Floats(all) => {
            Values::Floats(pb::FloatColumn { values: picked(&all.values, rows) })
        }
        Values::Ints(all) => Values::Ints(pb::IntColumn { values: picked(&all.values, rows) }),
        Values::Strings(all) => {
            let values = rows.iter().filter_map(|&row| all.values.get(row)).collect();
            Values::Strings(pb::StringColumn { values })
        }
        Values::Vectors(all) => {
            let dim = all.dim as usize;
            let row = |&row: &usize| all.values.get(row * dim..(row + 1) * dim);
            let values = rows.iter().filter_map(row).flatten().copied().collect();
            Values::Vectors(pb::VectorColumn { dim: all.dim, values })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingredients(candidates: Option<usize>) -> Ingredients {
        let column = |values| pb::Column { name: "f".to_owned(), values: Some(values) };
        let example = pb::RankRequest {
            candidates: Some(pb::Candidates {
                ids: ["a", "b", "c"].into_iter().collect(),
                columns: vec![
                    column(Values::Ints(pb::IntColumn { values: vec![1, 2, 3] })),
                    column(Values::Vectors(pb::VectorColumn { dim: 2, values: vec![0.5; 6] })),
                ],
                ..Default::default()
            }),
            ..Default::default()
        };
        Ingredients {
            example,
            embedding: Some(vec![2, 3]),
            users: vec!["7".to_owned()],
            items: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
            candidates,
            top: 2,
            seed: 1,
        }
    }

    #[track_caller]
    fn check(candidates: Option<usize>, want: usize) {
        let pool = Pool::draw(&ingredients(candidates)).unwrap();
        let first = pool.requests[0].candidates.clone().unwrap();
        let embedding = pool.requests[0].user.as_ref().and_then(|user| user.embedding.as_ref());
        assert_eq!(embedding.map(|e| (e.values.len(), &e.shape[..])), Some((6, &[2, 3][..])));
        let unique: std::collections::BTreeSet<&str> = first.ids.iter().collect();
        assert_eq!((unique.len(), pool.items), (want, want.min(2)));
        for column in first.columns {
            match column.values {
                Some(Values::Ints(ints)) => assert_eq!(ints.values.len(), want),
                Some(Values::Vectors(vectors)) => assert_eq!(vectors.values.len(), 2 * want),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn candidates_are_the_examples_or_the_catalogues() {
        check(None, 3);
        check(Some(1), 1);
        check(Some(5), 5);
        assert!(Pool::draw(&ingredients(Some(6))).is_err());
        assert!(Pool::draw(&ingredients(Some(0))).is_err());
    }

    #[test]
    fn a_seed_repeats_its_draw() {
        let ids = |seed| {
            let pool = Pool::draw(&Ingredients { seed, ..ingredients(Some(4)) }).unwrap();
            pool.requests
        };
        assert_eq!(ids(3), ids(3));
        assert_ne!(ids(3), ids(4));
    }
}
