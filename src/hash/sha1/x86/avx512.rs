//! SHA-1 of 16 chunks in the 16 words of AVX-512 registers.
//!
//! Register `w[t]` holds word `t` of all 16 blocks: 16 blocks are loaded whole and transposed. A round takes two
//! rotations, one ternary function and four additions for all lanes; with 32 registers the schedule and the state stay
//! out of memory. The next blocks are transposed during the rounds of the current ones, which saves a twentieth of the
//! time; fixing the order of the additions ([`in_order`]) saves a tenth.

use std::arch::x86_64::*;

use super::super::state::State;
use crate::hash::compression::BLOCK;
use crate::hash::engine::Engine;

/// Number of lanes of this kernel.
const LANES: usize = 16;

/// One run of blocks per lane.
type Runs<'a> = [&'a [[u8; BLOCK]]; LANES];

/// Proof that the CPU supports AVX-512 F and BW.
#[derive(Clone, Copy, Debug)]
pub(in crate::hash) struct Avx512(());

impl Avx512 {
    /// Returns the token if the CPU (and the kernel) supports AVX-512 F and BW.
    pub(crate) fn detect() -> Option<Self> {
        Engine::Avx512.is_available().then_some(Self(()))
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

#[target_feature(enable = "avx512f,avx512bw")]
fn compress(states: &mut [State; LANES], runs: [&[u8]; LANES]) {
    let runs = runs.map(|run| run.as_chunks::<BLOCK>().0);
    let count = runs.iter().map(|run| run.len()).min().unwrap_or(0);
    let runs = runs.map(|run| &run[..count]);
    let mut state = [_mm512_setzero_si512(); 5];
    for (word, out) in state.iter_mut().enumerate() {
        *out = load(&std::array::from_fn(|lane| states[lane][word]));
    }
    if count > 0 {
        let mut words = Transposed::whole(&runs, 0);
        for block in 1..=count {
            // After the last block, it is transposed again and not used.
            (state, words) = rounds(state, words, &runs, block.min(count - 1));
        }
    }
    for (word, lanes) in state.into_iter().enumerate() {
        for (state, value) in states.iter_mut().zip(store(lanes)) {
            state[word] = value;
        }
    }
}

/// The 80 rounds over one block a lane. The transposition of block `next` is interleaved with them, on the ports that
/// they leave free.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rounds(before: [__m512i; 5], mut w: [__m512i; 16], runs: &Runs<'_>, next: usize) -> ([__m512i; 5], [__m512i; 16]) {
    let [mut a, mut b, mut c, mut d, mut e] = before;
    let mut transposed = Transposed::new();
    // Round `$t`: the new `a` is left in `$e`, and the names shift by one. `$f` is the table of the ternary function:
    // choose 0xca, parity 0x96, majority 0xe8.
    macro_rules! round {
        ($f:literal, $k:ident, $t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
            if $t >= 16 {
                let mixed = _mm512_xor_si512(w[($t + 13) % 16], w[($t + 8) % 16]);
                let mixed = _mm512_ternarylogic_epi32::<0x96>(mixed, w[($t + 2) % 16], w[$t % 16]);
                w[$t % 16] = _mm512_rol_epi32::<1>(mixed);
            }
            let sum = in_order(_mm512_add_epi32(_mm512_add_epi32($e, $k), w[$t % 16]));
            let sum = in_order(_mm512_add_epi32(sum, _mm512_ternarylogic_epi32::<$f>($b, $c, $d)));
            $e = _mm512_add_epi32(sum, _mm512_rol_epi32::<5>($a));
            $b = _mm512_rol_epi32::<30>($b);
        };
    }
    macro_rules! ten_rounds {
        ($f:literal, $k:ident, $($t:literal)*) => {$(
            round!($f, $k, $t, a b c d e);
            round!($f, $k, $t + 1, e a b c d);
            round!($f, $k, $t + 2, d e a b c);
            round!($f, $k, $t + 3, c d e a b);
            round!($f, $k, $t + 4, b c d e a);
            round!($f, $k, $t + 5, a b c d e);
            round!($f, $k, $t + 6, e a b c d);
            round!($f, $k, $t + 7, d e a b c);
            round!($f, $k, $t + 8, c d e a b);
            round!($f, $k, $t + 9, b c d e a);
            transposed.part(runs, next, $t / 10);
        )*};
    }
    let k = _mm512_set1_epi32(0x5a82_7999);
    ten_rounds!(0xca, k, 0 10);
    let k = _mm512_set1_epi32(0x6ed9_eba1);
    ten_rounds!(0x96, k, 20 30);
    let k = _mm512_set1_epi32(0x8f1b_bcdc_u32.cast_signed());
    ten_rounds!(0xe8, k, 40 50);
    let k = _mm512_set1_epi32(0xca62_c1d6_u32.cast_signed());
    ten_rounds!(0x96, k, 60 70);
    let after = [a, b, c, d, e];
    (std::array::from_fn(|word| _mm512_add_epi32(after[word], before[word])), transposed.words)
}

/// Returns the same value, but the compiler may not move additions across it. Otherwise it adds the newest word first,
/// and the dependency chain from round to round is five instructions long instead of two.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_order(mut sum: __m512i) -> __m512i {
    // SAFETY: the block contains no instruction.
    #[allow(unsafe_code)]
    unsafe {
        std::arch::asm!("/* {0} */", inout(zmm_reg) sum, options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// A transposition in eight parts.
struct Transposed {
    /// `quads[4 * i + j]`: words j, 4 + j, 8 + j, 12 + j of rows 4 * i .. 4 * i + 4.
    quads: [__m512i; 16],
    words: [__m512i; 16],
}

impl Transposed {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new() -> Self {
        let zero = _mm512_setzero_si512();
        Self { quads: [zero; 16], words: [zero; 16] }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn whole(runs: &Runs<'_>, block: usize) -> [__m512i; 16] {
        let mut all = Self::new();
        for part in 0..8 {
            all.part(runs, block, part);
        }
        all.words
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn part(&mut self, runs: &Runs<'_>, block: usize, part: usize) {
        if part < 4 { self.quad(runs, block, part) } else { self.word(part - 4) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn quad(&mut self, runs: &Runs<'_>, block: usize, i: usize) {
        let rows: [_; 4] = std::array::from_fn(|row| load_block(&runs[4 * i + row][block]));
        let pairs = [
            _mm512_unpacklo_epi32(rows[0], rows[1]),
            _mm512_unpackhi_epi32(rows[0], rows[1]),
            _mm512_unpacklo_epi32(rows[2], rows[3]),
            _mm512_unpackhi_epi32(rows[2], rows[3]),
        ];
        for j in 0..2 {
            self.quads[4 * i + 2 * j] = _mm512_unpacklo_epi64(pairs[j], pairs[j + 2]);
            self.quads[4 * i + 2 * j + 1] = _mm512_unpackhi_epi64(pairs[j], pairs[j + 2]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn word(&mut self, j: usize) {
        let quads = &self.quads;
        let even_low = _mm512_shuffle_i32x4::<0x88>(quads[j], quads[4 + j]);
        let even_high = _mm512_shuffle_i32x4::<0x88>(quads[8 + j], quads[12 + j]);
        let odd_low = _mm512_shuffle_i32x4::<0xdd>(quads[j], quads[4 + j]);
        let odd_high = _mm512_shuffle_i32x4::<0xdd>(quads[8 + j], quads[12 + j]);
        self.words[j] = _mm512_shuffle_i32x4::<0x88>(even_low, even_high);
        self.words[4 + j] = _mm512_shuffle_i32x4::<0x88>(odd_low, odd_high);
        self.words[8 + j] = _mm512_shuffle_i32x4::<0xdd>(even_low, even_high);
        self.words[12 + j] = _mm512_shuffle_i32x4::<0xdd>(odd_low, odd_high);
    }
}

/// A block, with its words in native byte order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_block(block: &[u8; BLOCK]) -> __m512i {
    let swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
    // SAFETY: reads the 64 bytes of `block`; the instruction asks for no alignment.
    #[allow(unsafe_code)]
    let words = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    _mm512_shuffle_epi8(words, swap)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &[u32; 16]) -> __m512i {
    // SAFETY: reads the 64 bytes of `lanes`; the instruction asks for no alignment.
    #[allow(unsafe_code)]
    unsafe {
        _mm512_loadu_si512(lanes.as_ptr().cast())
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(lanes: __m512i) -> [u32; 16] {
    let mut out = [0; 16];
    // SAFETY: writes the 64 bytes of `out`; the instruction asks for no alignment.
    #[allow(unsafe_code)]
    unsafe {
        _mm512_storeu_si512(out.as_mut_ptr().cast(), lanes)
    }
    out
}
