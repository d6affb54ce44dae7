//! The rivals' harness: every contestant downloads one file on this machine in turn, each in its fastest sensible
//! configuration, compared with the machine's limits.
//!
//! A run creates a [`Source`](crate::harness::source::Source) of random bytes, enters a [`Network`] of its own (so that
//! the machine's configuration stays unchanged), and lets each [`contestant`] download the file in alternating rounds,
//! with each congestion control, to the disk and then without the disk. A contestant prepares a [`session`] (seeders
//! that are ready, one getter's command line); [`race`] times the getter from its exec to its end and compares every
//! byte. [`summary`], [`plot`] and [`report`] write the results.
//!
//! It must never print a time without stating whether the bytes were right, never leave a process, a folder or a
//! setting behind, and never give one contestant an advantage over another.

pub mod aria2;
pub mod contestant;
pub mod contestants;
pub mod curl;
pub mod getter;
pub mod libtorrent;
pub mod limit;
pub mod mtorrent;
pub mod options;
pub mod peer_list;
pub mod plot;
pub mod race;
pub mod record;
pub mod report;
pub mod rqbit;
pub mod rsync;
pub mod session;
pub mod stage;
pub mod summary;
pub mod transmission;

use contestant::Contestant;
pub use options::Options;
use record::Record;

use crate::harness::files::write;
use crate::harness::machine::run_folder;
use crate::harness::network::Network;
use crate::harness::{Error, interrupt, lock};

/// Runs the comparison. True if every run of every contestant ended well with the right bytes.
pub fn run(options: &Options) -> Result<bool, Error> {
    if let Some(bytes) = options.sha1_limit_bytes {
        println!("{}", limit::sha1_bytes_per_s(bytes));
        return Ok(true);
    }
    interrupt::install()?;
    let _lock = lock::Lock::take()?;
    let options = options.resolved();
    let field = contestants::select_contestants(&options)?;
    if options.common.check {
        return Ok(true);
    }
    // From here on the process has its own network: all work that needs the outside is done above.
    let network = Network::enter(&options.congestion_controls)?;
    let race = race::Race::prepare(&options, &field, &network)?;
    let outcome = race.run();
    if let Err(Error::Interrupted) = outcome {
        return Err(Error::Interrupted);
    }
    let records = outcome?;
    write_report(&options, &field, &race, &records)?;
    Ok(records.iter().all(Record::is_right))
}

fn write_report(options: &Options, field: &[&Contestant], race: &race::Race, records: &[Record]) -> Result<(), Error> {
    let folder = run_folder(&options.common.out, "")?;
    write(&folder, "raw.csv", record::csv(records))?;
    let tables = summary::tables(records);
    write(&folder, "summary.md", summary::markdown(&tables, records))?;
    write(&folder, "plot.svg", plot::svg(&tables))?;
    write(&folder, "README.md", report::readme(options, field, race, records))?;
    print!("{}", summary::markdown(&tables, records));
    eprintln!("written to {}", folder.display());
    Ok(())
}
