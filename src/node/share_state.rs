//! The state of a share: whether it is served, and what it needs next. No effects: the caller says what it has found.

use std::io;
use std::sync::Arc;

use crate::ids::InfoHash;
use crate::limits::FAILED_STATS_MAX;
use crate::metainfo::Metainfo;
use crate::storage::Identity;
use crate::storage::paths::is_absent;
use crate::torrent::Torrent;

/// The state of a share.
#[derive(Clone, Debug)]
pub(super) struct ShareState {
    /// What the file is; `None` while the `.mtorrent` file could not be read.
    pub metainfo: Option<Arc<Metainfo>>,
    /// What the `.mtorrent` file described when the file was verified.
    pub info_hash: Option<InfoHash>,
    /// The file as it was when it was verified.
    pub verified: Option<Identity>,
    /// What is, or was last, served.
    pub torrent: Option<Arc<Torrent>>,
    /// Whether it is served.
    pub phase: Phase,
    /// The file as the last look has found it.
    pub seen: Option<Identity>,
    /// Grows by one with every check, so that one that is not the last is known when it ends.
    pub checks: u64,
    /// Attempts in a row that could not read the file's attributes.
    pub failed_stats: u32,
    /// Whether the user knows that it is not served.
    pub is_reported: bool,
}

/// Whether a share is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is.
    Active,
    /// It is, and hashed beside that: only the time of its last change of state is another.
    ActiveChecked,
    /// Not for now: why.
    Waiting(String),
    /// Not before it is hashed, which is under way: why.
    Checking(String),
    /// Not until it changes: it is another file now.
    Different {
        /// What is different.
        why: String,
        /// The file that was found so.
        found: Identity,
    },
}

/// What a share needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Nothing,
    /// Serve it no more until it is there again.
    Wait(String),
    /// Serve it: it is as it was verified.
    Serve,
    /// Serve it no more, and hash it.
    Check(String),
    /// Hash it beside being served.
    CheckBeside,
    /// It is another file.
    Differ(String, Identity),
}

impl ShareState {
    /// A share of which no look has found anything yet.
    pub(super) fn new(
        metainfo: Option<Arc<Metainfo>>,
        verified: Option<Identity>,
        torrent: Option<Arc<Torrent>>,
        phase: Phase,
    ) -> Self {
        let info_hash = metainfo.as_ref().map(|metainfo| metainfo.info_hash());
        Self {
            info_hash,
            metainfo,
            verified,
            torrent,
            phase,
            seen: None,
            checks: 0,
            failed_stats: 0,
            is_reported: false,
        }
    }

    /// What is needed now that the file was found so. Its `.mtorrent` file is known.
    pub(super) fn next(&self, found: &io::Result<Identity>) -> Step {
        let stopped = self.torrent.as_ref().filter(|_| self.is_active()).and_then(|torrent| torrent.stopped());
        match (&self.phase, found) {
            (Phase::Checking(_), _) => Step::Nothing,
            (Phase::Waiting(known), Err(error)) if *known == away(error) => Step::Nothing,
            (Phase::Different { .. }, Err(_)) => Step::Nothing,
            // The open file may be well although its path is not for a moment, as on a network file system.
            (Phase::Active | Phase::ActiveChecked, Err(error))
                if !is_absent(error) && self.failed_stats < FAILED_STATS_MAX =>
            {
                Step::Nothing
            }
            (_, Err(error)) => Step::Wait(away(error)),
            (Phase::Different { found: known, .. }, Ok(found)) if known == found => Step::Nothing,
            (_, Ok(found)) if self.has_other_length(found) => {
                Step::Differ(format!("its size is now {} bytes", found.bytes), *found)
            }
            (Phase::Waiting(_) | Phase::Different { .. }, Ok(found)) if self.verified == Some(*found) => Step::Serve,
            // A file that is still being written is not worth a check.
            (Phase::Waiting(_) | Phase::Different { .. }, Ok(found)) if self.seen != Some(*found) => Step::Nothing,
            (Phase::Waiting(_) | Phase::Different { .. }, Ok(_)) => {
                Step::Check("it is being verified first".to_owned())
            }
            (Phase::ActiveChecked | Phase::Active, Ok(_)) if stopped.is_some() => {
                Step::Check(format!("{}; it is being verified", stopped.unwrap_or_default()))
            }
            (Phase::Active, Ok(found)) if self.verified == Some(*found) => Step::Nothing,
            (Phase::Active, Ok(found)) if self.verified.is_some_and(|known| known.has_same_content(found)) => {
                Step::CheckBeside
            }
            (Phase::ActiveChecked, Ok(found)) if self.verified.is_some_and(|known| known.has_same_content(found)) => {
                Step::Nothing
            }
            (Phase::Active | Phase::ActiveChecked, Ok(_)) => {
                Step::Check("it was touched and is being verified".to_owned())
            }
        }
    }

    /// Notes what a look has found.
    pub(super) fn note(&mut self, found: &io::Result<Identity>) {
        self.seen = found.as_ref().ok().copied();
        self.failed_stats = if found.is_err() { self.failed_stats.saturating_add(1) } else { 0 };
    }

    /// Whether peers get it, unless its torrent was stopped a moment ago.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active | Phase::ActiveChecked)
    }

    /// Why it is not served.
    pub(super) fn stopped(&self) -> Option<String> {
        match &self.phase {
            Phase::Active | Phase::ActiveChecked => {
                self.torrent.as_ref().and_then(|torrent| torrent.stopped()).map(str::to_owned)
            }
            Phase::Waiting(why) | Phase::Checking(why) | Phase::Different { why, .. } => Some(why.clone()),
        }
    }

    fn has_other_length(&self, found: &Identity) -> bool {
        self.metainfo.as_ref().is_some_and(|metainfo| metainfo.geometry().length() != found.bytes)
    }
}

/// The reason for a file whose attributes cannot be read; it may be back in a moment, whatever the error.
fn away(error: &io::Error) -> String {
    format!("it is away ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;

    const KNOWN: Identity = Identity { device: 1, inode: 2, bytes: 100, modified: (3, 0), changed: (3, 0) };

    fn in_phase(phase: Phase) -> ShareState {
        let geometry = Geometry::new(100, 1 << 14).unwrap();
        let metainfo = Metainfo::new("file", geometry, vec![0; 20], Vec::new()).unwrap();
        ShareState::new(Some(Arc::new(metainfo)), Some(KNOWN), None, phase)
    }

    #[test]
    fn what_is_away_is_waited_for_and_what_is_touched_is_hashed() {
        let active = || in_phase(Phase::Active);
        let touched = Identity { modified: (9, 0), changed: (9, 0), ..KNOWN };
        let gone = || Err(io::ErrorKind::NotFound.into());
        assert_eq!(active().next(&Ok(KNOWN)), Step::Nothing);
        assert!(matches!(active().next(&gone()), Step::Wait(_)));
        let stale = || Err(io::Error::from_raw_os_error(libc::ESTALE));
        assert_eq!(active().next(&stale()), Step::Nothing, "a hiccup");
        let mut failing = active();
        (0..FAILED_STATS_MAX).for_each(|_| failing.note(&stale()));
        assert!(matches!(failing.next(&stale()), Step::Wait(_)));
        failing.note(&Ok(KNOWN));
        assert_eq!(failing.next(&stale()), Step::Nothing);
        assert!(matches!(active().next(&Ok(touched)), Step::Check(_)));
        for other in [Identity { inode: 7, ..KNOWN }, Identity { device: 7, ..KNOWN }] {
            assert!(matches!(active().next(&Ok(other)), Step::Check(_)), "the same bytes, perhaps, in another file");
        }
        assert!(matches!(active().next(&Ok(Identity { bytes: 99, ..KNOWN })), Step::Differ(..)));
        let renamed = Identity { changed: (9, 0), ..KNOWN };
        assert_eq!(active().next(&Ok(renamed)), Step::CheckBeside);
        assert_eq!(in_phase(Phase::ActiveChecked).next(&Ok(renamed)), Step::Nothing);
        assert!(matches!(in_phase(Phase::ActiveChecked).next(&Ok(touched)), Step::Check(_)));
    }

    #[test]
    fn what_waits_goes_on_when_it_is_there_again() {
        let waiting = |why: &str| in_phase(Phase::Waiting(why.to_owned()));
        let gone: io::Result<Identity> = Err(io::ErrorKind::NotFound.into());
        let touched = Identity { modified: (9, 0), ..KNOWN };
        let Step::Wait(why) = waiting("").next(&gone) else { panic!("it waits") };
        assert_eq!(waiting(&why).next(&gone), Step::Nothing, "reported once");
        assert_eq!(waiting(&why).next(&Ok(KNOWN)), Step::Serve, "nothing is hashed");
        assert_eq!(waiting(&why).next(&Ok(touched)), Step::Nothing, "it may be written still");
        let again = ShareState { seen: Some(touched), ..waiting(&why) };
        assert!(matches!(again.next(&Ok(touched)), Step::Check(_)));
        assert_eq!(in_phase(Phase::Checking(why)).next(&gone), Step::Nothing);
        let different = in_phase(Phase::Different { why: String::new(), found: touched });
        assert_eq!(different.next(&Ok(touched)), Step::Nothing);
        assert_eq!(different.next(&Ok(KNOWN)), Step::Serve);
        let rewritten = Identity { modified: (10, 0), ..KNOWN };
        assert!(matches!(ShareState { seen: Some(rewritten), ..different }.next(&Ok(rewritten)), Step::Check(_)));
    }
}
