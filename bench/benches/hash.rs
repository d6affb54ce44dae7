//! How fast SHA-1 is: engines x live lanes x {data in the core's cache, data in memory}.
//!
//! First a table, whose columns are measured in turns within one run, so that their ratios hold on a
//! noisy machine: medians of thread CPU time and the spread between the quartiles; every digest is checked.
//! Then the same by criterion, for comparisons between commits (with a filter: only that).
//! `MTORRENT_BENCH_FILE=PATH` hashes that file by threads instead: `MTORRENT_BENCH_THREADS` (2),
//! `MTORRENT_BENCH_ROUNDS` (5), `MTORRENT_BENCH_CHUNK` (what `create` takes).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use mtorrent::geometry::Geometry;
use mtorrent::hash::{Blocks, Engine, Hasher, hash_chunks, sha1};
use mtorrent::ids::ChunkHash;

const CHUNK: usize = 1 << 20;
/// What a lane reads again and again when hot: 16 of them fit into an L2 of 1 MiB and more.
const HOT: usize = 32 << 10;
/// More than any cache.
const COLD: usize = 1 << 30;
const STEP: usize = 1 << 20;
const ROUNDS: usize = 15;
const LANES: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

/// A chunk of `count` equal or one whole piece.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    piece: &'a [u8],
    count: usize,
}

impl Blocks for Chunk<'_> {
    fn block(&self, n: usize) -> Option<&[u8]> {
        (n < self.count).then_some(self.piece)
    }
}

impl Chunk<'_> {
    fn expected(&self) -> ChunkHash {
        ChunkHash(sha1(&self.piece.repeat(self.count)))
    }
}

/// Hands out chunks that are hot, or that were not touched for a whole round through memory.
struct Data {
    bytes: Vec<u8>,
    next: usize,
}

impl Data {
    fn new(len: usize) -> Self {
        let mut x = 0x9e37_79b9_7f4a_7c15_u64;
        let mut word = || {
            x = (x ^ (x >> 12)).wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(23);
            x
        };
        Self { bytes: (0..len / 8).flat_map(|_| word().to_le_bytes()).collect(), next: 0 }
    }

    fn chunks(&mut self, lanes: usize, hot: bool) -> Vec<Chunk<'_>> {
        if hot {
            let pieces = self.bytes.chunks(HOT).take(lanes);
            return pieces.map(|piece| Chunk { piece, count: CHUNK / HOT }).collect();
        }
        let start = self.next;
        self.next = (start + lanes) % (self.bytes.len() / CHUNK - 16);
        let pieces = self.bytes.chunks(CHUNK).skip(start).take(lanes);
        pieces.map(|piece| Chunk { piece, count: 1 }).collect()
    }
}

fn run(engine: Engine, chunks: &[Chunk<'_>]) -> Vec<ChunkHash> {
    let mut hasher = Hasher::with_engine(engine);
    chunks.iter().enumerate().for_each(|(index, chunk)| hasher.push(Indexed(*chunk, index)));
    while !hasher.is_empty() {
        hasher.step(STEP);
    }
    let mut digests = vec![ChunkHash([0; ChunkHash::LEN]); chunks.len()];
    while let Some((job, digest)) = hasher.pop_done() {
        digests[job.1] = digest;
    }
    digests
}

struct Indexed<'a>(Chunk<'a>, usize);

impl Blocks for Indexed<'_> {
    fn block(&self, n: usize) -> Option<&[u8]> {
        self.0.block(n)
    }
}

/// CPU time of this thread: what others do on the machine counts less than in wall-clock time.
fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn table(data: &mut Data) {
    let engines = Engine::available();
    let detected = Hasher::<Chunk<'_>>::new().width();
    println!("GB/s a core, median (quartiles), ratio to the crate; width {detected}; 1 MiB chunks, steps of 1 MiB");
    println!(
        "data  lanes {}",
        engines.iter().map(|engine| format!("{:>26}", format!("{engine:?}"))).collect::<String>()
    );
    for hot in [true, false] {
        for lanes in LANES {
            let mut rates = vec![Vec::new(); engines.len()];
            for _ in 0..ROUNDS {
                for (engine, rates) in engines.iter().zip(&mut rates) {
                    let chunks = data.chunks(lanes, hot);
                    let start = cpu();
                    let digests = run(*engine, &chunks);
                    rates.push((lanes * CHUNK) as f64 / (cpu() - start).as_secs_f64() / 1e9);
                    let probe = rates.len() % lanes;
                    assert_eq!(digests[probe], chunks[probe].expected(), "{engine:?}");
                }
            }
            rates.iter_mut().for_each(|rates| rates.sort_by(f64::total_cmp));
            let base = rates[0][ROUNDS / 2];
            let cell = |rates: &Vec<f64>| {
                let [low, median, high] = [ROUNDS / 4, ROUNDS / 2, ROUNDS * 3 / 4].map(|index| rates[index]);
                format!("{:>26}", format!("{median:.2} ({low:.2}-{high:.2}) {:.2}x", median / base))
            };
            let cells: String = rates.iter().map(cell).collect();
            println!("{:5} {lanes:5} {cells}", if hot { "cache" } else { "mem" });
        }
    }
}

fn groups(data: &mut Data, criterion: &mut Criterion) {
    for hot in [true, false] {
        let mut group = criterion.benchmark_group(if hot { "cache" } else { "mem" });
        group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1)).sample_size(20);
        for engine in Engine::available() {
            for lanes in LANES {
                group.throughput(Throughput::Bytes((lanes * CHUNK) as u64));
                group.bench_function(format!("{engine:?}/{lanes}"), |bench| {
                    bench.iter(|| run(engine, &data.chunks(lanes, hot)));
                });
            }
        }
        group.finish();
    }
}

/// Hashes a file a few times and says how fast. The digests' sum tells whether two runs agree.
fn whole_file(path: &str) -> std::io::Result<()> {
    let threads = std::env::var("MTORRENT_BENCH_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let rounds = std::env::var("MTORRENT_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let chunk_size = std::env::var("MTORRENT_BENCH_CHUNK").ok().and_then(|text| text.parse().ok());
    let file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let chunk_size = chunk_size.unwrap_or(Geometry::default_chunk_size(length));
    let geometry = Geometry::new(length, chunk_size).map_err(std::io::Error::other)?;
    for _ in 0..rounds {
        let (start, sum) = (Instant::now(), AtomicU64::new(0));
        hash_chunks(&file, geometry, &|_| true, threads, &AtomicBool::new(false), &|_, digest| match digest {
            Ok(digest) => {
                let [head @ .., _, _, _, _, _, _, _, _, _, _, _, _] = digest.0;
                sum.fetch_add(u64::from_le_bytes(head), Ordering::Relaxed);
            }
            Err(error) => eprintln!("{error}"),
        })
        .map_err(std::io::Error::other)?;
        let seconds = start.elapsed().as_secs_f64();
        let (rate, sum) = (length as f64 / seconds / 1e9, sum.into_inner());
        println!("{length} bytes in {seconds:.3} s: {rate:.2} GB/s, {threads} threads, sum of digests {sum:016x}");
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    if let Ok(path) = std::env::var("MTORRENT_BENCH_FILE") {
        return whole_file(&path);
    }
    // Without `--bench` cargo only tries whether benches run; with a filter only criterion is meant.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let measures = arguments.iter().any(|argument| argument == "--bench");
    let mut data = Data::new(if measures { COLD } else { 32 * CHUNK });
    if measures && arguments.iter().all(|argument| argument.starts_with("--")) {
        table(&mut data);
    }
    let mut criterion = Criterion::default().configure_from_args();
    groups(&mut data, &mut criterion);
    criterion.final_summary();
    Ok(())
}
