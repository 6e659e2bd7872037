//! Whom to ask: a server, and a version where another than the logged request's is meant.

use std::{fmt, str::FromStr};

use crate::transport::pb::{self, model_selector::Selector};

/// A server with, where they are said, a model and a version.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// Its address as a URL.
    pub(super) url: String,
    model: Option<String>,
    selector: Option<Selector>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let address = parts.next().filter(|address| !address.is_empty());
        let address = address.ok_or("begins with no address; write HOST:PORT first")?;
        let url = match address.contains("://") {
            true => address.to_owned(),
            false => format!("http://{address}"),
        };
        let mut place = Self { url, model: None, selector: None };
        for part in parts {
            match part.split_once('=') {
                Some(("model", name)) if !name.is_empty() => place.model = Some(name.to_owned()),
                Some(("version", number)) => {
                    let version = number.parse().ok().filter(|version| *version > 0);
                    let version =
                        version.ok_or_else(|| format!("version={number} is no version"))?;
                    place.selector = Some(Selector::Version(version));
                }
                Some(("label", label)) if !label.is_empty() => {
                    place.selector = Some(Selector::Label(label.to_owned()));
                }
                _ => return Err(format!("`{part}` is none of model=NAME, version=N, label=LABEL")),
            }
        }
        Ok(place)
    }
}

impl Place {
    /// The model to ask instead of the logged one.
    pub(super) fn choice(&self, logged: pb::ModelSelector) -> pb::ModelSelector {
        match (&self.model, &self.selector) {
            (None, None) => logged,
            (None, Some(selector)) => {
                pb::ModelSelector { selector: Some(selector.clone()), ..logged }
            }
            // A version of one model says nothing of another's.
            (Some(model), selector) => {
                pb::ModelSelector { name: model.clone(), selector: selector.clone() }
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)?;
        if let Some(model) = &self.model {
            write!(f, " {model}")?;
        }
        match &self.selector {
            None => Ok(()),
            Some(Selector::Version(version)) => write!(f, " version {version}"),
            Some(Selector::Label(label)) => write!(f, " label {label}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<&str, &str>) {
        match (text.parse::<Place>(), want) {
            (Ok(place), Ok(want)) => assert_eq!(place.to_string(), want),
            (Err(wrong), Err(want)) => assert!(wrong.contains(want), "{wrong}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn a_target_is_an_address_and_may_name_a_version() {
        check("127.0.0.1:1", Ok("http://127.0.0.1:1"));
        check("https://a:1,model=m,version=4", Ok("https://a:1 m version 4"));
        check("a:1,label=canary", Ok("http://a:1 label canary"));
        check("", Err("no address"));
        check("a:1,version=0", Err("no version"));
        check("a:1,model=", Err("none of"));
        check("a:1,4", Err("none of"));
    }
}
