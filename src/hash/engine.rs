//! Which instructions hash, and how many lanes they take at once.
//!
//! A [`Kernels`] exists only for what the CPU has, so that its safe functions are safe to call. It
//! knows nothing of jobs, padding or files: only states and runs of whole 64-byte blocks.

/// The five words between two blocks.
pub(super) type State = [u32; 5];

/// Bytes that one round of compression takes.
pub(super) const BLOCK: usize = 64;

/// The state before the first block (FIPS 180-4, 5.3.1).
pub(super) const START: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// Most lanes that any kernel takes at once.
pub(super) const LANES_MAX: usize = 16;

/// A set of instructions that hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The `sha1` crate, one chunk after the other: reference and fallback.
    Crate,
    /// The SHA instructions of x86-64, up to 4 chunks interleaved.
    ShaNi,
    /// 8 lanes of AVX2, for x86-64 without SHA instructions.
    Avx2,
    /// 16 lanes of AVX-512; a few chunks go by the SHA instructions where they are.
    Avx512,
}

impl Engine {
    /// What this CPU has, from the slowest to the fastest; never empty.
    pub fn available() -> Vec<Engine> {
        vec![Engine::Crate]
    }

    /// The fastest that this CPU has.
    pub fn detect() -> Engine {
        Self::available().pop().unwrap_or(Engine::Crate)
    }
}

/// The compression functions of an engine that this CPU has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernels {
    engine: Engine,
}

impl Kernels {
    /// The kernels of `engine`, or of [`Engine::Crate`] where the CPU lacks it.
    pub fn new(engine: Engine) -> Self {
        let engine = if Engine::available().contains(&engine) { engine } else { Engine::Crate };
        Self { engine }
    }

    /// Lanes at which the engine is at its best.
    pub fn width(self) -> usize {
        match self.engine {
            Engine::Crate => 1,
            Engine::ShaNi => 4,
            Engine::Avx2 => 8,
            Engine::Avx512 => LANES_MAX,
        }
    }

    /// Of `live` lanes, how many should go together now; 0 only for 0.
    pub fn lanes_at_once(self, live: usize) -> usize {
        live.min(self.width())
    }

    /// Takes every state over its run of blocks. Runs are cut to the shortest, to whole blocks; a
    /// state without a run stays.
    pub fn compress(self, states: &mut [State], runs: &[&[u8]]) {
        let len = runs.iter().map(|run| run.len()).min().unwrap_or(0) / BLOCK * BLOCK;
        for (state, run) in states.iter_mut().zip(runs) {
            compress_one(state, &run[..len]);
        }
    }
}

/// Takes a state over the whole blocks of `run`, by the `sha1` crate.
pub(super) fn compress_one(state: &mut State, run: &[u8]) {
    ::sha1::block_api::compress(state, run.as_chunks().0);
}
