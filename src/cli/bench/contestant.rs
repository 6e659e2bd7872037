//! Who is asked: the server that is measured, or another one.

use crate::cli::bench::{
    cpu::{self, ProcessCpu},
    figures::Spent,
    peer::{Peer, PeerCounts},
    server::{RunCounts, ServerReading, ServerWatch},
};

/// Who is asked.
pub(super) enum Contestant<'a> {
    /// The server that is measured.
    Own(&'a ServerWatch),
    /// Another one.
    Peer(&'a Peer),
}

/// The server, where it can be read, the bench and the machine at one moment.
pub(super) struct Reading {
    server: Option<ServerReading>,
    bench: ProcessCpu,
    machine_us: u64,
}

/// What a server had run at one moment, as far as it tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counted {
    Own(Option<RunCounts>),
    Peer(Option<PeerCounts>),
}

/// What a server ran between two moments, as far as it tells.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ran {
    pub(super) own: Option<RunCounts>,
    /// Of another server.
    pub(super) rows_a_run: Option<f64>,
}

impl Counted {
    /// What was run since `before`.
    pub(super) fn since(self, before: Self) -> Ran {
        match (self, before) {
            (Self::Own(Some(now)), Self::Own(Some(then))) => {
                Ran { own: Some(now.since(then)), rows_a_run: None }
            }
            (Self::Peer(Some(now)), Self::Peer(Some(then))) => {
                Ran { own: None, rows_a_run: now.rows_a_run(then) }
            }
            _ => Ran::default(),
        }
    }
}

impl Contestant<'_> {
    /// Whether it is the server that is measured.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// What it has run so far; asks it.
    pub(super) async fn counts(&self) -> Result<Counted, String> {
        Ok(match self {
            Self::Own(watch) => Counted::Own(watch.run_counts().await?),
            Self::Peer(peer) => Counted::Peer(peer.counts().await?),
        })
    }

    /// Reads it, the bench and the machine now.
    pub(super) async fn read(&self) -> Result<Reading, String> {
        let server = match self {
            Self::Own(watch) => Some(watch.read().await?),
            Self::Peer(_) => None,
        };
        Ok(Reading { server, bench: ProcessCpu::of_self(), machine_us: cpu::machine_busy_us() })
    }

    /// What was spent between two readings.
    pub(super) fn spent(&self, (before, after): (&Reading, &Reading)) -> Spent {
        let server = match (self, &before.server, &after.server) {
            (Self::Own(watch), Some(before), Some(after)) => Some(watch.spent(before, after)),
            _ => None,
        };
        let all_us = server.as_ref().map(|server| server.all_us);
        Spent {
            server_us: all_us.filter(|us| us.is_finite()),
            besides_us: server.as_ref().and_then(|server| server.besides_us),
            generator_us: after.bench.us_since(&before.bench),
            machine_us: after.machine_us.saturating_sub(before.machine_us) as f64,
            processors: cpu::processors(),
            memory_bytes: server.map(|server| server.memory_bytes),
        }
    }
}
