//! Examples at the end of commands' `--help`; each is a command line that this program takes.

pub(super) const SERVE: &str = "Examples:
  podium serve                                        the models in models, users kept in process
  podium serve --models s3://shop/rankers --redis redis://127.0.0.1:6379
  podium serve --config podium.toml --listen 0.0.0.0:50051
Every setting has a place in the configuration file and a variable such as PODIUM_SERVER__LISTEN; `podium config` shows what holds.";

pub(super) const RANK: &str = "Examples:
  podium rank --user 1                                the model's example, for one shopper
  podium rank --model electronics-search --query 'bluetooth speaker' --candidates products.csv
  podium rank --user 1 --top 3 --json";

pub(super) const BENCH: &str = "Examples:
  podium bench                                        starts a server, and measures it beside raw ONNX Runtime
  podium bench --concurrency 1,32 --rate 50%,90% --plot bench.svg
  podium bench --target http://127.0.0.1:50051 --scenario overload --concurrency 32
  podium bench --models shop --model prices --input-data inputs.json
  podium bench --model grocery-ranker --against triton localhost:8001/grocery --plot against.svg";

pub(super) const REPLAY: &str = "Examples:
  podium replay requests.jsonl --target 127.0.0.1:50051,version=4
  podium replay requests.jsonl --target 127.0.0.1:50051,version=4 --compare 127.0.0.1:50051,version=3 --fail-below-tau 0.9";

pub(super) const TUNE: &str = "Examples:
  podium tune models/grocery-ranker/1 --slo 20ms
  podium tune models/electronics-search/1 --slo 50ms --rows 24 --json tune.json";

pub(super) const MODELS: &str = "Examples:
  podium models list
  podium models split grocery-ranker 4=10             a tenth of the users get version 4
  podium models status grocery-ranker --watch
  podium models promote grocery-ranker 4
  podium models rollback grocery-ranker --reason 'fewer baskets'";

pub(super) const CHECK: &str = "Examples:
  podium check models/grocery-ranker/1
  podium check shop/prices/1                          an ONNX model without a manifest";

pub(super) const QUICKSTART: &str = "Examples:
  podium quickstart relevance.onnx                    copied to models/relevance/1, with a model.toml to fill in
  podium quickstart relevance.onnx --out shop --name search";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_example_is_a_command_line() {
        let all = [SERVE, RANK, BENCH, REPLAY, TUNE, MODELS, CHECK, QUICKSTART];
        let lines = all.iter().flat_map(|text| text.lines()).filter(|l| l.starts_with("  podium "));
        let mut count = 0;
        for line in lines {
            // What follows three spaces says what it does.
            let command = line.trim().split("   ").next().unwrap();
            let mut words = Vec::new();
            for (at, part) in command.split('\'').enumerate() {
                match at % 2 {
                    0 => words.extend(part.split_whitespace().map(str::to_owned)),
                    _ => words.push(part.to_owned()),
                }
            }
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            count += 1;
        }
        assert!(count > 20, "{count}");
    }
}
