//! Loads that show how the server behaves where it is pressed, each measured after the closed loops, whose best rate is the capacity.

use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::cli::{
    bench::{burst, cancel, deadlines, gauge::Gauge, overload, setting::Setting},
    course::Course,
};

/// A scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// 60 s at 1.5 times the capacity: goodput over the peak, the time to a refusal, the memory
    Overload,
    /// Half of the capacity, for 5 s ten times that, and half again: when p99 is back within the objective
    Burst,
    /// Twice the capacity, and half of the callers leave before their deadline: rows that ran for nobody
    Cancel,
    /// 80% of the capacity with deadlines from 1 to 50 ms: answers after their deadline
    Deadlines,
}

impl Scenario {
    /// The name on the command line and in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overload => "overload",
            Self::Burst => "burst",
            Self::Cancel => "cancel",
            Self::Deadlines => "deadlines",
        }
    }

    /// How long it is measured.
    pub(super) fn lasts(self) -> Duration {
        match self {
            Self::Overload => overload::LASTS,
            Self::Burst => burst::LASTS,
            Self::Cancel => cancel::LASTS,
            Self::Deadlines => deadlines::LASTS,
        }
    }

    /// How its requests come.
    pub(super) fn course(self, setting: &Setting) -> Course {
        match self {
            Self::Overload => overload::course(setting),
            Self::Burst => burst::course(setting),
            Self::Cancel => cancel::course(setting),
            Self::Deadlines => deadlines::course(setting),
        }
    }

    /// What it measures beyond rates and latencies; `begin` is the moment when its course begins.
    pub(super) fn gauge(self, setting: &Setting, begin: Instant) -> Option<Box<dyn Gauge>> {
        match self {
            Self::Overload => None,
            Self::Burst => Some(Box::new(burst::BurstGauge::new(setting, begin))),
            Self::Cancel => Some(Box::new(cancel::CancelGauge::new(setting))),
            Self::Deadlines => Some(Box::new(deadlines::DeadlineGauge::default())),
        }
    }
}
