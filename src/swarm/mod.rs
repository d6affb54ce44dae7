//! How a file gets from one to many: what getters ask, what servers answer, and in which order. Pure.
//!
//! [`session`] is a getter's side, [`picker`] its choice of chunks, [`rate`] how much is open with a peer, [`inflow`] how
//! much should arrive at once; [`uploads`] is a server's side. They take the time and a random generator and return what is to be done; `download` and `peer`
//! do it with sockets, and [`simulator`] with a network that is made of numbers.

pub mod inflow;
mod peer;
pub mod picker;
pub mod rate;
pub mod session;
pub mod simulator;
mod table;
pub mod uploads;

pub use picker::{Choice, Picker, Strategy};
pub use session::{Action, Beginning, LinkId, PeerSlot, Session, WaitReason};
pub use uploads::{Busy, ConnectionId, FileId, Grant, Request, Uploads};
