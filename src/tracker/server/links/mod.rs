//! Links to the other trackers of the group: whom to dial, and what goes over a link.
//!
//! The rules of a link are pure and stand in [`crate::tracker::replica`]; sockets, tasks and clocks are here.

pub mod dial;
pub mod group_members;
pub mod link_exchange;
pub mod link_handle;
pub mod startup;
