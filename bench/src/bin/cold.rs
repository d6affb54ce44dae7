//! Measures whether a seeder that reads from the disk delays other transfers: the time of a chunk of a cached file from
//! a seeder that is idle, that also sends a large cached file, and that also sends it from the disk.
//!
//! ```text
//! cargo build --release --workspace
//! target/release/cold [--folder .] [--size-gib 4] [--rounds 3]
//! ```
//!
//! One `mtorrent client` seeds both files; `mtorrent get --discard` downloads the large one; this program requests a
//! chunk of the small one every two milliseconds. The three share the machine's cores, so the cached row shows the
//! effect of the CPU load alone, and the row of the disk must be compared with that one. The disk's own rate is that of
//! `dd iflag=direct bs=4M` on the same file.
//! `dd iflag=direct bs=4M` on the same file.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use mtorrent::ids::InfoHash;
use mtorrent::metainfo::Metainfo;
use mtorrent::wire::{DATA_HEAD_LEN, DataParsed, MAGIC_END, Message, SendChunkRequest, parse_data};
use mtorrent_bench::own::{Failed, Running, program};
use rand::rngs::StdRng;
use rand::{Rng, make_rng};

/// Chunk size of both files, the default, bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// Number of chunks of the small file.
const CHUNKS: usize = 16;
/// Interval between two requests.
const EVERY: Duration = Duration::from_millis(2);

/// Measures the effect of seeding from the disk on other transfers.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Folder in which a folder for the files is created.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// GiB of the large file.
    #[arg(long, default_value_t = 4)]
    size_gib: u64,
    /// Number of rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

fn main() -> Result<(), Failed> {
    let args = Args::parse();
    let folder = tempfile::tempdir_in(&args.folder)?;
    let (large, small) = (folder.path().join("large"), folder.path().join("small"));
    write_random(&large, args.size_gib << 30)?;
    write_random(&small, (CHUNKS * CHUNK_BYTES) as u64)?;
    let tracker = start(&["tracker", "--listen=127.0.0.1:0", "--log=error"])?;
    let tracker_address = format!("--tracker={}", tracker.address()?);
    let mut seeder = start(&["client", "--listen=127.0.0.1:0", "--log=error", &tracker_address])?;
    let address = seeder.address()?.to_owned();
    let mut commands = seeder.child.stdin.as_ref().ok_or("it has no stdin")?;
    for file in [&large, &small] {
        writeln!(commands, "share '{}' '{}.mtorrent'", file.display(), file.display())?;
    }
    for _ in 0..2 {
        seeder.wait_line("sharing ")?;
    }
    let wanted = Metainfo::parse(&std::fs::read(folder.path().join("small.mtorrent"))?)?.info_hash();
    let fetch = || fetch(&folder.path().join("large.mtorrent"));
    for round in 1..=args.rounds {
        let report = |what: &str, (latencies, seconds): (Histogram<u64>, f64), bytes: u64| {
            println!(
                "round={round} {what:6} GB/s={:.2} chunks={} p50_us={} p99_us={} max_us={}",
                bytes as f64 / seconds / 1e9,
                latencies.len(),
                latencies.value_at_quantile(0.5),
                latencies.value_at_quantile(0.99),
                latencies.max(),
            );
        };
        let bytes = args.size_gib << 30;
        report("idle", ask_during(&address, wanted, rest)?, 0);
        std::io::copy(&mut File::open(&large)?, &mut std::io::sink())?;
        report("cached", ask_during(&address, wanted, fetch)?, bytes);
        forget(&large)?;
        report("disk", ask_during(&address, wanted, fetch)?, bytes);
        forget(&large)?;
        println!("round={round} dd     GB/s={:.2}", bytes as f64 / read_directly(&large)? / 1e9);
    }
    Ok(())
}

fn write_random(path: &Path, bytes: u64) -> Result<(), Failed> {
    let (mut file, mut random, mut block) = (File::create(path)?, make_rng::<StdRng>(), vec![0; 1 << 20]);
    for _ in 0..bytes.div_ceil(1 << 20) {
        random.fill_bytes(&mut block);
        file.write_all(&block)?;
    }
    Ok(file.sync_all()?)
}

/// Evicts a file on the disk from the page cache.
fn forget(path: &Path) -> Result<(), Failed> {
    Ok(rustix::fs::fadvise(File::open(path)?, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// Starts mtorrent and waits until it is ready.
fn start(arguments: &[&str]) -> Result<Running, Failed> {
    let mut command = Command::new(program("mtorrent")?);
    command.args(arguments);
    Running::start(command)
}

fn rest() -> Result<(), Failed> {
    std::thread::sleep(Duration::from_secs(2));
    Ok(())
}

fn fetch(metainfo: &Path) -> Result<(), Failed> {
    let mut getter = Command::new(program("mtorrent")?);
    getter.arg("get").arg(metainfo).args(["unused", "--discard", "--listen=127.0.0.1:0", "--json", "--log=error"]);
    let status = getter.stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("get ended with {status}").into()) }
}

/// Seconds to read the whole file past the page cache.
fn read_directly(path: &Path) -> Result<f64, Failed> {
    let start = Instant::now();
    let status = Command::new("dd")
        .arg(format!("if={}", path.display()))
        .args(["of=/dev/null", "iflag=direct", "bs=4M", "status=none"])
        .status()?;
    if status.success() { Ok(start.elapsed().as_secs_f64()) } else { Err("dd failed".into()) }
}

/// Requests chunks of the small file while `work` runs; returns the time of each, microseconds, and that of the work,
/// seconds.
fn ask_during(
    address: &str,
    file: InfoHash,
    work: impl FnOnce() -> Result<(), Failed> + Send,
) -> Result<(Histogram<u64>, f64), Failed> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_until(&done, address, file));
        let start = Instant::now();
        let worked = work();
        let seconds = start.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        let latencies = asking.join().map_err(|_| "a panic")??;
        worked.map(|()| (latencies, seconds))
    })
}

fn ask_until(done: &AtomicBool, address: &str, info_hash: InfoHash) -> Result<Histogram<u64>, Failed> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut latencies = Histogram::new(3)?;
    let (mut request, mut answer) = (Vec::new(), vec![0; DATA_HEAD_LEN + CHUNK_BYTES + MAGIC_END.len()]);
    for index in (0..CHUNKS as u32).cycle() {
        if done.load(Ordering::Relaxed) {
            break;
        }
        request.clear();
        Message::SendChunkRequest(SendChunkRequest::one(info_hash, index)).encode(&mut request);
        let start = Instant::now();
        stream.write_all(&request)?;
        stream.read_exact(&mut answer)?;
        latencies.record((start.elapsed().as_micros() as u64).max(1))?;
        match parse_data(&answer, CHUNK_BYTES as u32) {
            Ok(DataParsed::Head(head)) if head.index == index && head.data_len as usize == CHUNK_BYTES => {}
            other => return Err(format!("that is no chunk: {other:?}").into()),
        }
        std::thread::sleep(EVERY.saturating_sub(start.elapsed()));
    }
    Ok(latencies)
}
