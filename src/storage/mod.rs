//! Files on disk: a download's `.part` and its record, the buffers that are written with O_DIRECT, and seeded files,
//! memory-mapped.
//!
//! The order of durability is in one place, [`ledger`]; the operations that it orders are behind [`ledger::PartFiles`],
//! so that the tests can tear and lose unsynced writes at every point. User space never loads from a memory map (a
//! truncated file would raise SIGBUS): the kernel reads it when it copies to a socket.
//!
//! This layer must never open a path that came from the network, and never write or cache a received chunk before
//! [`verifier`] has matched its hash.

pub(crate) mod allocate;
pub mod allocator;
mod block_pool;
mod chunk_buffer;
mod chunk_cache;
pub(crate) mod copy;
pub(crate) mod dest;
pub(crate) mod dest_error;
pub(crate) mod disk;
pub(crate) mod identity;
pub(crate) mod layout;
pub(crate) mod ledger;
mod loan;
mod memory;
mod memory_grants;
pub(crate) mod memory_plan;
#[cfg(test)]
mod memory_tests;
mod opening;
pub(crate) mod paths;
mod probe;
pub(crate) mod record;
pub(crate) mod relocate;
mod ring_file;
pub(crate) mod seed_file;
#[cfg(test)]
mod test_disk;
#[cfg(test)]
pub(crate) mod test_image;
mod thread_file;
mod unfinished;
pub(crate) mod verifier;
pub(crate) mod writer;

pub use allocator::Allocator;
pub use chunk_buffer::ChunkBuffer;
pub use chunk_cache::ChunkKey;
pub use dest::{Claim, Opened};
pub use dest_error::{DestError, PartFault};
pub use disk::DiskFiles;
pub use identity::Identity;
pub use layout::{Layout, Segment};
pub use ledger::{Ledger, PartFiles};
pub use loan::Loan;
pub use memory::Memory;
pub use memory_plan::{MemoryPlan, TooLittleMemory};
pub use opening::Opening;
pub use paths::Paths;
pub use record::{FileMark, Record};
pub use seed_file::SeedFile;
pub use unfinished::Unfinished;
pub use verifier::{ReceivedChunk, VerifiedChunk, Verifier, WrongChunk};
pub use writer::Writer;
