//! Links to the other trackers of the group: the choice of trackers to dial, and the traffic on each link.
//!
//! The rules of a link are pure and are defined in [`crate::tracker::replica`]; sockets, tasks and clocks are here.

pub(crate) mod dial;
pub(crate) mod group_members;
pub(crate) mod link_exchange;
pub(crate) mod link_handle;
pub(crate) mod startup;
