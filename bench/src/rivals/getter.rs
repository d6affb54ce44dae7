//! One getter's run, from exec to its end, with its resource usage.

use std::process::Command;
use std::time::{Duration, Instant};

use super::session::End;
use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::{Child, Ended};
use crate::harness::interrupt;
use crate::harness::process_tree::{self, Memory};

/// Interval at which the getter's memory is sampled. Its end is detected at once.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);
/// Rate of the slowest getter for which the run waits, bytes a second, after [`PATIENCE`].
const RATE_MIN: u64 = 10 << 20;
/// Time that every getter may take, whatever the size.
const PATIENCE: Duration = Duration::from_secs(120);

/// Results of a getter's run.
#[derive(Debug)]
pub struct Run {
    /// Time from just before exec to the end, seconds.
    pub wall_s: f64,
    /// User and system CPU seconds, descendants included.
    pub cpu_s: f64,
    /// Largest memory sampled.
    pub memory: Memory,
    /// Output on stdout.
    pub output: String,
    /// The command line.
    pub typed: String,
}

/// Starts `getter` and waits for `end`.
pub fn run(getter: Command, end: &End, name: &str, stage: &Stage) -> Result<Run, Error> {
    let start = Instant::now();
    let mut child = Child::spawn(getter, &format!("{name}-getter"), &stage.scratch)?;
    let deadline = start + PATIENCE + Duration::from_secs(stage.source.length / RATE_MIN);
    let mut memory = Memory::default();
    let (wall_s, ended) = loop {
        let ended = child.wait_for(SAMPLE_INTERVAL)?;
        let wall_s = start.elapsed().as_secs_f64();
        if let Some(ended) = ended {
            break (wall_s, ended);
        }
        if is_marked(end) {
            break (wall_s, end_now(&mut child)?);
        }
        memory = memory.max(process_tree::memory(child.id()));
        interrupt::check()?;
        if Instant::now() > deadline {
            return Err(child.complaint("took too long"));
        }
    };
    if matches!(end, End::Exit) && !ended.status.success() {
        return Err(child.complaint(&format!("ended with {}", ended.status)));
    }
    if matches!(end, End::Marker(_)) && !is_marked(end) {
        return Err(child.complaint(&format!("ended with {} before it was done", ended.status)));
    }
    let cpu_s = ended.user_s + ended.system_s;
    Ok(Run { wall_s, cpu_s, memory, output: child.output(), typed: child.typed().to_owned() })
}

/// True once a getter that continues to run has reported that it is done.
fn is_marked(end: &End) -> bool {
    matches!(end, End::Marker(marker) if marker.exists())
}

/// Ends a getter that is done but continues to run.
fn end_now(child: &mut Child) -> Result<Ended, Error> {
    child.end();
    child.wait_for(Duration::ZERO)?.ok_or_else(|| Error::Contestant("a getter outlived SIGKILL".to_owned()))
}
