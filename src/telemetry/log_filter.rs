//! Which lines are logged: levels for the whole, and for parts of the program by name.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// Longest text that is read, in bytes.
const LONGEST: usize = 1024;

/// The most directives in it.
const MOST_DIRECTIVES: usize = 32;

/// Libraries whose lines below `warn` tell of single messages, headers and commands. A level for the whole does not reach them: they say more
/// only where they are named.
const QUIET: [&str; 12] = [
    "h2",
    "hyper",
    "mio",
    "object_store",
    "ort",
    "redis",
    "reqwest",
    "rustls",
    "tokenizers",
    "tonic",
    "tower",
    "want",
];

/// Why a text says no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogLevelError {
    /// It is too long.
    #[error("has {0} bytes, and {LONGEST} are the most; name fewer targets")]
    TooLong(usize),
    /// It says too much.
    #[error("has more than {MOST_DIRECTIVES} directives, which is the most; name fewer targets")]
    TooMany,
    /// One of its directives is none.
    #[error(
        "its directive {0} is neither a level nor TARGET=LEVEL; levels are off, error, warn, info, debug and trace, such as `info,podium=debug`"
    )]
    NoDirective(usize),
}

/// Reads a level, or directives such as `info,podium=debug`, at the cost of one pass over the text.
///
/// # Errors
/// A [`LogLevelError`] that says which directive is wrong, and not what it holds.
pub(super) fn parse(text: &str) -> Result<Targets, LogLevelError> {
    if text.len() > LONGEST {
        return Err(LogLevelError::TooLong(text.len()));
    }
    if text.split(',').count() > MOST_DIRECTIVES {
        return Err(LogLevelError::TooMany);
    }
    let quiet = QUIET.map(|target| (target, LevelFilter::WARN));
    let mut targets = Targets::new().with_targets(quiet).with_default(LevelFilter::ERROR);
    for (directive, number) in text.split(',').zip(1..) {
        let wrong = LogLevelError::NoDirective(number);
        targets = match directive.trim().split_once('=') {
            None => targets.with_default(level(directive).ok_or(wrong)?),
            Some((target, given)) if is_target(target.trim()) => {
                targets.with_target(target.trim(), level(given).ok_or(wrong)?)
            }
            Some(_) => return Err(wrong),
        };
    }
    Ok(targets)
}

fn level(text: &str) -> Option<LevelFilter> {
    let text = text.trim();
    let is_word = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphabetic());
    if is_word { text.parse().ok() } else { None }
}

/// Whether it is the path of a module, such as `podium::transport`.
fn is_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b':'))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[track_caller]
    fn check(text: &str, enabled: &[(&str, Level)], silent: &[(&str, Level)]) {
        let targets = parse(text).unwrap();
        for (target, level) in enabled {
            assert!(targets.would_enable(target, level), "{text}: {target} at {level}");
        }
        for (target, level) in silent {
            assert!(!targets.would_enable(target, level), "{text}: {target} at {level}");
        }
    }

    #[track_caller]
    fn check_wrong(text: &str, want: LogLevelError) {
        assert_eq!(parse(text).map(drop), Err(want), "{text}");
    }

    #[test]
    fn a_level_reaches_the_whole_but_not_those_who_tell_of_messages() {
        let podium = "podium::transport::status";
        check(
            "info",
            &[(podium, Level::INFO)],
            &[(podium, Level::DEBUG), ("h2::codec", Level::INFO)],
        );
        check(
            "trace",
            &[(podium, Level::TRACE), ("h2", Level::WARN), ("other", Level::TRACE)],
            &[
                ("h2::codec", Level::DEBUG),
                ("hyper_util::client", Level::INFO),
                ("ort", Level::INFO),
            ],
        );
        check(
            "warn, podium::users = DEBUG,h2=trace",
            &[("podium::users::redis", Level::DEBUG), ("h2::codec", Level::TRACE)],
            &[(podium, Level::INFO), ("tonic", Level::INFO)],
        );
        check("off", &[], &[(podium, Level::ERROR)]);
    }

    #[test]
    fn what_is_no_level_is_refused() {
        check_wrong("debgu", LogLevelError::NoDirective(1));
        check_wrong("", LogLevelError::NoDirective(1));
        check_wrong("info,", LogLevelError::NoDirective(2));
        check_wrong("info,podium=loud", LogLevelError::NoDirective(2));
        check_wrong("podium=", LogLevelError::NoDirective(1));
        check_wrong("=info", LogLevelError::NoDirective(1));
        check_wrong("5", LogLevelError::NoDirective(1));
        check_wrong("[span{user=(a*)*b}]=trace", LogLevelError::NoDirective(1));
        check_wrong(&"x".repeat(10 << 20), LogLevelError::TooLong(10 << 20));
        check_wrong(&"a=off,".repeat(40), LogLevelError::TooMany);
    }
}
