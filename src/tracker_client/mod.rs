//! The client's side of a tracker: asks which peers seed a file, announces what this client seeds, and falls back to
//! another tracker when one is down.
//!
//! A [`TrackerGroup`] is a list of trackers of which one is in use; the next takes over when it refuses,
//! breaks or is silent. The [`Announcer`] keeps what this client seeds known there: it renews leases,
//! and announces everything anew after every change of connection, because the tracker behind it may be
//! another one, or the same with an empty table.
//!
//! It must never make a chunk wait for a tracker, and never lose a withdrawal that was answered.

pub(crate) mod announcer;
mod answer;
mod connection;
pub(crate) mod group;

pub(crate) use announcer::{Announcement, Announcer, Listener};
pub(crate) use answer::Answer;
pub(crate) use group::TrackerGroup;
