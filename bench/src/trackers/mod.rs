//! Comparison of the tracker with Redis and a BitTorrent tracker: the requests a second that one core answers, and the
//! CPU time of an answer.
//!
//! In each round every [`contestant`] starts its server, pinned to one core. Then the [`workload`]s follow each other;
//! each is applied to all servers in turn by the same [`crate::load`], pinned to another core, over the loopback device
//! of a network namespace of the run's own. [`race`] is that loop, [`record`] a row of it, [`summary`] the medians.
//! Parts that are not specific to trackers are in [`crate::harness`].
//!
//! It must never print a rate without the errors and the server's CPU usage beside it, and never leave a process or a
//! folder behind.

pub mod aquatic;
pub mod contestant;
pub mod contestants;
pub mod cpu_time;
pub mod loading;
pub mod mtorrent;
pub mod options;
pub mod race;
pub mod record;
pub mod redis;
pub mod report;
pub mod server;
pub mod summary;
pub mod workload;

use crate::harness::files::write;
use crate::harness::machine::run_folder;
use crate::harness::network::{Network, congestion_control};
use crate::harness::{Error, interrupt, lock};
pub use options::Options;
use race::Race;
use record::Record;

/// Runs the comparison. True if every run of every contestant ended well and without a wrong answer.
pub fn run(options: &Options) -> Result<bool, Error> {
    interrupt::install()?;
    let _lock = lock::Lock::take()?;
    let options = options.resolved();
    let field = contestants::select_contestants(&options)?;
    if options.common.check {
        return Ok(true);
    }
    // Firewall rules for the machine's own loopback would slow down every packet of all contestants.
    let _network = Network::enter(&[congestion_control()?])?;
    let race = Race::prepare(&options, &field)?;
    let records = race.run()?;
    let summary = summary::markdown(&field, &records);
    let folder = run_folder(&options.common.out, "-trackers")?;
    write(&folder, "raw.csv", record::csv(&records))?;
    write(&folder, "summary.md", &summary)?;
    write(&folder, "README.md", report::readme(&options, &field, &race, &records))?;
    print!("{summary}");
    eprintln!("written to {}", folder.display());
    Ok(records.iter().all(Record::is_right))
}
