//! Every bound of the program in one place, with checks of how they relate.
//!
//! The bounds that a user may change are defaults here and flags in [`crate::cli`]. The unit is the last word of a
//! name.

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
/// Largest chunk size that is read, bytes.
pub const CHUNK_SIZE_READ_MAX: u32 = 256 << 20;
/// Largest chunk size that is created and transferred, bytes.
pub const CHUNK_SIZE_MAX: u32 = 16 << 20;
/// Smallest chunk size that is created, bytes.
pub const CHUNK_SIZE_CREATE_MIN: u32 = 256 << 10;
/// Chunk size of a new `.mtorrent` file while the count of chunks allows it, bytes.
pub const CHUNK_SIZE_DEFAULT: u32 = 1 << 20;
/// Most chunks of a created file; its chunk size is doubled until it fits.
pub const CHUNKS_CREATE_MAX: u32 = 262_144;
/// Fewest chunks of a created file: its chunk size is halved while it has fewer.
pub const CHUNKS_CREATE_MIN: u64 = 1024;
/// Most chunks that a file may have: as many 20-byte hashes as fit into `METAINFO_BYTES_MAX`.
pub const CHUNKS_MAX: u32 = (METAINFO_BYTES_MAX / 20) as u32;
/// Symbolic links followed in one path, as in the kernel.
pub const LINKS_FOLLOWED_MAX: usize = 40;
/// Longest file name, bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;
/// Most trackers in a `.mtorrent` file or on a command line.
pub const TRACKERS_MAX: usize = 64;

// ---- the wire ----

/// Longest message type, bytes.
pub const TYPE_BYTES_MAX: usize = 32;
/// Largest control frame, bytes.
pub const FRAME_CONTROL_BYTES_MAX: usize = 64 << 10;
/// Bytes of a data frame beyond its chunk, at most.
pub const FRAME_DATA_EXTRA_BYTES_MAX: usize = 256;
/// Largest page of sync, bytes.
pub const FRAME_SYNC_BYTES_MAX: usize = 1 << 20;
/// Most arguments in a control frame.
pub const ARGUMENTS_MAX: usize = 4096;
/// Longest text in a Response, bytes.
pub const RESPONSE_TEXT_BYTES_MAX: usize = 1024;
/// Most chunk indices in one HaveChunks.
pub const HAVE_CHUNKS_MAX: usize = 8192;
/// Largest part of a chunk's data that may be copied because it arrived with the header, bytes.
pub const DATA_COPIED_BYTES_MAX: usize = 4 << 10;

// ---- connections ----

/// Time limit of a TCP connection attempt.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit of a reply to a control request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Time within which a started frame must arrive completely.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that a connection may stay without a request.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Connections that a listener serves at once.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Connections that a listener serves at once for one address (loopback is exempt).
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 1024;
/// Multiple of that limit for an IPv6 network of 64 bits, all of whose addresses one host, or a whole site, may have.
pub const CONNECTIONS_PER_NETWORK_FACTOR: usize = 4;
/// Idle time after which a connection may be closed to make room for another.
pub const EVICTED_AFTER: Duration = Duration::from_secs(5);
/// Connections of one address that are checked to find the one that was idle for longest.
pub const EVICTION_PROBES_MAX: usize = 1024;
/// Refusals that are sent at the same time; further connections over a limit are closed without one.
pub const REFUSALS_MAX: usize = 64;
/// Time that a refused connection has to read the refusal.
pub const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections accepted in a row before the listener sleeps for [`FLOOD_PAUSE`].
pub const ACCEPTS_IN_A_ROW_MAX: usize = 64;
/// Backlog of a listening socket.
pub const LISTEN_BACKLOG: i32 = 4096;

/// Connections accepted and not yet taken by their core.
pub const ACCEPTED_MAX: usize = 1024;
/// Reads of one connection, each of which fills its buffer, before it sleeps for [`FLOOD_PAUSE`].
pub const READS_IN_A_ROW_MAX: usize = 16;
/// Sleep of a task that has used its share in a row, so that files, timers and other sockets of its core are served.
pub const FLOOD_PAUSE: Duration = Duration::from_micros(50);
/// Bytes that one sendfile call sends before the other tasks of the core run.
pub const SEND_FILE_STEP_BYTES: usize = 1 << 20;
/// Bytes that are written through the stream, whose writes wait for room, when sendfile finds the socket full.
pub const SEND_WAIT_BYTES: usize = 4 << 10;
/// Interval at which the time limits of connections are checked, and thus their precision.
pub const WATCHDOG_TICK: Duration = Duration::from_millis(250);
/// Time for which fewer bytes than the receive low-water mark may stay unread: a slow sender must not look silent.
pub const LOW_WATER_PATIENCE: Duration = Duration::from_millis(750);
/// Longest round-trip time of a near peer, whose connection is not paced.
pub const NEAR_RTT_MAX: Duration = Duration::from_millis(1);
/// Ready sockets that a core takes from the kernel in one call.
pub const READY_SOCKETS_MAX: usize = 1024;
/// Addresses of one name that are tried.
pub const ADDRESSES_PER_NAME_MAX: usize = 8;
/// Receive buffer of a connection, unless a larger frame is arriving, bytes.
pub const BUFFER_SMALL_BYTES: usize = 4 << 10;
/// Bytes of a frame beyond its payload, at most: magics, sizes and the longest type.
pub const FRAME_OVERHEAD_BYTES_MAX: usize = 4 + 4 + TYPE_BYTES_MAX + 4 + 4;
/// Free small buffers that a core keeps.
pub const POOL_SMALL_BUFFERS_MAX: usize = 1024;
/// Free large buffers that a core keeps.
pub const POOL_LARGE_BUFFERS_MAX: usize = 32;

/// Duration of one booking under a rate limit: short enough to be fair, long enough to be cheap.
pub const THROTTLE_STEP: Duration = Duration::from_millis(4);
/// Fewest bytes of one booking: fewer would need more system calls than the smoother rate is worth.
pub const THROTTLE_STEP_BYTES_MIN: usize = 4 << 10;
/// Most bytes of one booking.
pub const THROTTLE_STEP_BYTES_MAX: usize = 1 << 20;
/// Unused time under a rate limit that may be made up for: the delay with which a busy core wakes a task.
pub const THROTTLE_CATCH_UP: Duration = Duration::from_millis(40);
/// Longest sleep of a connection that waits for its booking, so that a changed limit takes effect soon.
pub const THROTTLE_SLEEP_MAX: Duration = Duration::from_millis(100);
/// Smallest rate limit, bytes a second: below it even replies to control frames are late.
pub const RATE_LIMIT_BYTES_S_MIN: u64 = 1 << 10;

// ---- the runtime ----

/// Stack of a core's thread, bytes of address space; a core of an unoptimized ARM64 build has used more than 2 MiB.
pub const CORE_STACK_BYTES: usize = 4 << 20;
/// Registered I/O memory of one ring, bytes. It is small because chunk buffers come from the heap, and an executor pins
/// three times as much, for its three rings.
pub const RING_MEMORY_BYTES: usize = 64 << 10;
/// Entries of an executor's submission queue.
pub const RING_DEPTH: usize = 256;
/// Minimum of locked memory with which glommio starts, bytes.
pub const LOCKED_MEMORY_BYTES_MIN: u64 = 512 << 10;
/// Without io_uring: interval at which a core whose tasks are busy polls for socket events.
pub const EVENT_POLL_INTERVAL: Duration = Duration::from_micros(100);
/// Without io_uring: time after which the runnable tasks of a core wait until it has polled events and timers.
pub const TURN_TIME_MAX: Duration = Duration::from_micros(500);
/// Without io_uring: tasks that are polled before the clock is read again.
pub const TASKS_BETWEEN_CLOCKS: usize = 16;
/// Threads that must remain available to the process when all cores run, for the pools of blocking work.
pub const SPARE_THREADS: usize = 4;
/// Threads that must remain available in addition for each core, because its rings have workers in the kernel.
pub const SPARE_THREADS_PER_CORE: usize = 2;
/// Number of open files up to which the soft limit is raised.
pub const OPEN_FILES_RAISED_MAX: u64 = 1 << 20;
/// Address space of the program with its threads' stacks, bytes.
pub const ADDRESS_SPACE_BYTES_PROGRAM: u64 = 384 << 20;
/// Address space of a core with its buffers, bytes.
pub const ADDRESS_SPACE_BYTES_PER_CORE: u64 = 192 << 20;
/// Descriptors that a core uses: rings, events, its sets of sockets, and its file of a download.
pub const DESCRIPTORS_PER_CORE: usize = 12;
/// Descriptors that the program uses in addition: standard streams, signals, listener, a file with its record and its
/// folder, and the first few connections.
pub const DESCRIPTORS_PROGRAM: usize = 24;
/// Descriptors reserved for files and outgoing connections, at least.
pub const DESCRIPTORS_RESERVED: usize = 32;
/// Divisor: this part of the remaining descriptors is reserved where that is more.
pub const DESCRIPTORS_RESERVED_SHARE: u64 = 3;

/// Interval at which the load of the cores is measured while a download runs.
pub const LOAD_INTERVAL: Duration = Duration::from_millis(500);
/// Threads that measure the load.
pub const LOAD_THREADS: usize = 1;
/// Idle time after which a thread for blocking work ends.
pub const BLOCKING_IDLE: Duration = Duration::from_secs(10);
/// Jobs of one device that wait for a thread: at least as many as a client has downloads.
pub const BLOCKING_JOBS_MAX: usize = 8192;
/// Threads that make files durable, in all.
pub const DURABLE_THREADS: usize = 64;
/// Threads that make files of one device durable, so that a device that hangs leaves threads for others.
pub const DURABLE_THREADS_PER_DEVICE: usize = 4;
/// Threads that write chunks where io_uring does not, in all.
pub const WRITE_THREADS: usize = 64;
/// Threads that write chunks to one device: its queue depth.
pub const WRITE_THREADS_PER_DEVICE: usize = 8;
/// Threads that fetch cold pages, in all.
pub const COLD_THREADS: usize = 64;
/// Threads that fetch cold pages of one device, so that a device that hangs leaves threads for others.
pub const COLD_THREADS_PER_DEVICE: usize = 4;
/// Cold reads of one device that wait for a thread; further ones are refused as Busy.
pub const COLD_JOBS_PER_DEVICE_MAX: usize = 128;
/// Cold reads of one file, running ones included, so that the other files of its device are served too.
pub const COLD_JOBS_PER_FILE_MAX: usize = 64;
/// Threads that check whether files have changed, in all.
pub const CHECK_THREADS: usize = 64;
/// Threads that check the files of one device: a second one would wait for the same result.
pub const CHECK_THREADS_PER_DEVICE: usize = 1;
/// Threads that save the lists of shares and downloads.
pub const STATE_THREADS: usize = 1;
/// Messages in one channel between two cores; further ones wait in the sender's outbox.
pub const MESH_MESSAGES_MAX: usize = 1024;

/// Smallest block of the C library's heap whose freeing counts towards [`HEAP_TRIMMED_BYTES_MIN`], bytes.
pub const HEAP_COUNTED_BYTES_MIN: usize = 4 << 10;
/// Bytes freed in such blocks after which the heap's free pages are returned to the system.
pub const HEAP_TRIMMED_BYTES_MIN: usize = 16 << 20;
/// Free memory that the heap keeps at its end, and size from which a block has a mapping of its own, bytes.
pub const HEAP_KEPT_BYTES_MAX: i32 = 1 << 20;

// ---- hashing ----

/// Bytes hashed before the other tasks of the core run.
pub const HASH_STEP_BYTES: usize = 1 << 20;
/// Wait for further chunks before fewer are hashed than the CPU hashes at once.
pub const HASH_GATHER_PAUSE: Duration = Duration::from_millis(2);
/// Chunks hashed side by side: the lanes of the widest kernel.
pub const HASH_LANES_MAX: usize = 16;
/// Buffer of one worker that hashes a file, bytes; there are two workers a thread.
pub const HASH_BUFFER_BYTES: usize = 16 << 20;
/// Bytes read of a cached chunk before they are hashed, so that all lanes' slices stay in a core's cache.
pub const HASH_CACHED_SLICE_BYTES: usize = 64 << 10;
/// Most bytes read at once of a chunk that is not cached: one read should keep a disk busy.
pub const HASH_COLD_SLICE_BYTES: usize = 4 << 20;
/// Distance between the pages that are probed to determine whether a file is cached, bytes.
pub const HASH_PROBE_STRIDE_BYTES: usize = 1 << 20;
/// Bytes of each lane over which a kernel is timed.
pub const HASH_CALIBRATION_BYTES: usize = 2 << 10;
/// Number of times that a kernel is timed; the best time counts.
pub const HASH_CALIBRATION_ROUNDS: usize = 16;

// ---- storage ----

/// Largest unit of disk I/O and of a buffer, bytes.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Buffers on each core for chunks in flight from socket to disk, bytes.
pub const FLIGHT_BYTES_PER_CORE_MAX: usize = 48 << 20;
/// Divisor: chunks of limited peers (slow or unproven) may use this part of the flight buffers, on top of them.
pub const LIMITED_SHARE_OF_FLIGHT: usize = 2;
/// Divisor: the part of the control group's memory that chunks may use; the rest is for pages that are sent and
/// written.
pub const CHUNK_MEMORY_SHARE_OF_ALLOWED: usize = 2;
/// Chunks for which a core has memory at least: one of a proven peer and one of another peer.
pub const CHUNKS_PER_CORE_MIN: usize = 2;
/// Blocks that a core writes at the same time.
pub const WRITING_BLOCKS_MAX: u64 = 32;
/// Received chunks kept in memory to be served, all cores together, bytes.
pub const CACHE_BYTES_DEFAULT: usize = 96 << 20;
/// Longest time that a received chunk is kept in memory to be served.
pub const CACHE_TIME: Duration = Duration::from_secs(10);
/// Intervals of [`MEMORY_TRIM_INTERVAL`] that a chunk stays in the cache without a request.
pub const CACHE_IDLE_INTERVALS: u32 = 1;
/// Chunks of one core lent to other cores at the same time.
pub const LOANS_MAX: usize = 16;
/// Interval at which memory that was not needed since is freed.
pub const MEMORY_TRIM_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes written after which the record of a download is updated.
pub const COMMIT_BYTES: u64 = 256 << 20;
/// Time after which the record of a download is updated.
pub const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

// ---- the client ----

/// Data connections to one peer, over all cores.
pub const DATA_CONNECTIONS_PER_PEER_MAX: usize = 4;
/// Data connections of one client, shared out evenly among its downloads.
pub const DATA_CONNECTIONS_MAX: usize = 512;
/// Peers to which one download is connected at the same time.
pub const PEERS_PER_DOWNLOAD_MAX: usize = 192;
/// Peers that one download remembers, including those to which it is not connected.
pub const PEERS_KNOWN_MAX: usize = 1024;
/// Requests in flight on one data connection.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 4;
/// Time without one byte in the middle of a chunk after which a data connection is closed. Long before that, the chunk
/// is requested from other peers, if there are any.
pub const DATA_SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Fewest bytes that wake a core which waits for a chunk's data.
pub const RECEIVE_LOW_WATER_BYTES: usize = 256 << 10;
/// Pause after a failed data connection before the next one to the same peer.
pub const DATA_CONNECTION_RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Reports of the shards that a driver handles before it checks its other work.
pub const REPORTS_AT_ONCE_MAX: usize = 256;
/// Time for which a download that has received data waits while all its sources are gone.
pub const STALL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// Time without a byte after which a download with peers is shown as stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(2);
/// Interval at which the rates of peers that receive are measured.
pub const RATE_SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// Time for which a plain thread waits for what core 0 shows of itself.
pub const SNAPSHOT_WAIT: Duration = Duration::from_secs(2);
/// Most rows that a list of peers has.
pub const PEER_ROWS_MAX: usize = 4096;
/// Most completions of a word that are listed.
pub const COMPLETIONS_MAX: usize = 1000;
/// Most cells of a chunk map.
pub const CHUNK_CELLS_MAX: usize = 4096;
/// Cells of a chunk map in an answer.
pub const CHUNK_CELLS_DEFAULT: usize = 64;
/// Time over which the cause is judged for which a download waits.
pub const WHY_WINDOW: Duration = Duration::from_secs(2);
/// Time over which the most frequent cause is shown, so that it does not flicker.
pub const WHY_MAJORITY: Duration = Duration::from_secs(5);
/// Samples that a download keeps to judge that cause.
pub const WHY_SAMPLES_MAX: usize = 64;
/// Round trips to a tracker that a download keeps.
pub const TRACKER_DELAYS_KEPT_MAX: usize = 3;
/// Time without a verified chunk after which a running download reports the cause.
pub const NO_PROGRESS_AFTER: Duration = Duration::from_secs(10);
/// Interval at which it is reported again while the cause stays the same.
pub const NO_PROGRESS_INTERVAL: Duration = Duration::from_secs(60);
/// Interval at which a driver checks its download without an event.
pub const DRIVER_TICK: Duration = Duration::from_millis(250);
/// Divisor: a download queries for seeders again after this part of its running time.
pub const DISCOVER_PARTS: u32 = 8;
/// Shortest pause between two queries for seeders.
pub const DISCOVER_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Pause between two such queries while no peer is connected.
pub const DISCOVER_PAUSE_LONELY: Duration = Duration::from_millis(250);
/// Longest such pause.
pub const DISCOVER_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Consecutive failed connections after which a peer is forgotten until a tracker lists it again.
pub const FAILURES_UNTIL_FORGOTTEN: u32 = 6;
/// Bad chunks from one peer after which it is banned for the file.
pub const BAD_CHUNKS_UNTIL_BAN: u32 = 2;
/// Pause of a peer after its first bad chunk.
pub const BAD_CHUNK_PAUSE: Duration = Duration::from_secs(2);
/// Pause before a broken connection is retried; it doubles with every failure.
pub const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest such pause.
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Chunks that are checked, rarest first, before all chunks of a peer are searched.
pub const PICKER_PROBES_MAX: usize = 256;
/// Chunks that one request names, of which one is sent.
pub const REQUEST_CHUNKS_MAX: usize = 16;
/// Requests outstanding with one peer, on all its connections.
pub const REQUESTS_PER_PEER_MAX: usize = DATA_CONNECTIONS_PER_PEER_MAX * REQUESTS_IN_FLIGHT_MAX;
/// Time beyond its round trip for which a peer has requests queued, so that it is never without one.
pub const REQUEST_AHEAD: Duration = Duration::from_millis(20);
/// Requests outstanding with peers that send nothing at the moment.
pub const REQUESTS_OPEN_MAX: usize = 6;
/// Chunks that should arrive at the same time, initially.
pub const INFLOW_START: usize = 3;
/// Additional chunks that may arrive while the rate is lower than before.
pub const INFLOW_EXTRA: usize = 1;
/// Interval between two trials whether more chunks at the same time increase the rate.
pub const INFLOW_PROBE_INTERVAL: Duration = Duration::from_millis(750);
/// Most recently received chunks by which the current rate is estimated.
pub const INFLOW_SAMPLES_MAX: usize = 12;
/// Failed trials after which the pause before the next one stops growing; it doubles with each.
pub const INFLOW_FAILURES_MAX: u32 = 4;
/// Requests that name the same chunk when no other chunk is left to name.
pub const NAMED_AT_THE_END_MAX: u8 = 3;
/// Minimum age from which a request without a reply, or a chunk in flight, counts as late.
pub const LATE_AFTER_MIN: Duration = Duration::from_secs(2);
/// Time without a byte after which an arriving chunk counts as stalled.
pub const STILL_AFTER: Duration = Duration::from_secs(3);
/// Pause after a peer reported that it is busy, at first and at most.
pub const BUSY_PAUSE_MIN: Duration = Duration::from_millis(50);
/// See [`BUSY_PAUSE_MIN`].
pub const BUSY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Requests that wait in a process for a reply.
pub const REQUESTS_WAITING_MAX: usize = 4096;
/// Requests of one address that wait in a process.
pub const REQUESTS_WAITING_PER_ADDRESS_MAX: usize = 512;
/// Chunks of complete files that a process sends at the same time. They keep its uplink busy although some of the
/// getters receive from other peers as well.
pub const UPLOADS_OF_SEEDER_MAX: usize = 6;
/// The same limit for files that are still being downloaded.
pub const UPLOADS_OF_GETTER_MAX: usize = 5;
/// Chunks that a process sends at the same time to getters that are much slower than most, so that they delay no
/// others.
pub const UPLOADS_TO_SLOW_MAX: usize = 2;
/// Chunks that a process sends at the same time, including those too slow to count towards the limits above.
pub const UPLOADS_MAX: usize = 1024;
/// Multiple of the usual time of a transfer after which a chunk in flight no longer counts.
pub const SEND_OVERDUE_RATIO: u32 = 4;
/// Minimum of that time.
pub const SEND_OVERDUE_MIN: Duration = Duration::from_secs(2);
/// Interval at which transfers are checked for being overdue.
pub const SEND_OVERDUE_TICK: Duration = Duration::from_millis(500);
/// Requests of one connection that are read while one of them waits for its slot.
pub const REQUESTS_READ_AHEAD_MAX: usize = 64;
/// Longest time that a request may wait for its slot.
pub const TURN_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// Time within which bytes that are queued in a socket, and not transmitted for the first time, should be sent, so that
/// little is queued before the next chunk.
pub const UNSENT_TIME: Duration = Duration::from_millis(5);
/// The same limit in bytes: before the rate of a connection is known, at least, and at most.
pub const UNSENT_BYTES_START: u32 = 256 << 10;
/// See [`UNSENT_BYTES_START`].
pub const UNSENT_BYTES_MIN: u32 = 32 << 10;
/// See [`UNSENT_BYTES_START`].
pub const UNSENT_BYTES_MAX: u32 = 4 << 20;
/// Number of later requests that may overtake a request before it is served next.
pub const PASSED_OVER_MAX: u32 = 64;
/// Consecutive messages without news after which a peer counts as misbehaving: polls and pings report as much.
pub const REDUNDANT_MESSAGES_MAX: u32 = 256;
/// Interval at which a peer without subscriptions is polled for its chunks.
pub const POLL_CHUNKS_INTERVAL: Duration = Duration::from_secs(1);
/// Subscribers that are notified of a new chunk at once; the others follow within [`HAVE_CHUNKS_LAZY_INTERVAL`]. Only
/// few of them will request it from this peer, and each message takes as much CPU on both sides as some 50 KiB of data.
pub const HAVE_CHUNKS_PROMPT_MAX: usize = 6;
/// See [`HAVE_CHUNKS_PROMPT_MAX`].
pub const HAVE_CHUNKS_LAZY_INTERVAL: Duration = Duration::from_millis(500);
/// Shortest interval between two messages to one subscriber.
pub const HAVE_CHUNKS_INTERVAL: Duration = Duration::from_millis(20);
/// Most executors unless the user sets their number.
pub const CORES_DEFAULT_MAX: usize = 8;
/// Most executors that a user may set.
pub const CORES_MAX: u16 = 256;
/// Files to whose new chunks one connection may subscribe.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// Time without progress after which a connection is closed whose peer does not read the data that it requested.
pub const SEND_SILENCE_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest interval between two messages on a control connection, so that the other side does not take it for dead.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Time for which a chunk that could not be read from disk is not read again.
pub const UNREADABLE_RETRY_PAUSE: Duration = Duration::from_secs(60);
/// Consecutive failed stats after which a share is paused, unless its path does not exist.
pub const FAILED_STATS_MAX: u32 = 5;
/// Threads that hash touched shared files, in total and per device. Each uses all cores, and one whose disk hangs does
/// not block the others.
pub const SHARE_CHECK_THREADS: usize = 16;
/// See [`SHARE_CHECK_THREADS`].
pub const SHARE_CHECK_THREADS_PER_DEVICE: usize = 1;
/// Length up to which shared files, a second or two of hashing, do not wait for longer ones to be hashed.
pub const SHORT_CHECK_BYTES_MAX: u64 = 1 << 30;
/// Pause before the lists of shares and downloads are saved again after a failure.
pub const SAVE_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Interval at which a seeded file is checked for changes.
pub const SEED_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Instructions from plain threads that wait for core 0.
pub const INSTRUCTIONS_QUEUED_MAX: usize = 64;
/// Events of a client that were not taken yet; later ones are dropped and logged.
pub const CLIENT_EVENTS_MAX: usize = 4096;
/// Time for downloads to end, and the same time again for trackers to reply, when a client is closed.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(800);
/// Downloads and shares of one client.
pub const TORRENTS_MAX: usize = 4096;
/// Ended downloads that are still listed.
pub const DOWNLOADS_ENDED_MAX: usize = 256;

/// Name lookups that run at the same time, each on a thread of its own.
pub const LOOKUPS_MAX: usize = 64;
/// Time limit of a name lookup: two name servers that are silent for 5 s, the timeout of the system's resolver, may
/// precede one that answers.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(12);
/// Wait for a tracker's reply before the next tracker is queried in parallel.
pub const TRACKER_HEDGE_FIRST: Duration = Duration::from_secs(1);
/// The same wait for each further tracker, once the first was silent for [`TRACKER_HEDGE_FIRST`].
pub const TRACKER_HEDGE_NEXT: Duration = Duration::from_millis(250);
/// Time within which a tracker must connect and reply before the next one is queried.
pub const TRACKER_TIMEOUT: Duration = Duration::from_millis(2500);
/// Pause before the trackers are queried again after all failed.
pub const TRACKER_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Time without an answer of any tracker after which the user is told why; a silent one is known by then.
pub const TROUBLE_AFTER: Duration = Duration::from_secs(2);
/// Interval at which that is repeated.
pub const TROUBLE_INTERVAL: Duration = Duration::from_secs(10);
/// Interval at which a group of trackers checks whether that is due.
pub const TROUBLE_TICK: Duration = Duration::from_millis(500);
/// Time after the last request of a group after which its troubles are of no interest.
pub const TROUBLE_MEMORY: Duration = Duration::from_secs(30);
/// Pause between two announcements of one client.
pub const ANNOUNCE_SPACING: Duration = Duration::from_millis(1);
/// Time that a download that ends early waits for a tracker to acknowledge that.
pub const WITHDRAWAL_WAIT: Duration = Duration::from_secs(1);
/// Interval at which an announcement is renewed. A tracker's lease must be at least twice as long, or live seeders
/// lapse.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Pause before a refused announcement is retried.
pub const ANNOUNCE_RETRY_PAUSE: Duration = Duration::from_secs(30);

// ---- the tracker ----

/// Interval at which a downloader reports its progress to its tracker.
pub const PROGRESS_REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Lifetime of a downloader's report at a tracker.
pub const REPORT_TTL: Duration = Duration::from_secs(60);
/// Reports on one file that a tracker keeps.
pub const REPORTS_PER_FILE_MAX: usize = 256;
/// Reports that one core of a tracker keeps.
pub const REPORTS_PER_CORE_MAX: usize = 16_384;
/// Records that one slice of a tracker's list of files may check.
pub const LISTED_RECORDS_MAX: usize = 4096;
/// Bytes of JSON after which a page of a tracker's status ends; the last file may exceed it.
pub const STATUS_PAGE_BYTES: usize = 44 << 10;
/// Downloaders of one file that a page of a tracker's status names.
pub const STATUS_DOWNLOADERS_MAX: usize = 64;
/// Time within which `status` must have walked through all pages of a tracker.
pub const STATUS_WALK_MAX: Duration = Duration::from_secs(60);
/// Files that `status` shows unless the user sets their number.
pub const STATUS_FILES_DEFAULT: usize = 50;
/// Status pages that one core makes for clients in each interval of [`STATUS_PAGES_INTERVAL`]; further requests are
/// answered as busy.
pub const STATUS_PAGES_MAX: u32 = 20;
/// Questions of plain threads for status pages that wait for one core.
pub const STATUS_ASKS_MAX: usize = 8;
/// Time that a plain thread waits for a core's page.
pub const STATUS_PATIENCE: Duration = Duration::from_secs(2);
/// Time limit of the connection by which a tracker tests whether an endpoint can be reached.
pub const REACH_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Such tests that a tracker makes at the same time.
pub const REACH_TESTS_MAX: usize = 8;
/// Shortest interval between two such tests for one address.
pub const REACH_TEST_INTERVAL: Duration = Duration::from_secs(1);
/// Addresses with a test within [`REACH_TEST_INTERVAL`] that a tracker remembers; further ones are answered as busy.
pub const REACH_ADDRESSES_MAX: usize = 1024;
/// Times that `doctor` asks a tracker that is busy, [`REACH_TEST_INTERVAL`] apart.
pub const REACH_ATTEMPTS_MAX: u32 = 4;
/// Time for which `doctor` waits for a connection that a tracker says was accepted.
pub const REACH_ARRIVAL_MAX: Duration = Duration::from_secs(1);
/// See [`STATUS_PAGES_MAX`].
pub const STATUS_PAGES_INTERVAL: Duration = Duration::from_millis(100);
/// Lifetime of a seeder entry that is not renewed.
pub const LEASE: Duration = Duration::from_secs(15 * 60);
/// Shortest secret of a tracker group, bytes.
pub const GROUP_KEY_BYTES_MIN: usize = 16;
/// Most endpoints in one reply.
pub const ANSWER_ENDPOINTS_MAX: usize = 50;
/// Most endpoints that one file may have.
pub const ENDPOINTS_PER_FILE_MAX: usize = 10_000;
/// Live endpoints of one file that one address may have. A client has one, a few clients may share an address, and a
/// client that crashed and restarted on another port has several until their leases end.
pub const ENDPOINTS_PER_ADDRESS_MAX: usize = 8;
/// Tombstones of one file that are kept for one address, as a multiple of its live endpoints; beyond that the oldest
/// are dropped before their [`TOMBSTONE`] is over.
pub const REMOVALS_PER_ENDPOINT_MAX: usize = 8;
/// Allowance of an IPv6 network of 64 bits, as a multiple of that of one address.
pub const NETWORK_ROOM: usize = 16;
/// Most networks of a tracker's own interfaces whose hosts are counted one by one.
pub const LAN_NETWORKS_MAX: usize = 256;
/// Most files and most connections that one address may have.
pub const FILES_PER_ADDRESS_MAX: usize = 1024;
/// Tombstones that one address may leave, as a multiple of its files; they are kept for [`TOMBSTONE`] after the file is
/// gone.
pub const REMOVALS_PER_FILE_MAX: usize = 4;
/// Lifetime of the record of a removal.
pub const TOMBSTONE: Duration = Duration::from_secs(2 * 15 * 60);
/// Most endpoints of one file, including removed ones and those received from peers.
pub const ENTRIES_PER_FILE_MAX: usize = 60_000;
/// Most files of one core's table.
pub const FILES_PER_CORE_MAX: usize = 50_000_000;
/// Time by which a version may be ahead of the tracker's own clock.
pub const VERSION_AHEAD_MAX: Duration = Duration::from_secs(60);
/// Clock difference that machines with network time may have; a larger one is reported and compensated.
pub const CLOCK_SKEW_NOTED: Duration = Duration::from_secs(2);
/// Bytes of the store that a core keeps until clocks that were far ahead are measured again: some 100 000 entries.
pub const DEFERRED_BYTES_MAX: usize = 16 << 20;
/// Files and entries that one step of the expiry may check.
pub const SWEEP_STEP_MAX: usize = 2048;
/// Time within which the expiry checks the whole table once.
pub const SWEEP_CYCLE: Duration = Duration::from_secs(30);
/// Most cores of a tracker: each owns at least 64 buckets of the table.
pub const TRACKER_CORES_MAX: usize = 64;
/// Connections that are served as one group. The group is small, so that the bytes received from the first one are
/// still in the nearest cache when the reply is made.
pub const GROUP_CONNECTIONS_MAX: usize = 16;
/// Groups of connections after which the core's other tasks run.
pub const GROUPS_BETWEEN_YIELDS: usize = 8;
/// Groups of connections after which files, timers and other sockets are served although more connections are ready.
pub const GROUPS_IN_A_ROW_MAX: usize = 64;
/// Forwarded requests whose records are prefetched together.
pub const FORWARDED_PREFETCH_MAX: usize = 64;
/// Requests of one connection that are served in one pass of the poll loop; later ones wait.
pub const TURN_REQUESTS_MAX: usize = 128;
/// Free batches of forwarded requests, and free buffers of replies, that a core keeps.
pub const MESH_BATCHES_KEPT_MAX: usize = 64;
/// Free pending replies that a core keeps with their buffers.
pub const PENDING_REPLIES_KEPT_MAX: usize = 64;
/// Largest buffer of replies that is kept, bytes.
pub const REPLIES_KEPT_BYTES_MAX: usize = 64 << 10;
/// Counters of files by address, a power of two; see [`crate::tracker::table::rights::AddressCounts`].
pub const ADDRESS_COUNTERS: usize = 1 << 19;

/// Time for connections to end when a tracker stops.
pub const TRACKER_END_TIMEOUT: Duration = Duration::from_secs(1);

/// Buckets whose lapsed entries a starting store removes in one commit.
pub const STORE_PURGE_BUCKETS_MAX: usize = 256;
/// Pause before a write to the store is retried after a failure.
pub const STORE_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Memory of the store's cache, bytes.
pub const STORE_CACHE_BYTES: usize = 64 << 20;
/// Bytes of writes that wait for the store on one core; beyond them even renewals wait for the store.
pub const STORE_PENDING_BYTES_MAX: usize = 8 << 20;
/// Reports of the store that one core has not taken yet: the end of one batch, and that the next one cannot be written.
pub const STORE_REPORTS_MAX: usize = 8;
/// Slots in which a core remembers the last change of a file until it is durable.
pub const STORE_CHANGES_REMEMBERED: usize = 4096;

// ---- trackers in sync ----

/// Interval between two repairs of a link.
pub const REPAIR_INTERVAL: Duration = Duration::from_secs(30);
/// Changes that wait for one peer on one core, bytes; the repair sends those that do not fit.
pub const RELAY_BYTES_MAX: usize = 4 << 20;
/// Changes sent to a peer and not acknowledged yet.
pub const RELAY_IN_FLIGHT_MAX: usize = 1024;
/// Bytes of entries after which a page of sync ends.
pub const SYNC_PAGE_BYTES: usize = 256 << 10;
/// Bytes of changes that one exchange of a link sends.
pub const RELAY_EXCHANGE_BYTES_MAX: usize = 64 << 10;
/// Longest interval without a message on an open link.
pub const SYNC_PING_INTERVAL: Duration = Duration::from_secs(1);
/// Time limit of a link's connection attempt.
pub const SYNC_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time after which an unreachable tracker is forgotten that is known only from its own hello.
pub const SYNC_FORGET_AFTER: Duration = Duration::from_secs(10 * 60);
/// Interval at which the name of a peer is resolved again.
pub const PEER_NAME_INTERVAL: Duration = Duration::from_secs(10);
/// Entries in one page of sync.
pub const SYNC_ENTRIES_MAX: usize = 1 << 15;
/// Records that one step of a repair may check.
pub const REPAIR_RECORDS_MAX: usize = 4096;
/// Buckets that one request of a repair may compare.
pub const REPAIR_BUCKETS_MAX: usize = 256;
/// Time that a starting tracker waits for its peers' tables while nothing arrives.
pub const SYNC_START_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a lost link is reopened, at first and at most.
pub const SYNC_RETRY_MIN: Duration = Duration::from_millis(200);
/// See [`SYNC_RETRY_MIN`].
pub const SYNC_RETRY_MAX: Duration = Duration::from_secs(1);
/// Time limit of a reply on a link, after which it is closed.
pub const SYNC_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Failed link attempts after which a starting tracker no longer waits for the other one's table.
pub const SYNC_START_FAILURES_MAX: u32 = 3;
/// Shortest pause before a repair requests again the entries that were ahead of this tracker's clock.
pub const REPAIR_AHEAD_PAUSE_MIN: Duration = Duration::from_secs(5);
/// Most trackers in a group.
pub const SYNC_PEERS_MAX: usize = 64;

// ---- the command line ----

/// Longest configuration file, bytes.
pub const CONFIG_BYTES_MAX: u64 = 256 << 10;
/// Lines of the log that wait for stderr; further ones are dropped and counted.
pub const LOG_LINES_QUEUED_MAX: usize = 1024;
/// Messages of a command that wait for stderr.
pub const MESSAGES_QUEUED_MAX: usize = 256;
/// Time for which a message waits for a stderr that is not read.
pub const STDERR_PATIENCE: Duration = Duration::from_millis(500);
/// Longest line of the log, bytes.
pub const LOG_LINE_BYTES_MAX: usize = 4 << 10;
/// Interval over which lines of the log are counted.
pub const LOG_WINDOW: Duration = Duration::from_secs(10);
/// Lines that one call site logs about one address in that interval.
pub const LOG_LINES_PER_ADDRESS_MAX: u32 = 10;
/// Lines that one call site logs in that interval.
pub const LOG_LINES_PER_SITE_MAX: u32 = 100;
/// Call sites and addresses that are counted at the same time.
pub const LOG_SITES_MAX: usize = 4096;
/// Time for a process to end by itself after a signal; then it is killed.
pub const SIGNAL_PATIENCE: Duration = Duration::from_millis(1900);

/// Inputs that wait for a command or the REPL; further senders wait.
pub const INPUTS_MAX: usize = 1024;
/// Interval at which a download, or the hashing of a file, reports its progress without a terminal.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Interval at which the end of a command of `--on-done` is looked for.
pub const ON_DONE_TICK: Duration = Duration::from_millis(20);
/// Time for a command of `--on-done` to end by itself after SIGTERM; then it is killed.
pub const ON_DONE_END_PATIENCE: Duration = Duration::from_millis(500);
/// Interval at which a progress bar is drawn.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Longest line of commands, bytes.
pub const REPL_LINE_BYTES_MAX: usize = 64 << 10;
/// `share` commands of one REPL that hash at the same time.
pub const REPL_HASHING_MAX: usize = 8;
/// Interval at which a REPL whose input has ended checks whether anything is left to wait for.
pub const SESSION_TICK: Duration = Duration::from_secs(1);
/// Programs that are connected to a client's control socket at the same time.
pub const CONTROL_CONNECTIONS_MAX: usize = 64;
/// Longest line with a command on the control socket, bytes: a few long paths, even with every character escaped.
pub const CONTROL_LINE_BYTES_MAX: usize = 256 << 10;
/// Longest line with an answer that a program reads, bytes.
pub const CONTROL_ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Time within which a program must have sent its command.
pub const CONTROL_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Answers and events that wait for a program to read them; further ones are dropped and counted.
pub const CONTROL_ANSWERS_MAX: usize = 1024;
/// Interval at which a connection without answers is checked for its end.
pub const CONTROL_IDLE_POLL: Duration = Duration::from_millis(200);
/// Time for which a program may read nothing of an answer.
pub const CONTROL_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for which the end of a client waits until the last answers are written.
pub const CONTROL_CLOSE_PATIENCE: Duration = Duration::from_millis(200);
/// Longest pause between two looks of the thread that feeds the service manager's watchdog.
pub const SERVICE_TICK_MAX: Duration = Duration::from_secs(1);
/// Time for which the end of a service waits for the message about it.
pub const SERVICE_STOPPING_PATIENCE: Duration = Duration::from_millis(200);
/// Lines of history that the REPL keeps across restarts.
pub const HISTORY_LINES_MAX: usize = 1000;
/// Texts that wait to be printed above the prompt; further ones are dropped.
pub const PRINTS_QUEUED_MAX: usize = 1024;
/// Time for which a download of the REPL waits for seeders when the commands come from a pipe.
pub const PIPE_WAIT_DEFAULT: Duration = Duration::from_secs(30);

/// Longest duration that a flag accepts, seconds: more than a century, and small enough to be added to any clock.
pub const DURATION_S_MAX: u64 = u32::MAX as u64;

/// Time limit of the demo's race for a file of any size; [`DEMO_RACE_RATE_BYTES_S_MIN`] adds to it.
pub const DEMO_RACE_BASE: Duration = Duration::from_secs(60);
/// Rate that extends that time limit by the size of the file: far below that of any disk.
pub const DEMO_RACE_RATE_BYTES_S_MIN: u64 = 4 << 20;
/// Longest wait of the demo for a child to become ready or to end.
pub const DEMO_STEP_MAX: Duration = Duration::from_secs(60);
/// Longest fallback to the second tracker with which the demo passes.
pub const DEMO_FALLBACK_MAX: Duration = Duration::from_secs(5);
/// Fewest bytes with which the demo measures the disk.
pub const DEMO_LIMIT_BYTES_MIN: u64 = 64 << 20;
/// Most bytes with which the demo measures the disk.
pub const DEMO_LIMIT_BYTES_MAX: u64 = 4 << 30;

// ---- HTTP: figures and the status page ----

/// Files with series of their own in the figures; the rest is counted together.
pub const TORRENTS_LABELLED_MAX: usize = 50;
/// Time without running a timer after which a core counts as stalled.
pub const CORE_SILENCE_MAX: Duration = Duration::from_secs(5);
/// Interval of the status page's snapshots.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// Time since the last read after which no more snapshots are made; readers of a stream read on every tick.
pub const STATUS_READ_WITHIN: Duration = Duration::from_secs(3);
/// Rows of each list of a snapshot.
pub const STATUS_ROWS_MAX: usize = 200;
/// Chunk maps of a snapshot.
pub const STATUS_MAPS_MAX: usize = 20;
/// Cells of each of them.
pub const STATUS_CELLS_MAX: usize = 400;
/// Pages of a tracker's table that one snapshot reads.
pub const STATUS_PAGES_A_SNAPSHOT_MAX: usize = 64;

/// Longest head of a request, bytes.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 << 10;
/// Most headers of a request.
pub const HTTP_HEADERS_MAX: usize = 32;
/// Connections that are served at the same time, each by a thread; streams of events count too.
pub const HTTP_CONNECTIONS_MAX: usize = 32;
/// Connections of one address (loopback is exempt).
pub const HTTP_CONNECTIONS_PER_ADDRESS_MAX: usize = 12;
/// Stack of a thread that serves a connection, bytes.
pub const HTTP_STACK_BYTES: usize = 256 << 10;
/// Time within which the head of a request must arrive.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that a client of this server reads.
pub const HTTP_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Time that a service has to say whether it is well.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);
/// Time within which an answer must be read.
pub const HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which the rest of a refused request is read.
pub const HTTP_LINGER_TIMEOUT: Duration = Duration::from_millis(500);
/// Streams of events that are open at the same time.
pub const HTTP_STREAMS_MAX: usize = 16;
/// Interval at which a stream's source is asked for an event.
pub const HTTP_STREAM_TICK: Duration = Duration::from_millis(250);
/// Bytes of one stream that wait for its reader; a larger event ends it.
pub const HTTP_STREAM_PENDING_BYTES_MAX: usize = 1 << 20;
/// Time after which a stream is closed whose reader takes nothing.
pub const HTTP_STREAM_STUCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a stream.
pub const HTTP_STREAM_PING_INTERVAL: Duration = Duration::from_secs(15);

// ---- relations ----

const _: () = {
    assert!(HTTP_STREAM_TICK.as_millis() < STATUS_READ_WITHIN.as_millis());
    // Streams of events leave connections for everything else.
    assert!(HTTP_STREAMS_MAX < HTTP_CONNECTIONS_MAX);
    // Slowly arriving bytes are read before their download is shown as stalled.
    assert!(LOW_WATER_PATIENCE.as_millis() + 2 * WATCHDOG_TICK.as_millis() < STALLED_AFTER.as_millis());
    // The page that is written where sendfile must wait is a part of a step.
    assert!(SEND_WAIT_BYTES <= SEND_FILE_STEP_BYTES);
    assert!(THROTTLE_STEP_BYTES_MIN <= THROTTLE_STEP_BYTES_MAX);
    // A connection that waits for a test of reachability is neither idle nor late.
    assert!(REACH_CONNECT_TIMEOUT.as_millis() < EVICTED_AFTER.as_millis());
    // A round trip to a tracker adds less to a difference of clocks than is noted.
    assert!(TRACKER_TIMEOUT.as_millis() / 2 < CLOCK_SKEW_NOTED.as_millis());
    // A refused connection is closed before an idle one is evicted.
    assert!(REFUSAL_TIMEOUT.as_millis() < EVICTED_AFTER.as_millis());
    assert!(CHECK_THREADS_PER_DEVICE < CHECK_THREADS);
    assert!(CHUNK_SIZE_MIN.is_power_of_two() && CHUNK_SIZE_MAX.is_power_of_two());
    assert!(CHUNK_SIZE_MIN <= CHUNK_SIZE_CREATE_MIN && CHUNK_SIZE_CREATE_MIN <= CHUNK_SIZE_DEFAULT);
    assert!(CHUNK_SIZE_DEFAULT <= CHUNK_SIZE_MAX && CHUNK_SIZE_MAX <= CHUNK_SIZE_READ_MAX);
    // A bitfield of the largest file fits into a control frame, with room for the other arguments.
    assert!(CHUNKS_MAX as usize / 8 + 256 <= FRAME_CONTROL_BYTES_MAX);
    assert!(CHUNKS_CREATE_MAX <= CHUNKS_MAX);
    assert!(HAVE_CHUNKS_MAX * 4 + 256 <= FRAME_CONTROL_BYTES_MAX);
    assert!(ANSWER_ENDPOINTS_MAX * 22 + 256 <= FRAME_CONTROL_BYTES_MAX);
    assert!(ANSWER_ENDPOINTS_MAX + 2 <= ARGUMENTS_MAX);
    assert!(RESPONSE_TEXT_BYTES_MAX + 256 <= FRAME_CONTROL_BYTES_MAX);
    // The blocks that are being written leave memory for a chunk that arrives.
    assert!(WRITING_BLOCKS_MAX as usize * BLOCK_BYTES + CHUNK_SIZE_MAX as usize <= FLIGHT_BYTES_PER_CORE_MAX);
    // One chunk of the largest size can be received while others are hashed and written.
    assert!(FLIGHT_BYTES_PER_CORE_MAX >= 3 * CHUNK_SIZE_MAX as usize);
    // While slow peers hold some blocks, a whole chunk of another unproven peer still fits beside them.
    assert!(FLIGHT_BYTES_PER_CORE_MAX / LIMITED_SHARE_OF_FLIGHT >= CHUNK_SIZE_MAX as usize + 8 * BLOCK_BYTES);
    assert!(BLOCK_BYTES.is_multiple_of(4096));
    assert!(BLOCKING_JOBS_MAX >= TORRENTS_MAX);
    // A device that hangs leaves threads for others.
    assert!(WRITE_THREADS_PER_DEVICE < WRITE_THREADS);
    assert!(DURABLE_THREADS_PER_DEVICE < DURABLE_THREADS && COLD_THREADS_PER_DEVICE < COLD_THREADS);
    assert!(COLD_JOBS_PER_FILE_MAX < COLD_JOBS_PER_DEVICE_MAX);
    // The record of a removal outlives every entry over which it must win.
    assert!(TOMBSTONE.as_millis() >= 2 * LEASE.as_millis());
    assert!(VERSION_AHEAD_MAX.as_millis() < LEASE.as_millis());
    // A renewal just before half the lease has passed changes nothing, so the next one must be in time.
    assert!(2 * RENEW_INTERVAL.as_millis() < LEASE.as_millis());
    // A report may be late or lost without the downloader vanishing.
    assert!(PROGRESS_REPORT_INTERVAL.as_millis() * 3 < REPORT_TTL.as_millis());
    // One file more than fits, with all its downloaders, its longest name in escapes of six bytes, and the other
    // trackers beside them.
    assert!(STATUS_PAGE_BYTES + STATUS_DOWNLOADERS_MAX * 192 + NAME_BYTES_MAX * 6 + 1024 <= FRAME_CONTROL_BYTES_MAX);
    assert!(ENTRIES_PER_FILE_MAX <= u16::MAX as usize && ENDPOINTS_PER_FILE_MAX <= ENTRIES_PER_FILE_MAX);
    assert!(ADDRESS_COUNTERS.is_power_of_two());
    // No network can fill a file's list of endpoints.
    assert!(ENDPOINTS_PER_ADDRESS_MAX * NETWORK_ROOM * 8 < ENDPOINTS_PER_FILE_MAX);
    assert!(ENDPOINTS_PER_ADDRESS_MAX * REMOVALS_PER_ENDPOINT_MAX * NETWORK_ROOM * 8 < ENTRIES_PER_FILE_MAX);
    // A client is closed before the process is killed.
    assert!(2 * CLOSE_TIMEOUT.as_millis() + CONTROL_CLOSE_PATIENCE.as_millis() < SIGNAL_PATIENCE.as_millis());
    // A page that exceeds its measure by one file with the longest name still fits into a frame.
    assert!(2 * SYNC_PAGE_BYTES <= FRAME_SYNC_BYTES_MAX);

    // Slices divide every chunk evenly, and those of all lanes fit into a worker's buffer.
    assert!(HASH_CACHED_SLICE_BYTES.is_power_of_two() && HASH_COLD_SLICE_BYTES.is_power_of_two());
    assert!(HASH_LANES_MAX * HASH_CACHED_SLICE_BYTES <= HASH_BUFFER_BYTES);
    assert!(HASH_BUFFER_BYTES.is_multiple_of(HASH_COLD_SLICE_BYTES));
};
