//! The kernels of x86-64. A token of each exists only if the CPU supports its instructions, so its safe functions are
//! safe to call.
//!
//! All work on the plain form of a state (five words) and on runs of whole blocks of equal length. All follow FIPS
//! 180-4, 6.1, with the message schedule kept in a ring of 16 words.

mod avx2;
mod avx512;
mod shani;

pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;
pub(super) use shani::ShaNi;
