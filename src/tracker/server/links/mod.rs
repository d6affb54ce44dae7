//! The other trackers of the group: whom to dial, and what is said over a link.

pub mod dial;
pub mod exchange;
pub mod peers;
