//! A ranker's tensors as another server's model takes them.

use crate::{
    repository::{InputSpec, Source},
    tensor::{Tensor, TensorData},
    transport::pb::inference::model_metadata_response::TensorMetadata,
};

/// The dim of what there is once for each user.
const USERS: &str = "users";

/// Which of a ranker's tensors a model takes, and whether their users' side is repeated for each row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// The places of the inputs, in the manifest's order, and whether each is a column there: Triton has no tensor of rows alone.
    taken: Vec<(usize, bool)>,
    /// The place of the rows' users, where the model has no such input: it takes one user a row.
    repeats_by: Option<usize>,
}

impl Fit {
    /// Holds the inputs of a model against those of the ranker.
    ///
    /// # Errors
    /// Which input is too many or missing.
    pub(super) fn new(inputs: &[InputSpec], theirs: &[TensorMetadata]) -> Result<Self, String> {
        let ours: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let has = ours.join(", ");
        if let Some(other) = theirs.iter().find(|one| !ours.contains(&one.name.as_str())) {
            let name = &other.name;
            return Err(format!(
                "its model takes `{name}`, and the one that is measured has {has}"
            ));
        }
        let (mut taken, mut repeats_by) = (Vec::new(), None);
        for (at, input) in inputs.iter().enumerate() {
            match theirs.iter().find(|one| one.name == input.name) {
                Some(one) => taken.push((at, is_column(input, one))),
                None if input.source == Source::UserIndex => repeats_by = Some(at),
                None => {
                    let name = &input.name;
                    return Err(format!("its model does not take `{name}`; serve the same graph"));
                }
            }
        }
        Ok(Self { taken, repeats_by })
    }

    /// The tensors that are sent, with their names.
    pub(super) fn of(&self, inputs: &[InputSpec], tensors: &[Tensor]) -> Vec<(String, Tensor)> {
        let users = self.repeats_by.map(|at| places(&tensors[at]));
        let sent = |&(at, is_column): &(usize, bool)| {
            let (input, tensor) = (&inputs[at], &tensors[at]);
            let by_user = input.shape.first().is_some_and(|dim| dim.is(USERS));
            let mut tensor = match users.as_ref().filter(|_| by_user) {
                Some(users) => repeated(tensor, users),
                None => tensor.clone(),
            };
            if is_column {
                tensor.shape.push(1);
            }
            (input.name.clone(), tensor)
        };
        self.taken.iter().map(sent).collect()
    }
}

/// Whether an input of one dim has a second one of length 1 there.
fn is_column(input: &InputSpec, theirs: &TensorMetadata) -> bool {
    input.shape.len() == 1 && matches!(theirs.shape.as_slice(), [_, 1])
}

/// The user of each row.
fn places(tensor: &Tensor) -> Vec<usize> {
    match &tensor.data {
        TensorData::Int64(values) => values.iter().map(|at| *at as usize).collect(),
        TensorData::Int32(values) => values.iter().map(|at| *at as usize).collect(),
        _ => Vec::new(),
    }
}

fn repeated(tensor: &Tensor, users: &[usize]) -> Tensor {
    let width: usize = tensor.shape.iter().skip(1).product();
    let mut shape = tensor.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = users.len();
    }
    let places = users.iter().flat_map(|user| user * width..(user + 1) * width);
    Tensor { shape, data: tensor.data.gather(places) }
}

#[cfg(test)]
mod tests {
    use crate::repository::Manifest;

    use super::*;

    fn inputs() -> Vec<InputSpec> {
        let manifest: Manifest = toml::from_str(
            "format = 1\nrole = 'ranker'\n[files]\n\
             [[inputs]]\nname = 'taste'\nsource = 'user_embedding'\ndtype = 'float32'\nshape = ['users', 2]\n\
             [[inputs]]\nname = 'whose'\nsource = 'user_index'\ndtype = 'int64'\nshape = ['rows']\n\
             [[inputs]]\nname = 'price'\nsource = 'candidate'\ndtype = 'float32'\nshape = ['rows']\n",
        )
        .unwrap();
        manifest.inputs
    }

    fn tensors() -> Vec<Tensor> {
        vec![
            Tensor::floats(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]),
            Tensor { shape: vec![3], data: TensorData::Int64(vec![0, 1, 1]) },
            Tensor::floats(vec![3], vec![7.0, 8.0, 9.0]),
        ]
    }

    #[track_caller]
    fn check(theirs: &[&str], want: Result<Vec<(&str, Tensor)>, &str>) {
        let theirs = theirs.iter().map(|name| TensorMetadata {
            name: (*name).trim_end_matches('|').to_owned(),
            shape: if name.ends_with('|') { vec![-1, 1] } else { vec![-1] },
            ..TensorMetadata::default()
        });
        let theirs: Vec<TensorMetadata> = theirs.collect();
        match (Fit::new(&inputs(), &theirs), want) {
            (Ok(fit), Ok(want)) => {
                let got = fit.of(&inputs(), &tensors());
                let want = want.into_iter().map(|(name, tensor)| (name.to_owned(), tensor));
                assert_eq!(got, want.collect::<Vec<_>>());
            }
            (Err(told), Err(want)) => assert!(told.contains(want), "{told}"),
            (got, _) => panic!("{got:?}"),
        }
    }

    #[test]
    fn the_users_side_is_repeated_where_nothing_says_whose_a_row_is() {
        let [taste, whose, price] = tensors().try_into().unwrap();
        check(
            &["price", "taste", "whose"],
            Ok(vec![("taste", taste), ("whose", whose), ("price", price.clone())]),
        );
        let each = Tensor::floats(vec![3, 2], vec![1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
        check(&["price", "taste"], Ok(vec![("taste", each.clone()), ("price", price.clone())]));
        let column = Tensor { shape: vec![3, 1], ..price };
        check(&["price|", "taste"], Ok(vec![("taste", each), ("price", column)]));
    }

    #[test]
    fn an_input_too_many_or_missing_is_named() {
        check(&["price", "taste", "whose", "colour"], Err("takes `colour`"));
        check(&["taste", "whose"], Err("does not take `price`"));
    }
}
