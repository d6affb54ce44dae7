//! Actions of the clients of the simulated world: seed and leave, renew, fall back, disconnect and retry.

use mtorrent::tracker::table::entry::{Entry, FileInfo};
use mtorrent::tracker::table::{Claim, Durability, Journal, Refusal, Sender};
use rand::RngExt;

use super::owned::Owned;
use super::{LEASE_MS, Loss, World};

/// The writes of a change: to the disk, and to the links.
#[derive(Default)]
pub(super) struct Written(Vec<(Owned, Durability)>);

impl Written {
    /// All of them, with the loss that a crash causes for each.
    pub(super) fn taken(self) -> Vec<(Owned, Loss)> {
        let loss = |durability| if durability == Durability::Lazy { Loss::Life } else { Loss::Nothing };
        self.0.into_iter().map(|(entry, durability)| (entry, loss(durability))).collect()
    }
}

impl Journal for Written {
    fn write(&mut self, entry: &Entry<'_>, durability: Durability) {
        self.0.push((Owned::new(entry), durability));
    }
}

impl World {
    /// Runs the due action of a client.
    pub(super) fn act(&mut self, client: usize, file: usize) {
        let claimed = &mut self.clients[client][file];
        if self.now_ms < claimed.due_ms {
            return;
        }
        let turns = claimed.acknowledged_ms.is_some() && self.rng.random_bool(0.4);
        if turns {
            claimed.seeding = !claimed.seeding;
            claimed.acknowledged_ms = None;
        } else if claimed.acknowledged_ms.is_none() && claimed.seen.is_none() && claimed.unclear_until_ms == [0; 2] {
            claimed.seeding = true;
        }
        claimed.due_ms = self.now_ms + self.rng.random_range(1000..LEASE_MS / 3);
        let first = self.rng.random_range(0..self.trackers.len());
        for turn in 0..self.trackers.len() {
            // Mostly the same tracker first; the next one if it cannot be reached.
            let tracker = if self.rng.random_bool(0.8) { turn } else { (first + turn) % self.trackers.len() };
            let reachable = self.trackers[tracker].up && !self.unreachable[client][tracker];
            // A client that disconnected may retry the same tracker at once.
            if reachable
                && (self.ask(client, file, tracker)
                    || (self.rng.random_bool(0.5) && self.asks_again(client, file, tracker)))
            {
                return;
            }
        }
        self.clients[client][file].due_ms = self.now_ms + 500;
    }

    fn asks_again(&mut self, client: usize, file: usize, at: usize) -> bool {
        self.trackers[at].up && self.ask(client, file, at)
    }

    /// Sends a request; returns false if the client receives no acknowledgement.
    fn ask(&mut self, client: usize, file: usize, at: usize) -> bool {
        let wall_ms = self.wall_ms(at);
        if self.trackers[at].refuses {
            return false;
        }
        let claimed = self.clients[client][file].clone();
        let sender = Sender { ip: claimed.endpoint.ip(), trusted: false };
        let claim = Claim { info_hash: claimed.info_hash, endpoint: claimed.endpoint, seen: claimed.seen };
        let name = format!("file {file} {}", self.rng.random_range(0..2));
        let info = self.rng.random_bool(0.5).then_some(FileInfo { name: &name, length: 1, chunk_size: 1 << 20 });
        let mut written = Written::default();
        let table = &mut self.trackers[at].table;
        let outcome = if claimed.seeding {
            table.add(claim, info, sender, wall_ms, &mut written)
        } else {
            table.remove(claim, sender, wall_ms, &mut written)
        };
        self.say(|| format!("client {client} file {file} seeding {} at tracker {at}: {outcome:?}", claimed.seeding));
        let changed = written.0.iter().any(|(_, durability)| *durability == Durability::Sync);
        // An entry acknowledged without a change was present already, but may not be durable yet.
        let confirmed = outcome.is_ok_and(|accepted| accepted.written != Some(Durability::Sync));
        let unsafe_yet = |(entry, loss): &(Owned, Loss)| *loss == Loss::Nothing && entry.key().0 == claimed.info_hash;
        let awaited = changed || (confirmed && self.trackers[at].unsynced.iter().any(unsafe_yet));
        self.pass_on(at, at, written.taken());
        // The tracker may crash before it has written, or its reply may be lost, or the client may not wait for it.
        let dies = self.rng.random_bool(0.02);
        let hangs_up = self.rng.random_bool(0.02);
        if dies {
            self.crash(at);
        } else if awaited && !hangs_up {
            self.trackers[at].sync();
        }
        let now_ms = self.now_ms;
        // Another tracker's clock may be behind by as much as this one's is ahead.
        let unclear_ms = now_ms + self.spread_ms() + 1;
        // A full disk is detected by the first change, which is refused when it is in memory already.
        let is_refused = awaited && self.trackers[at].is_full;
        let lost = dies || hangs_up || is_refused || self.rng.random_bool(0.03);
        let lapses_ms = outcome.map(|accepted| self.given_ms(accepted.version) + LEASE_MS);
        let claimed = &mut self.clients[client][file];
        match outcome {
            _ if lost => {
                claimed.leave_open(unclear_ms);
                false
            }
            Ok(accepted) => {
                claimed.seen = Some(accepted.version);
                claimed.acknowledged_ms = Some(now_ms);
                claimed.lapses_ms = lapses_ms.unwrap_or_default();
                // The tracker may crash right after its reply, before any other tracker has received the change.
                if self.rng.random_bool(0.02) {
                    self.crash(at);
                }
                true
            }
            Err(Refusal::Ahead(_)) => {
                // Its clock is not known here: an entry that it issued may win until it lapses.
                claimed.seen = None;
                claimed.forget(unclear_ms + LEASE_MS);
                false
            }
            Err(Refusal::NotFound) => {
                claimed.acknowledged_ms = Some(now_ms);
                true
            }
            Err(other) => panic!("{other}"),
        }
    }
}
