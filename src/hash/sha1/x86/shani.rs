//! SHA-1 by the SHA instructions, N chunks interleaved.
//!
//! `sha1rnds4` has a latency of several cycles and the next four rounds depend on it: with one chunk the unit idles,
//! with up to four its throughput is used.

use std::arch::x86_64::*;

use super::super::state::State;
use crate::hash::compression::BLOCK;
use crate::hash::engine::Engine;

/// Proof that the CPU supports the SHA instructions.
#[derive(Clone, Copy, Debug)]
pub(in crate::hash) struct ShaNi(());

impl ShaNi {
    /// Returns the token if the CPU supports the instructions.
    pub(crate) fn detect() -> Option<Self> {
        Engine::ShaNi.is_available().then_some(Self(()))
    }

    /// Updates `N` states with their runs, over as many whole blocks as the shortest run has.
    pub(crate) fn compress<const N: usize>(self, states: &mut [State; N], runs: [&[u8]; N]) {
        // SAFETY: a token exists only where `Engine` found the instructions that `compress` enables.
        #[allow(unsafe_code)]
        unsafe {
            compress(states, runs)
        }
    }
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[allow(clippy::needless_range_loop)] // a block of every lane, not of one
fn compress<const N: usize>(states: &mut [State; N], runs: [&[u8]; N]) {
    let runs = runs.map(|run| run.as_chunks::<BLOCK>().0);
    let count = runs.iter().map(|run| run.len()).min().unwrap_or(0);
    let runs = runs.map(|run| &run[..count]);
    let swap = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    // `abcd` and `e` have the order that the instructions require: the first word highest.
    let mut abcd = [_mm_setzero_si128(); N];
    let mut e = [_mm_setzero_si128(); N];
    for lane in 0..N {
        let [a, b, c, d, last] = states[lane].map(u32::cast_signed);
        abcd[lane] = _mm_set_epi32(a, b, c, d);
        e[lane] = _mm_set_epi32(last, 0, 0, 0);
    }
    for block in 0..count {
        let (abcd_before, e_before) = (abcd, e);
        let mut w = [[_mm_setzero_si128(); 4]; N];
        // Four rounds of every lane: group `$group` of 20, with the function and constant `$f`.
        macro_rules! four_rounds {
            ($f:literal, $($group:literal)*) => {$(
                for lane in 0..N {
                    let word = if $group < 4 {
                        _mm_shuffle_epi8(load(&runs[lane][block], $group % 4), swap)
                    } else {
                        let mixed = _mm_sha1msg1_epu32(w[lane][$group % 4], w[lane][($group + 1) % 4]);
                        let mixed = _mm_xor_si128(mixed, w[lane][($group + 2) % 4]);
                        _mm_sha1msg2_epu32(mixed, w[lane][($group + 3) % 4])
                    };
                    w[lane][$group % 4] = word;
                    let sum = if $group == 0 { _mm_add_epi32(e[lane], word) } else { _mm_sha1nexte_epu32(e[lane], word) };
                    e[lane] = abcd[lane];
                    abcd[lane] = _mm_sha1rnds4_epu32::<$f>(abcd[lane], sum);
                }
            )*};
        }
        four_rounds!(0, 0 1 2 3 4);
        four_rounds!(1, 5 6 7 8 9);
        four_rounds!(2, 10 11 12 13 14);
        four_rounds!(3, 15 16 17 18 19);
        for lane in 0..N {
            e[lane] = _mm_sha1nexte_epu32(e[lane], e_before[lane]);
            abcd[lane] = _mm_add_epi32(abcd[lane], abcd_before[lane]);
        }
    }
    for lane in 0..N {
        states[lane] = [
            _mm_extract_epi32::<3>(abcd[lane]),
            _mm_extract_epi32::<2>(abcd[lane]),
            _mm_extract_epi32::<1>(abcd[lane]),
            _mm_extract_epi32::<0>(abcd[lane]),
            _mm_extract_epi32::<3>(e[lane]),
        ]
        .map(i32::cast_unsigned);
    }
}

/// Words `4 * quarter ..` of a block, in memory order.
#[inline]
#[target_feature(enable = "sse2")]
fn load(block: &[u8; BLOCK], quarter: usize) -> __m128i {
    let bytes = &block.as_chunks::<16>().0[quarter];
    // SAFETY: reads the 16 bytes of `bytes`; the instruction asks for no alignment.
    #[allow(unsafe_code)]
    unsafe {
        _mm_loadu_si128(bytes.as_ptr().cast())
    }
}
