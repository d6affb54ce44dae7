//! The wire format, and its codec. This text is the specification of the protocol.
//!
//! Pure: no I/O, no clock, and no allocation in [`parse`], [`parse_data`], [`Message::decode`], [`Message::encode`].
//! Decoded messages borrow from the buffer into which the bytes were read. This module must never know a metainfo, a
//! socket or a sender, and must never panic on external bytes.
//!
//! # Frame
//!
//! All data in either direction is sent in frames. Integers are big-endian and unsigned.
//!
//! ```text
//!  0        4           8        8+t            12+t      12+t+p       16+t+p
//!  +--------+-----------+--------+--------------+---------+------------+
//!  | "mTor" | type size | type   | payload size | payload | "roTm"     |
//!  |   4    |  u32 = t  | t bytes|    u32 = p   | p bytes |   4        |
//!  +--------+-----------+--------+--------------+---------+------------+
//! ```
//!
//! - *Magic start* is `6d 54 6f 72`, *magic end* `72 6f 54 6d`.
//! - *Type* is 1 to 32 bytes of printable ASCII (20 to 7e), one of the names below; case matters.
//! - *Payload* is the arguments in order, without gaps; it ends where the last argument ends:
//!
//! ```text
//!  +-----------+---------+-----------+---------+
//!  | size  u32 | bytes   | size  u32 | bytes   | ...
//!  +-----------+---------+-----------+---------+
//! ```
//!
//! - Limits of the payload: 64 KiB on a control connection; on a data connection, 256 bytes more than the
//!   chunk size for SendChunkResponse and 64 KiB for all else; 1 MiB on a link between trackers.
//!
//! # Messages
//!
//! | type | arguments, in order | answered by |
//! |---|---|---|
//! | `Share` | info hash, name, length u64, chunk size u32, endpoint, version | `Response` |
//! | `AddSeeder` | info hash, endpoint, version | `Response` |
//! | `RemoveSeeder` | info hash, endpoint, version | `Response` |
//! | `ReportProgress` | info hash, endpoint, chunks done u32, chunk count u32, rate u64, state | `Response` |
//! | `StatusRequest` | cursor | `StatusResponse` |
//! | `ReachRequest` | endpoint | `Response` |
//! | `StatusResponse` | status, next cursor, JSON | |
//! | `SeederInfoRequest` | info hash | `SeederInfoResponse` |
//! | `SeederInfoResponse` | info hash, status, then one endpoint an argument, none or more | |
//! | `ChunkInfoRequest` | info hash | `ChunkInfoResponse` |
//! | `ChunkInfoResponse` | info hash, status, chunk count u32, bitfield | |
//! | `ChunkSubscribeRequest` | info hash | `ChunkInfoResponse`, then `HaveChunks` at any time |
//! | `HaveChunks` | info hash, chunk indices, u32 each, all in one argument | never |
//! | `SendChunkRequest` | info hash, chunk index u32, then chunk indices in one argument, or no third argument | `SendChunkResponse` |
//! | `SendChunkResponse` | info hash, chunk index u32, status, data | |
//! | `Response` | status, text, version | |
//! | `PeerIdRequest` | none | `PeerIdResponse` |
//! | `PeerIdResponse` | peer id | |
//! | `SyncHello` | protocol u32, tracker id u64, lease u64, tombstone life u64, endpoint, nonce, proof | `SyncHello` |
//! | `SyncShare` | info hash, name, length u64, chunk size u32, version | `Response` |
//! | `SyncAddSeeder` | info hash, endpoint, version | `Response` |
//! | `SyncRemoveSeeder` | info hash, endpoint, version | `Response` |
//! | `SyncSeederListRequest` | cursor, cut-off u64, digests | `SyncSeederListResponse` |
//! | `SyncSeederListResponse` | status, next cursor, then one entry an argument, none or more | |
//!
//! `Share`, `AddSeeder`, `RemoveSeeder`, `ReportProgress`, `StatusRequest`, `ReachRequest` and `SeederInfoRequest` are sent
//! to trackers, the other requests to peers. The Sync messages are sent between trackers; [`sync`] specifies the bytes of their arguments, and how a link is opened.
//! `PeerIdRequest` lets a client recognize itself among the endpoints that a tracker returned, so it is sent only to a
//! peer with the client's own port. A peer that does not know the message answers by `Response` with status 2, and is
//! therefore not the client itself.
//!
//! # Progress
//!
//! A tracker that takes `ReportProgress` says so with the word `progress` in the text of the `Response` with status 0 to
//! `Share` and `AddSeeder`; only such a tracker is sent the message. A downloader that has announced itself sends it
//! every 10 s, and once at its end, for the endpoint of its announcement. The report is refused with status 3 if the
//! endpoint is not a live seeder of the file. Reports change no entry, expire after 60 s, and are not passed on to other
//! trackers.
//!
//! # Status
//!
//! `StatusRequest` returns a page of what the tracker knows: a JSON object, for tools that people use. The first request
//! has the cursor 0, 0, 0; the next one has the cursor of the last answer; an answer without a cursor is the last.
//! `crate::tracker::server` documents the keys.
//!
//! # Reach
//!
//! `ReachRequest` asks a tracker to test whether others can connect to an endpoint of the sender. The tracker opens a TCP
//! connection to it, sends nothing, closes it, and answers by a `Response`: status 0 if the connection was accepted, its
//! text naming the endpoint; 3 if not, its text saying why (refused, silent, no route). As for `AddSeeder`, the endpoint
//! has the address from which the sender speaks, unless the tracker trusts the sender, else the status is 5; so it is for
//! a loopback address from another machine. An address may ask once a second, else the status is 6; while the tracker
//! makes as many tests as it does at once, the status is 7. The answer may take 3 s, and later requests on the same
//! connection wait for it. A tracker that does not know the message answers by status 2.
//!
//! # Arguments
//!
//! | argument | bytes |
//! |---|---|
//! | info hash | 20: SHA-1 over the `info` of the metainfo |
//! | u32, u64 | 4, 8 |
//! | name | 1 to 255 of UTF-8: one path component, without `/` and NUL, not `.` or `..` |
//! | chunk size | u32: a power of two from 16 KiB to 16 MiB, with which the file has at most 419,430 chunks |
//! | endpoint | 6 or 18: address (4 or 16), port u16, not 0. An IPv4-mapped address is taken as IPv4 and sent as 6. The unspecified address means "where you see me" |
//! | version | 16: clock u64 (48 bits of milliseconds since 1970, 16 of counter), tracker id u64; or none for "no version" |
//! | status | 1, from the table below |
//! | bitfield | one bit a chunk, rounded up: chunk 0 is the highest bit of the first byte, spare bits are 0 |
//! | chunk indices | 4 each; 8,192 at most from our senders |
//! | data | all bytes of the chunk |
//! | rate | u64: bytes a second |
//! | state | 1: 0 waiting, 1 running, 2 stalled, 3 paused, 4 done, 5 ended early |
//! | cursor, next cursor | 10: bucket u16 below 4,096, position u32, entries to skip u32; a next cursor may be none |
//! | JSON | UTF-8, one object; none with an error |
//! | text | UTF-8, for people; 1,024 bytes at most from our senders |
//! | peer id | 16, random for each process |
//!
//! | status | |
//! |---|---|
//! | 0 | ok |
//! | 1 | bad request: the arguments are wrong |
//! | 2 | unknown type |
//! | 3 | not found: the file is unknown |
//! | 4 | chunk absent: the file is known, the sender lacks the chunk |
//! | 5 | not allowed |
//! | 6 | over a limit |
//! | 7 | busy: the request may be retried |
//! | 8 | file changed on the sender's disk |
//! | 9 | internal |
//!
//! With a status other than 0 all fixed arguments are present; bitfield and data are empty, the chunk count is 0, and
//! there are no endpoints.
//!
//! # The head of a SendChunkResponse
//!
//! Its data starts at byte 70 of the frame, so that a receiver can read the head first and then the data straight into
//! its destination ([`parse_data`], [`DataHead`]):
//!
//! ```text
//!  0        4      8                     25         29     33          53    57      61    65       66       70
//!  +--------+------+---------------------+----------+------+-----------+-----+-------+-----+--------+--------+------+--------+
//!  | "mTor" | 17   | "SendChunkResponse" | 41 + d   | 20   | info hash | 4   | index | 1   | status | size d | data | "roTm" |
//!  | 4      | u32  | 17                  | u32      | u32  | 20        | u32 | u32   | u32 | 1      | u32    | d    | 4      |
//!  +--------+------+---------------------+----------+------+-----------+-----+-------+-----+--------+--------+------+--------+
//! ```
//!
//! # Choice
//!
//! A `SendChunkRequest` with further indices requests one chunk of all that it names. Of those that it has, the sender
//! selects the chunk that it has sent least often, the first named in case of a tie; if it has none, it answers by
//! status 4. A waiting request can lose chunks: `HaveChunks` on the same connection removes the chunks that it lists
//! from all requests of the connection whose answers have not begun, and a request that then names no chunk is answered
//! by status 7. A sender need not support this: a peer drops a chunk that it receives twice.
//!
//! # Order
//!
//! - Requests may be pipelined. Their answers are sent in the order of the requests; `HaveChunks` may occur
//!   between any two of them.
//! - Any request may be answered by a `Response` instead of its own answer.
//! - Chunk data is sent on separate connections. To cancel a `SendChunkRequest`, close the connection.
//! - Once the first byte of a frame is sent, a sender that cannot deliver the rest closes the connection; it
//!   never pads.
//!
//! # Which errors close a connection
//!
//! | event at the receiver | reaction |
//! |---|---|
//! | a wrong magic, at its first wrong byte | closes ([`FrameError`]) |
//! | a type size of 0 or over 32; a type that is not printable ASCII | closes |
//! | a payload size over its limit, before any of the payload has come | closes |
//! | arguments that do not fill the payload | closes |
//! | a `SendChunkResponse` whose arguments are wrong, on a data connection | closes |
//! | an unknown type | `Response` with status 2, stays ([`DecodeError`]) |
//! | a wrong number of arguments, or one of a wrong size or value | `Response` with status 1, stays |
//! | a message that it never asked for or cannot serve | `Response` with status 1, stays |
//! | a request that it refuses | the request's own answer, or `Response`, with the status; stays |

mod arguments;
mod chunk_info;
mod data;
mod endpoints;
mod error;
mod frame;
mod have_chunks;
mod indices;
mod list;
mod message;
mod peer_id;
mod progress;
mod response;
mod seeder;
mod seeder_info;
mod send_chunk;
mod share;
mod status;
pub mod sync;
#[cfg(test)]
mod tests;
mod tracker_status;

pub use chunk_info::ChunkInfo;
pub use data::{DATA_HEAD_LEN, DataHead, DataParsed, parse_data};
pub use endpoints::Endpoints;
pub use error::{DecodeError, FrameError};
pub use frame::{Frame, MAGIC_END, MAGIC_START, Parsed, parse};
pub use have_chunks::HaveChunks;
pub use indices::Indices;
pub use list::{List, ListIter};
pub use message::Message;
pub use progress::{
    ENTERED_AS, Progress, ProgressState, ReportProgress, TAKES_PROGRESS, is_entered_elsewhere, takes_progress,
};
pub use response::Response;
pub use seeder::SeederChange;
pub use seeder_info::SeederInfo;
pub use send_chunk::{SendChunk, SendChunkRequest};
pub use share::Share;
pub use status::Status;
pub use sync::{Body, Cursor, Digests, Entries, EntriesBuffer, Entry, FileInfo, ListRequest, ListResponse, SyncHello};
pub use tracker_status::StatusPage;
