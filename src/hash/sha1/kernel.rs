//! The kernels of SHA-1 behind one interface.

use super::state::{START, State};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512, ShaNi};
use crate::hash::compression::{BLOCK, Compression, Times};
use crate::hash::engine::Engine;
use crate::ids::ChunkHash;

/// An implementation that updates a few states with a run of blocks each.
#[derive(Clone, Copy, Debug)]
pub(in crate::hash) enum Kernel {
    Crate,
    #[cfg(target_arch = "x86_64")]
    ShaNi2(ShaNi),
    #[cfg(target_arch = "x86_64")]
    ShaNi3(ShaNi),
    #[cfg(target_arch = "x86_64")]
    ShaNi4(ShaNi),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Compression for Kernel {
    type State = State;

    const START: State = START;
    const REFERENCE: Self = Kernel::Crate;

    fn available() -> Vec<Kernel> {
        [Kernel::Crate].into_iter().chain(wide()).collect()
    }

    fn times() -> &'static Times<Kernel> {
        static TIMES: Times<Kernel> = Times::new();
        &TIMES
    }

    fn engine(self) -> Engine {
        match self {
            Kernel::Crate => Engine::Crate,
            #[cfg(target_arch = "x86_64")]
            Kernel::ShaNi2(_) | Kernel::ShaNi3(_) | Kernel::ShaNi4(_) => Engine::ShaNi,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(_) => Engine::Avx2,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(_) => Engine::Avx512,
        }
    }

    fn lanes(self) -> usize {
        match self {
            Kernel::Crate => 1,
            #[cfg(target_arch = "x86_64")]
            Kernel::ShaNi2(_) => 2,
            #[cfg(target_arch = "x86_64")]
            Kernel::ShaNi3(_) => 3,
            #[cfg(target_arch = "x86_64")]
            Kernel::ShaNi4(_) => 4,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(_) => 8,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(_) => 16,
        }
    }

    fn compress(self, states: &mut [State], runs: &[&[u8]]) {
        match self {
            Kernel::Crate => {
                if let (Some(state), Some(run)) = (states.first_mut(), runs.first()) {
                    ::sha1::block_api::compress(state, run.as_chunks::<BLOCK>().0);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::ShaNi2(token) => filled::<2>(states, runs, |states, runs| token.compress(states, runs)),
            #[cfg(target_arch = "x86_64")]
            Kernel::ShaNi3(token) => filled::<3>(states, runs, |states, runs| token.compress(states, runs)),
            #[cfg(target_arch = "x86_64")]
            Kernel::ShaNi4(token) => filled::<4>(states, runs, |states, runs| token.compress(states, runs)),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(token) => filled::<8>(states, runs, |states, runs| token.compress(states, runs)),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(token) => filled::<16>(states, runs, |states, runs| token.compress(states, runs)),
        }
    }

    fn chunk_hash(state: State) -> ChunkHash {
        let mut hash = [0; ChunkHash::LEN];
        for (bytes, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        ChunkHash(hash)
    }
}

/// The multi-lane kernels that this CPU supports.
#[cfg(target_arch = "x86_64")]
fn wide() -> impl Iterator<Item = Kernel> {
    let sha = ShaNi::detect().into_iter();
    let sha = sha.flat_map(|token| [Kernel::ShaNi2(token), Kernel::ShaNi3(token), Kernel::ShaNi4(token)]);
    sha.chain(Avx2::detect().map(Kernel::Avx2)).chain(Avx512::detect().map(Kernel::Avx512))
}

/// Other architectures have the crate only.
#[cfg(not(target_arch = "x86_64"))]
fn wide() -> impl Iterator<Item = Kernel> {
    std::iter::empty()
}

/// Calls `compress` with exactly `N` lanes: unused ones hash the same input as the first, and their states are dropped.
#[cfg(target_arch = "x86_64")]
fn filled<const N: usize>(states: &mut [State], runs: &[&[u8]], compress: impl FnOnce(&mut [State; N], [&[u8]; N])) {
    let Some(first) = runs.first() else { return };
    let (mut all_states, mut all_runs) = ([[0; 5]; N], [*first; N]);
    for (lane, (state, run)) in states.iter().zip(runs).take(N).enumerate() {
        all_states[lane] = *state;
        all_runs[lane] = run;
    }
    compress(&mut all_states, all_runs);
    for (state, (new, _)) in states.iter_mut().zip(all_states.into_iter().zip(runs)) {
        *state = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Random states, bytes and lane counts, with runs of unequal length at odd addresses.
        #[test]
        fn kernels_agree_with_the_crate(
            bytes in prop::collection::vec(any::<u8>(), 64 * 40),
            states in prop::collection::vec(any::<State>(), 0..20),
            starts in prop::collection::vec(0usize..64 * 8, 20),
            blocks in prop::collection::vec(0usize..30, 20),
        ) {
            for kernel in Kernel::available() {
                let count = states.len().min(kernel.lanes());
                let lanes = starts.iter().zip(&blocks).take(count);
                let runs: Vec<&[u8]> = lanes.map(|(start, blocks)| &bytes[*start..start + blocks * BLOCK]).collect();
                let len = runs.iter().map(|run| run.len()).min().unwrap_or(0);
                let mut expected = states.clone();
                expected.iter_mut().zip(&runs).for_each(|(state, run)| Kernel::compress_one(state, &run[..len]));
                let mut got = states.clone();
                kernel.compress(&mut got, &runs);
                prop_assert_eq!(got, expected, "{:?}", kernel);
            }
        }
    }
}
