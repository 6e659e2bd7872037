//! What of the telemetry can be changed while the server serves: the log's level, and the share of requests whose traces are drawn.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::task::AbortOnDropHandle;

use crate::{
    observing::{changeable::Changeable, observer::Observer},
    telemetry::{Log, LogLevelError, check_log_level},
};

/// The longest time after which a change goes back by itself.
pub const LONGEST_CHANGE: Duration = Duration::from_secs(86_400);

/// A change that is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TelemetryChange {
    /// The log's level; none: it stays.
    pub log_level: Option<String>,
    /// The share that is drawn; none: it stays.
    pub sampling_ratio: Option<f64>,
    /// When it goes back by itself; none: not at all.
    pub lasts: Option<Duration>,
}

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// It changes nothing.
    #[error("nothing is asked for; set log_level, sampling_ratio, or both")]
    Nothing,
    /// The level is none.
    #[error(transparent)]
    LogLevel(#[from] LogLevelError),
    /// The ratio is no share.
    #[error("must lie between 0 and 1")]
    Ratio,
    /// It ends at once, or lasts for too long.
    #[error(
        "must be above 0 and at most a day; leave it out for a change that stays until the server stops"
    )]
    Lasts,
}

impl ChangeError {
    /// The field that is at fault, as the protocol names it.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Nothing | Self::LogLevel(_) => "log_level",
            Self::Ratio => "sampling_ratio",
            Self::Lasts => "lasts",
        }
    }
}

/// One setting as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce<T> {
    /// What counts now.
    pub value: T,
    /// What the configuration says.
    pub configured: T,
    /// How long it still counts before it goes back by itself.
    pub left: Option<Duration>,
}

/// Changes telemetry, and has it go back in time.
#[derive(Debug)]
pub struct Controls {
    log: Log,
    observer: Arc<Observer>,
    settings: Mutex<Settings>,
}

#[derive(Debug)]
struct Settings {
    log_level: Changeable<String>,
    ratio: Changeable<f64>,
    /// What takes back what ends by itself.
    going_back: Option<AbortOnDropHandle<()>>,
}

impl Controls {
    /// Changes that log, which began at that level, and what this observer draws.
    pub fn new((log, level): (Log, String), observer: Arc<Observer>) -> Self {
        let settings = Settings {
            log_level: Changeable::new(level),
            ratio: Changeable::new(observer.sampler.ratio()),
            going_back: None,
        };
        Self { log, observer, settings: Mutex::new(settings) }
    }

    /// What is in force now.
    pub fn now(&self) -> (InForce<String>, InForce<f64>) {
        let (settings, now) = (self.lock(), Instant::now());
        (in_force(&settings.log_level, now), in_force(&settings.ratio, now))
    }

    /// Makes a change, whole or not at all; of what ends by itself a task of this runtime takes care.
    ///
    /// # Errors
    /// [`ChangeError`], which names the field.
    pub fn change(self: &Arc<Self>, change: TelemetryChange) -> Result<(), ChangeError> {
        let until = checked(&change)?;
        let mut settings = self.lock();
        if let Some(level) = change.log_level {
            settings.log_level.set(level, until);
        }
        if let Some(ratio) = change.sampling_ratio {
            settings.ratio.set(ratio, until);
        }
        let ends = self.apply(&settings, Instant::now());
        settings.going_back = ends.map(|end| {
            let controls = Arc::clone(self);
            AbortOnDropHandle::new(tokio::spawn(async move { controls.go_back(end).await }))
        });
        Ok(())
    }

    /// Waits for each end, and has what is in force then count.
    async fn go_back(&self, first: Instant) {
        let mut next = Some(first);
        while let Some(end) = next {
            tokio::time::sleep_until(end.into()).await;
            next = self.apply(&self.lock(), Instant::now());
        }
    }

    /// Has what is in force at that time count; returns when the first of it ends.
    fn apply(&self, settings: &Settings, now: Instant) -> Option<Instant> {
        let (level, level_ends) = settings.log_level.at(now);
        let (&ratio, ratio_ends) = settings.ratio.at(now);
        // It was checked when it was set.
        let _ = self.log.set_level(level);
        self.observer.sampler.set_ratio(ratio);
        tracing::info!(log_level = level.as_str(), sampling_ratio = ratio, "telemetry is changed");
        [level_ends, ratio_ends].into_iter().flatten().min()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_force<T: Clone>(setting: &Changeable<T>, now: Instant) -> InForce<T> {
    let (value, until) = setting.at(now);
    InForce {
        value: value.clone(),
        configured: setting.configured.clone(),
        left: until.map(|until| until.saturating_duration_since(now)),
    }
}

/// Holds a change against its bounds; returns when it ends by itself.
fn checked(change: &TelemetryChange) -> Result<Option<Instant>, ChangeError> {
    match (&change.log_level, change.sampling_ratio) {
        (None, None) => return Err(ChangeError::Nothing),
        (_, Some(ratio)) if !(0.0..=1.0).contains(&ratio) => return Err(ChangeError::Ratio),
        (Some(level), _) => check_log_level(level)?,
        (None, Some(_)) => {}
    }
    match change.lasts {
        Some(lasts) if lasts.is_zero() || lasts > LONGEST_CHANGE => Err(ChangeError::Lasts),
        lasts => Ok(lasts.map(|lasts| Instant::now() + lasts)),
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::{LogOptions, TelemetryOptions, start_log};

    use super::*;

    fn controls() -> Arc<Controls> {
        let options = LogOptions::default();
        let log = start_log(&options, "test");
        let observer = Arc::new(Observer::new(&TelemetryOptions::default(), Default::default()));
        Arc::new(Controls::new((log, options.level), observer))
    }

    #[track_caller]
    fn check(change: TelemetryChange, field: &str, told: &str) {
        let controls = controls();
        let before = controls.now();
        let error = controls.change(change).unwrap_err();
        assert_eq!(error.field(), field);
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(controls.now(), before, "half of a change was made");
    }

    #[test]
    fn a_change_that_is_none_names_its_field() {
        let none = TelemetryChange::default();
        let good = TelemetryChange { log_level: Some("debug".to_owned()), ..none.clone() };
        check(none.clone(), "log_level", "nothing is asked for");
        let level = Some("podium=loud".to_owned());
        check(TelemetryChange { log_level: level, ..none }, "log_level", "directive 1");
        for ratio in [1.5, -0.1, f64::NAN, f64::INFINITY] {
            let sampling_ratio = Some(ratio);
            check(TelemetryChange { sampling_ratio, ..good.clone() }, "sampling_ratio", "0 and 1");
        }
        for lasts in [Duration::ZERO, LONGEST_CHANGE + Duration::from_millis(1)] {
            check(TelemetryChange { lasts: Some(lasts), ..good.clone() }, "lasts", "a day");
        }
    }

    #[tokio::test]
    async fn what_is_changed_counts_and_ends() {
        let controls = controls();
        let lasts = Some(Duration::from_millis(20));
        let change = TelemetryChange { sampling_ratio: Some(0.5), lasts, ..Default::default() };
        controls.change(change).unwrap();
        assert_eq!(controls.observer.sampler.ratio(), 0.5);
        let debug = TelemetryChange { log_level: Some("debug".to_owned()), ..Default::default() };
        controls.change(debug).unwrap();
        let (level, ratio) = controls.now();
        assert_eq!((level.value.as_str(), level.left), ("debug", None));
        assert_eq!((ratio.configured, ratio.value), (0.01, 0.5));
        while controls.observer.sampler.ratio() == 0.5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(controls.observer.sampler.ratio(), 0.01);
        assert_eq!(controls.now().0.value, "debug");
    }
}
