//! Calls Podium, the ranking server for online shops.
//!
//! ```no_run
//! # async fn example() -> Result<(), podium_client::Error> {
//! use podium_client::{Client, RankRequest};
//!
//! let client = Client::new("http://127.0.0.1:50051")?;
//! let request = RankRequest::of(["1082185", "866227", "1133018"])
//!     .for_user("1228")
//!     .column("discount", [0.1, 0.0, 0.25])
//!     .context("week", [45.0])
//!     .best(2);
//! for item in client.rank(request).await?.items {
//!     println!("{} {:?}", item.id, item.score);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every call has a deadline, which covers all attempts and the pauses between them. A call is tried again where that can help, as far
//! as a budget that all calls of a client share allows. What fails is an [`Error`], which tells the field, the reason, and when to come
//! back.

mod attempts;
mod budget;
mod builder;
mod client;
mod error;
mod options;
/// The messages and stubs of `proto/podium/v1`, as they are generated.
pub mod pb;
mod policy;
mod rank_stream;
mod request;

pub use budget::RetryBudget;
pub use builder::ClientBuilder;
pub use client::Client;
pub use error::{Error, ErrorKind, FieldViolation};
pub use pb::{RankRequest, RankResponse, UserEvent};
pub use policy::RetryPolicy;
pub use rank_stream::RankAnswers;
