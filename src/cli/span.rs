//! Times as the command line says them.

use std::time::Duration;

/// A time up to a day, which may be none.
pub(super) fn any_time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<humantime_serde::re::humantime::Duration>();
    let time: Duration = time.map_err(|e| e.to_string())?.into();
    let fits = time <= Duration::from_secs(86_400);
    fits.then_some(time).ok_or_else(|| "write a time up to 1day, such as 10s".to_owned())
}

/// A time from a millisecond to a day.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    let time = any_time(text)?;
    let fits = time >= Duration::from_millis(1);
    fits.then_some(time).ok_or_else(|| "write a time from 1ms on, such as 10s".to_owned())
}

/// A time as it would be written.
pub(super) fn told(time: Duration) -> String {
    humantime_serde::re::humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_bounds() {
        assert_eq!(any_time("0s"), Ok(Duration::ZERO));
        assert_eq!(some_time("20ms"), Ok(Duration::from_millis(20)));
        assert!(some_time("0ms").is_err_and(|told| told.contains("1ms")));
        assert!(any_time("2days").is_err_and(|told| told.contains("1day")));
        assert!(any_time("soon").is_err());
    }
}
