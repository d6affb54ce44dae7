//! The rules that keep trackers in sync. Pure: the input is time, tables and frames; the output is frames.
//!
//! - [`hello`]: decides which trackers may link;
//! - [`relay`]: changes in flight to one peer, bounded, sent again until they are answered;
//! - [`repair`]: finds and takes the entries that a peer has and this tracker lacks;
//! - [`link`]: the dialler's side of a link, built from the two; [`answer`]: the other side.
//!
//! The server runs these over sockets, the simulation over a simulated network. They must never open a socket, read a
//! clock, or decide which entry wins: [`super::table`] decides that.

pub mod answer;
pub(crate) mod hello;
pub mod link;
pub mod relay;
pub(crate) mod repair;
#[cfg(test)]
mod tests;
