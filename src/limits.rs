//! Every bound of the program in one place, with checks of how they relate.
//!
//! A bound that a user may change is the default here and a flag in [`crate::cli`]. Units stand last
//! in a name.

use std::time::Duration;

// ---- the .mtorrent file ----

/// Largest `.mtorrent` file that is read, bytes.
pub const METAINFO_BYTES_MAX: usize = 8 << 20;
/// Deepest nesting of lists and dictionaries in a `.mtorrent` file.
pub const BENCODE_DEPTH_MAX: usize = 16;
/// Most values in a `.mtorrent` file.
pub const BENCODE_VALUES_MAX: usize = 65_536;
/// Smallest chunk size that is read, bytes.
pub const CHUNK_SIZE_MIN: u32 = 16 << 10;
/// Largest chunk size, bytes.
pub const CHUNK_SIZE_MAX: u32 = 16 << 20;
/// Smallest chunk size that is created, bytes.
pub const CHUNK_SIZE_CREATE_MIN: u32 = 256 << 10;
/// Chunk size of a new `.mtorrent` file while the count of chunks allows it, bytes.
pub const CHUNK_SIZE_DEFAULT: u32 = 1 << 20;
/// Most chunks that a created file may have; its chunk size is doubled until it fits.
pub const CHUNKS_CREATE_MAX: u32 = 262_144;
/// Most chunks that a file may have: what fits into `METAINFO_BYTES_MAX` of 20-byte hashes.
pub const CHUNKS_MAX: u32 = (METAINFO_BYTES_MAX / 20) as u32;
/// Longest file name, bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;
/// Most trackers in a `.mtorrent` file or on a command line.
pub const TRACKERS_MAX: usize = 64;

// ---- the wire ----

/// Longest message type, bytes.
pub const TYPE_BYTES_MAX: usize = 32;
/// Largest control frame, bytes.
pub const FRAME_CONTROL_BYTES_MAX: usize = 64 << 10;
/// What a data frame may hold beyond its chunk, bytes.
pub const FRAME_DATA_EXTRA_BYTES_MAX: usize = 256;
/// Largest page of sync, bytes.
pub const FRAME_SYNC_BYTES_MAX: usize = 1 << 20;
/// Most arguments in a control frame.
pub const ARGUMENTS_MAX: usize = 4096;
/// Longest text in a Response, bytes.
pub const RESPONSE_TEXT_BYTES_MAX: usize = 1024;
/// Most chunk indices in one HaveChunks.
pub const HAVE_CHUNKS_MAX: usize = 8192;
/// Largest part of a chunk's data that may be copied because it came with the header, bytes.
pub const DATA_COPIED_BYTES_MAX: usize = 4 << 10;

// ---- connections ----

/// Wait for a TCP connection before the other side counts as silent.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Wait for an answer to a control request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Time that a started frame may take to arrive in whole.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that a connection may stay without a request.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Connections that a listener serves at once.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Connections that a listener serves at once for one address (loopback is exempt).
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 1024;
/// Backlog of a listening socket.
pub const LISTEN_BACKLOG: i32 = 4096;

// ---- the client ----

/// Data connections to one peer, shared out over the cores (each core that takes part has one at least).
pub const DATA_CONNECTIONS_PER_PEER_MAX: usize = 4;
/// Data connections of one client.
pub const DATA_CONNECTIONS_MAX: usize = 512;
/// Peers that one download talks to at once.
pub const PEERS_PER_DOWNLOAD_MAX: usize = 128;
/// Requests in flight on one data connection.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 4;
/// Time without one byte after which a data connection is given up.
pub const DATA_SILENCE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bad chunks from one peer until it is banned for the file.
pub const BAD_CHUNKS_UNTIL_BAN: u32 = 2;
/// Pause of a peer after its first bad chunk.
pub const BAD_CHUNK_PAUSE: Duration = Duration::from_secs(10);
/// How often a peer without subscriptions is asked for its chunks.
pub const POLL_CHUNKS_INTERVAL: Duration = Duration::from_secs(1);
/// How often news of chunks are sent to a subscriber.
pub const HAVE_CHUNKS_INTERVAL: Duration = Duration::from_millis(20);
/// Executors unless the user says otherwise.
pub const CORES_DEFAULT_MAX: usize = 8;
/// Largest unit of disk I/O and of a buffer, bytes.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Buffers of chunks on their way from socket to disk, all cores together, bytes.
pub const BUFFER_BYTES_MAX: usize = 96 << 20;
/// Received chunks kept in memory to be served, all cores together, bytes.
pub const CACHE_BYTES_DEFAULT: usize = 96 << 20;
/// Bytes written after which the record is brought up to date.
pub const COMMIT_BYTES: u64 = 256 << 20;
/// Time after which the record is brought up to date.
pub const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// How often a seeded file is checked for change.
pub const SEED_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Downloads and shares of one client.
pub const TORRENTS_MAX: usize = 4096;

// ---- the tracker ----

/// Life of a seeder entry unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(15 * 60);
/// Most endpoints in one answer.
pub const ANSWER_ENDPOINTS_MAX: usize = 50;
/// Most endpoints that one file may have.
pub const ENDPOINTS_PER_FILE_MAX: usize = 10_000;
/// Most files and most connections that one address may have.
pub const FILES_PER_ADDRESS_MAX: usize = 1024;

// ---- hashing ----

/// Most chunks that are hashed side by side: the lanes of the widest kernel.
pub const HASH_LANES_MAX: usize = 16;
/// Buffer of one worker that hashes a file, bytes; there are two workers a thread.
pub const HASH_BUFFER_BYTES: usize = 16 << 20;
/// What is read of a cached chunk before it is hashed, bytes: all lanes' slices stay in a core's cache.
pub const HASH_CACHED_SLICE_BYTES: usize = 32 << 10;
/// What is read of a chunk that is not cached, bytes, at most: one read should keep a disk busy.
pub const HASH_COLD_SLICE_BYTES: usize = 4 << 20;
/// How far apart the pages are that tell whether a file is cached, bytes.
pub const HASH_PROBE_STRIDE_BYTES: usize = 1 << 20;
/// Bytes a lane by which a kernel is timed.
pub const HASH_CALIBRATION_BYTES: usize = 2 << 10;
/// How often a kernel is timed; the best time counts.
pub const HASH_CALIBRATION_ROUNDS: usize = 16;

// ---- how they relate ----

const _: () = {
    assert!(CHUNK_SIZE_MIN.is_power_of_two() && CHUNK_SIZE_MAX.is_power_of_two());
    assert!(CHUNK_SIZE_MIN <= CHUNK_SIZE_CREATE_MIN && CHUNK_SIZE_CREATE_MIN <= CHUNK_SIZE_DEFAULT);
    assert!(CHUNK_SIZE_DEFAULT <= CHUNK_SIZE_MAX);
    // A bitfield of the largest file fits into a control frame, with room for the other arguments.
    assert!(CHUNKS_MAX as usize / 8 + 256 <= FRAME_CONTROL_BYTES_MAX);
    assert!(CHUNKS_CREATE_MAX <= CHUNKS_MAX);
    assert!(HAVE_CHUNKS_MAX * 4 + 256 <= FRAME_CONTROL_BYTES_MAX);
    assert!(ANSWER_ENDPOINTS_MAX * 22 + 256 <= FRAME_CONTROL_BYTES_MAX);
    assert!(ANSWER_ENDPOINTS_MAX + 2 <= ARGUMENTS_MAX);
    assert!(RESPONSE_TEXT_BYTES_MAX + 256 <= FRAME_CONTROL_BYTES_MAX);
    // One chunk of the largest size always finds its buffers.
    assert!(BUFFER_BYTES_MAX >= 2 * CHUNK_SIZE_MAX as usize);
    assert!(BLOCK_BYTES.is_multiple_of(4096));
    // Slices cut every chunk evenly, and those of all lanes fit into a worker's buffer.
    assert!(HASH_CACHED_SLICE_BYTES.is_power_of_two() && HASH_COLD_SLICE_BYTES.is_power_of_two());
    assert!(HASH_LANES_MAX * HASH_CACHED_SLICE_BYTES <= HASH_BUFFER_BYTES);
    assert!(HASH_BUFFER_BYTES.is_multiple_of(HASH_COLD_SLICE_BYTES));
};
