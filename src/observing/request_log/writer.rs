//! Draws requests, and has a thread of its own write them: who answers requests never waits for a disk.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use crate::{
    observing::{
        finished::Finished,
        request_log::{answer::entry_of, entry::Entry, file::RotatingFile, redaction::Redaction},
    },
    ranking::{RankRequest, Ranking, Seen, Values},
    telemetry::{KeyedHash, RequestLogOptions, is_drawn},
};

/// Why requests cannot be logged.
#[derive(Debug, thiserror::Error)]
pub enum RequestLogError {
    /// The file cannot be opened.
    #[error(
        "telemetry.request_log.path: {path} cannot be opened: {cause}; name a file in a directory that this process may write to, or leave it out"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// There is no thread.
    #[error("telemetry.request_log: no thread can be started: {0}")]
    Thread(std::io::Error),
}

/// What became of the requests that were drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestLogCounts {
    /// Written.
    pub written: u64,
    /// Left out, as too many waited.
    pub dropped: u64,
    /// Not written, as the file could not be.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    /// Bytes of requests that wait.
    waiting_bytes: AtomicUsize,
}

/// What is written next.
enum Job {
    Request {
        entry: Box<Entry>,
        request: Arc<RankRequest>,
        seen: Option<Seen>,
        bytes: usize,
    },
    /// All before this is written: that is told.
    End(Sender<()>),
}

/// Logs whole requests.
#[derive(Debug)]
pub struct RequestLog {
    ratio: f64,
    max_queue_bytes: usize,
    jobs: SyncSender<Job>,
    counters: Arc<Counters>,
}

impl RequestLog {
    /// Opens the file and starts the thread; none where no file is named.
    ///
    /// # Errors
    /// [`RequestLogError`].
    pub fn start(
        options: &RequestLogOptions,
        hash: KeyedHash,
    ) -> Result<Option<Self>, RequestLogError> {
        if options.path.as_os_str().is_empty() {
            return Ok(None);
        }
        let path = &options.path;
        let file = RotatingFile::open(path, options.max_file_bytes, options.max_files)
            .map_err(|cause| RequestLogError::File { path: path.clone(), cause })?;
        let (jobs, received) = sync_channel(options.max_queue_size);
        let counters = Arc::new(Counters::default());
        let writer = Writer {
            file,
            redaction: Redaction::new(options.clone(), hash),
            counters: Arc::clone(&counters),
            is_failing: false,
        };
        thread::Builder::new()
            .name("request-log".to_owned())
            .spawn(move || writer.run(&received))
            .map_err(RequestLogError::Thread)?;
        let (ratio, max_queue_bytes) = (options.ratio, options.max_queue_bytes);
        Ok(Some(Self { ratio, max_queue_bytes, jobs, counters }))
    }

    /// Has a request written, where it is drawn and there is room for it.
    pub(in crate::observing) fn offer(
        &self,
        finished: &Finished,
        request: &Arc<RankRequest>,
        answer: Option<&Ranking>,
    ) {
        if !is_drawn(finished.notes.trace.trace_id, self.ratio) {
            return;
        }
        let bytes = bytes_of(request);
        let waiting = &self.counters.waiting_bytes;
        let is_full = waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > self.max_queue_bytes;
        let job = || Job::Request {
            entry: Box::new(entry_of(finished, answer)),
            request: Arc::clone(request),
            seen: finished.notes.user.seen.clone(),
            bytes,
        };
        if is_full || self.jobs.try_send(job()).is_err() {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of the requests that were drawn.
    pub fn counts(&self) -> RequestLogCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestLogCounts {
            written: of(&self.counters.written),
            dropped: of(&self.counters.dropped),
            failed: of(&self.counters.failed),
        }
    }

    /// Waits until what was drawn so far is written, for so long at most.
    pub fn end(&self, patience: Duration) {
        let (told, ended) = channel();
        match self.jobs.try_send(Job::End(told)) {
            Ok(()) => drop(ended.recv_timeout(patience)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                tracing::warn!("the request log is behind: its last lines are not written");
            }
        }
    }
}

/// About how much memory a request takes.
fn bytes_of(request: &RankRequest) -> usize {
    let columns = request.context.iter().chain(&request.candidates.columns);
    let values = columns.map(|column| match &column.values {
        Values::Floats(values) => 4 * values.len(),
        Values::Ints(values) => 8 * values.len(),
        Values::Strings(texts) => texts.bytes() + 8 * texts.len(),
        Values::Vectors { values, .. } => 4 * values.len(),
    });
    let ids = &request.candidates.ids;
    // Half a kilobyte for what does not grow, and the answer.
    512 + values.sum::<usize>() + ids.bytes() + 32 * ids.len() + 64 * request.user.history.len()
}

/// What writes.
struct Writer {
    file: RotatingFile,
    redaction: Redaction,
    counters: Arc<Counters>,
    is_failing: bool,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Request { mut entry, request, seen, bytes } => {
                    self.redaction.fill(&mut entry, &request, seen.as_ref());
                    drop(request);
                    self.write(&entry);
                    self.counters.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                }
                Job::End(told) => drop(told.send(())),
            }
        }
    }

    /// Writes a line; the first one that fails is told, and the first one that does not after that.
    fn write(&mut self, entry: &Entry) {
        let line = serde_json::to_string(entry).map_err(std::io::Error::from);
        let written = line.and_then(|line| self.file.write(&line));
        let counter = match &written {
            Ok(()) => &self.counters.written,
            Err(_) => &self.counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        match (&written, self.is_failing) {
            (Err(cause), false) => {
                tracing::warn!(%cause, "the request log cannot be written: requests are answered and not logged");
            }
            (Ok(()), true) => tracing::info!("the request log is written again"),
            _ => {}
        }
        self.is_failing = written.is_err();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crate::{
        ids::CallerName,
        observing::finished::Outcome,
        ranking::{Notes, Step},
        telemetry::TraceContext,
    };

    use super::*;

    fn finished(trace_id: u128) -> Finished {
        let now = Instant::now();
        let trace = TraceContext { trace_id, span_id: 1, ..TraceContext::default() };
        Finished {
            method: "m",
            carried: None,
            arrival: now,
            ended: now,
            request_id: "r".to_owned(),
            caller: CallerName::default(),
            validate: Step::default(),
            notes: Notes::of(trace),
            outcome: Outcome::Left,
        }
    }

    fn started(options: RequestLogOptions) -> (tempfile::TempDir, RequestLog) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let options = RequestLogOptions { path, ..options };
        (folder, RequestLog::start(&options, KeyedHash::new("")).unwrap().unwrap())
    }

    /// Logs requests of 100 traces, and returns how many lines there are.
    #[track_caller]
    fn check(ratio: f64, max_queue_bytes: usize, want: (u64, u64)) {
        let options = RequestLogOptions { ratio, max_queue_bytes, ..Default::default() };
        let (folder, log) = started(options);
        let request = Arc::new(RankRequest::default());
        for number in 0..100_u128 {
            log.offer(&finished(number << 57), &request, None);
        }
        log.end(Duration::from_secs(60));
        let counts = log.counts();
        assert_eq!((counts.written, counts.dropped, counts.failed), (want.0, want.1, 0));
        let text = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(text.lines().count() as u64, want.0);
        for line in text.lines() {
            assert_eq!(serde_json::from_str::<Entry>(line).unwrap().request_id, "r");
        }
    }

    #[test]
    fn a_share_is_written_and_what_does_not_fit_is_counted() {
        check(1.0, 1 << 20, (100, 0));
        check(0.0, 1 << 20, (0, 0));
        // 64 traces are told apart by the seven bits that the share is drawn by; the first half is drawn, and comes again.
        check(0.5, 1 << 20, (64, 0));
        check(1.0, 511, (0, 100));
    }

    #[test]
    fn a_file_that_cannot_be_is_told_at_the_start() {
        let options = RequestLogOptions { path: "/proc/no/log".into(), ..Default::default() };
        let error = RequestLog::start(&options, KeyedHash::new("")).unwrap_err();
        assert!(error.to_string().starts_with("telemetry.request_log.path: /proc/no/log"));
        let none = RequestLog::start(&RequestLogOptions::default(), KeyedHash::new(""));
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn a_disk_that_is_full_stops_nobody() {
        let options =
            RequestLogOptions { path: "/dev/full".into(), ratio: 1.0, ..Default::default() };
        let log = RequestLog::start(&options, KeyedHash::new("")).unwrap().unwrap();
        for _ in 0..3 {
            log.offer(&finished(1), &Arc::new(RankRequest::default()), None);
        }
        log.end(Duration::from_secs(60));
        assert_eq!(log.counts(), RequestLogCounts { failed: 3, ..Default::default() });
    }
}
