//! What this process counts: plain numbers, one set a core, which a scrape joins.
//!
//! A core adds to cells of its own set, relaxed and on cache lines of its own: no lock, no allocation, nothing that
//! another core waits for. Threads that are no core share one set. The sets exist from the start, so that nothing
//! registers anything. What other parts count for themselves anyway (a torrent's bytes, a tracker's table) is not
//! counted here again: a scrape reads it there.
//!
//! This module must never format, lock or wait, and it knows nothing of what it counts.

mod counter;
mod peer_class;
mod sets;
mod timing;

pub(crate) use counter::Counter;
pub use peer_class::PeerClass;
pub(crate) use sets::{
    Beat, add, beat, beats, bind_core, chunk_memory_bytes, grow_chunk_memory, observe, shrink_chunk_memory, timings,
    timings_of_core, total, unbind_core,
};
pub(crate) use timing::{BOUNDS_S, Distribution, Timing};
