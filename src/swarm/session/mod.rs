//! The getter's side of one download: it decides which peer to ask for which chunk, and handles the answers. Pure.
//!
//! Events go in with the time, and [`Action`]s come out. Sockets, disk and hashes are elsewhere, so the simulator runs
//! this same code.
//!
//! A *peer* may be asked from [`Session::peer_up`] on. Requests travel on *connections* that carry data only, and the
//! answers on one connection come in the order of its requests. A request names several chunks, and the peer sends the
//! one that it has sent least often: so the first copy of every chunk leaves the seeder before the second copy of any.
//! A request reserves nothing. When the data of a chunk begins to arrive, the session cancels that chunk in the other
//! requests that name it ([`Action::Cancel`]).
//!
//! `state` has the state of a [`Session`], with the peers in `peer_state` and the connections in `connection_state`.
//! `peers`, `answers` and `connections` handle its events, and `requests` chooses peers and chunks.
//!
//! The number of open requests with a peer follows its rate: one until it has delivered one right chunk, then as many
//! as keep it busy over a round trip. A transfer that makes progress is never thrown away. When nothing else is left to
//! request, a chunk that arrives slowly is also requested from a second peer, and the first to deliver ends the other
//! transfer.

mod action;
mod answers;
mod connection_state;
mod connections;
mod peer_state;
mod peers;
mod requests;
mod state;
mod supply;

pub use action::{Action, AnswerStart, WaitReason};
pub use peers::PeerView;
pub use state::Session;
pub use supply::Supply;
