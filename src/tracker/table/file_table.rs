//! The table itself: decides which writes of clients and other trackers are accepted.

use std::ops::Range;
use std::sync::Arc;

use super::arena::ArenaFull;
use super::claim::{Accepted, Claim, Refusal, Sender};
use super::clock::{AheadError, Clock, Skews};
use super::deferred::DeferredEntries;
use super::entry::{Body, Entry, FileInfo};
use super::journal::{Durability, Journal};
use super::record::{Record, Seeder, Stamp};
use super::records::{Found, Records, Totals, seeder_entry};
use super::reports::Reports;
use super::rights::AddressCounts;
use super::rules::Rules;
use super::sweep_progress::SweepProgress;
use crate::ids::{Endpoint, InfoHash, TrackerId, Version};

/// The outcome of an entry from another tracker or from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// The entry wins over the present one.
    New,
    /// The entry is taken but not passed on. Its address has more records of removals than are kept, and a forgotten
    /// one may have removed this entry. Trackers that passed such entries on would do so endlessly; repairs propagate
    /// them.
    Late,
    /// The present entry is as new or newer.
    Old,
    /// The entry has expired.
    Expired,
    /// The entry's version is ahead of every clock that may have given it.
    Ahead(AheadError),
    /// There is no room for the entry.
    Full,
}

/// The file is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFound;

/// One core's shard.
pub struct Table {
    pub(crate) rules: Arc<Rules>,
    pub(crate) clock: Clock,
    pub(crate) skews: Skews,
    pub(crate) records: Records,
    pub(crate) sweep: SweepProgress,
    pub(crate) counts: Arc<AddressCounts>,
    /// Removals that were dropped before their time, until the sweep reports them.
    pub(crate) forgotten: Vec<Entry<'static>>,
    pub(crate) deferred: DeferredEntries,
    pub(crate) reports: Reports,
}

impl Table {
    /// Creates an empty table of the buckets in `buckets`. `key` is random, `counts` is shared by all cores.
    pub fn new(
        rules: Arc<Rules>,
        counts: Arc<AddressCounts>,
        buckets: Range<usize>,
        tracker: TrackerId,
        key: [u64; 3],
    ) -> Self {
        let records = Records::new(buckets, rules.ttls, counts.clone(), rules.trust.clone(), key, rules.prints.clone());
        let sweep = SweepProgress::new(records.buckets().start);
        Self {
            rules,
            clock: Clock::new(tracker),
            skews: Skews::default(),
            sweep,
            records,
            counts,
            forgotten: Vec::new(),
            deferred: DeferredEntries::default(),
            reports: Reports::default(),
        }
    }

    /// Prefetches the records of files that will be requested next.
    pub fn prefetch(&self, files: impl Iterator<Item = InfoHash> + Clone) {
        self.records.prefetch(files);
    }

    /// Executes Share (with `file`) or AddSeeder (without).
    pub fn add(
        &mut self,
        claim: Claim,
        file: Option<FileInfo<'_>>,
        sender: Sender,
        now_ms: u64,
        journal: &mut impl Journal,
    ) -> Result<Accepted, Refusal> {
        let Claim { info_hash, endpoint, seen } = claim;
        self.check(seen, now_ms)?;
        let found = self.records.find(info_hash);
        let old = found.and_then(|found| self.stamp(found, endpoint));
        let live = old.is_some_and(|stamp| !stamp.removed && self.counts_now(stamp, now_ms));
        if !live && let Some(other) = self.check_room(found, endpoint, old, sender, now_ms)? {
            self.write_seeder(
                Claim { info_hash, endpoint: other, seen: None },
                true,
                Durability::Sync,
                now_ms,
                journal,
            )?;
        }
        let written = self.write_file(info_hash, found, file, now_ms, journal)?;
        let unseen = seen.is_none_or(|seen| old.is_some_and(|stamp| seen <= stamp.version));
        match old {
            Some(stamp) if live && unseen && self.is_fresh(stamp.version, now_ms) => {
                return Ok(Accepted { version: stamp.version, written });
            }
            _ => {}
        }
        let durability = if live && unseen { Durability::Lazy } else { Durability::Sync };
        let version = self.write_seeder(claim, false, durability, now_ms, journal)?;
        let written = if written == Some(Durability::Sync) { written } else { Some(durability) };
        Ok(Accepted { version, written })
    }

    /// Executes RemoveSeeder. An entry that is absent here may be in flight from another tracker, so the removal is
    /// written anyway if the client has received a version of it.
    pub fn remove(
        &mut self,
        claim: Claim,
        sender: Sender,
        now_ms: u64,
        journal: &mut impl Journal,
    ) -> Result<Accepted, Refusal> {
        let Claim { info_hash, endpoint, seen } = claim;
        self.check(seen, now_ms)?;
        let found = self.records.find(info_hash);
        let old = found.and_then(|found| self.stamp(found, endpoint)).filter(|stamp| self.counts_now(*stamp, now_ms));
        match old {
            None if found.is_none() && seen.is_none() => return Err(Refusal::NotFound),
            None => self.check_room_for_removal(found, endpoint, sender)?,
            Some(stamp) if stamp.removed && seen.is_none_or(|seen| seen <= stamp.version) => {
                return Ok(Accepted { version: stamp.version, written: None });
            }
            Some(_) => {}
        }
        let version = self.write_seeder(claim, true, Durability::Sync, now_ms, journal)?;
        Ok(Accepted { version, written: Some(Durability::Sync) })
    }

    /// Merges an entry from another tracker. The file's bucket must be one of this table's.
    pub fn merge(&mut self, entry: &Entry<'_>, now_ms: u64) -> Merged {
        debug_assert!(self.records.owns(entry.info_hash), "entries are handed to the core that owns them");
        if let Err(error) = self.skews.check(entry.version, now_ms) {
            return Merged::Ahead(error);
        }
        let removed = matches!(entry.body, Body::Removed(_));
        if !self.counts_now(Stamp { version: entry.version, removed }, now_ms) {
            return Merged::Expired;
        }
        let found = self.records.find(entry.info_hash);
        // A lapsed entry counts as absent: the result must not depend on whether it was swept already.
        let held = found.and_then(|found| self.held(found, &entry.body)).filter(|held| self.counts_now(*held, now_ms));
        if let (Some(found), Some(held)) = (found, held)
            && (held.version > entry.version
                || (held.version == entry.version && !self.wins_tie(found, held, &entry.body)))
        {
            return Merged::Old;
        }
        if held.is_none() && !self.has_room(found) {
            return Merged::Full;
        }
        let is_late = self.is_forgotten(found, &entry.body, entry.version);
        if is_late && removed && held.is_none() {
            return Merged::Old;
        }
        let put = match entry.body {
            Body::File(info) => self.records.put_file(entry.info_hash, entry.version, &info),
            Body::Seeder(endpoint) | Body::Removed(endpoint) => {
                let stamp = Stamp { version: entry.version, removed };
                self.put_seeder(entry.info_hash, Seeder { endpoint, stamp })
            }
        };
        match put {
            Ok(()) if is_late => Merged::Late,
            Ok(()) => Merged::New,
            Err(_) => Merged::Full,
        }
    }

    /// See [`Clock::start_above`].
    pub fn start_above(&mut self, version: Version, now_ms: u64) {
        self.clock.start_above(version, now_ms);
    }

    /// Replaces the known differences between the other trackers' clocks and this one's.
    pub fn set_skews(&mut self, skews: Skews, now_ms: u64) {
        if self.skews != skews {
            self.skews = skews;
            self.retry_deferred(now_ms);
        }
    }

    /// Counts of the table's entries.
    pub fn totals(&self) -> Totals {
        self.records.totals
    }

    /// Bytes that the table occupies.
    pub fn bytes(&self) -> usize {
        self.records.bytes()
    }

    /// The tracker that signs this table's versions.
    pub fn tracker(&self) -> TrackerId {
        self.clock.tracker()
    }

    /// The buckets of this table.
    pub fn buckets(&self) -> Range<usize> {
        self.records.buckets()
    }

    /// The rules of this table.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns all entries of a file, including expired ones that are not swept yet; for tests and reports.
    pub fn entries(&self, info_hash: InfoHash) -> impl Iterator<Item = Entry<'_>> {
        self.records.find(info_hash).map(|found| Records::entries(self.records.record(found))).into_iter().flatten()
    }

    fn check(&self, seen: Option<Version>, now_ms: u64) -> Result<(), AheadError> {
        seen.map_or(Ok(()), |seen| self.skews.check(seen, now_ms))
    }

    pub(crate) fn stamp(&self, found: Found, endpoint: Endpoint) -> Option<Stamp> {
        let record = self.records.record(found);
        record.find(endpoint).ok().map(|place| record.stamp(place))
    }

    /// Returns the stamp of the present entry with the key of `body`.
    pub(crate) fn held(&self, found: Found, body: &Body<'_>) -> Option<Stamp> {
        match *body {
            Body::File(_) => self.records.record(found).file().map(|(version, _)| Stamp { version, removed: false }),
            Body::Seeder(endpoint) | Body::Removed(endpoint) => self.stamp(found, endpoint),
        }
    }

    /// Resolves a tie: two trackers continued from the same version of a third one with different changes, and reached
    /// the same version. All trackers must prefer the same change.
    fn wins_tie(&self, found: Found, held: Stamp, body: &Body<'_>) -> bool {
        fn order<'a>(info: FileInfo<'a>) -> (u64, u32, &'a str) {
            (info.length, info.chunk_size, info.name)
        }
        match *body {
            Body::File(info) => {
                self.records.record(found).file().is_some_and(|(_, held)| held != info && order(info) > order(held))
            }
            Body::Removed(_) => !held.removed,
            Body::Seeder(_) => false,
        }
    }

    fn put_seeder(&mut self, info_hash: InfoHash, seeder: Seeder) -> Result<(), ArenaFull> {
        self.records.put_seeder(info_hash, seeder)?;
        if seeder.stamp.removed {
            self.forget_oldest_removal(info_hash, seeder.endpoint.ip());
        }
        Ok(())
    }

    /// Returns whether an entry counts now, see `Ttls::counts`.
    pub(crate) fn counts_now(&self, stamp: Stamp, now_ms: u64) -> bool {
        self.rules.ttls.counts(&self.skews, stamp.version, stamp.removed, now_ms)
    }

    /// Returns whether an entry need not be renewed yet.
    fn is_fresh(&self, version: Version, now_ms: u64) -> bool {
        version.time_ms() + self.rules.ttls.lease_ms / 2 > self.skews.time_of(version, now_ms)
    }

    /// Writes the file entry of a Share, or renews the present one.
    fn write_file(
        &mut self,
        info_hash: InfoHash,
        found: Option<Found>,
        file: Option<FileInfo<'_>>,
        now_ms: u64,
        journal: &mut impl Journal,
    ) -> Result<Option<Durability>, Refusal> {
        let old = found.and_then(|found| self.records.record(found).file());
        let live = old.filter(|(version, _)| self.counts_now(Stamp { version: *version, removed: false }, now_ms));
        let durability = match (file, live) {
            (Some(info), Some((version, old))) if info == old => {
                if self.is_fresh(version, now_ms) {
                    return Ok(None);
                }
                Durability::Lazy
            }
            (Some(_), _) => Durability::Sync,
            (None, Some((version, _))) if !self.is_fresh(version, now_ms) => Durability::Lazy,
            (None, _) => return Ok(None),
        };
        let version = self.clock.tick(now_ms, live.map(|(version, _)| version));
        match file {
            Some(info) => self.records.put_file(info_hash, version, &info)?,
            None => self.records.renew_file(info_hash, version),
        }
        let record = self.records.find(info_hash).map(|found| self.records.record(found));
        if let Some((version, info)) = record.and_then(Record::file) {
            journal.write(&Entry { info_hash, version, body: Body::File(info) }, durability);
        }
        Ok(Some(durability))
    }

    fn write_seeder(
        &mut self,
        claim: Claim,
        removed: bool,
        durability: Durability,
        now_ms: u64,
        journal: &mut impl Journal,
    ) -> Result<Version, Refusal> {
        let Claim { info_hash, endpoint, seen } = claim;
        let old = self.records.find(info_hash).and_then(|found| self.stamp(found, endpoint));
        let old = old.filter(|stamp| self.counts_now(*stamp, now_ms)).map(|stamp| stamp.version);
        let version = self.clock.tick(now_ms, seen.max(old));
        let seeder = Seeder { endpoint, stamp: Stamp { version, removed } };
        self.put_seeder(info_hash, seeder)?;
        journal.write(&seeder_entry(info_hash, seeder), durability);
        Ok(version)
    }
}
