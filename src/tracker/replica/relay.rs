//! Changes in flight to one peer: a queue of frames, bounded in bytes, each sent again until it is answered.

use std::collections::VecDeque;

use crate::limits::{RELAY_BYTES_MAX, RELAY_EXCHANGE_BYTES_MAX, RELAY_IN_FLIGHT_MAX};
use crate::wire::{Entry, Message};

/// The queue. Frames `0..in_flight` are sent and not answered.
#[derive(Debug, Default)]
pub struct Relay {
    bytes: Vec<u8>,
    /// Bytes at the front that are answered already.
    done: usize,
    lens: VecDeque<u32>,
    in_flight: usize,
    lost: bool,
}

impl Relay {
    /// Queues an entry; an entry that does not fit is left to the repair, see [`Relay::take_lost`].
    pub fn push(&mut self, entry: &Entry<'_>) {
        let message = Message::SyncEntry(*entry);
        let len = message.encoded_len();
        if self.bytes.len() - self.done + len > RELAY_BYTES_MAX {
            self.lost = true;
            return;
        }
        message.encode(&mut self.bytes);
        self.lens.push_back(len as u32);
    }

    /// Appends the next frames to `out`, and returns their number.
    pub fn send(&mut self, out: &mut Vec<u8>) -> usize {
        let start = self.done + self.lens.iter().take(self.in_flight).map(|len| *len as usize).sum::<usize>();
        let (mut count, mut len) = (0, 0);
        for frame in self.lens.iter().skip(self.in_flight) {
            if self.in_flight + count == RELAY_IN_FLIGHT_MAX || len >= RELAY_EXCHANGE_BYTES_MAX {
                break;
            }
            count += 1;
            len += *frame as usize;
        }
        out.extend_from_slice(&self.bytes[start..start + len]);
        self.in_flight += count;
        count
    }

    /// Removes the first frame in flight, which was answered.
    pub fn answered(&mut self) {
        debug_assert!(self.in_flight > 0);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.done += self.lens.pop_front().unwrap_or_default() as usize;
        if self.lens.is_empty() {
            self.bytes.clear();
            self.done = 0;
        } else if self.done > RELAY_BYTES_MAX / 4 {
            self.bytes.drain(..self.done);
            self.done = 0;
        }
    }

    /// Handles the loss of the link: frames in flight are sent again on the next one.
    pub fn retry(&mut self) {
        self.in_flight = 0;
    }

    /// Returns whether there is something to send.
    pub fn has_more(&self) -> bool {
        self.lens.len() > self.in_flight
    }

    /// Returns whether an entry did not fit since the last call.
    pub fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }
}
