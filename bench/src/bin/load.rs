//! Load for a tracker, and by the same means for Redis: many connections, each a closed loop of so many requests in
//! flight, a mix of AddSeeder (SADD) and SeederInfoRequest (SRANDMEMBER) over many files.
//!
//! Says requests a second, latencies, and what CPU time the server took: only where that is over 95 % of a core do
//! the figures tell of the server. A run, server and load each on a core of its own:
//!
//! ```text
//! taskset -c 0 load 127.0.0.1:7000 --serve [--cores 2] [--data-dir DIR] [--peer HOST:PORT] &
//! taskset -c 1 load 127.0.0.1:7000 --fill
//! taskset -c 1 load 127.0.0.1:7000 --pid $! --depth 16
//! ```

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;
use glommio::{LocalExecutorBuilder, Placement};
use hdrhistogram::Histogram;
use mtorrent::ids::{Endpoint, InfoHash};
use mtorrent::tracker::server::{self, TrackerConfig};
use mtorrent::wire::{Message, Parsed, SeederChange, parse};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Loads a tracker or Redis and prints one line of figures.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Where the server listens.
    server: SocketAddr,
    /// What it speaks.
    #[arg(long, value_enum, default_value = "mtorrent")]
    protocol: Protocol,
    /// Connections in all.
    #[arg(long, default_value_t = 500)]
    connections: usize,
    /// Requests in flight on each.
    #[arg(long, default_value_t = 1)]
    depth: usize,
    /// Files that are asked for.
    #[arg(long, default_value_t = 1_000_000)]
    files: u64,
    /// Requests of a hundred that change something.
    #[arg(long, default_value_t = 100)]
    adds: u32,
    /// Seconds of measuring, after two of warming up.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Executors of the load.
    #[arg(long, default_value_t = 1)]
    executors: usize,
    /// The server's process, for its CPU time.
    #[arg(long)]
    pid: Option<u32>,
    /// Instead of loading for a time, add every file once with two seeders.
    #[arg(long)]
    fill: bool,
    /// Instead of loading, be a tracker that trusts loopback, until killed.
    #[arg(long)]
    serve: bool,
    /// Executors of that tracker.
    #[arg(long, default_value_t = 1)]
    cores: usize,
    /// Where that tracker keeps its table.
    #[arg(long)]
    data_dir: Option<std::path::PathBuf>,
    /// Other trackers of that tracker.
    #[arg(long = "peer")]
    peers: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Our frames.
    Mtorrent,
    /// RESP: SADD and SRANDMEMBER.
    Redis,
}

const WARM_UP: Duration = Duration::from_secs(2);
const SEEDERS: u64 = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    if args.serve {
        return serve(args);
    }
    let threads: Vec<_> = (0..args.executors.max(1))
        .map(|index| {
            let args = args.clone();
            LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10).spawn(move || run(args, index))
        })
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    std::thread::sleep(if args.fill { Duration::ZERO } else { WARM_UP });
    let cpu_before = args.pid.map(cpu_seconds).transpose()?;
    let start = Instant::now();
    let mut all = Totals::new()?;
    let mut cpu = None;
    if !args.fill {
        std::thread::sleep(Duration::from_secs(args.seconds));
        cpu = args.pid.map(cpu_seconds).transpose()?.zip(cpu_before).map(|(after, before)| after - before);
    }
    let measured = start.elapsed().as_secs_f64();
    for thread in threads {
        let totals = thread.join().map_err(|error| error.to_string())??;
        all.latencies.add(&totals.latencies)?;
        all.errors += totals.errors;
    }
    report(&args, &all, if args.fill { start.elapsed().as_secs_f64() } else { measured }, cpu);
    Ok(())
}

fn serve(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let trust = vec!["127.0.0.0/8".parse()?];
    let Args { server, cores, data_dir, peers, .. } = args;
    let config = TrackerConfig { cores, data_dir, peers, trust, ..TrackerConfig::new(server) };
    let tracker = server::start(config)?;
    println!("ready listen={} synced={} after={:?}", tracker.listen_addr(), tracker.synced(), start.elapsed());
    std::thread::sleep(Duration::from_millis(300));
    println!("{:?}", tracker.stats());
    Ok(tracker.join()?)
}

struct Totals {
    latencies: Histogram<u64>,
    errors: u64,
}

impl Totals {
    fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self { latencies: Histogram::new_with_bounds(1, 60_000_000, 3)?, errors: 0 })
    }
}

fn report(args: &Args, all: &Totals, seconds: f64, cpu: Option<f64>) {
    let answered = all.latencies.len();
    let at = |quantile| all.latencies.value_at_quantile(quantile);
    print!(
        "{:?} connections={} depth={} adds={}% files={} answered/s={:.0} p50_us={} p99_us={} max_us={} errors={}",
        args.protocol,
        args.connections,
        args.depth,
        args.adds,
        args.files,
        answered as f64 / seconds,
        at(0.5),
        at(0.99),
        all.latencies.max(),
        all.errors
    );
    if let Some(cpu) = cpu {
        print!(" server_cpu={:.1}% cpu_us_per_answer={:.2}", 100.0 * cpu / seconds, 1e6 * cpu / answered as f64);
    }
    println!();
}

/// User and system time of a process.
fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold spaces; utime and stime are the 14th and 15th field.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64)
}

async fn run(args: Args, index: usize) -> io::Result<Totals> {
    let totals = Rc::new(RefCell::new(Totals::new().map_err(io::Error::other)?));
    let count = args.connections / args.executors.max(1);
    let start = Instant::now();
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let seed = (index * count + number) as u64;
            let connection = Connection::new(args.clone(), seed, count * args.executors.max(1), totals.clone(), start);
            glommio::spawn_local(async move { connection.await?.run().await })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    Rc::try_unwrap(totals).map(RefCell::into_inner).map_err(|_| io::Error::other("a connection still runs"))
}

struct Connection {
    args: Args,
    stream: TcpStream,
    rng: SmallRng,
    totals: Rc<RefCell<Totals>>,
    start: Instant,
    /// The part of all seeders that this connection fills in.
    next: u64,
    step: u64,
    out: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    async fn new(
        args: Args,
        seed: u64,
        connections: usize,
        totals: Rc<RefCell<Totals>>,
        start: Instant,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(args.server).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            args,
            stream,
            rng: SmallRng::seed_from_u64(seed),
            totals,
            start,
            next: seed,
            step: connections as u64,
            out: Vec::new(),
            buffer: vec![0; 256 << 10],
            filled: 0,
        })
    }

    async fn run(mut self) -> io::Result<()> {
        let end = self.start + WARM_UP + Duration::from_secs(self.args.seconds);
        loop {
            let now = Instant::now();
            let done = if self.args.fill { self.next >= self.args.files * SEEDERS } else { now >= end };
            if done {
                return Ok(());
            }
            self.out.clear();
            for _ in 0..self.args.depth {
                self.add_request();
            }
            self.stream.write_all(&self.out).await?;
            let mut left = self.args.depth;
            while left > 0 {
                let len = self.stream.read(&mut self.buffer[self.filled..]).await?;
                if len == 0 {
                    return Err(io::Error::other("the server closed the connection"));
                }
                self.filled += len;
                let (count, errors) = self.take_answers()?;
                let taken = now.elapsed().as_micros() as u64;
                left = left.saturating_sub(count);
                if self.args.fill || (now > self.start + WARM_UP && Instant::now() <= end) {
                    let mut totals = self.totals.borrow_mut();
                    totals.latencies.record_n(taken.max(1), count as u64).map_err(io::Error::other)?;
                    totals.errors += errors;
                }
            }
        }
    }

    fn add_request(&mut self) {
        let (file, seeder, add) = if self.args.fill {
            let at = self.next;
            self.next += self.step;
            (at / SEEDERS % self.args.files, at % SEEDERS, true)
        } else {
            let rng = &mut self.rng;
            let add = rng.random_range(0..100) < self.args.adds;
            (rng.random_range(0..self.args.files), rng.random_range(0..SEEDERS), add)
        };
        let (info_hash, endpoint) = (hash(file), endpoint(seeder));
        match self.args.protocol {
            Protocol::Mtorrent if add => {
                Message::AddSeeder(SeederChange { info_hash, endpoint, version: None }).encode(&mut self.out);
            }
            Protocol::Mtorrent => Message::SeederInfoRequest(info_hash).encode(&mut self.out),
            Protocol::Redis => {
                let mut bytes = [0; 18];
                let (command, last): (&[u8], &[u8]) =
                    if add { (b"SADD", endpoint.to_bytes(&mut bytes)) } else { (b"SRANDMEMBER", b"50") };
                self.out.extend_from_slice(b"*3\r\n");
                for part in [command, &info_hash.0, last] {
                    self.out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
                    self.out.extend_from_slice(part);
                    self.out.extend_from_slice(b"\r\n");
                }
            }
        }
    }

    /// Whole answers that have come, and how many of them are errors.
    fn take_answers(&mut self) -> io::Result<(usize, u64)> {
        let (mut at, mut count, mut errors) = (0, 0, 0);
        loop {
            let bytes = &self.buffer[at..self.filled];
            let (len, failed) = match self.args.protocol {
                Protocol::Mtorrent => match parse(bytes, 64 << 10).map_err(io::Error::other)? {
                    Parsed::Frame { frame, len } => (len, is_error(Message::decode(frame).map_err(io::Error::other)?)),
                    Parsed::Partial { .. } => break,
                },
                Protocol::Redis => match resp_len(bytes) {
                    Some(len) => (len, bytes[0] == b'-'),
                    None => break,
                },
            };
            at += len;
            count += 1;
            errors += u64::from(failed);
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok((count, errors))
    }
}

/// Not found is an answer; a refusal is none.
fn is_error(message: Message<'_>) -> bool {
    matches!(message, Message::Response(response) if !response.status.is_ok())
}

/// Bytes of a whole RESP value at the start of `bytes`.
fn resp_len(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let number = || std::str::from_utf8(&bytes[1..line]).ok()?.parse::<i64>().ok();
    let head = line + 2;
    match bytes[0] {
        b'$' => {
            let len = number()?;
            let whole = if len < 0 { head } else { head + len as usize + 2 };
            (bytes.len() >= whole).then_some(whole)
        }
        b'*' => (0..number()?.max(0)).try_fold(head, |at, _| Some(at + resp_len(bytes.get(at..)?)?)),
        _ => Some(head),
    }
}

/// Spread as SHA-1 would be.
fn hash(file: u64) -> InfoHash {
    let mut state = file.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut hash = [0; 20];
    for part in hash.chunks_mut(8) {
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) ^ state >> 31;
        part.copy_from_slice(&state.to_be_bytes()[..part.len()]);
    }
    InfoHash(hash)
}

fn endpoint(seeder: u64) -> Endpoint {
    let ip = [127, 0, 0, 1 + seeder as u8];
    // The port is not 0.
    Endpoint::new(ip.into(), 7000).unwrap_or_else(|| unreachable!("port 7000"))
}
