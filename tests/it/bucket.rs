//! A repository in a bucket of a real S3 server: `serving.toml` is changed by one writer at a time.

use std::fs;

use podium::{
    error_code::ErrorCode,
    repository::{RepositoryError, Revision, ServingText},
};

use crate::s3_server::S3Server;

fn is_conflict(changed: &Result<Revision, RepositoryError>) -> bool {
    matches!(changed, Err(error @ RepositoryError::Conflict) if error.code() == ErrorCode::FailedPrecondition)
}

#[tokio::test]
async fn of_two_writers_who_read_the_same_one_wins() {
    let server = S3Server::start();
    let (one, other) = (server.place("models"), server.place("models"));
    let nothing = one.serving_text().await.unwrap();
    assert_eq!(nothing, ServingText::default());
    let first = one.set_serving_text("[models.a]\n", &nothing.revision).await.unwrap();
    let late = other.set_serving_text("[models.b]\n", &nothing.revision).await;
    assert!(is_conflict(&late), "{late:?}");
    let said = other.serving_text().await.unwrap();
    assert_eq!(said, ServingText { text: "[models.a]\n".to_owned(), revision: first.clone() });
    let second = other.set_serving_text("[models.b]\n", &said.revision).await.unwrap();
    let late = one.set_serving_text("[models.c]\n", &first).await;
    assert!(is_conflict(&late), "{late:?}");
    let said = one.serving_text().await.unwrap();
    assert_eq!(said, ServingText { text: "[models.b]\n".to_owned(), revision: second.clone() });
    // By its name alone, as it comes back from a caller.
    let named = Revision::named(&second.to_string());
    one.set_serving_text("[models.c]\n", &named).await.unwrap();
    fs::remove_file(server.objects().join("models/serving.toml")).unwrap();
    let gone = one.set_serving_text("[models.d]\n", &named).await;
    assert!(is_conflict(&gone), "{gone:?}");
}

#[tokio::test]
async fn a_store_without_conditional_writes_is_not_written_to() {
    let server = S3Server::start();
    let place = server.place_with("models", &[("conditional_put", "disabled")]);
    let refused = place.set_serving_text("[models.a]\n", &Revision::default()).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, RepositoryError::Unwritable { .. }), "{error}");
    assert!(error.to_string().contains("conditional put is disabled"), "{error}");
    assert_eq!(place.serving_text().await.unwrap(), ServingText::default());
}

#[tokio::test]
async fn what_may_not_be_read_or_written_is_told() {
    let server = S3Server::start();
    let place = server.place_with("models", &[("secret_access_key", "another")]);
    let error = place.bundles().await.unwrap_err();
    assert!(error.may_pass() && error.to_string().contains("403 Forbidden"), "{error}");
    assert!(!error.to_string().contains("another"), "{error}");
    let error = place.serving_text().await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unreachable { .. }), "{error}");
    let error = place.set_serving_text("", &Revision::default()).await.unwrap_err();
    assert!(error.to_string().contains("403 Forbidden"), "{error}");
    fs::create_dir_all(server.objects().join("models")).unwrap();
    fs::write(server.objects().join("models/serving.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    let error = server.place("models").serving_text().await.unwrap_err();
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
    fs::write(server.objects().join("models/serving.toml"), b"\xff").unwrap();
    let error = server.place("models").serving_text().await.unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
}
