//! Finds the cause for which a download waits, from figures that are sampled once a tick. Pure: the samples carry the
//! time.

use std::collections::VecDeque;
use std::time::Duration;

use super::why::Cause;
use crate::limits::{WHY_MAJORITY, WHY_SAMPLES_MAX, WHY_WINDOW};
use crate::swarm::Supply;

/// Time that samples must cover before they show a cause.
const WINDOW_MIN: Duration = Duration::from_millis(700);
/// Share of the samples from which a state counts as lasting.
const MOST: f64 = 0.6;
/// The same for the download limit, whose bookings end between two samples now and then.
const MOST_CAPPED: f64 = 0.5;
/// Share of the time from which a core counts as busy.
const CORE_BUSY: f64 = 0.85;
/// Share of the samples with chunks to hash from which a core that waits for a CPU is behind.
const CHUNKS_PILE_UP: f64 = 0.5;
/// Share of the periods of a CPU quota from which it counts as used up.
const QUOTA_USED: f64 = 0.4;
/// Share of a network device's speed from which it counts as full.
const LINK_FULL: f64 = 0.9;
/// Share of the best rate from which the rate counts as full.
const FULL_RATE: f64 = 0.7;
/// Share of the best rate below which the only peer that is still asked counts as slow.
const SLOW_PEER: f64 = 0.3;
/// Divisor: the part of a file that counts as its last chunks.
const LAST_PART: u32 = 10;
/// Chunks that count as the last ones of any file.
const LAST_CHUNKS: u32 = 16;

/// Figures of a download at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Time since the start of the download.
    pub at: Duration,
    /// Number of chunks of the file.
    pub chunks: u32,
    /// Bytes that have arrived so far.
    pub arrived_bytes: u64,
    /// Bytes of complete chunks that wait to be hashed.
    pub hashing_bytes: u64,
    /// Bytes of verified chunks that wait to be written.
    pub writing_bytes: u64,
    /// Whether a connection waits for memory.
    pub lacks_memory: bool,
    /// Whether connections wait for the user's download limit.
    pub is_capped: bool,
    /// Whether packets to this machine wait in a queue.
    pub has_queue: bool,
    /// Share of the time for which the busiest core ran.
    pub core_load: f64,
    /// Share of the time for which a core ran or waited for a CPU.
    pub runnable: f64,
    /// Share of the periods of a CPU quota in which it was used up.
    pub throttled: f64,
    /// Share of its speed with which the busiest network device received.
    pub link_load: f64,
    /// Peers and chunks.
    pub supply: Supply,
    /// The cause, if no peer is connected.
    pub no_peers: Option<Cause>,
}

/// The samples and verdicts of the last seconds.
#[derive(Debug, Default)]
pub(super) struct WhyMeter {
    samples: VecDeque<Sample>,
    verdicts: VecDeque<(Duration, Cause)>,
    best_bytes_s: f64,
    shown: Cause,
}

impl WhyMeter {
    /// Takes a sample; returns the most frequent cause of the last seconds.
    pub(super) fn take(&mut self, sample: Sample) -> Cause {
        let is_old = |at: Duration, kept: Duration| sample.at.saturating_sub(at) > kept;
        self.samples.push_back(sample);
        while self.samples.len() > WHY_SAMPLES_MAX || self.samples.front().is_some_and(|old| is_old(old.at, WHY_WINDOW))
        {
            self.samples.pop_front();
        }
        let Some(cause) = self.verdict() else { return self.shown };
        self.verdicts.push_back((sample.at, cause));
        while self.verdicts.len() > WHY_SAMPLES_MAX
            || self.verdicts.front().is_some_and(|(at, _)| is_old(*at, WHY_MAJORITY))
        {
            self.verdicts.pop_front();
        }
        self.shown = self.majority();
        self.shown
    }

    /// The shown cause while no other one is more frequent.
    fn majority(&self) -> Cause {
        let count = |cause: Cause| self.verdicts.iter().filter(|(_, verdict)| *verdict == cause).count();
        let most = self.verdicts.iter().map(|(_, cause)| *cause).max_by_key(|cause| (count(*cause), *cause));
        most.filter(|most| count(*most) > count(self.shown)).unwrap_or(self.shown)
    }

    /// The cause over the last samples; `None` if they cover too little time.
    fn verdict(&mut self) -> Option<Cause> {
        let (first, last) = (*self.samples.front()?, *self.samples.back()?);
        let is_stored = last.hashing_bytes + last.writing_bytes == 0;
        if let Some(cause) = last.no_peers.filter(|_| is_stored || last.supply.missing > 0) {
            return Some(cause);
        }
        let seconds = last.at.saturating_sub(first.at);
        if seconds < WINDOW_MIN {
            return None;
        }
        let bytes_s = last.arrived_bytes.saturating_sub(first.arrived_bytes) as f64 / seconds.as_secs_f64();
        self.best_bytes_s = self.best_bytes_s.max(bytes_s);
        Some(self.of_this_machine(bytes_s, &last).unwrap_or_else(|| self.of_the_peers(bytes_s, &last)))
    }

    /// A cause on this machine.
    fn of_this_machine(&self, bytes_s: f64, last: &Sample) -> Option<Cause> {
        if self.share(|sample| sample.is_capped) >= MOST_CAPPED {
            return Some(Cause::OwnCap);
        }
        // On a machine with other work, a core waits for a CPU at each packet; that delays nothing until chunks pile up.
        let is_starved = last.runnable >= CORE_BUSY && self.share(|sample| sample.hashing_bytes > 0) >= CHUNKS_PILE_UP;
        if last.throttled >= QUOTA_USED || last.core_load >= CORE_BUSY || is_starved {
            return Some(Cause::Cpu);
        }
        // Otherwise a backlog delays nothing.
        let is_blocked = |sample: &Sample| sample.lacks_memory || sample.supply.missing == 0 || bytes_s == 0.0;
        let mean = |bytes: fn(&Sample) -> u64| self.samples.iter().map(bytes).sum::<u64>();
        let (hashing, writing) = (mean(|sample| sample.hashing_bytes), mean(|sample| sample.writing_bytes));
        let backlog = |bytes: fn(&Sample) -> u64| self.share(|sample| bytes(sample) > 0 && is_blocked(sample)) >= MOST;
        if writing >= hashing && backlog(|sample| sample.writing_bytes) {
            return Some(Cause::Disk);
        }
        backlog(|sample| sample.hashing_bytes).then_some(Cause::Cpu)
    }

    /// A cause on the way from the peers.
    fn of_the_peers(&self, bytes_s: f64, last: &Sample) -> Cause {
        let Supply { peers, complete_peers, only_asked, missing, wanted, without_copy, .. } = last.supply;
        if complete_peers == 0 && wanted > 0 && last.supply.open_requests == 0 {
            // The peers wait for the same chunks.
            return Cause::NoPeers;
        }
        let is_end = missing <= (last.chunks / LAST_PART).max(LAST_CHUNKS);
        let is_only = self.share(|sample| sample.supply.only_asked == only_asked) >= MOST;
        if peers > 1 && only_asked.is_some() && is_only && is_end && bytes_s < SLOW_PEER * self.best_bytes_s {
            return Cause::SlowPeer;
        }
        let waits_for_copies = |sample: &Sample| {
            let Supply { peers, complete_peers, wanted, without_copy, .. } = sample.supply;
            complete_peers > 0 && peers > complete_peers && 2 * without_copy >= wanted
        };
        if wanted > 0 && without_copy > 0 && self.share(waits_for_copies) >= MOST {
            return Cause::FirstCopy;
        }
        if last.has_queue || last.link_load >= LINK_FULL {
            return Cause::OwnLink;
        }
        let could_ask_more = |sample: &Sample| sample.supply.is_settled && sample.supply.idle_complete_peers > 0;
        if self.share(could_ask_more) >= MOST && bytes_s >= FULL_RATE * self.best_bytes_s {
            return Cause::Nothing;
        }
        Cause::Uplinks
    }

    /// Share of the samples in which something holds.
    fn share(&self, holds: impl Fn(&Sample) -> bool) -> f64 {
        let count = self.samples.iter().filter(|sample| holds(sample)).count();
        count as f64 / self.samples.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DRIVER_TICK;
    use crate::swarm::PeerSlot;

    const MIB: u64 = 1 << 20;

    /// The cause after `ticks` of samples, each made from its number and a plain one at 1 MiB a tick.
    fn after(meter: &mut WhyMeter, ticks: std::ops::Range<u32>, change: impl Fn(u32, &mut Sample)) -> Cause {
        let mut shown = Cause::Nothing;
        for tick in ticks {
            let supply = Supply {
                peers: 1,
                complete_peers: 1,
                open_requests: 4,
                missing: 900,
                wanted: 890,
                ..Supply::default()
            };
            let mut sample = Sample {
                at: tick * DRIVER_TICK,
                chunks: 1000,
                arrived_bytes: u64::from(tick) * MIB,
                supply: Supply { without_copy: 890, only_asked: Some(PeerSlot::default()), ..supply },
                ..Sample::default()
            };
            change(tick, &mut sample);
            shown = meter.take(sample);
        }
        shown
    }

    #[test]
    fn every_cause_is_told() {
        type Change = fn(u32, &mut Sample);
        let rows: &[(Cause, Change)] = &[
            (Cause::Uplinks, |_, _| ()),
            (Cause::Uplinks, |tick, sample| sample.is_capped = tick % 3 == 0),
            (Cause::Uplinks, |_, sample| (sample.writing_bytes, sample.core_load) = (MIB, 0.5)),
            (Cause::Uplinks, |_, sample| sample.supply.peers = 3),
            (Cause::OwnCap, |tick, sample| sample.is_capped = tick % 3 > 0),
            (Cause::Disk, |_, sample| (sample.writing_bytes, sample.lacks_memory) = (40 * MIB, true)),
            (Cause::Disk, |_, sample| (sample.writing_bytes, sample.arrived_bytes) = (MIB, 0)),
            (Cause::Disk, |_, sample| (sample.writing_bytes, sample.supply.missing) = (MIB, 0)),
            (Cause::Cpu, |_, sample| (sample.hashing_bytes, sample.lacks_memory) = (40 * MIB, true)),
            (Cause::Cpu, |_, sample| sample.core_load = 0.95),
            (Cause::Cpu, |_, sample| (sample.runnable, sample.hashing_bytes) = (0.95, MIB)),
            (Cause::Uplinks, |tick, sample| {
                (sample.runnable, sample.hashing_bytes) = (0.95, if tick.is_multiple_of(4) { MIB } else { 0 });
            }),
            (Cause::Cpu, |_, sample| sample.throttled = 0.8),
            (Cause::OwnLink, |_, sample| sample.has_queue = true),
            (Cause::OwnLink, |_, sample| sample.link_load = 0.95),
            (Cause::FirstCopy, |_, sample| sample.supply.peers = 4),
            (Cause::NoPeers, |_, sample| sample.no_peers = Some(Cause::NoPeers)),
            (Cause::Tracker, |_, sample| sample.no_peers = Some(Cause::Tracker)),
            (Cause::Nothing, |_, sample| {
                sample.supply =
                    Supply { peers: 9, complete_peers: 9, idle_complete_peers: 5, is_settled: true, ..sample.supply };
            }),
            (Cause::NoPeers, |_, sample| {
                sample.supply = Supply { complete_peers: 0, open_requests: 0, without_copy: 0, ..sample.supply };
                sample.arrived_bytes = 0;
            }),
        ];
        for (row, (cause, change)) in rows.iter().enumerate() {
            let change = |tick, sample: &mut Sample| {
                change(tick, sample);
                if *cause == Cause::Uplinks && sample.supply.peers > 1 {
                    sample.supply.without_copy = 5;
                }
            };
            assert_eq!(after(&mut WhyMeter::default(), 0..20, change), *cause, "row {row}");
        }
    }

    #[test]
    fn the_last_chunks_of_one_slow_peer() {
        let mut meter = WhyMeter::default();
        after(&mut meter, 0..20, |_, sample| sample.supply.peers = 2);
        let at_the_end = |tick: u32, sample: &mut Sample| {
            sample.arrived_bytes = 20 * MIB + u64::from(tick) * MIB / 20;
            sample.supply = Supply { peers: 2, missing: 8, wanted: 4, ..sample.supply };
        };
        assert_eq!(after(&mut meter, 20..60, at_the_end), Cause::SlowPeer);
    }

    #[test]
    fn it_does_not_flicker() {
        let mut meter = WhyMeter::default();
        assert_eq!(after(&mut meter, 0..40, |_, _| ()), Cause::Uplinks);
        let busy = |tick: u32, sample: &mut Sample| sample.core_load = if tick.is_multiple_of(4) { 0.95 } else { 0.1 };
        assert_eq!(after(&mut meter, 40..60, busy), Cause::Uplinks);
        assert_eq!(after(&mut meter, 60..64, |_, sample| sample.core_load = 0.95), Cause::Uplinks);
        assert_eq!(after(&mut meter, 64..80, |_, sample| sample.core_load = 0.95), Cause::Cpu);
    }

    #[test]
    fn a_start_shows_nothing_and_no_tracker_at_once() {
        assert_eq!(after(&mut WhyMeter::default(), 0..2, |_, _| ()), Cause::Nothing);
        let dead = |_, sample: &mut Sample| sample.no_peers = Some(Cause::Tracker);
        assert_eq!(after(&mut WhyMeter::default(), 0..1, dead), Cause::Tracker);
    }
}
