//! Distribution of a file from one node to many: the requests of getters, the answers of servers, and their order.
//! Pure: it takes the time and a random generator, and returns the actions to carry out.
//!
//! [`session`] is the getter's side: [`picker`] chooses its chunks, [`rate`] the number of open requests with a peer,
//! and [`inflow`] the number of answers at once. [`uploads`] is the server's side. `download` and `upload` carry out
//! their decisions with sockets, [`simulator`] with a computed network.

pub(crate) mod inflow;
pub(crate) mod picker;
pub(crate) mod rate;
pub(crate) mod session;
pub mod simulator;
pub(crate) mod slot;
mod slot_map;
pub(crate) mod uploads;

pub use picker::{Choice, Picker, Strategy};
pub use session::{Action, AnswerStart, PeerView, Session, Supply, WaitReason};
pub use slot::{ConnectionSlot, PeerSlot};
pub use uploads::{Busy, ConnectionId, FileId, Grant, Request, Uploads};
