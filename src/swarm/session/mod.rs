//! A getter's side of one download: whom to ask for what, and what becomes of the answers. Pure.
//!
//! Events go in with the time, [`Action`]s come out; sockets, disk and hashes are elsewhere, and so the simulator
//! runs this very code.
//!
//! A *peer* may be asked from [`Session::peer_up`] on. Requests travel on *connections* for data alone, and the answers on
//! one come in the order of its requests. A request names several chunks and the peer sends one of them,
//! the one that it sent least often: so the first copy of every chunk leaves the seeder before the second of any.
//! Nothing is reserved by being named. When the data of a chunk begins to arrive, it is taken back from the other
//! requests that name it ([`Action::Cancel`]).
//!
//! [`Session`] has its state in `state` (with the peers in `peer_state`, the connections in `connection_state`) and its
//! events in `peers`, `answers`, `connections`; `requests` decides whom to ask for what.
//!
//! What is open with a peer follows its rate: one request until it has delivered one right chunk, then what keeps
//! it busy over a round trip. A transfer that moves is never thrown away: when nothing else is left to ask for, a
//! chunk that arrives slowly is asked of a second peer too, and the first to deliver ends the other.

mod action;
mod answers;
mod connection_state;
mod connections;
mod peer_state;
mod peers;
mod requests;
mod state;

pub use action::{Action, AnswerStart, WaitReason};
pub use state::Session;
