//! The names of all figures, each with its kind and help. docs/metrics.md is checked against this table.
//!
//! Names follow the conventions of Prometheus: base units as the last word, and `_total` after every counter, which the
//! encoder appends. The names `process_...` are those that its own client libraries use.

/// The kind of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, from the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

/// A figure with its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Family {
    /// The name; without `_total`, which the encoder appends to a counter's.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

const fn histogram(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, help }
}

/// All figures, in the order in which they are written.
pub(super) const FAMILIES: &[Family] = &[
    // Every process.
    gauge("mtorrent_build_info", "Always 1: version is that of the program, role is tracker, client, or starting."),
    gauge("mtorrent_uptime_seconds", "Time since the process started."),
    gauge("process_start_time_seconds", "Start of the process, as Unix time."),
    counter("process_cpu_seconds", "User and system CPU time of the process."),
    gauge("process_open_fds", "Open file descriptors."),
    gauge("process_max_fds", "Most file descriptors that the process may open."),
    gauge("process_threads", "Threads of the process."),
    gauge("process_resident_memory_bytes", "Resident memory, with the pages of mapped files."),
    gauge("process_virtual_memory_bytes", "Virtual memory."),
    gauge("mtorrent_memory_anon_bytes", "Resident memory without the pages of files."),
    histogram(
        "mtorrent_core_delay_seconds",
        "Delay of a timer of each core, ten times a second: the core was stalled for so long.",
    ),
    gauge("mtorrent_core_silence_seconds", "Time since the core last ran its timer; /health fails above 5 s."),
    counter("mtorrent_log_lines_dropped", "Lines of the log that were lost because stderr was not read fast enough."),
    counter(
        "mtorrent_log_lines_suppressed",
        "Lines of the log that were left out because their place or address logs too many.",
    ),
    counter("mtorrent_http_requests", "Requests to this address that were answered."),
    counter(
        "mtorrent_http_connections_refused",
        "Connections to this address that were refused because there were too many.",
    ),
    // Tracker and client.
    gauge("mtorrent_connections_open", "Open incoming connections."),
    gauge("mtorrent_connections_max", "Most incoming connections."),
    counter("mtorrent_connections_refused", "Incoming connections that were refused because there were too many."),
    counter("mtorrent_connections_evicted", "Idle incoming connections that were closed to make room."),
    // The tracker.
    counter("mtorrent_tracker_requests", "Requests answered, by type and status."),
    counter("mtorrent_tracker_refusals", "Requests refused, by reason: the limit that was reached, or what was wrong."),
    gauge("mtorrent_tracker_files", "Files with any entry."),
    gauge("mtorrent_tracker_downloads", "Downloads that clients report as running."),
    gauge("mtorrent_tracker_leases_live", "Leases of seeders that have not ended."),
    counter(
        "mtorrent_tracker_leases",
        "Changes of leases: granted, renewed and removed by clients here, expired in this table.",
    ),
    gauge(
        "mtorrent_tracker_tombstones",
        "Records of removals that are kept until no tracker can bring the entry back.",
    ),
    gauge("mtorrent_tracker_table_bytes", "Memory of the table."),
    gauge("mtorrent_tracker_peers", "Other trackers of the group."),
    gauge("mtorrent_tracker_peer_linked", "Whether all cores are linked to the other tracker."),
    gauge(
        "mtorrent_tracker_peer_in_sync",
        "Whether all cores are linked to the other tracker and have repaired from it.",
    ),
    gauge(
        "mtorrent_tracker_peer_lag_seconds",
        "Time since the other tracker had acknowledged all that this one had for it; none before the first time.",
    ),
    gauge("mtorrent_tracker_peer_clock_skew_seconds", "Lead of the other tracker's clock."),
    counter("mtorrent_tracker_peer_repairs", "Repairs from the other tracker that ended."),
    counter(
        "mtorrent_tracker_peer_repaired_entries",
        "Entries that were missing here and came with repairs from the other tracker.",
    ),
    counter(
        "mtorrent_tracker_links_refused",
        "Links of other trackers that were refused: the key, the lease or the protocol differs.",
    ),
    histogram("mtorrent_tracker_store_commit_seconds", "Commits of the store, which acknowledgements wait for."),
    counter(
        "mtorrent_tracker_store_failures",
        "Commits of the store that failed; changes are refused until one succeeds.",
    ),
    counter("mtorrent_tracker_store_entries", "Entries that the store wrote or removed."),
    // The client.
    counter("mtorrent_received_bytes", "Bytes of chunks that arrived, used or not, by the class of the peer."),
    counter("mtorrent_sent_bytes", "Bytes of chunks sent, by the class of the peer."),
    counter("mtorrent_torrent_received_bytes", "Verified bytes received, by file and class of the peer."),
    counter("mtorrent_torrent_sent_bytes", "Bytes sent, by file and class of the peer."),
    counter("mtorrent_chunks_verified", "Received chunks that matched their hash."),
    counter("mtorrent_chunks_wrong", "Received chunks that did not match their hash."),
    counter("mtorrent_chunks_duplicate", "Received chunks that another peer had delivered before."),
    counter("mtorrent_chunks_sent", "Chunks sent."),
    counter("mtorrent_chunks_refused", "Requests of peers for a chunk that were refused."),
    counter("mtorrent_chunk_requests", "Requests for chunks sent to peers."),
    counter(
        "mtorrent_chunk_retries",
        "Requests that ended without their chunk: it was wrong or refused, or the connection broke.",
    ),
    counter("mtorrent_hash_bytes", "Bytes of received chunks that were hashed."),
    counter("mtorrent_hash_seconds", "Time in which the cores hashed them."),
    counter(
        "mtorrent_file_hash_bytes",
        "Bytes of files of this machine that were hashed: to share, verify or resume them.",
    ),
    counter("mtorrent_disk_written_bytes", "Bytes of chunks written."),
    counter("mtorrent_disk_write_seconds", "Time of these writes, summed over those that overlap."),
    counter("mtorrent_disk_read_bytes", "Bytes of chunks that were loaded from the disk to be sent."),
    counter("mtorrent_disk_read_seconds", "Time of these reads, summed over those that overlap."),
    histogram("mtorrent_fsync_seconds", "Syncs: of received data, of a download's record, of the finished file."),
    gauge("mtorrent_chunk_memory_bytes", "Memory of chunks in flight and of those kept to be sent."),
    gauge("mtorrent_chunk_memory_max_bytes", "Most such memory."),
    gauge("mtorrent_uploads_waiting", "Requests of peers for a chunk that wait."),
    gauge("mtorrent_uploads_sending", "Chunks that are being sent."),
    gauge("mtorrent_rate_limit_bytes_per_second", "Rate limit by direction; none without a limit."),
    gauge("mtorrent_shares", "Shares by state."),
    gauge("mtorrent_downloads", "Downloads of this run by state."),
    gauge("mtorrent_download_size_bytes", "Length of the file of a download that has not ended."),
    gauge("mtorrent_download_done_bytes", "Bytes of it that are verified and written."),
    gauge("mtorrent_download_peers", "Peers of a download that has not ended, by state: connected, away, banned."),
    counter(
        "mtorrent_download_time_seconds",
        "Time of a download by what it waited for: full_rate is nothing, else peers, first_copies, uplinks, disk.",
    ),
    counter(
        "mtorrent_announcer_requests",
        "Requests to trackers, by result: answered by one, or failed at all of them.",
    ),
];

/// The family of this name.
pub(super) fn find(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}
