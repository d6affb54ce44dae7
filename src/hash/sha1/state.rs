//! The state that SHA-1 carries from block to block.

/// The five words of the state between two blocks.
pub(super) type State = [u32; 5];

/// The state before the first block (FIPS 180-4, 5.3.1).
pub(super) const START: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
