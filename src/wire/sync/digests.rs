//! Digests of neighbouring buckets, in one argument.

use crate::wire::list::{Item, List};

/// Digests of neighbouring buckets.
pub type Digests<'a> = List<'a, u128>;

impl Item for u128 {
    type Wire<'a> = &'a [[u8; 16]];

    fn take(wire: &mut Self::Wire<'_>) -> Option<u128> {
        wire.split_off_first().map(|digest| u128::from_be_bytes(*digest))
    }

    fn count(wire: Self::Wire<'_>) -> usize {
        wire.len()
    }
}
