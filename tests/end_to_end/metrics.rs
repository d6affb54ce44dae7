//! The figures of real processes: a pair of trackers, a seeder, a getter and a peer that lies. Each name that is
//! exported has a row that says what must be seen of it while they work; a name without a row fails the test.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use mtorrent::wire::{Message, SendChunkRequest};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::scripted::{Scripted, answer};
use crate::support::tracker::{TrackerClient, endpoint, hash};
use crate::support::wire::{Wire, encoded};
use crate::support::{Content, DEADLINE, Folder, Running, eventually, mtorrent};

const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 32;
const LOOPBACK: &str = "--listen=127.0.0.1:0";
const METRICS: &str = "--metrics=127.0.0.1:0";

/// What must be seen of a figure, summed over its series.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// At least this much.
    AtLeast(f64),
    /// It grew while the test ran.
    Grows,
    /// It is there. Why it cannot be moved here, and which test does, stands beside the row.
    Present,
}
use Seen::{AtLeast, Grows, Present};

/// Name, process and what must be seen. A histogram counts by its number of durations.
const ROWS: &[(&str, &str, Seen)] = &[
    ("mtorrent_build_info", "getter", AtLeast(1.0)),
    ("mtorrent_uptime_seconds", "getter", Grows),
    ("process_start_time_seconds", "getter", AtLeast(1.7e9)),
    ("process_cpu_seconds_total", "getter", AtLeast(0.01)),
    ("process_open_fds", "getter", AtLeast(10.0)),
    ("process_max_fds", "getter", AtLeast(100.0)),
    ("process_threads", "getter", AtLeast(3.0)),
    ("process_resident_memory_bytes", "getter", AtLeast(1e6)),
    ("process_virtual_memory_bytes", "getter", AtLeast(1e6)),
    ("mtorrent_memory_anon_bytes", "getter", AtLeast(1e5)),
    ("mtorrent_core_delay_seconds", "getter", Grows),
    ("mtorrent_core_silence_seconds", "getter", AtLeast(0.001)),
    // A full queue of lines needs a stderr that nobody reads: `console::stderr` counts it there.
    ("mtorrent_log_lines_dropped_total", "tracker", Present),
    ("mtorrent_log_lines_suppressed_total", "tracker", AtLeast(1.0)),
    ("mtorrent_http_requests_total", "tracker", Grows),
    ("mtorrent_http_connections_refused_total", "tracker", AtLeast(1.0)),
    ("mtorrent_connections_open", "tracker", AtLeast(2.0)),
    ("mtorrent_connections_max", "tracker", AtLeast(40.0)),
    ("mtorrent_connections_refused_total", "tracker", AtLeast(1.0)),
    ("mtorrent_connections_evicted_total", "tracker", AtLeast(1.0)),
    ("mtorrent_tracker_requests_total", "tracker", AtLeast(5.0)),
    ("mtorrent_tracker_refusals_total", "tracker", AtLeast(3.0)),
    ("mtorrent_tracker_files", "tracker", AtLeast(1.0)),
    ("mtorrent_tracker_downloads", "tracker", AtLeast(1.0)),
    ("mtorrent_tracker_leases_live", "tracker", AtLeast(2.0)),
    ("mtorrent_tracker_leases_total", "short leases", AtLeast(300.0)),
    ("mtorrent_tracker_tombstones", "tracker", AtLeast(1.0)),
    ("mtorrent_tracker_table_bytes", "tracker", AtLeast(1000.0)),
    ("mtorrent_tracker_peers", "second tracker", AtLeast(1.0)),
    ("mtorrent_tracker_peer_linked", "second tracker", AtLeast(1.0)),
    ("mtorrent_tracker_peer_in_sync", "second tracker", AtLeast(1.0)),
    ("mtorrent_tracker_peer_lag_seconds", "second tracker", AtLeast(1.5)),
    // All processes of a machine have one clock: `tracker::server::links::group_members` sets it apart.
    ("mtorrent_tracker_peer_clock_skew_seconds", "second tracker", Present),
    ("mtorrent_tracker_peer_repairs_total", "second tracker", AtLeast(1.0)),
    ("mtorrent_tracker_peer_repaired_entries_total", "second tracker", AtLeast(1.0)),
    ("mtorrent_tracker_links_refused_total", "tracker", AtLeast(1.0)),
    ("mtorrent_tracker_store_commit_seconds", "tracker", AtLeast(1.0)),
    ("mtorrent_tracker_store_failures_total", "tracker", AtLeast(1.0)),
    ("mtorrent_tracker_store_entries_total", "tracker", AtLeast(3.0)),
    ("mtorrent_received_bytes_total", "getter", AtLeast((CHUNK * CHUNKS) as f64)),
    ("mtorrent_sent_bytes_total", "seeder", AtLeast((CHUNK * CHUNKS / 2) as f64)),
    ("mtorrent_torrent_received_bytes_total", "getter", AtLeast((CHUNK * CHUNKS) as f64)),
    ("mtorrent_torrent_sent_bytes_total", "seeder", AtLeast((CHUNK * CHUNKS / 2) as f64)),
    ("mtorrent_chunks_verified_total", "getter", AtLeast(CHUNKS as f64)),
    ("mtorrent_chunks_wrong_total", "getter", AtLeast(1.0)),
    // Two peers deliver one chunk only where one of them stalls for seconds; the simulator of `swarm` plays that.
    ("mtorrent_chunks_duplicate_total", "getter", Present),
    ("mtorrent_chunks_sent_total", "seeder", AtLeast((CHUNKS / 2) as f64)),
    ("mtorrent_chunks_refused_total", "seeder", AtLeast(1.0)),
    ("mtorrent_chunk_requests_total", "getter", AtLeast(CHUNKS as f64)),
    ("mtorrent_chunk_retries_total", "getter", AtLeast(1.0)),
    ("mtorrent_hash_bytes_total", "getter", AtLeast((CHUNK * CHUNKS) as f64)),
    ("mtorrent_hash_seconds_total", "getter", AtLeast(1e-6)),
    ("mtorrent_file_hash_bytes_total", "seeder", AtLeast((CHUNK * CHUNKS) as f64)),
    ("mtorrent_disk_written_bytes_total", "getter", AtLeast((CHUNK * CHUNKS) as f64)),
    ("mtorrent_disk_write_seconds_total", "getter", AtLeast(1e-6)),
    ("mtorrent_disk_read_bytes_total", "seeder", AtLeast(CHUNK as f64)),
    ("mtorrent_disk_read_seconds_total", "seeder", AtLeast(1e-9)),
    ("mtorrent_fsync_seconds", "getter", AtLeast(3.0)),
    ("mtorrent_chunk_memory_bytes", "getter", AtLeast(CHUNK as f64)),
    ("mtorrent_chunk_memory_max_bytes", "getter", AtLeast(1e7)),
    ("mtorrent_uploads_waiting", "seeder", AtLeast(1.0)),
    ("mtorrent_uploads_sending", "seeder", AtLeast(1.0)),
    ("mtorrent_rate_limit_bytes_per_second", "seeder", AtLeast((8 << 20) as f64)),
    ("mtorrent_shares", "seeder", AtLeast(1.0)),
    ("mtorrent_downloads", "getter", AtLeast(1.0)),
    ("mtorrent_download_size_bytes", "getter", AtLeast((CHUNK * CHUNKS) as f64)),
    ("mtorrent_download_done_bytes", "getter", AtLeast(CHUNK as f64)),
    ("mtorrent_download_peers", "getter", AtLeast(1.0)),
    ("mtorrent_download_time_seconds_total", "getter", AtLeast(0.1)),
    ("mtorrent_announcer_requests_total", "getter", AtLeast(1.0)),
];

/// One reading of `/metrics`: the values of each family by labels, and the names of all samples.
#[derive(Default)]
struct Scrape {
    sums: HashMap<String, f64>,
    samples: BTreeSet<String>,
    series: BTreeMap<String, f64>,
}

/// A process whose figures are read now and then.
struct Watched {
    address: SocketAddr,
    scrapes: Vec<Scrape>,
}

impl Watched {
    fn new(address: &str) -> Self {
        Self { address: address.parse().expect("IP:PORT"), scrapes: Vec::new() }
    }

    /// Reads the figures and keeps them.
    fn scrape(&mut self) -> &Scrape {
        let (status, body) = http(self.address, "/metrics", "").expect("it answers");
        assert_eq!(status, 200, "{body}");
        self.scrapes.push(parse(&body));
        self.scrapes.last().unwrap()
    }

    /// Reads the figures until one series, or the sum of a family, is at least `value`.
    #[track_caller]
    fn until(&mut self, name: &str, value: f64) {
        eventually(DEADLINE, &format!("{name} >= {value}"), || {
            let scrape = self.scrape();
            let seen = scrape.series.get(name).or(scrape.sums.get(name)).copied().unwrap_or(0.0);
            seen >= value
        });
    }

    fn has_seen(&self, name: &str, seen: Seen) -> bool {
        let values: Vec<f64> = self.scrapes.iter().filter_map(|scrape| scrape.sums.get(name).copied()).collect();
        match seen {
            AtLeast(least) => values.iter().any(|value| *value >= least),
            Grows => values.first() < values.last(),
            Present => !values.is_empty(),
        }
    }
}

/// Asks for a path; returns the status and the body. `None` if the connection fails.
fn http(address: SocketAddr, path: &str, accept: &str) -> Option<(u16, String)> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(DEADLINE)).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: collector.example\r\nAccept: {accept}\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Parses the text format 0.0.4, strictly.
fn parse(text: &str) -> Scrape {
    let (mut scrape, mut family, mut is_histogram) = (Scrape::default(), String::new(), false);
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').expect("name and kind");
            (family, is_histogram) = (name.to_owned(), kind == "histogram");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("series and value");
        let value: f64 = value.parse().expect("a number");
        let sample = series.split('{').next().unwrap();
        assert!(sample == family || (is_histogram && sample.starts_with(&family)), "{line} is in {family}");
        scrape.samples.insert(sample.to_owned());
        assert_eq!(scrape.series.insert(series.to_owned(), value), None, "{line} twice");
        if !is_histogram || sample.ends_with("_count") {
            *scrape.sums.entry(family.clone()).or_default() += value;
        }
    }
    scrape
}

/// An address at which nothing listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The world of the test.
struct World {
    folder: Folder,
    content: Content,
    watched: BTreeMap<&'static str, Watched>,
    running: Vec<Running>,
    tracker: Running,
    tracker_address: SocketAddr,
    /// Connections to the tracker that say nothing.
    idle: Vec<TcpStream>,
}

impl World {
    fn start() -> Self {
        let folder = Folder::new();
        folder.random_file("file", CHUNK * CHUNKS);
        let bytes = std::fs::read(folder.path("file")).unwrap();
        let content = Content::new("file", bytes, CHUNK as u32, &[]);
        let data_dir = format!("--data-dir={}", folder.text("tracker"));
        let flags = ["tracker", LOOPBACK, METRICS, "--cores=1", "--max-connections=40", &data_dir];
        let (tracker, ready) = Running::ready(flags);
        let watched = BTreeMap::from([("tracker", Watched::new(ready.get("metrics").expect("it is served")))]);
        let tracker_address = ready.listen();
        let idle = (0..10).map(|_| TcpStream::connect(tracker_address).unwrap()).collect();
        Self { folder, content, watched, running: Vec::new(), tracker, tracker_address, idle }
    }

    fn watch(&mut self, name: &'static str) -> &mut Watched {
        self.watched.get_mut(name).expect("it is watched")
    }

    /// Starts a process with a ready line, and watches it.
    fn run(&mut self, name: &'static str, line: &[&str]) -> SocketAddr {
        let (running, ready) = Running::ready(line);
        self.running.push(running);
        self.watched.insert(name, Watched::new(ready.get("metrics").expect("it is served")));
        self.watch(name).scrape();
        ready.listen()
    }

    /// A seeder and a peer that lies are announced; a getter gets the file from them.
    fn download(&mut self) {
        let (tracker, file, metainfo) = (
            format!("--tracker={}", self.tracker_address),
            self.folder.text("file"),
            self.folder.text("file.mtorrent"),
        );
        let seeder = self.run(
            "seeder",
            &[
                "share",
                &file,
                &metainfo,
                LOOPBACK,
                METRICS,
                &tracker,
                "--chunk-size=256KiB",
                "--cores=1",
                "--upload-limit=8MiB",
            ],
        );
        let lying = self.content.clone();
        let liar = Scripted::start(move |stream, message| match message {
            Message::SendChunkRequest(request) => stream.write_all(&lying.wrong_frame(request.index)),
            other => answer(stream, &lying, other),
        });
        let mut wire = Wire::connect(self.tracker_address);
        wire.announce(&self.content.metainfo, liar.address);
        // The chunks leave the page cache, so that they are read from the disk.
        let cached = std::fs::File::open(&file).unwrap();
        cached.sync_all().unwrap();
        rustix::fs::fadvise(&cached, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let address = free_address();
        let (copy, metrics) = (self.folder.text("copy"), format!("--metrics={address}"));
        let mut getter =
            Running::spawn(&mut mtorrent(["get", &metainfo, &copy, LOOPBACK, &metrics, "--cores=1", "--seed"]));
        eventually(DEADLINE, "the getter shows figures", || http(address.parse().unwrap(), "/health", "").is_some());
        self.watched.insert("getter", Watched::new(&address));
        self.watch("getter").until("mtorrent_download_done_bytes", CHUNK as f64);
        self.watch("getter").until("mtorrent_chunk_memory_bytes", CHUNK as f64);
        self.watch("getter").until("mtorrent_download_time_seconds_total", 0.1);
        self.watch("tracker").until("mtorrent_tracker_downloads", 1.0);
        getter.wait_line(|line| line.starts_with("done "));
        self.running.push(getter);
        self.watch("getter").until("mtorrent_downloads{state=\"done\"}", 1.0);
        wire.withdraw(&self.content.metainfo, liar.address);
        self.ask_for_too_much(seeder);
    }

    /// More requests than the seeder answers at the same time, and one for a file that it does not have.
    fn ask_for_too_much(&mut self, seeder: SocketAddr) {
        let info_hash = self.content.metainfo.info_hash();
        assert!(Wire::connect(seeder).chunk(hash(9), 0).unwrap().is_err());
        let greedy: Vec<Wire> = (0..10).map(|_| Wire::connect(seeder)).collect();
        for wire in &greedy {
            for index in 0..8 {
                let request = encoded(&Message::SendChunkRequest(SendChunkRequest::one(info_hash, index)));
                (&wire.stream).write_all(&request).unwrap();
            }
        }
        self.watch("seeder").until("mtorrent_uploads_waiting", 1.0);
        self.watch("seeder").until("mtorrent_uploads_sending", 1.0);
    }

    /// A second tracker takes the table of the first; a third one is refused, and is not ready while it tries.
    fn group(&mut self) {
        let peer = format!("--peer={}", self.tracker_address);
        self.run("second tracker", &["tracker", LOOPBACK, METRICS, "--cores=1", &peer]);
        self.watch("second tracker").until("mtorrent_tracker_peer_in_sync", 1.0);
        let address = free_address();
        let metrics = format!("--metrics={address}");
        let mut stranger =
            Running::spawn(&mut mtorrent(["tracker", LOOPBACK, &metrics, "--cores=1", "--lease=20m", &peer]));
        let address: SocketAddr = address.parse().unwrap();
        eventually(DEADLINE, "a starting tracker says so", || {
            http(address, "/ready", "").is_some_and(|(status, _)| status == 503)
        });
        assert_eq!(http(address, "/health", "").map(|(status, _)| status), Some(200));
        assert_eq!(stranger.wait_ready().get("synced"), Some("no"));
        assert_eq!(http(address, "/ready", "").map(|(status, _)| status), Some(200));
        self.watch("tracker").until("mtorrent_tracker_links_refused_total", 1.0);
    }

    /// Many leases that lapse at once, and one that is renewed before.
    fn leases(&mut self) {
        let tracker = self.run("short leases", &["tracker", LOOPBACK, METRICS, "--cores=1", "--lease=1s"]);
        let mut client = TrackerClient::new(tracker);
        (0..300).for_each(|file| _ = client.add(file, 7, None));
        std::thread::sleep(Duration::from_millis(600));
        client.add(0, 7, None);
        self.watch("short leases").until("mtorrent_tracker_leases_total{change=\"renewed\"}", 1.0);
        self.watch("short leases").until("mtorrent_tracker_leases_total{change=\"expired\"}", 1.0);
    }

    /// Requests that are refused, connections beyond the limits, and a store that cannot be written.
    fn refusals(&mut self) {
        let mut client = TrackerClient::new(self.tracker_address);
        client.remove(1, 7, None);
        client.add(1, 7, None);
        client.remove(1, 7, None);
        let foreign = mtorrent::ids::Endpoint::new([192, 0, 2, 1].into(), 7).unwrap();
        let change = mtorrent::wire::SeederChange { info_hash: hash(1), endpoint: foreign, version: None };
        client.ask(&Message::AddSeeder(change));
        for reason in ["not_found", "foreign_endpoint"] {
            self.watch("tracker").until(&format!("mtorrent_tracker_refusals_total{{reason=\"{reason}\"}}"), 1.0);
        }
        self.watch("tracker").until("mtorrent_tracker_tombstones", 1.0);
        // No byte of a file can be written any more.
        let pid = Pid::from_raw(self.tracker.id() as i32);
        prlimit(pid, Resource::Fsize, Rlimit { current: Some(0), maximum: Some(0) }).expect("it is our child");
        client.ask(&Message::AddSeeder(mtorrent::wire::SeederChange { endpoint: endpoint(8), ..change }));
        self.watch("tracker").until("mtorrent_tracker_store_failures_total", 1.0);
        client.add(2, 8, None);
        self.watch("tracker").until("mtorrent_tracker_refusals_total{reason=\"not_saved\"}", 1.0);
        let address = self.tracker_address;
        let crowd: Vec<TcpStream> = (0..60).filter_map(|_| TcpStream::connect(address).ok()).collect();
        self.watch("tracker").until("mtorrent_connections_refused_total", 1.0);
        self.watch("tracker").until("mtorrent_log_lines_suppressed_total", 1.0);
        // Those that have been idle for seconds make room for a new one.
        eventually(DEADLINE, "an idle connection is evicted", || {
            let _late = TcpStream::connect(address);
            let scrape = self.watched.get_mut("tracker").unwrap().scrape();
            scrape.sums["mtorrent_connections_evicted_total"] >= 1.0
        });
        drop((crowd, std::mem::take(&mut self.idle)));
        let address = self.watch("tracker").address;
        let crowd: Vec<TcpStream> = (0..40).filter_map(|_| TcpStream::connect(address).ok()).collect();
        // Its answer may be the refusal.
        eventually(DEADLINE, "one too many is refused", || {
            http(address, "/health", "").is_none_or(|(status, _)| status == 503)
        });
        drop(crowd);
        eventually(DEADLINE, "it answers again", || {
            http(address, "/health", "").is_some_and(|(status, _)| status == 200)
        });
        self.watch("tracker").until("mtorrent_http_connections_refused_total", 1.0);
    }
}

#[test]
fn every_figure_moves_and_the_dashboard_shows_only_what_is_there() {
    let mut world = World::start();
    world.watch("tracker").scrape();
    world.download();
    world.group();
    world.leases();
    world.refusals();
    let open = http(world.watch("seeder").address, "/metrics", "application/openmetrics-text; version=1.0.0").unwrap();
    assert!(open.1.ends_with("# EOF\n") && open.1.contains("# TYPE mtorrent_chunks_sent counter\n"), "{}", open.1);
    let World { mut watched, tracker, .. } = world;
    watched.values_mut().for_each(|watched| _ = watched.scrape());
    tracker.kill();
    watched.get_mut("second tracker").unwrap().until("mtorrent_tracker_peer_lag_seconds", 1.5);
    let mut faults = Vec::new();
    for (name, process, seen) in ROWS {
        if !watched[process].has_seen(name, *seen) {
            let values: Vec<_> = watched[process].scrapes.iter().map(|scrape| scrape.sums.get(*name)).collect();
            faults.push(format!("{name} of {process}: not {seen:?} in {values:?}"));
        }
    }
    let scrapes = || watched.values().flat_map(|watched| &watched.scrapes);
    let known: BTreeSet<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
    let exported: BTreeSet<&str> = scrapes().flat_map(|scrape| scrape.sums.keys().map(String::as_str)).collect();
    faults.extend(exported.difference(&known).map(|name| format!("{name} is exported and has no row")));
    let samples: BTreeSet<&str> = scrapes().flat_map(|scrape| scrape.samples.iter().map(String::as_str)).collect();
    let shown = names_in_dashboard();
    assert!(shown.len() > 20, "{shown:?}");
    let missing = shown.iter().filter(|name| !samples.contains(name.as_str()));
    faults.extend(missing.map(|name| format!("docs/grafana.json shows {name}, which is not exported")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The names in the queries of the dashboard.
fn names_in_dashboard() -> BTreeSet<String> {
    fn queries(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(object) => {
                found.extend(["expr", "query"].iter().filter_map(|key| object.get(*key)?.as_str().map(str::to_owned)));
                object.values().for_each(|value| queries(value, found));
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/grafana.json")).unwrap();
    let mut found = Vec::new();
    queries(&serde_json::from_str(&text).expect("JSON"), &mut found);
    let words = found.iter().flat_map(|query| query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.filter(|word| word.starts_with("mtorrent_") || word.starts_with("process_")).map(str::to_owned).collect()
}
