//! Changes `serving.toml` of a repository as a whole or not at all, beside others who do.

use std::{path::Path, time::Duration};

use crate::repository::{
    error::RepositoryError,
    place::Place,
    serving_file::{SERVING_FILE, ServingFile},
    serving_text::{Revision, ServingText},
};

/// How often a change that is made for whatever the file says is tried where others were quicker.
const ATTEMPTS: u32 = 20;

/// The wait after the first of these, and the longest one.
const WAITS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// Reads what the file says, and which state of it that is.
///
/// # Errors
/// [`RepositoryError::Faulty`] with everything that is wrong with it.
pub async fn read_serving(place: &Place) -> Result<(Revision, ServingFile), RepositoryError> {
    let said = place.serving_text().await?;
    let faulty = |faults| RepositoryError::Faulty {
        path: Path::new(&place.to_string()).join(SERVING_FILE),
        faults,
    };
    Ok((said.revision, ServingFile::parse(&said.text).map_err(faulty)?))
}

/// Reads the file, has `edit` make its new text, and writes that, unless the file has changed since; returns what it is now, and what `edit` returned.
///
/// Where no revision is expected, `edit` is asked again if somebody else was quicker. A text that stays the same is not written.
///
/// # Errors
/// [`RepositoryError::Conflict`] where the file is not what was expected, other [`RepositoryError`]s, and those of `edit`.
pub async fn change<T, E: From<RepositoryError>>(
    place: &Place,
    expected: Option<&Revision>,
    mut edit: impl FnMut(&ServingText) -> Result<(String, T), E>,
) -> Result<(Revision, T), E> {
    for attempt in 1.. {
        let said = place.serving_text().await?;
        if expected.is_some_and(|expected| *expected != said.revision) {
            return Err(RepositoryError::Conflict.into());
        }
        let (text, told) = edit(&said)?;
        if text == said.text {
            return Ok((said.revision, told));
        }
        match place.set_serving_text(&text, &said.revision).await {
            Ok(revision) => return Ok((revision, told)),
            Err(RepositoryError::Conflict) if expected.is_none() && attempt < ATTEMPTS => {
                let wait = WAITS.0 * 2_u32.saturating_pow(attempt - 1);
                let share = rand::random_range(0.5..1.0);
                tokio::time::sleep(wait.min(WAITS.1).mul_f64(share)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(RepositoryError::Conflict.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    type Told<T> = Result<(Revision, T), RepositoryError>;

    async fn add_line(place: &Place, expected: Option<&Revision>, line: &str) -> Told<usize> {
        change(place, expected, |said| {
            Ok((format!("{}{line}\n", said.text), said.text.lines().count()))
        })
        .await
    }

    #[tokio::test]
    async fn one_of_two_who_expect_the_same_wins() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::directory(folder.path().to_owned());
        let nothing = Revision::default();
        let (first, lines) = add_line(&place, Some(&nothing), "# a").await.unwrap();
        assert_eq!(lines, 0);
        let late = add_line(&place, Some(&nothing), "# b").await;
        assert!(matches!(late, Err(RepositoryError::Conflict)), "{late:?}");
        let (second, _) = add_line(&place, Some(&first), "# b").await.unwrap();
        let same: Told<()> =
            change(&place, Some(&second), |said| Ok((said.text.clone(), ()))).await;
        assert_eq!(same.unwrap().0, second);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn changes_from_many_sides_are_all_made() {
        let folder = tempfile::tempdir().unwrap();
        let place = Arc::new(Place::directory(folder.path().to_owned()));
        let writers = (0..8).map(|writer| {
            let place = Arc::clone(&place);
            tokio::spawn(async move {
                for number in 0..5 {
                    add_line(&place, None, &format!("# {writer} {number}")).await.unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let text = place.serving_text().await.unwrap().text;
        let lines: std::collections::BTreeSet<&str> = text.lines().collect();
        assert_eq!((lines.len(), text.lines().count()), (40, 40), "{text}");
    }
}
