//! The rules by which trackers keep each other in sync. Pure: time, tables and frames come in, frames go out.
//!
//! - [`hello`]: which trackers may link;
//! - [`relay`]: changes on their way to one peer, bounded, sent again until they are answered;
//! - [`repair`]: finding and taking what a peer has and we do not;
//! - [`link`]: the dialler's side of a link, made of the two; [`answer`]: the other side.
//!
//! The server runs these over sockets, the simulation over a network that it plays. They must never open a
//! socket, read a clock, or decide which entry wins: that is [`super::table`]'s.

pub mod answer;
pub(crate) mod hello;
pub mod link;
pub mod relay;
pub(crate) mod repair;
#[cfg(test)]
mod tests;
