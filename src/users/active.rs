//! Who did something last.

use std::sync::Arc;

use ahash::AHashSet;

/// The users with the latest times, each once.
pub(super) fn latest_first(mut users: Vec<(Arc<str>, i64)>, most: usize) -> Vec<Arc<str>> {
    users.sort_by(|(a, a_time), (b, b_time)| b_time.cmp(a_time).then_with(|| a.cmp(b)));
    let mut seen = AHashSet::new();
    let mut first: Vec<Arc<str>> = users.into_iter().map(|(user, _)| user).collect();
    first.retain(|user| seen.insert(Arc::clone(user)));
    first.truncate(most);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_come_first_and_once() {
        let users = vec![("a".into(), 3), ("b".into(), 9), ("a".into(), 1), ("c".into(), 9)];
        let names: Vec<String> =
            latest_first(users, 2).iter().map(|user| user.to_string()).collect();
        assert_eq!(names, ["b", "c"]);
    }
}
