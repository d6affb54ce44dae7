//! Progress bars, on a terminal only, and reports elsewhere: a separate thread draws them and polls snapshots.
//!
//! The work never reports; the drawing thread reads its counters. Other output to stderr appears above the bar.

use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::stderr_sink;
use super::units::Rate;
use crate::limits::{PROGRESS_INTERVAL, REPORT_INTERVAL};

/// A snapshot of the work's progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Bytes done.
    pub done_bytes: u64,
    /// Current rate, if the work measures it itself.
    pub rate: Option<Rate>,
    /// Text after the figures, such as the number of peers.
    pub note: String,
}

/// Settings of the bar, which is drawn if stderr is a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BarSettings {
    /// Verb for the work, before the figures.
    pub verb: &'static str,
    /// Bytes of the whole work.
    pub total_bytes: u64,
    /// Whether the bar is hidden because another part of the program draws on the terminal.
    pub hidden: bool,
}

/// Runs `work` under a bar; `snapshot` is polled while it runs.
pub(crate) fn watch<T>(bar: BarSettings, snapshot: impl Fn() -> Snapshot + Sync, work: impl FnOnce() -> T) -> T {
    if bar.hidden || !std::io::stderr().is_terminal() {
        return work();
    }
    let (done, is_done) = sync_channel::<()>(0);
    let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let bar = screen.add(styled(bar));
    let drawn = screen.clone();
    let redirected = stderr_sink::redirect(move |sentence| drawn.suspend(|| stderr_sink::write_directly(sentence)));
    let result = thread::scope(|scope| {
        let (bar, snapshot) = (&bar, &snapshot);
        scope.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(PROGRESS_INTERVAL) {
                draw(bar, &snapshot());
            }
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    });
    drop(redirected);
    result
}

/// The interval of progress reports: the user's, else a default if no terminal shows a progress bar.
pub(crate) fn report_interval(wanted: Option<Duration>) -> Option<Duration> {
    let default = || (!std::io::stderr().is_terminal()).then_some(REPORT_INTERVAL);
    wanted.or_else(default).filter(|interval| !interval.is_zero())
}

/// Runs `work`; calls `report` at intervals meanwhile.
pub(crate) fn reporting<T>(every: Option<Duration>, report: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    let Some(every) = every else { return work() };
    let (done, is_done) = sync_channel::<()>(0);
    thread::scope(|scope| {
        let report = &report;
        scope.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(every) {
                report();
            }
        });
        let result = work();
        drop(done);
        result
    })
}

fn styled(bar: BarSettings) -> ProgressBar {
    let template = "{prefix} {wide_bar} {bytes}/{total_bytes} {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let hidden = ProgressDrawTarget::hidden();
    ProgressBar::with_draw_target(Some(bar.total_bytes), hidden).with_style(style).with_prefix(bar.verb)
}

fn draw(bar: &ProgressBar, snapshot: &Snapshot) {
    let rate = snapshot.rate.unwrap_or(Rate(bar.per_sec() as u64));
    bar.set_position(snapshot.done_bytes);
    bar.set_message(format!("{rate} {}", snapshot.note));
}
