//! The model that answers requests that name none.

use crate::{
    ranking::models::Model,
    repository::Role,
    serving::{Registry, Selector},
};

/// The model that is wanted, where a ranker of that name is published; else the first ranker that is; the wanted name where there is none.
pub fn default_model(registry: &Registry<Model>, wanted: &str) -> String {
    let is_ranker = |model: &Model| model.role() == Role::Ranker;
    if registry.resolve(wanted, &Selector::Live).is_ok_and(|model| is_ranker(&model)) {
        return wanted.to_owned();
    }
    let published = registry.all();
    let mut rankers =
        published.iter().filter(|(_, model)| is_ranker(model)).map(|(id, _)| id.name.as_str());
    let first = rankers.clone().next();
    rankers.find(|name| *name == wanted).or(first).unwrap_or(wanted).to_owned()
}
