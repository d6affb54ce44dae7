//! Chunks to request from a peer: the seed's 2-D map *chunk -> peers*, kept by columns. Pure.
//!
//! A peer's column is its bitfield, which the session owns. The picker keeps, for each chunk, the number of partial
//! peers that have it (complete peers are not counted), and the wanted chunks in buckets by that number. When a partial
//! peer comes or goes, the picker makes one pass over the file's bits, whatever the number of peers, and rebuilds the
//! buckets before their next use.
//!
//! A chunk is *wanted* until its data begins to arrive. A request that names it reserves nothing; it is only counted,
//! so that other requests name other chunks while there are any.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::bitfield::Bitfield;
use crate::geometry::{ChunkIndex, Geometry};
use crate::limits::{PICKER_PROBES_MAX, REQUEST_CHUNKS_MAX};

/// Order in which chunks are chosen from those that a peer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The chunks that the fewest peers have, ties at random.
    #[default]
    RarestFirst,
    /// Any chunk, at random: the seed's own strategy.
    Random,
}

/// Chunks for one request, first choice first.
pub type Choice = arrayvec::ArrayVec<ChunkIndex, REQUEST_CHUNKS_MAX>;

/// State of every chunk of one download.
#[derive(Debug)]
pub struct Picker {
    geometry: Geometry,
    strategy: Strategy,
    chunks: Vec<Chunk>,
    wanted: Bitfield,
    /// Wanted chunks by availability; `Chunk::position` is the index in the bucket. Invalid while `is_stale`.
    buckets: Vec<Vec<ChunkIndex>>,
    is_stale: bool,
    missing: u32,
    /// Incremented whenever a peer that could not be asked for anything may have become useful.
    changes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    state: State,
    /// Open requests that name the chunk.
    named: u8,
    /// Partial peers that have the chunk.
    availability: u16,
    position: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Wanted,
    Arriving,
    Held,
}

impl Picker {
    /// A picker for all chunks except those `held`.
    pub fn new(held: &Bitfield, strategy: Strategy) -> Self {
        let geometry = held.geometry();
        let mut wanted = Bitfield::empty(geometry);
        let chunks = geometry.chunks().map(|chunk| {
            let state = if held.contains(chunk) { State::Held } else { State::Wanted };
            if state == State::Wanted {
                wanted.insert(chunk);
            }
            Chunk { state, named: 0, availability: 0, position: 0 }
        });
        let chunks = chunks.collect();
        let missing = wanted.count();
        Self { geometry, strategy, chunks, wanted, buckets: Vec::new(), is_stale: true, missing, changes: 0 }
    }

    /// Geometry of the file.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Chunks that are not held yet.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// Chunks whose data has not begun to arrive.
    pub fn wanted(&self) -> u32 {
        self.wanted.count()
    }

    /// Chunks whose data has not begun to arrive and that no partial peer has.
    pub fn only_complete_peers_have(&mut self) -> u32 {
        self.refresh();
        self.buckets.first().map_or(0, |bucket| bucket.len() as u32)
    }

    /// Whether the chunk was verified.
    pub fn is_held(&self, chunk: ChunkIndex) -> bool {
        self.chunks[chunk.as_usize()].state == State::Held
    }

    /// Whether the chunk's data has not begun to arrive.
    pub fn is_wanted(&self, chunk: ChunkIndex) -> bool {
        self.chunks[chunk.as_usize()].state == State::Wanted
    }

    /// Open requests that name the chunk.
    pub fn named(&self, chunk: ChunkIndex) -> u8 {
        self.chunks[chunk.as_usize()].named
    }

    /// Partial peers that have the chunk.
    pub fn availability(&self, chunk: ChunkIndex) -> u16 {
        self.chunks[chunk.as_usize()].availability
    }

    /// Change counter: it differs whenever any peer may have become useful for a request that it could not serve
    /// before.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Counts the chunks of a partial peer that came.
    pub fn add_peer(&mut self, chunks: &Bitfield) {
        chunks.iter().for_each(|chunk| self.chunks[chunk.as_usize()].availability += 1);
        self.is_stale = true;
    }

    /// Stops counting the chunks of a partial peer that left.
    pub fn remove_peer(&mut self, chunks: &Bitfield) {
        chunks.iter().for_each(|chunk| self.chunks[chunk.as_usize()].availability -= 1);
        self.is_stale = true;
    }

    /// Counts that a partial peer got a chunk (`has`), or turned out not to have it.
    pub fn count(&mut self, chunk: ChunkIndex, has: bool) {
        let is_listed = !self.is_stale && self.is_wanted(chunk);
        if is_listed {
            self.unlist(chunk);
        }
        let availability = &mut self.chunks[chunk.as_usize()].availability;
        *availability = if has { *availability + 1 } else { *availability - 1 };
        if is_listed {
            self.list(chunk);
        }
    }

    /// Counts that a request that names the chunk was sent (`true`) or has ended (`false`).
    pub fn name(&mut self, chunk: ChunkIndex, sent: bool) {
        let named = &mut self.chunks[chunk.as_usize()].named;
        *named = if sent { named.saturating_add(1) } else { named.saturating_sub(1) };
        if !sent {
            self.changes += 1;
        }
    }

    /// Marks that the chunk's data begins to arrive.
    pub fn begin(&mut self, chunk: ChunkIndex) {
        if self.is_wanted(chunk) {
            if !self.is_stale {
                self.unlist(chunk);
            }
            self.wanted.remove(chunk);
            self.chunks[chunk.as_usize()].state = State::Arriving;
        }
    }

    /// Marks the chunk wanted again: no peer is sending it any more, or its data was wrong.
    pub fn want_again(&mut self, chunk: ChunkIndex) {
        if self.chunks[chunk.as_usize()].state == State::Arriving {
            self.chunks[chunk.as_usize()].state = State::Wanted;
            self.wanted.insert(chunk);
            if !self.is_stale {
                self.list(chunk);
            }
            self.changes += 1;
        }
    }

    /// Marks the chunk verified; returns whether it is new.
    pub fn hold(&mut self, chunk: ChunkIndex) -> bool {
        if self.is_held(chunk) {
            return false;
        }
        self.begin(chunk);
        self.chunks[chunk.as_usize()].state = State::Held;
        self.missing -= 1;
        true
    }

    /// Up to `max` wanted chunks out of `has` that fewer than `named_max` open requests name, first choice first.
    pub fn choose(&mut self, has: &Bitfield, max: usize, named_max: u8, rng: &mut impl Rng) -> Choice {
        let max = max.min(REQUEST_CHUNKS_MAX);
        if self.wanted.common(has, 0).next().is_none() {
            return Choice::new();
        }
        let choice = match self.strategy {
            Strategy::RarestFirst => self.probe(has, max, named_max, rng),
            Strategy::Random => Choice::new(),
        };
        if choice.is_empty() { self.search(has, max, named_max, rng) } else { choice }
    }

    /// Samples some chunks of each availability, rarest first.
    fn probe(&mut self, has: &Bitfield, max: usize, named_max: u8, rng: &mut impl Rng) -> Choice {
        self.refresh();
        let mut choice = Choice::new();
        let mut probes = PICKER_PROBES_MAX;
        for bucket in self.buckets.iter().filter(|bucket| !bucket.is_empty()) {
            let start = rng.random_range(0..bucket.len());
            let (before, after) = bucket.split_at(start);
            for chunk in after.iter().chain(before).copied() {
                if choice.len() == max || probes == 0 {
                    return choice;
                }
                probes -= 1;
                if has.contains(chunk) && self.named(chunk) < named_max {
                    choice.push(chunk);
                }
            }
            // A server that sends its rarest chunk first must not be offered commoner ones beside it.
            if !choice.is_empty() {
                return choice;
            }
        }
        choice
    }

    /// Searches the wanted chunks from a random position on, until there are enough to draw from.
    fn search(&mut self, has: &Bitfield, max: usize, named_max: u8, rng: &mut impl Rng) -> Choice {
        let mut choice = Choice::new();
        if self.geometry.chunk_count() == 0 {
            return choice;
        }
        let start = rng.random_range(0..self.geometry.chunk_count());
        let may_be_named = |chunk: &ChunkIndex| self.named(*chunk) < named_max;
        let found = self.wanted.common(has, start).filter(may_be_named).take(PICKER_PROBES_MAX);
        let mut found: Vec<ChunkIndex> = found.collect();
        found.shuffle(rng);
        if self.strategy == Strategy::RarestFirst {
            found.sort_by_key(|chunk| self.chunks[chunk.as_usize()].availability);
        }
        choice.extend(found.into_iter().take(max));
        choice
    }

    fn refresh(&mut self) {
        if std::mem::take(&mut self.is_stale) {
            self.buckets.iter_mut().for_each(Vec::clear);
            let wanted: Vec<ChunkIndex> = self.wanted.iter().collect();
            wanted.into_iter().for_each(|chunk| self.list(chunk));
        }
    }

    fn list(&mut self, chunk: ChunkIndex) {
        let entry = &mut self.chunks[chunk.as_usize()];
        let availability = usize::from(entry.availability);
        if self.buckets.len() <= availability {
            self.buckets.resize_with(availability + 1, Vec::new);
        }
        entry.position = self.buckets[availability].len() as u32;
        self.buckets[availability].push(chunk);
    }

    fn unlist(&mut self, chunk: ChunkIndex) {
        let Chunk { availability, position, .. } = self.chunks[chunk.as_usize()];
        let bucket = &mut self.buckets[usize::from(availability)];
        bucket.swap_remove(position as usize);
        if let Some(moved) = bucket.get(position as usize).copied() {
            self.chunks[moved.as_usize()].position = position;
        }
    }
}
