//! SHA-1 of 8 chunks in the 8 words of AVX2 registers: for CPUs without SHA instructions.
//!
//! The kernel is like that of AVX-512, but with half the lanes, no rotation, and 16 registers, so that the schedule is
//! kept on the stack.

use std::arch::x86_64::*;

use super::super::state::State;
use crate::hash::compression::BLOCK;
use crate::hash::engine::Engine;

/// Number of lanes of this kernel.
const LANES: usize = 8;

/// Proof that the CPU supports AVX2.
#[derive(Clone, Copy, Debug)]
pub(in crate::hash) struct Avx2(());

impl Avx2 {
    /// Returns the token if the CPU (and the kernel) supports AVX2.
    pub(crate) fn detect() -> Option<Self> {
        Engine::Avx2.is_available().then_some(Self(()))
    }

    /// Updates the states with their runs, over as many whole blocks as the shortest run has.
    pub(crate) fn compress(self, states: &mut [State; LANES], runs: [&[u8]; LANES]) {
        // SAFETY: a token exists only where `Engine` found the instructions that `compress` enables.
        #[allow(unsafe_code)]
        unsafe {
            compress(states, runs)
        }
    }
}

#[target_feature(enable = "avx2")]
#[allow(clippy::needless_range_loop)] // a block of every lane, not of one
fn compress(states: &mut [State; LANES], runs: [&[u8]; LANES]) {
    let runs = runs.map(|run| run.as_chunks::<BLOCK>().0);
    let count = runs.iter().map(|run| run.len()).min().unwrap_or(0);
    let runs = runs.map(|run| &run[..count]);
    let mut state = [_mm256_setzero_si256(); 5];
    for (word, out) in state.iter_mut().enumerate() {
        *out = load(&std::array::from_fn(|lane| states[lane][word]));
    }
    for block in 0..count {
        let mut w = [_mm256_setzero_si256(); 16];
        for half in 0..2 {
            let rows = std::array::from_fn(|lane| load_half(&runs[lane][block], half));
            w[8 * half..8 * half + 8].copy_from_slice(&transpose(rows));
        }
        state = rounds(state, w);
    }
    for (word, lanes) in state.into_iter().enumerate() {
        for (state, value) in states.iter_mut().zip(store(lanes)) {
            state[word] = value;
        }
    }
}

/// The 80 rounds over one block a lane.
#[inline]
#[target_feature(enable = "avx2")]
fn rounds(before: [__m256i; 5], mut w: [__m256i; 16]) -> [__m256i; 5] {
    let [mut a, mut b, mut c, mut d, mut e] = before;
    // Round `$t`: the new `a` is left in `$e`, and the names shift by one.
    macro_rules! round {
        ($f:ident, $k:ident, $t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
            if $t >= 16 {
                let left = _mm256_xor_si256(w[($t + 13) % 16], w[($t + 8) % 16]);
                let right = _mm256_xor_si256(w[($t + 2) % 16], w[$t % 16]);
                w[$t % 16] = rotate::<1, 31>(_mm256_xor_si256(left, right));
            }
            let sum = _mm256_add_epi32(_mm256_add_epi32($e, $k), w[$t % 16]);
            let sum = _mm256_add_epi32(sum, $f($b, $c, $d));
            $e = _mm256_add_epi32(sum, rotate::<5, 27>($a));
            $b = rotate::<30, 2>($b);
        };
    }
    macro_rules! five_rounds {
        ($f:ident, $k:ident, $($t:literal)*) => {$(
            round!($f, $k, $t, a b c d e);
            round!($f, $k, $t + 1, e a b c d);
            round!($f, $k, $t + 2, d e a b c);
            round!($f, $k, $t + 3, c d e a b);
            round!($f, $k, $t + 4, b c d e a);
        )*};
    }
    let k = _mm256_set1_epi32(0x5a82_7999);
    five_rounds!(choose, k, 0 5 10 15);
    let k = _mm256_set1_epi32(0x6ed9_eba1);
    five_rounds!(parity, k, 20 25 30 35);
    let k = _mm256_set1_epi32(0x8f1b_bcdc_u32.cast_signed());
    five_rounds!(majority, k, 40 45 50 55);
    let k = _mm256_set1_epi32(0xca62_c1d6_u32.cast_signed());
    five_rounds!(parity, k, 60 65 70 75);
    let after = [a, b, c, d, e];
    std::array::from_fn(|word| _mm256_add_epi32(after[word], before[word]))
}

#[inline]
#[target_feature(enable = "avx2")]
fn choose(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn parity(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(b, c), d)
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_xor_si256(c, _mm256_and_si256(_mm256_xor_si256(b, c), _mm256_xor_si256(c, d)))
}

/// Rotation to the left by `LEFT`, where `RIGHT` is 32 - `LEFT`.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const LEFT: i32, const RIGHT: i32>(x: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(x), _mm256_srli_epi32::<RIGHT>(x))
}

/// Transposes 8 rows of 8 words into 8 registers of one word of each row.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
    let zero = _mm256_setzero_si256();
    let (mut pairs, mut quads, mut words) = ([zero; 8], [zero; 8], [zero; 8]);
    for i in 0..4 {
        pairs[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    // `quads[4 * i + j]`: words j and 4 + j of rows 4 * i .. 4 * i + 4.
    for i in 0..2 {
        for j in 0..2 {
            quads[4 * i + 2 * j] = _mm256_unpacklo_epi64(pairs[4 * i + j], pairs[4 * i + j + 2]);
            quads[4 * i + 2 * j + 1] = _mm256_unpackhi_epi64(pairs[4 * i + j], pairs[4 * i + j + 2]);
        }
    }
    for j in 0..4 {
        words[j] = _mm256_permute2x128_si256::<0x20>(quads[j], quads[4 + j]);
        words[4 + j] = _mm256_permute2x128_si256::<0x31>(quads[j], quads[4 + j]);
    }
    words
}

/// Half a block, with its words in native byte order.
#[inline]
#[target_feature(enable = "avx2")]
fn load_half(block: &[u8; BLOCK], half: usize) -> __m256i {
    let swap = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
    let bytes = &block.as_chunks::<32>().0[half];
    // SAFETY: reads the 32 bytes of `bytes`; the instruction asks for no alignment.
    #[allow(unsafe_code)]
    let words = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
    _mm256_shuffle_epi8(words, swap)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(lanes: &[u32; 8]) -> __m256i {
    // SAFETY: reads the 32 bytes of `lanes`; the instruction asks for no alignment.
    #[allow(unsafe_code)]
    unsafe {
        _mm256_loadu_si256(lanes.as_ptr().cast())
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(lanes: __m256i) -> [u32; 8] {
    let mut out = [0; 8];
    // SAFETY: writes the 32 bytes of `out`; the instruction asks for no alignment.
    #[allow(unsafe_code)]
    unsafe {
        _mm256_storeu_si256(out.as_mut_ptr().cast(), lanes)
    }
    out
}
