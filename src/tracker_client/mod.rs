//! The tracker client: requests the seeders of a file, announces the files that this client seeds, and falls back to
//! another tracker when one is down.
//!
//! A [`TrackerGroup`] is a list of trackers, one of which is in use. The next one takes over when it refuses, breaks or
//! is silent. The [`Announcer`] keeps this client's files registered at the tracker in use. It renews leases, and
//! announces all files again after every change of connection, because the new tracker may be another one, or the same
//! one with an empty table.
//!
//! It must never make a chunk wait for a tracker, and never lose a withdrawal that was acknowledged.

pub(crate) mod announcer;
mod answer;
mod change;
mod connection;
pub(crate) mod group;
mod record;
mod trouble;

pub(crate) use announcer::{Announcement, Announcer, Listener};
pub(crate) use answer::Answer;
pub use change::TrackerChange;
pub(crate) use group::TrackerGroup;
pub(crate) use record::TrackerRecord;
pub use record::TrackerState;
pub use trouble::TrackerTrouble;
