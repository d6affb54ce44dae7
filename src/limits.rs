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
/// Most chunks that a file may have: what fits into `METAINFO_BYTES_MAX` of 20-byte hashes.
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
/// How many times as many a network of 64 bits of IPv6 may have, of which one host, or a whole site, has all addresses.
pub const CONNECTIONS_PER_NETWORK_FACTOR: usize = 4;
/// Silence after which a connection may be closed to make room for another.
pub const EVICTED_AFTER: Duration = Duration::from_secs(5);
/// Connections of one address that are probed to find the one that was idle for longest.
pub const EVICTION_PROBES_MAX: usize = 1024;
/// Refusals that are sent at once; further connections over a limit are closed without one.
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
/// Sleep of a task that has had its share in a row, so that files, timers and other sockets of its core get theirs.
pub const FLOOD_PAUSE: Duration = Duration::from_micros(50);
/// Bytes that one sendfile call sends before the other tasks of the core run.
pub const SEND_FILE_STEP_BYTES: usize = 1 << 20;
/// Bytes that are written through the stream, whose writes wait for room, where sendfile finds the socket full.
pub const SEND_WAIT_BYTES: usize = 4 << 10;
/// Interval at which the time limits of connections are checked: the precision of every one of them.
pub const WATCHDOG_TICK: Duration = Duration::from_millis(250);
/// Time that fewer bytes than a receive low water may lie unread: a slow sender must not look silent.
pub const LOW_WATER_PATIENCE: Duration = Duration::from_millis(750);
/// Longest round trip of a near peer, whose connection is not paced.
pub const NEAR_RTT_MAX: Duration = Duration::from_millis(1);
/// Ready sockets that a core takes from the kernel at once.
pub const READY_SOCKETS_MAX: usize = 1024;
/// Addresses of one name that are tried.
pub const ADDRESSES_PER_NAME_MAX: usize = 8;
/// Receive buffer of a connection, unless a larger frame is arriving, bytes.
pub const BUFFER_SMALL_BYTES: usize = 4 << 10;
/// What a frame has beyond its payload: magics, sizes and the longest type, bytes.
pub const FRAME_OVERHEAD_BYTES_MAX: usize = 4 + 4 + TYPE_BYTES_MAX + 4 + 4;
/// Free small buffers that a core keeps.
pub const POOL_SMALL_BUFFERS_MAX: usize = 1024;
/// Free large buffers that a core keeps.
pub const POOL_LARGE_BUFFERS_MAX: usize = 32;

/// Time's worth of bytes that a connection moves in one turn under a rate limit: short enough to be fair, long enough to
/// be cheap.
pub const THROTTLE_STEP: Duration = Duration::from_millis(4);
/// Fewest bytes that are moved in one turn: fewer cost more in system calls than they gain in evenness.
pub const THROTTLE_STEP_BYTES_MIN: usize = 4 << 10;
/// Most bytes that are moved in one turn.
pub const THROTTLE_STEP_BYTES_MAX: usize = 1 << 20;
/// Unused time under a rate limit that may be made up for: as long as a busy core is late for a turn.
pub const THROTTLE_CATCH_UP: Duration = Duration::from_millis(40);
/// Longest sleep of a connection that waits for its turn, so that a changed limit takes effect soon.
pub const THROTTLE_SLEEP_MAX: Duration = Duration::from_millis(100);
/// Smallest rate limit, bytes a second: below it not even control frames are answered in time.
pub const RATE_LIMIT_BYTES_S_MIN: u64 = 1 << 10;

// ---- the runtime ----

/// Registered I/O memory of one ring, bytes. Small: chunk buffers come from the heap, and an executor pins three times
/// as much, for its three rings.
pub const RING_MEMORY_BYTES: usize = 64 << 10;
/// Entries of an executor's submission queue.
pub const RING_DEPTH: usize = 256;
/// Locked memory without which glommio does not start, bytes.
pub const LOCKED_MEMORY_BYTES_MIN: u64 = 512 << 10;
/// Threads that must be left to the process when all cores run, for the pools of blocking work.
pub const SPARE_THREADS: usize = 4;
/// Threads that must be left besides for each core: its rings have workers in the kernel.
pub const SPARE_THREADS_PER_CORE: usize = 2;
/// Number of open files up to which the soft limit is raised.
pub const OPEN_FILES_RAISED_MAX: u64 = 1 << 20;
/// Address space of the program with its threads' stacks, bytes.
pub const ADDRESS_SPACE_BYTES_PROGRAM: u64 = 384 << 20;
/// Address space of a core with its buffers, bytes.
pub const ADDRESS_SPACE_BYTES_PER_CORE: u64 = 192 << 20;
/// Descriptors that a core takes: rings, events, its sets of sockets, and its file of a download.
pub const DESCRIPTORS_PER_CORE: usize = 12;
/// Descriptors that the program takes besides: standard streams, signals, listener, a file with its record and its
/// folder, and the first few connections.
pub const DESCRIPTORS_PROGRAM: usize = 24;
/// Descriptors that incoming connections leave to files and to outgoing connections, at least.
pub const DESCRIPTORS_RESERVED: usize = 32;
/// The part of the remaining descriptors that they leave where that is more: one in so many.
pub const DESCRIPTORS_RESERVED_SHARE: u64 = 3;

/// Time without work after which a thread for blocking work ends.
pub const BLOCKING_IDLE: Duration = Duration::from_secs(10);
/// Jobs of one device that wait for a thread: at least as many as a client has downloads.
pub const BLOCKING_JOBS_MAX: usize = 8192;
/// Threads that make files durable, in all.
pub const DURABLE_THREADS: usize = 64;
/// Threads that make files of one device durable, so that a device that hangs leaves threads to others.
pub const DURABLE_THREADS_PER_DEVICE: usize = 4;
/// Threads that fetch cold pages, in all.
pub const COLD_THREADS: usize = 64;
/// Threads that fetch cold pages of one device, so that a device that hangs leaves threads to others.
pub const COLD_THREADS_PER_DEVICE: usize = 4;
/// Cold reads of one device that wait for a thread; further ones are answered by Busy.
pub const COLD_JOBS_PER_DEVICE_MAX: usize = 128;
/// Cold reads of one file, running ones included: it leaves room to the other files of its device.
pub const COLD_JOBS_PER_FILE_MAX: usize = 64;
/// Threads that check whether files have changed, in all.
pub const CHECK_THREADS: usize = 64;
/// Threads that check the files of one device: a second one would wait for the same answer.
pub const CHECK_THREADS_PER_DEVICE: usize = 1;
/// Threads that save the lists of shares and downloads.
pub const STATE_THREADS: usize = 1;
/// Messages in one channel between two cores; the rest waits in the sender's outbox.
pub const MESH_MESSAGES_MAX: usize = 1024;

/// Smallest piece of the C library's heap whose freeing is counted towards [`HEAP_TRIMMED_BYTES_MIN`], bytes.
pub const HEAP_COUNTED_BYTES_MIN: usize = 4 << 10;
/// Bytes freed in such pieces after which the heap's free pages are given back.
pub const HEAP_TRIMMED_BYTES_MIN: usize = 16 << 20;
/// Free memory that the heap keeps at its end, and size from which a piece has a mapping of its own, bytes.
pub const HEAP_KEPT_BYTES_MAX: i32 = 1 << 20;

// ---- hashing ----

/// Bytes hashed before the other tasks of the core run.
pub const HASH_STEP_BYTES: usize = 1 << 20;
/// Wait for further chunks before fewer are hashed than the CPU takes at once.
pub const HASH_GATHER_PAUSE: Duration = Duration::from_millis(2);
/// Chunks hashed side by side: the lanes of the widest kernel.
pub const HASH_LANES_MAX: usize = 16;
/// Buffer of one worker that hashes a file, bytes; there are two workers a thread.
pub const HASH_BUFFER_BYTES: usize = 16 << 20;
/// Bytes read of a cached chunk before they are hashed: all lanes' slices stay in a core's cache.
pub const HASH_CACHED_SLICE_BYTES: usize = 64 << 10;
/// Most bytes read at once of a chunk that is not cached: one read should keep a disk busy.
pub const HASH_COLD_SLICE_BYTES: usize = 4 << 20;
/// Distance of the pages that are probed to learn whether a file is cached, bytes.
pub const HASH_PROBE_STRIDE_BYTES: usize = 1 << 20;
/// Bytes of each lane over which a kernel is timed.
pub const HASH_CALIBRATION_BYTES: usize = 2 << 10;
/// Times that a kernel is timed; the best one counts.
pub const HASH_CALIBRATION_ROUNDS: usize = 16;

// ---- storage ----

/// Largest unit of disk I/O and of a buffer, bytes.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Buffers of chunks in flight from socket to disk, on each core, bytes.
pub const FLIGHT_BYTES_PER_CORE_MAX: usize = 48 << 20;
/// Divisor: chunks of limited peers, the slow and the unproven, have this part of the flight, on top of it.
pub const LIMITED_SHARE_OF_FLIGHT: usize = 2;
/// Divisor: the part of the control group's memory that chunks may take; the rest is for pages that are sent and written.
pub const CHUNK_MEMORY_SHARE_OF_ALLOWED: usize = 2;
/// Chunks for which a core has memory at least: one of a proven peer and one of another.
pub const CHUNKS_PER_CORE_MIN: usize = 2;
/// Blocks that a core writes at once.
pub const WRITING_BLOCKS_MAX: u64 = 32;
/// Received chunks kept in memory to be served, all cores together, bytes.
pub const CACHE_BYTES_DEFAULT: usize = 96 << 20;
/// Longest time that a received chunk is kept in memory for others to fetch.
pub const CACHE_TIME: Duration = Duration::from_secs(10);
/// Intervals of [`MEMORY_TRIM_INTERVAL`] that a chunk stays in the cache without a request.
pub const CACHE_IDLE_INTERVALS: u32 = 1;
/// Chunks of one core lent to others at once.
pub const LOANS_MAX: usize = 16;
/// Interval at which memory that was not needed meanwhile is given back.
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
/// Peers that one download talks to at once.
pub const PEERS_PER_DOWNLOAD_MAX: usize = 192;
/// Peers that one download remembers, those that it does not talk to included.
pub const PEERS_KNOWN_MAX: usize = 1024;
/// Requests in flight on one data connection.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 4;
/// Time without one byte in the middle of a chunk after which a data connection is given up. Long before that the chunk
/// is asked of others, if there are any.
pub const DATA_SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Least bytes that wake a core which waits for a chunk's data.
pub const RECEIVE_LOW_WATER_BYTES: usize = 256 << 10;
/// Pause before a further data connection to a peer is tried after one failed.
pub const DATA_CONNECTION_RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Reports of the shards that a driver acts on before it looks at all else.
pub const REPORTS_AT_ONCE_MAX: usize = 256;
/// How long a download whose sources are all away goes on waiting once it has received something.
pub const STALL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// When it begins to say what it waits for.
pub const STALL_NOTICE_AFTER: Duration = Duration::from_secs(5);
/// How often it says meanwhile what it waits for.
pub const STALL_NOTICE_INTERVAL: Duration = Duration::from_secs(30);
/// Time without a byte after which a download with peers is shown as stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(2);
/// How often a driver looks at its download without news.
pub const DRIVER_TICK: Duration = Duration::from_millis(250);
/// A download asks for seeders again after this part of the time that it has run.
pub const DISCOVER_PARTS: u32 = 8;
/// Shortest pause between two questions for seeders.
pub const DISCOVER_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Pause between two such questions while no peer is connected.
pub const DISCOVER_PAUSE_LONELY: Duration = Duration::from_millis(250);
/// The longest such pause.
pub const DISCOVER_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Connections in a row that fail before a peer is forgotten until a tracker names it again.
pub const FAILURES_UNTIL_FORGOTTEN: u32 = 6;
/// Bad chunks from one peer until it is banned for the file.
pub const BAD_CHUNKS_UNTIL_BAN: u32 = 2;
/// Pause of a peer after its first bad chunk.
pub const BAD_CHUNK_PAUSE: Duration = Duration::from_secs(2);
/// Pause before a broken connection is tried again, doubled with every failure.
pub const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest such pause.
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Chunks that are looked at, rarest first, before all that a peer has is searched.
pub const PICKER_PROBES_MAX: usize = 256;
/// Chunks that one request names, of which one is sent.
pub const REQUEST_CHUNKS_MAX: usize = 16;
/// Requests open with one peer, on all its connections.
pub const REQUESTS_PER_PEER_MAX: usize = DATA_CONNECTIONS_PER_PEER_MAX * REQUESTS_IN_FLIGHT_MAX;
/// How far ahead of its round trip a peer is asked, so that it is never without a request.
pub const REQUEST_AHEAD: Duration = Duration::from_millis(20);
/// Requests that wait with peers which send nothing at the moment.
pub const REQUESTS_OPEN_MAX: usize = 6;
/// Answers that should arrive at once, at first.
pub const INFLOW_START: usize = 3;
/// Answers that may arrive besides while less comes than before.
pub const INFLOW_EXTRA: usize = 1;
/// Time between two looks whether more at once would bring more.
pub const INFLOW_PROBE_INTERVAL: Duration = Duration::from_millis(750);
/// Chunks received last by which the present rate is judged.
pub const INFLOW_SAMPLES_MAX: usize = 12;
/// Trials in vain after which the pause before the next one grows no more; it doubles with each.
pub const INFLOW_FAILURES_MAX: u32 = 4;
/// Requests that name one chunk when there is nothing else to name.
pub const NAMED_AT_THE_END_MAX: u8 = 3;
/// Age at the least of what counts as late: a request without an answer, a chunk on its way.
pub const LATE_AFTER_MIN: Duration = Duration::from_secs(2);
/// Time without a byte after which the chunk that arrives is taken to be standing still.
pub const STILL_AFTER: Duration = Duration::from_secs(3);
/// Pause after a peer said that it is busy, at first and at most.
pub const BUSY_PAUSE_MIN: Duration = Duration::from_millis(50);
/// See [`BUSY_PAUSE_MIN`].
pub const BUSY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Requests that wait in a process to be answered.
pub const REQUESTS_WAITING_MAX: usize = 4096;
/// Requests of one address that wait in a process.
pub const REQUESTS_WAITING_PER_ADDRESS_MAX: usize = 512;
/// Chunks of complete files that a process sends at a time. Its uplink is then busy although some of its getters receive
/// from others as well.
pub const UPLOADS_OF_SEEDER_MAX: usize = 6;
/// The same for files that it is still getting.
pub const UPLOADS_OF_GETTER_MAX: usize = 5;
/// Chunks that a process sends at a time to getters much slower than most: they hold up nobody else.
pub const UPLOADS_TO_SLOW_MAX: usize = 2;
/// Chunks that a process sends at a time, those included that take too long to be counted above.
pub const UPLOADS_MAX: usize = 1024;
/// A chunk that has been on its way for so many times as long as others usually take is counted no more.
pub const SEND_OVERDUE_RATIO: u32 = 4;
/// The same as a time, at least.
pub const SEND_OVERDUE_MIN: Duration = Duration::from_secs(2);
/// How often it is looked whether one has become so late.
pub const SEND_OVERDUE_TICK: Duration = Duration::from_millis(500);
/// Requests of one connection that are read while one of them waits for its turn.
pub const REQUESTS_READ_AHEAD_MAX: usize = 64;
/// How long a request may wait for its turn.
pub const TURN_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// Time in which what is queued in a socket, and not sent for the first time, should leave: so little stands before the
/// next chunk.
pub const UNSENT_TIME: Duration = Duration::from_millis(5);
/// The same in bytes before the rate of a connection is known, at least and at most.
pub const UNSENT_BYTES_START: u32 = 256 << 10;
/// See [`UNSENT_BYTES_START`].
pub const UNSENT_BYTES_MIN: u32 = 32 << 10;
/// See [`UNSENT_BYTES_START`].
pub const UNSENT_BYTES_MAX: u32 = 4 << 20;
/// How often a request is passed over by later ones before it is next.
pub const PASSED_OVER_MAX: u32 = 64;
/// Messages in a row with nothing new from which on a peer misbehaves: polls and pings find as much.
pub const REDUNDANT_MESSAGES_MAX: u32 = 256;
/// How often a peer without subscriptions is asked for its chunks.
pub const POLL_CHUNKS_INTERVAL: Duration = Duration::from_secs(1);
/// Subscribers that are told of a new chunk at once; the others within [`HAVE_CHUNKS_LAZY_INTERVAL`]. Only few of them
/// will ask this peer for it, and each message costs both sides as much as some 50 KiB of data.
pub const HAVE_CHUNKS_PROMPT_MAX: usize = 6;
/// See [`HAVE_CHUNKS_PROMPT_MAX`].
pub const HAVE_CHUNKS_LAZY_INTERVAL: Duration = Duration::from_millis(500);
/// Least time between two messages to one subscriber.
pub const HAVE_CHUNKS_INTERVAL: Duration = Duration::from_millis(20);
/// Executors unless the user says otherwise.
pub const CORES_DEFAULT_MAX: usize = 8;
/// Executors that a user may ask for.
pub const CORES_MAX: u16 = 256;
/// Files of which one connection may be told new chunks.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// Time without progress after which a connection is given up that does not read what it asked for.
pub const SEND_SILENCE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a control connection is used at least, so that the other side does not take it for dead.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Time for which a chunk that the disk did not give is not asked of it again.
pub const UNREADABLE_RETRY_PAUSE: Duration = Duration::from_secs(60);
/// Stats in a row that may fail before a share is paused, unless its path leads nowhere.
pub const FAILED_STATS_MAX: u32 = 5;
/// Threads that hash shared files which were touched, in all and for one device: each uses all cores, and one whose
/// disk hangs keeps no other from its work.
pub const SHARE_CHECK_THREADS: usize = 16;
/// See [`SHARE_CHECK_THREADS`].
pub const SHARE_CHECK_THREADS_PER_DEVICE: usize = 1;
/// Shared files up to this length, a second or two of hashing, do not wait until longer ones are hashed.
pub const SHORT_CHECK_BYTES_MAX: u64 = 1 << 30;
/// Pause before the lists of shares and downloads are saved again where that failed.
pub const SAVE_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often a seeded file is checked for change.
pub const SEED_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Instructions of plain threads that wait for core 0.
pub const INSTRUCTIONS_QUEUED_MAX: usize = 64;
/// Events of a client that nobody has taken yet; later ones are dropped and logged.
pub const CLIENT_EVENTS_MAX: usize = 4096;
/// Time for downloads to end, and the same again for trackers to answer, when a client is closed.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(800);
/// Downloads and shares of one client.
pub const TORRENTS_MAX: usize = 4096;
/// Downloads that have ended and are still shown.
pub const DOWNLOADS_ENDED_MAX: usize = 256;

/// Names that are looked up at once, each on a thread of its own.
pub const LOOKUPS_MAX: usize = 64;
/// Wait for a name's addresses: two name servers that are silent for 5 s, as the system's resolver waits, may come before
/// one that answers.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(12);
/// Wait for a tracker's answer before the next one is asked beside it.
pub const TRACKER_HEDGE_FIRST: Duration = Duration::from_secs(1);
/// The same once the first was silent for so long.
pub const TRACKER_HEDGE_NEXT: Duration = Duration::from_millis(250);
/// Wait for a tracker to connect and answer before the next one is asked.
pub const TRACKER_TIMEOUT: Duration = Duration::from_millis(2500);
/// Pause before trackers that all failed are asked again.
pub const TRACKER_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Pause between two announcements of one client.
pub const ANNOUNCE_SPACING: Duration = Duration::from_millis(1);
/// How long a download that ends early waits for a tracker to acknowledge that.
pub const WITHDRAWAL_WAIT: Duration = Duration::from_secs(1);
/// Time after which an announcement is renewed. A tracker whose lease is not twice as long forgets who lives.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Pause before an announcement that was refused is tried again.
pub const ANNOUNCE_RETRY_PAUSE: Duration = Duration::from_secs(30);

// ---- the tracker ----

/// Life of a seeder entry unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(15 * 60);
/// Shortest secret of a tracker group, bytes.
pub const GROUP_KEY_BYTES_MIN: usize = 16;
/// Most endpoints in one answer.
pub const ANSWER_ENDPOINTS_MAX: usize = 50;
/// Most endpoints that one file may have.
pub const ENDPOINTS_PER_FILE_MAX: usize = 10_000;
/// Live endpoints of one file that one address may have: a client has one, a few share an address, and a client that
/// crashed and came back on another port has several until their leases end.
pub const ENDPOINTS_PER_ADDRESS_MAX: usize = 8;
/// Records of removals of one file that are kept for one address, as a multiple of its live endpoints; of more the oldest
/// are forgotten before their [`TOMBSTONE`] is over.
pub const REMOVALS_PER_ENDPOINT_MAX: usize = 8;
/// What an IPv6 network of 64 bits may have, as a multiple of what one address may have.
pub const NETWORK_ROOM: usize = 16;
/// Most files and most connections that one address may have.
pub const FILES_PER_ADDRESS_MAX: usize = 1024;
/// Records of removals that one address may leave behind, as a multiple of its files: they live on for
/// [`TOMBSTONE`] after the file is gone.
pub const REMOVALS_PER_FILE_MAX: usize = 4;
/// Life of the record of a removal.
pub const TOMBSTONE: Duration = Duration::from_secs(2 * 15 * 60);
/// Most endpoints of one file, removed ones and those that peers send included.
pub const ENTRIES_PER_FILE_MAX: usize = 60_000;
/// Most files of one core's table.
pub const FILES_PER_CORE_MAX: usize = 50_000_000;
/// How far a version may be ahead of the tracker's own clock.
pub const VERSION_AHEAD_MAX: Duration = Duration::from_secs(60);
/// What clocks of machines that set them by the network may differ: more of it is told, and reckoned with.
pub const CLOCK_SKEW_NOTED: Duration = Duration::from_secs(2);
/// What a core keeps of the store until clocks that were far ahead are measured again, bytes: some 100 000 entries.
pub const DEFERRED_BYTES_MAX: usize = 16 << 20;
/// Files and entries that one step of the expiry may look at.
pub const SWEEP_STEP_MAX: usize = 2048;
/// Time in which the expiry gets round the whole table.
pub const SWEEP_CYCLE: Duration = Duration::from_secs(30);
/// Cores that a tracker may have: each owns 64 buckets of the table at least.
pub const TRACKER_CORES_MAX: usize = 64;
/// Connections that have their turn together: few, so that what was received of the first one is still in the nearest
/// cache when it is answered.
pub const GROUP_CONNECTIONS_MAX: usize = 16;
/// Groups of connections after which the core's other tasks run.
pub const GROUPS_BETWEEN_YIELDS: usize = 8;
/// Groups of connections after which files, timers and other sockets have their turn though there is more to do.
pub const GROUPS_IN_A_ROW_MAX: usize = 64;
/// Forwarded requests whose records are prefetched together.
pub const FORWARDED_PREFETCH_MAX: usize = 64;
/// Requests of one connection that are answered in one turn; what has come beyond them waits.
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

/// Buckets whose lapsed entries a starting store takes out in one commit.
pub const STORE_PURGE_BUCKETS_MAX: usize = 256;
/// Pause before a store that could not be written is tried again.
pub const STORE_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Memory of the store's cache, bytes.
pub const STORE_CACHE_BYTES: usize = 64 << 20;
/// Writes that wait for the store on one core, bytes; beyond them even renewals are awaited.
pub const STORE_PENDING_BYTES_MAX: usize = 8 << 20;
/// Reports of the store that one core has not taken yet: the end of one batch, and that the next one cannot be written.
pub const STORE_REPORTS_MAX: usize = 8;
/// Places in which a core remembers the last change of a file until it is safe.
pub const STORE_CHANGES_REMEMBERED: usize = 4096;

// ---- trackers in sync ----

/// Time between two repairs of a link.
pub const REPAIR_INTERVAL: Duration = Duration::from_secs(30);
/// Changes that wait for one peer on one core, bytes; what does not fit is left to the repair.
pub const RELAY_BYTES_MAX: usize = 4 << 20;
/// Changes sent to a peer and not answered yet.
pub const RELAY_IN_FLIGHT_MAX: usize = 1024;
/// Bytes of entries after which a page of sync ends.
pub const SYNC_PAGE_BYTES: usize = 256 << 10;
/// Changes that one exchange of a link sends, bytes.
pub const RELAY_EXCHANGE_BYTES_MAX: usize = 64 << 10;
/// Longest silence of an open link.
pub const SYNC_PING_INTERVAL: Duration = Duration::from_secs(1);
/// Wait for a link's connection.
pub const SYNC_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A tracker that is known by its own hello only is forgotten when it cannot be reached for so long.
pub const SYNC_FORGET_AFTER: Duration = Duration::from_secs(10 * 60);
/// Pause between two looks who is at the name of a peer.
pub const PEER_NAME_INTERVAL: Duration = Duration::from_secs(10);
/// Entries in one page of sync.
pub const SYNC_ENTRIES_MAX: usize = 1 << 15;
/// Records that one step of a repair may look at.
pub const REPAIR_RECORDS_MAX: usize = 4096;
/// Buckets that one request of a repair may compare.
pub const REPAIR_BUCKETS_MAX: usize = 256;
/// Wait of a starting tracker for its peers' tables while nothing arrives.
pub const SYNC_START_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before a lost link is opened again, at first and at most.
pub const SYNC_RETRY_MIN: Duration = Duration::from_millis(200);
/// See [`SYNC_RETRY_MIN`].
pub const SYNC_RETRY_MAX: Duration = Duration::from_secs(1);
/// Wait for an answer on a link before it is given up.
pub const SYNC_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts to link that may fail before a starting tracker no longer waits for the other one's table.
pub const SYNC_START_FAILURES_MAX: u32 = 3;
/// Shortest pause before a repair asks again for entries that were ahead of this tracker's clock.
pub const REPAIR_AHEAD_PAUSE_MIN: Duration = Duration::from_secs(5);
/// Most trackers in a group.
pub const SYNC_PEERS_MAX: usize = 64;

// ---- the command line ----

/// Lines of the log that wait for stderr; what comes beyond them is dropped and counted.
pub const LOG_LINES_QUEUED_MAX: usize = 1024;
/// A command's own sentences that wait for stderr.
pub const SENTENCES_QUEUED_MAX: usize = 256;
/// How long a sentence is waited for that stderr does not take.
pub const STDERR_PATIENCE: Duration = Duration::from_millis(500);
/// Longest line of the log, bytes.
pub const LOG_LINE_BYTES_MAX: usize = 4 << 10;
/// Time over which lines of the log are counted.
pub const LOG_WINDOW: Duration = Duration::from_secs(10);
/// Lines that one place in the program writes about one address in that time.
pub const LOG_LINES_PER_ADDRESS_MAX: u32 = 10;
/// Lines that one place in the program writes in that time.
pub const LOG_LINES_PER_SITE_MAX: u32 = 100;
/// Places and addresses that are counted at once.
pub const LOG_SITES_MAX: usize = 4096;
/// Time for a process to end by itself after a signal; then it is ended.
pub const SIGNAL_PATIENCE: Duration = Duration::from_millis(1900);

/// Inputs that wait for a command or the REPL; who sends more waits.
pub const INPUTS_MAX: usize = 1024;
/// How often a download without a terminal reports its progress.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// How often a progress bar is drawn.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Longest line of commands, bytes.
pub const REPL_LINE_BYTES_MAX: usize = 64 << 10;
/// `share` commands of one REPL that hash at once.
pub const REPL_HASHING_MAX: usize = 8;
/// How often a REPL whose input has ended checks whether anything is left to wait for.
pub const SESSION_TICK: Duration = Duration::from_secs(1);
/// Lines that the REPL remembers over restarts.
pub const HISTORY_LINES_MAX: usize = 1000;
/// Texts that wait to be printed above the prompt; what comes beyond is dropped.
pub const PRINTS_QUEUED_MAX: usize = 1024;
/// How long a download of the REPL waits for seeders when the commands come from a pipe.
pub const PIPE_WAIT_DEFAULT: Duration = Duration::from_secs(30);

/// Longest duration that a flag takes, seconds: more than a century, and little enough to be added to any clock.
pub const DURATION_S_MAX: u64 = u32::MAX as u64;

/// Time that the demo's race takes at most for any size; [`DEMO_RACE_RATE_BYTES_S_MIN`] adds to it.
pub const DEMO_RACE_BASE: Duration = Duration::from_secs(60);
/// Rate by which the demo's race outlasts that time: far less than any disk writes.
pub const DEMO_RACE_RATE_BYTES_S_MIN: u64 = 4 << 20;
/// Longest wait of the demo for a child to become ready or to end.
pub const DEMO_STEP_MAX: Duration = Duration::from_secs(60);
/// Longest fallback to the second tracker with which the demo passes.
pub const DEMO_FALLBACK_MAX: Duration = Duration::from_secs(5);
/// Fewest bytes by which the demo measures the disk.
pub const DEMO_LIMIT_BYTES_MIN: u64 = 64 << 20;
/// Most bytes by which the demo measures the disk.
pub const DEMO_LIMIT_BYTES_MAX: u64 = 4 << 30;

// ---- how they relate ----

const _: () = {
    // What comes slowly is read before its download is shown as stalled.
    assert!(LOW_WATER_PATIENCE.as_millis() + 2 * WATCHDOG_TICK.as_millis() < STALLED_AFTER.as_millis());
    // The page that is written where sendfile must wait is a part of a step.
    assert!(SEND_WAIT_BYTES <= SEND_FILE_STEP_BYTES);
    assert!(THROTTLE_STEP_BYTES_MIN <= THROTTLE_STEP_BYTES_MAX);
    // A refused connection goes before an idle one does.
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
    // What is being written leaves memory for a chunk that arrives.
    assert!(WRITING_BLOCKS_MAX as usize * BLOCK_BYTES + CHUNK_SIZE_MAX as usize <= FLIGHT_BYTES_PER_CORE_MAX);
    // One chunk of the largest size is received while others are hashed and written.
    assert!(FLIGHT_BYTES_PER_CORE_MAX >= 3 * CHUNK_SIZE_MAX as usize);
    // While slow peers hold some blocks, a whole chunk of another unproven one still fits beside them.
    assert!(FLIGHT_BYTES_PER_CORE_MAX / LIMITED_SHARE_OF_FLIGHT >= CHUNK_SIZE_MAX as usize + 8 * BLOCK_BYTES);
    assert!(BLOCK_BYTES.is_multiple_of(4096));
    assert!(BLOCKING_JOBS_MAX >= TORRENTS_MAX);
    // A device that hangs leaves threads to others.
    assert!(DURABLE_THREADS_PER_DEVICE < DURABLE_THREADS && COLD_THREADS_PER_DEVICE < COLD_THREADS);
    assert!(COLD_JOBS_PER_FILE_MAX < COLD_JOBS_PER_DEVICE_MAX);
    // The record of a removal outlives everything that it must win over.
    assert!(TOMBSTONE.as_millis() >= 2 * LEASE.as_millis());
    assert!(VERSION_AHEAD_MAX.as_millis() < LEASE.as_millis());
    // A renewal may come just before half the lease is over, and then changes nothing: the next one must be in time.
    assert!(2 * RENEW_INTERVAL.as_millis() < LEASE.as_millis());
    assert!(ENTRIES_PER_FILE_MAX <= u16::MAX as usize && ENDPOINTS_PER_FILE_MAX <= ENTRIES_PER_FILE_MAX);
    assert!(ADDRESS_COUNTERS.is_power_of_two());
    // No network fills a file.
    assert!(ENDPOINTS_PER_ADDRESS_MAX * NETWORK_ROOM * 8 < ENDPOINTS_PER_FILE_MAX);
    assert!(ENDPOINTS_PER_ADDRESS_MAX * REMOVALS_PER_ENDPOINT_MAX * NETWORK_ROOM * 8 < ENTRIES_PER_FILE_MAX);
    // A client that is asked to end is closed before it is ended.
    assert!(2 * CLOSE_TIMEOUT.as_millis() < SIGNAL_PATIENCE.as_millis());
    // A page with one file of the longest name more than its measure is still a frame.
    assert!(2 * SYNC_PAGE_BYTES <= FRAME_SYNC_BYTES_MAX);

    // Slices cut every chunk evenly, and those of all lanes fit into a worker's buffer.
    assert!(HASH_CACHED_SLICE_BYTES.is_power_of_two() && HASH_COLD_SLICE_BYTES.is_power_of_two());
    assert!(HASH_LANES_MAX * HASH_CACHED_SLICE_BYTES <= HASH_BUFFER_BYTES);
    assert!(HASH_BUFFER_BYTES.is_multiple_of(HASH_COLD_SLICE_BYTES));
};
