//! The swarm: one file to many nodes, each behind its own link, by mtorrent, by its rivals and by plain TCP.
//!
//! A [`row`] is a case: the number of getters, the rate of the links, the size of the file, and the faults. For each
//! turn of each [`contestant`] the [`nodes`] are created anew: namespaces on a bridge with a [`cap`] at each end of
//! each link. [`turn`] starts the getters together once tracker and seeder are ready, and watches them until the last
//! one is done; every copy is compared with the source. [`floor`] measures plain TCP on the same links; [`bad_peers`]
//! starts the bad peers, [`chunks`] detects when the seeder may be killed. [`record`] is a row of the figures,
//! [`summary`] the medians; [`plot`] and [`report`] write the other files of a run's folder. Parts that are not
//! specific to swarms are in [`crate::harness`].
//!
//! It must never print a time without stating how many copies were right, never leave a process, a folder or a
//! namespace behind, and never touch the machine's own network.

pub mod aria2;
pub mod bad_peers;
pub mod cap;
pub mod chunks;
pub mod connection;
pub mod contestant;
pub mod contestants;
pub mod floor;
pub mod flow;
pub mod getter;
pub mod hostile;
pub mod libtorrent;
pub mod mtorrent;
pub mod namespace;
pub mod nodes;
pub mod opentracker;
pub mod options;
pub mod plot;
pub mod race;
pub mod record;
pub mod report;
pub mod row;
pub mod stage;
pub mod summary;
pub mod turn;
pub mod usage;

use crate::harness::files::write;
use crate::harness::machine::run_folder;
use crate::harness::{Error, interrupt, lock};
pub use options::{Options, Part};
use record::Record;

/// Runs the comparison. True if every getter of every turn has a right copy.
pub fn run(options: &Options) -> Result<bool, Error> {
    match &options.part {
        Some(part) => run_part(part).map(|()| true),
        None => run_race(options),
    }
}

fn run_part(part: &Part) -> Result<(), Error> {
    match part {
        Part::Flow(options) => flow::run(options).map_err(|source| Error::io("carry the flow", source)),
        Part::Chunks(options) => chunks::run(options).map_err(|source| Error::io("ask the getters", source)),
        Part::Hostile(options) => hostile::run(options).map_err(|source| Error::io("be a bad peer", source)),
    }
}

fn run_race(options: &Options) -> Result<bool, Error> {
    interrupt::install()?;
    let _lock = lock::Lock::take()?;
    let field = contestants::select_contestants(options)?;
    if options.common.check {
        return Ok(true);
    }
    let race = race::Race::prepare(options, &field)?;
    let folder = run_folder(&options.common.out, "-swarm")?;
    let records = race.run(|records| {
        // The results so far of a long run are kept if it is aborted; a failure to write them appears at the end.
        let _ = write(&folder, "raw.csv", record::csv(records));
        let _ = write(&folder, "getters.csv", record::getters_csv(records));
    });
    if records.is_err() {
        // Succeeds only if the folder is empty.
        let _ = std::fs::remove_dir(&folder);
    }
    let records = records?;
    let summary = summary::markdown(&records);
    write(&folder, "summary.md", &summary)?;
    write(&folder, "plot.svg", plot::svg(&summary::lines(&records)))?;
    write(&folder, "README.md", report::readme(options, &field, &race, &records))?;
    print!("{summary}");
    eprintln!("written to {}", folder.display());
    Ok(records.iter().all(Record::is_right))
}
