//! Another server, as the command line names it.

use std::{fmt, str::FromStr};

use clap::ValueEnum;

/// What the other server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// The Open Inference Protocol.
    Oip,
    /// The same with ModelStatistics, which tells how many rows a batch had.
    Triton,
}

/// Another server and its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Against {
    pub(super) kind: Kind,
    /// `http://HOST:PORT`.
    pub(super) url: String,
    /// The name of its model; none: that of the measured one.
    pub(super) model: Option<String>,
}

impl Against {
    /// Reads pairs of a kind and an address.
    pub(super) fn all(words: &[String]) -> Result<Vec<Self>, String> {
        words.chunks(2).map(Self::one).collect()
    }

    fn one(words: &[String]) -> Result<Self, String> {
        let [kind, address] = words else { return Err(wrong(words, "it takes two words")) };
        let kind = Kind::from_str(kind, true).map_err(|why| wrong(words, &why))?;
        let place = address.strip_prefix("http://").unwrap_or(address);
        let (authority, model) = match place.split_once('/') {
            Some((authority, model)) => (authority, Some(model).filter(|name| !name.is_empty())),
            None => (place, None),
        };
        let port = authority.rsplit_once(':').map(|(host, port)| (host, u16::from_str(port)));
        match port {
            Some((host, Ok(_))) if !host.is_empty() => Ok(Self {
                kind,
                url: format!("http://{authority}"),
                model: model.map(str::to_owned),
            }),
            _ => Err(wrong(words, "its address has no port")),
        }
    }
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Oip => "oip",
            Kind::Triton => "triton",
        };
        let address = self.url.trim_start_matches("http://");
        match &self.model {
            Some(model) => write!(f, "{kind} {address}/{model}"),
            None => write!(f, "{kind} {address}"),
        }
    }
}

fn wrong(words: &[String], why: &str) -> String {
    let given = words.join(" ");
    format!(
        "--against {given}: {why}; write oip or triton and HOST:PORT or HOST:PORT/MODEL, such as --against triton localhost:8001"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], want: Result<&[&str], &str>) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let got = Against::all(&words);
        let told = got.as_ref().map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        match (want, told) {
            (Ok(want), Ok(told)) => assert_eq!(told, want),
            (Err(want), Err(told)) => assert!(told.contains(want), "{told}"),
            (want, told) => panic!("{want:?}: {told:?}"),
        }
    }

    #[test]
    fn a_server_has_a_kind_an_address_and_maybe_a_model() {
        check(&[], Ok(&[]));
        check(
            &["triton", "localhost:8001", "oip", "http://[::1]:9/mlp-8"],
            Ok(&["triton localhost:8001", "oip [::1]:9/mlp-8"]),
        );
        check(&["tritn", "localhost:8001"], Err("triton"));
        check(&["oip", "localhost"], Err("its address has no port"));
        check(&["oip", ":80"], Err("its address has no port"));
    }
}
