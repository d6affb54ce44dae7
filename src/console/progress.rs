//! Progress bars: on a terminal only, drawn by a thread of their own that polls snapshots.
//!
//! The work never reports; the thread that draws reads its counters. What goes to stderr meanwhile appears above the
//! bar.

use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::stderr_sink;
use super::units::Rate;
use crate::limits::PROGRESS_INTERVAL;

/// The state of the work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Bytes that are done.
    pub done_bytes: u64,
    /// Bytes a second, when the work knows it better than the bar.
    pub rate: Option<Rate>,
    /// Text behind the figures, such as the number of peers.
    pub note: String,
}

/// The bar that is drawn if stderr is a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BarSettings {
    /// What the work does to the bytes.
    pub verb: &'static str,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Whether no bar is drawn: somebody else owns the terminal.
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
