//! Asks the bundled grocery model for an order, and makes a mistake on purpose: `cargo run -p podium-client --example rank [ADDRESS]`.
#![expect(clippy::print_stdout, reason = "it is to be read")]

use std::{error::Error, time::Duration};

use podium_client::{Client, RankRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let deadline = Duration::from_secs(5);
    let client = Client::builder(&address).caller("example").deadline(deadline).connect()?;
    let request = RankRequest::of(["1082185", "866227", "1133018"])
        .by("grocery-ranker")
        .for_user("1228")
        .column("discount", [0.1, 0.0, 0.25])
        .context("week", [45.0]);
    let ranking = client.rank(request.clone()).await?;
    println!("{}/{}, user {:?}", ranking.model_name, ranking.model_version, ranking.user_state());
    for item in ranking.items {
        println!("{:>3} {:>8} {:.4}", item.rank, item.id, item.score.unwrap_or(f32::NAN));
    }
    // One value for three candidates.
    match client.rank(request.column("display", [1.0])).await {
        Ok(_) => println!("the mistake was not noticed"),
        Err(error) => {
            for wrong in error.violations() {
                println!("{}: {}", wrong.field, wrong.description);
            }
        }
    }
    Ok(())
}
