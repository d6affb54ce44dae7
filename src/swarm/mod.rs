//! How a file gets from one to many: what getters ask, what servers answer, and in which order. Pure: it takes the time
//! and a random generator, and returns what is to be done.
//!
//! [`session`] is a getter's side; [`picker`] chooses its chunks, [`rate`] how much is open with a peer, and [`inflow`]
//! how much should arrive at once. [`uploads`] is a server's side. `download` and `upload` do what they return with
//! sockets, [`simulator`] with a network that is made of numbers.

pub(crate) mod inflow;
pub(crate) mod picker;
pub(crate) mod rate;
pub(crate) mod session;
pub mod simulator;
pub(crate) mod slot;
mod slot_map;
pub(crate) mod uploads;

pub use picker::{Choice, Picker, Strategy};
pub use session::{Action, AnswerStart, Session, WaitReason};
pub use slot::{ConnectionSlot, PeerSlot};
pub use uploads::{Busy, ConnectionId, FileId, Grant, Request, Uploads};
