//! [`Hasher`]: jobs that one owner hashes side by side, a bounded step at a time.

use std::collections::VecDeque;

use super::blocks::Blocks;
use super::chunk_compression::ChunkCompression;
use super::compression::{BLOCK, Compression};
use super::engine::Engine;
use super::lane::Lane;
use super::plan::{Plan, Turn};
use crate::ids::ChunkHash;
use crate::limits::HASH_LANES_MAX;

/// Lanes that hash side by side, and the jobs that wait for one.
///
/// The caller bounds its size: it holds every job that was pushed and not popped.
pub struct Hasher<J: Blocks> {
    plan: Plan<ChunkCompression>,
    /// At most `plan.width()` lanes, oldest first. Each has a run of whole blocks left.
    lanes: Vec<Lane<J, ChunkCompression>>,
    waiting: VecDeque<J>,
    done: VecDeque<(J, ChunkHash)>,
}

impl<J: Blocks> Hasher<J> {
    /// Creates a hasher with the fastest engine of this CPU.
    pub fn new() -> Self {
        Self::with_engine(Engine::detect())
    }

    /// Creates a hasher with `engine`, or with the next lower one that the CPU supports: for tests and benches.
    pub fn with_engine(engine: Engine) -> Self {
        let plan = Plan::new(engine);
        let lanes = Vec::with_capacity(plan.width());
        Self { plan, lanes, waiting: VecDeque::new(), done: VecDeque::new() }
    }

    /// Number of concurrent jobs at which the throughput is highest.
    pub fn width(&self) -> usize {
        self.plan.width()
    }

    /// Number of unfinished jobs.
    pub fn len(&self) -> usize {
        self.lanes.len() + self.waiting.len()
    }

    /// Whether all jobs are finished (some may still wait for [`Hasher::pop_done`]).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a job.
    pub fn push(&mut self, job: J) {
        self.waiting.push_back(job);
    }

    /// Hashes at most about `bytes_max` bytes over all lanes, and returns how many it hashed.
    ///
    /// A step hashes at least one block a lane, so that steps always reach the end, and fewer than `bytes_max` bytes
    /// only when nothing is left. Tails under 64 bytes are hashed as well and not counted.
    pub fn step(&mut self, bytes_max: usize) -> usize {
        let mut hashed = 0;
        self.admit();
        while !self.lanes.is_empty() && hashed < bytes_max.max(1) {
            hashed += self.turn(bytes_max.saturating_sub(hashed));
            self.admit();
        }
        hashed
    }

    /// Removes a finished job with its hash, in the order in which the jobs finished.
    pub fn pop_done(&mut self) -> Option<(J, ChunkHash)> {
        self.done.pop_front()
    }

    /// Fills free lanes from the queue.
    fn admit(&mut self) {
        while self.lanes.len() < self.plan.width() {
            let Some(job) = self.waiting.pop_front() else { return };
            let mut lane = Lane::new(job);
            match lane.settle() {
                Some(hash) => self.done.push_back((lane.job, hash)),
                None => self.lanes.push(lane),
            }
        }
    }

    /// Hashes the oldest lanes, as many as the plan combines, over their shortest run.
    fn turn(&mut self, bytes_max: usize) -> usize {
        let turn = self.plan.turn(self.lanes.len());
        let count = turn.lanes;
        let len = self.compress(turn, (bytes_max / count / BLOCK * BLOCK).max(BLOCK));
        for lane in &mut self.lanes[..count] {
            lane.advance(len);
        }
        for index in (0..count).rev() {
            if let Some(hash) = self.lanes[index].settle() {
                let lane = self.lanes.remove(index);
                self.done.push_back((lane.job, hash));
            }
        }
        count * len
    }

    /// Calls a kernel once over the oldest lanes; returns the bytes hashed in each.
    fn compress(&mut self, turn: Turn<ChunkCompression>, len_max: usize) -> usize {
        let lanes = &mut self.lanes[..turn.lanes];
        let len = lanes.iter().map(|lane| lane.run().len()).min().unwrap_or(0).min(len_max);
        let (mut states, mut runs) = ([ChunkCompression::START; HASH_LANES_MAX], [&[][..]; HASH_LANES_MAX]);
        for (index, lane) in lanes.iter().enumerate() {
            states[index] = lane.state;
            runs[index] = &lane.run()[..len];
        }
        turn.kernel.compress(&mut states[..turn.lanes], &runs[..turn.lanes]);
        for (lane, state) in lanes.iter_mut().zip(states) {
            lane.state = state;
        }
        len
    }
}

impl<J: Blocks> Default for Hasher<J> {
    fn default() -> Self {
        Self::new()
    }
}
