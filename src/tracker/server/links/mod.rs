//! Links to the other trackers of the group: which trackers are dialled, and what goes over a link.
//!
//! The rules of a link are pure and stand in [`crate::tracker::replica`]; sockets, tasks and clocks are here.

pub(crate) mod dial;
pub(crate) mod group_members;
pub(crate) mod link_exchange;
pub(crate) mod link_handle;
pub(crate) mod startup;
