//! Measures how much CPU time a seeder needs to send a cached file. Every method sends the same chunks in the same
//! order to one receiver that discards them, over loopback and over a veth pair between two namespaces, with each
//! congestion control; rounds alternate between the methods.
//!
//! It must never change a setting of the machine: congestion control is set per socket, and the namespaces are the
//! run's own and are removed with it, on errors, panics and signals too (only SIGKILL leaves them; their names start
//! with `mtsend-`).

mod load;
mod method;
mod options;
mod place;
mod plan;
mod sockets;
mod source;
mod syscall;
mod table;
mod transfer;
mod zerocopy;

use mtorrent_bench::harness::{Error, interrupt};

use load::Load;
use method::Method;
pub use options::Options;
use place::Place;
use plan::Plan;
use source::Source;
use table::{Outcome, Row};
use transfer::Transfer;

/// The congestion controls compared, set per socket.
const CONTROLS: [&str; 2] = ["bbr", "cubic"];
/// Most chunks that the check of the bytes sends; hashing all of them would take longer than the rounds.
const CHECKED_CHUNKS_MAX: usize = 256;

/// Runs all rounds and prints the table; returns whether every available method delivered the right bytes.
pub fn run(options: &Options) -> Result<bool, Error> {
    interrupt::install()?;
    let source = Source::create(&options.dir, options.chunks())?;
    let places = [Ok(Place::Loopback), Place::veth()];
    let mut rows = rows(&places);
    let load = Load::start()?;
    check(&mut rows, &source, options)?;
    for round in 0..options.rounds() {
        let plan = Plan::shuffled(source.chunks(), round.into());
        for group in rows.chunks_mut(Method::ALL.len()) {
            // Each round starts with another method, so that activity of the machine at a round's start affects all
            // alike.
            group.rotate_left(1);
            for row in group {
                measure(row, &source, &plan, options)?;
            }
        }
    }
    for group in rows.chunks_mut(Method::ALL.len()) {
        group.sort_by_key(|row| row.method);
    }
    println!("{}", table::render(options, &rows, &load.end()?));
    Ok(rows.iter().all(Row::is_right))
}

fn rows(places: &[Result<Place, String>; 2]) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (place, name) in places.iter().zip(["loopback", "veth"]) {
        for control in CONTROLS {
            for method in Method::ALL {
                let outcome = match place {
                    Ok(_) => Outcome::Runs(Vec::new()),
                    Err(reason) => Outcome::Unavailable(reason.clone()),
                };
                rows.push(Row { name, place: place.as_ref().ok(), control, method, outcome });
            }
        }
    }
    rows
}

/// Sends a part with every method at every place, compares SHA-1s and excludes the combinations that do not work.
fn check(rows: &mut [Row<'_>], source: &Source, options: &Options) -> Result<(), Error> {
    let plan = Plan::shuffled(source.chunks().min(CHECKED_CHUNKS_MAX), u64::MAX);
    let right = plan.digest(source)?;
    for row in rows {
        interrupt::check()?;
        let (Some(place), Outcome::Runs(_)) = (row.place, &row.outcome) else { continue };
        let transfer = Transfer { source, plan: &plan, method: row.method, pinned: !options.unpinned, hashed: true };
        match place.connect(row.control).and_then(|sockets| transfer.run(sockets)) {
            Ok(run) if run.digest == Some(right) => {}
            Ok(_) => row.outcome = Outcome::WrongBytes,
            Err(error) => row.outcome = Outcome::Unavailable(error.to_string()),
        }
    }
    Ok(())
}

fn measure(row: &mut Row<'_>, source: &Source, plan: &Plan, options: &Options) -> Result<(), Error> {
    interrupt::check()?;
    let (Some(place), Outcome::Runs(runs)) = (row.place, &mut row.outcome) else { return Ok(()) };
    let transfer = Transfer { source, plan, method: row.method, pinned: !options.unpinned, hashed: false };
    runs.push(transfer.run(place.connect(row.control)?)?);
    Ok(())
}
