//! The rivals' harness: one file, fetched by everyone on this machine in turn, each in its fastest
//! sensible setting, beside the limits that the machine sets.
//!
//! A run makes a [`source`] of random bytes, enters a [`network`] of its own (so that nothing of the
//! machine's set-up is changed), and lets each [`contestant`] fetch the file in alternating rounds, with
//! each congestion control, to the disk and then with the disk taken out. A contestant prepares a
//! [`session`] (seeders that are ready, one getter's command line); [`race`] times the getter from its
//! exec to its end and compares every byte. [`summary`], [`plot`] and [`machine`] write what was seen.
//!
//! It must never print a time without saying whether the bytes were right, never leave a process, a
//! folder or a setting behind, and never give one contestant what another one did not get.

pub mod aria2;
pub mod child;
pub mod contestant;
pub mod curl;
pub mod error;
pub mod getter;
pub mod interrupt;
pub mod libtorrent;
pub mod limit;
pub mod lock;
pub mod machine;
pub mod mtorrent;
pub mod network;
pub mod options;
pub mod peer_list;
pub mod plot;
pub mod process_tree;
pub mod program;
pub mod race;
pub mod record;
pub mod rqbit;
pub mod rsync;
pub mod session;
pub mod source;
pub mod stage;
pub mod statistics;
pub mod summary;
pub mod torrent;
pub mod transmission;

use std::path::Path;

use contestant::Contestant;
pub use error::Error;
pub use options::Options;
use record::Record;

/// Runs what `options` asks for. True if every run of every contestant ended well with the right bytes.
pub fn run(options: &Options) -> Result<bool, Error> {
    if let Some(bytes) = options.sha1_limit_bytes {
        println!("{}", limit::sha1_bytes_per_s(bytes));
        return Ok(true);
    }
    interrupt::install()?;
    let _lock = lock::Lock::take()?;
    let options = options.resolved();
    let field = program::muster(&options)?;
    if options.check {
        return Ok(true);
    }
    // From here on the process has a network of its own: what must reach the outside is done above.
    let network = network::Network::enter(&options.congestion_controls)?;
    let race = race::Race::prepare(&options, &field, &network)?;
    let outcome = race.run();
    if let Err(Error::Interrupted) = outcome {
        return Err(Error::Interrupted);
    }
    let records = outcome?;
    report(&options, &field, &race, &records)?;
    Ok(records.iter().all(Record::is_right))
}

fn report(options: &Options, field: &[&Contestant], race: &race::Race, records: &[Record]) -> Result<(), Error> {
    let folder = machine::run_folder(&options.out, "")?;
    write(&folder, "raw.csv", &record::csv(records))?;
    let tables = summary::tables(records);
    write(&folder, "summary.md", &summary::markdown(&tables, records))?;
    write(&folder, "plot.svg", &plot::svg(&tables))?;
    write(&folder, "README.md", &machine::readme(options, field, race, records))?;
    print!("{}", summary::markdown(&tables, records));
    eprintln!("written to {}", folder.display());
    Ok(())
}

/// Writes a file of a run's folder.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|source| Error::io(format!("write {}", path.display()), source))
}
