//! Measures the overhead of keeping trackers in sync: the time in which an empty tracker loads a table, the memory of a
//! tracker, and the slowdown of requests meanwhile. The trackers are `mtorrent tracker` processes, the requests come
//! from `load`; both are taken from the folder of this program.
//!
//! ```text
//! cargo build --release --workspace
//! target/release/sync take     [--files 1000000]    an empty tracker takes the table of a full one
//! target/release/sync memory   [--files 5000000]    bytes a file with two seeders, by the process's resident memory
//! target/release/sync slowdown [--files 1000000]    requests alone, with changes passed on, while a table is taken
//! ```
//!
//! The measured tracker has CPU 0 for itself. The load has CPU 1; the other tracker runs on the idle time of that CPU
//! (SCHED_IDLE), so that only the work of the measured tracker slows requests down.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use mtorrent_bench::own::{Failed, Running, program};

/// Measures trackers in sync.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Measurement to run.
    #[arg(value_enum)]
    what: What,
    /// Files, each with two seeders.
    #[arg(long, default_value_t = 1_000_000)]
    files: u64,
    /// Number of rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each load.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Requests in flight on each of the load's 500 connections.
    #[arg(long, default_value_t = 4)]
    depth: usize,
    /// Number of files in the load's requests, as a multiple of those in the table: the first seeder of a new file is a
    /// change that is written and sent to the peer, a renewal is not.
    #[arg(long, default_value_t = 4)]
    spread: u64,
    /// Requests of a hundred that are AddSeeder.
    #[arg(long, default_value_t = 50)]
    adds: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The time in which an empty tracker takes the table.
    Take,
    /// The memory that the table takes.
    Memory,
    /// Requests while sync works.
    Slowdown,
}

fn main() -> Result<(), Failed> {
    let args = Args::parse();
    match args.what {
        What::Take => take(&args),
        What::Memory => memory(&args),
        What::Slowdown => slowdown(&args),
    }
}

fn take(args: &Args) -> Result<(), Failed> {
    let full = Tracker::full(args)?;
    for round in 1..=args.rounds {
        let start = Instant::now();
        let empty = Tracker::start(&["taskset", "-c", "1"], Some(&full))?;
        let seconds = start.elapsed().as_secs_f64();
        println!("round={round} files={} seconds={seconds:.2} synced={}", args.files, empty.synced);
    }
    Ok(())
}

fn memory(args: &Args) -> Result<(), Failed> {
    let tracker = Tracker::start(&["taskset", "-c", "0"], None)?;
    let empty = tracker.memory("VmRSS")?;
    tracker.fill(args)?;
    for (what, field) in [("resident", "VmRSS"), ("peak", "VmHWM")] {
        let bytes = tracker.memory(field)? - empty;
        println!(
            "files={} seeders={} {what}={bytes} bytes_a_file={:.1}",
            args.files,
            2 * args.files,
            bytes as f64 / args.files as f64
        );
    }
    Ok(())
}

fn slowdown(args: &Args) -> Result<(), Failed> {
    let full = Tracker::full(args)?;
    for round in 1..=args.rounds {
        let alone = full.load(args)?;
        println!("round={round} alone: {alone}");
        let other = Tracker::start(&IDLE, Some(&full))?;
        let linked = full.load(args)?;
        println!("round={round} linked, changes passed on: {linked} ratio={:.3}", linked.answered / alone.answered);
        drop(other);
        let taken = Arc::new(AtomicUsize::new(0));
        let taking = full.load_while_taken(args, &taken)?;
        let count = taken.load(Ordering::Relaxed);
        println!(
            "round={round} while the table is taken ({count} times): {taking} ratio={:.3}",
            taking.answered / alone.answered
        );
    }
    Ok(())
}

/// The idle time of the load's CPU.
const IDLE: [&str; 6] = ["taskset", "-c", "1", "chrt", "--idle", "0"];

/// A tracker's process, which ends when this is dropped.
struct Tracker {
    running: Running,
    address: String,
    synced: String,
}

impl Tracker {
    fn start(place: &[&str], peer: Option<&Tracker>) -> Result<Self, Failed> {
        let mut command = Command::new(place[0]);
        command.args(&place[1..]).arg(program("mtorrent")?);
        command.args(["tracker", "--listen=127.0.0.1:0", "--cores=1", "--trust=127.0.0.0/8", "--log=error"]);
        command.args(peer.map(|peer| format!("--peer={}", peer.address)));
        let running = Running::start(command)?;
        let (address, synced) = (running.address()?.to_owned(), running.ready("synced").unwrap_or_default().to_owned());
        Ok(Self { running, address, synced })
    }

    /// Starts a tracker with all files.
    fn full(args: &Args) -> Result<Self, Failed> {
        let tracker = Self::start(&["taskset", "-c", "0"], None)?;
        tracker.fill(args)?;
        Ok(tracker)
    }

    fn fill(&self, args: &Args) -> Result<(), Failed> {
        let files = format!("--files={}", args.files);
        load(&[&self.address, "--fill", &files, "--depth=16"]).map(drop)
    }

    fn load(&self, args: &Args) -> Result<Answered, Failed> {
        let pid = format!("--pid={}", self.running.child.id());
        let (files, depth) = (format!("--files={}", args.files * args.spread), format!("--depth={}", args.depth));
        let (adds, seconds) = (format!("--adds={}", args.adds), format!("--seconds={}", args.seconds));
        // The load shares its core with the other tracker.
        load(&[&self.address, &pid, &files, &depth, &adds, &seconds, "--sleep"])
    }

    /// Runs the load while one empty tracker after the other loads the table.
    fn load_while_taken(&self, args: &Args, taken: &Arc<AtomicUsize>) -> Result<Answered, Failed> {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| -> Result<(), Failed> {
                while !done.load(Ordering::Relaxed) {
                    Tracker::start(&IDLE, Some(self))?;
                    taken.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
            let loaded = self.load(args);
            done.store(true, Ordering::Relaxed);
            taking.join().map_err(|_| "a panic")??;
            loaded
        })
    }

    /// A line of the process's status in /proc, bytes.
    fn memory(&self, field: &str) -> Result<u64, Failed> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such line")?;
        let kib: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
        Ok(kib << 10)
    }
}

/// The figures that a load reported.
struct Answered {
    answered: f64,
    line: String,
}

impl std::fmt::Display for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.line.trim())
    }
}

fn load(arguments: &[&str]) -> Result<Answered, Failed> {
    let output = Command::new("taskset").args(["-c", "1"]).arg(program("load")?).args(arguments).output()?;
    let line = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("load failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let figure = line.split_whitespace().find_map(|pair| pair.strip_prefix("answered/s="));
    Ok(Answered { answered: figure.ok_or("load says no figure")?.parse()?, line })
}
