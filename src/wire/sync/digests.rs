//! Digests of consecutive buckets, in one argument.

use crate::wire::list::{Item, List};

/// Length of a digest on the wire, bytes.
pub(super) const DIGEST_LEN: usize = 16;

/// Digests of consecutive buckets.
pub type Digests<'a> = List<'a, u128>;

impl Item for u128 {
    fn take(bytes: &mut &[u8]) -> Option<u128> {
        let (digest, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(u128::from_be_bytes(*digest))
    }

    fn count(bytes: &[u8]) -> usize {
        bytes.len() / DIGEST_LEN
    }
}
