//! What is going on, on a terminal only.

use std::{fmt, io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar on standard error; nothing where that is no terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Makes a bar of so many steps.
    pub(super) fn new(steps: usize) -> Self {
        Self::styled(Some(steps as u64), "{bar:30} {pos}/{len} {elapsed} (about {eta} left) {msg}")
    }

    /// Makes a bar of rows, some of which are done; without a total it counts them only.
    pub(super) fn of_rows(total: Option<u64>, done: u64) -> Self {
        let style = match total {
            Some(_) => "{bar:30} {human_pos}/{human_len} rows, {rate}, about {eta} left{msg}",
            None => "{spinner} {human_pos} rows, {rate}, {elapsed}{msg}",
        };
        let bar = Self::styled(total, style);
        bar.0.set_position(done);
        bar.0.reset_eta();
        bar
    }

    fn styled(length: Option<u64>, style: &str) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(length, target);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.with_key("rate", rate));
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(bar)
    }

    /// Says what begins.
    pub(super) fn begin(&self, what: String) {
        self.0.set_message(what);
    }

    /// Counts one step as done.
    pub(super) fn done(&self) {
        self.0.inc(1);
    }

    /// Counts steps as done, with what is to be known of them.
    pub(super) fn advance(&self, steps: u64, duplicates: u64) {
        self.0.inc(steps);
        self.0.set_message(format!(", {duplicates} duplicates"));
    }

    /// Counts so many steps as done, of all.
    pub(super) fn advance_to(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Says something that stays on the screen.
    pub(super) fn say(&self, what: &str) {
        self.0.suspend(|| eprintln!("{what}"));
    }
}

/// Steps a second.
fn rate(state: &ProgressState, text: &mut dyn fmt::Write) {
    let _ = write!(text, "{:.0}/s", state.per_sec());
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
