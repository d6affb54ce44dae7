//! Messages between trackers: the byte table of every Sync argument, and its codec.
//!
//! # Messages
//!
//! A link is a connection that one tracker dials to another. Its dialler sends requests and pushes its changes; the
//! other side answers each frame by exactly one, in order. A tracker that accepted a link dials one back, so that two
//! trackers have a link in each direction.
//!
//! | type | arguments, in order | answered by |
//! |---|---|---|
//! | `SyncHello` | protocol u32, tracker id u64, lease u64, tombstone life u64, endpoint, nonce, proof | `SyncHello`, or `Response` |
//! | `SyncShare` | info hash, name, length u64, chunk size u32, version | `Response` |
//! | `SyncAddSeeder` | info hash, endpoint, version | `Response` |
//! | `SyncRemoveSeeder` | info hash, endpoint, version | `Response` |
//! | `SyncSeederListRequest` | cursor, cut-off u64, digests | `SyncSeederListResponse` |
//! | `SyncSeederListResponse` | status, next cursor, then one entry an argument, none or more | |
//!
//! | argument | bytes |
//! |---|---|
//! | protocol | u32: 1 |
//! | tracker id | u64: random, kept with the store |
//! | lease, tombstone life | u64: milliseconds that a seeder and the record of a removal live |
//! | endpoint, in `SyncHello` | where the sender listens, to be dialled back; the unspecified address means "where you see me" |
//! | nonce | 16 random bytes, new for each link |
//! | proof | 32: HMAC-SHA-256 by the group key, see below; or none |
//! | version | 16, never none: of the entry that is passed on |
//! | cursor | 10: bucket u16 (below 4,096), tag u32, skip u32. A bucket's start is tag 0, skip 0; tag and skip are the answering tracker's own, and are sent back as they came |
//! | next cursor | 10; or none when all buckets of the request are done |
//! | cut-off | u64: milliseconds since 1970. Entries that end at it or before are left out of the digests |
//! | digests | 16 each, 256 at most, in one argument: one a bucket, from the cursor's on, none behind bucket 4,095 |
//! | entry | as below |
//!
//! ```text
//!  0      1           21        37
//!  +------+-----------+---------+----------------------------------------------+
//!  | kind | info hash | version | kind 0, a file: length u64, chunk size u32,  |
//!  | u8   | 20        | 16      |     name (the rest)                          |
//!  |      |           |         | kind 1, a seeder: endpoint 6 or 18           |
//!  |      |           |         | kind 2, a removed seeder: endpoint 6 or 18   |
//!  +------+-----------+---------+----------------------------------------------+
//! ```
//!
//! - The bucket of an entry is the first 12 bits of its info hash. A bucket's digest is the XOR over its entries
//!   of the first 16 bytes of SHA-1 over: kind; info hash; for a file length, chunk size and name, for the others
//!   the endpoint; version. If there is a group key, one block precedes it: HMAC-SHA-256, by that key, over
//!   `digests`, and 32 zeros.
//! - A response contains entries of buckets whose digests differ from those of the request. It may end anywhere, and
//!   be empty: the next request continues at the next cursor, with digests from that bucket on. Responses are 1 MiB
//!   at most; all other messages of a link 64 KiB.
//! - `SyncSeederListRequest` without digests requests nothing: it shows that both sides are alive, and its cut-off
//!   reports the sender's clock. So does the version in the `Response` that opens a link.
//!
//! # Opening a link
//!
//! ```text
//!  dialler                                       acceptor
//!  SyncHello, no proof                  ->
//!                                       <-       SyncHello, proof A         (or Response 5: a mismatch)
//!  SyncHello, same nonce, proof D       ->
//!                                       <-       Response 0                 (or Response 5: a wrong proof)
//! ```
//!
//! A proof is HMAC-SHA-256, by the group key, over: one byte (`D` or `A`), the dialler's nonce, the acceptor's nonce,
//! then protocol, tracker id, lease and tombstone life of the prover, as written in its hello. A tracker without a
//! group key sends no proof, and links with loopback addresses only. Protocol, lease and tombstone life must be the
//! same on both sides. Any other Sync message before the link is open is answered by `Response` 5. A dialler may send
//! `SyncHello` without a proof again on an open link: it has changes that it could not keep, and requests that the
//! other side repairs from it; the answer is `Response`.

mod cursor;
mod digests;
mod entries;
mod entry;
mod hello;
mod list_request;
mod list_response;

pub use cursor::{Cursor, SYNC_BUCKETS};
pub use digests::Digests;
pub use entries::{Entries, EntriesBuffer};
pub use entry::{Body, Entry, FileInfo};
pub use hello::{PROOF_LEN, PROOF_TEXT_LEN, SYNC_PROTOCOL, SyncHello, proof_text};
pub use list_request::ListRequest;
pub use list_response::ListResponse;
