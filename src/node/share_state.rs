//! The state of a share: whether it is served, and its next step. No effects: the caller passes the results of checks.

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
    /// Metainfo of the file; `None` until the `.mtorrent` file is read.
    pub metainfo: Option<Arc<Metainfo>>,
    /// Info hash of the `.mtorrent` file when the file was verified.
    pub info_hash: Option<InfoHash>,
    /// Identity of the file when it was verified.
    pub verified: Option<Identity>,
    /// The torrent that is or was last served.
    pub torrent: Option<Arc<Torrent>>,
    /// Whether and how the share is served.
    pub phase: Phase,
    /// Identity of the file at the last check.
    pub seen: Option<Identity>,
    /// Number of checks so far; a check that ends with an older number is outdated.
    pub checks: u64,
    /// Consecutive failures to read the file's attributes.
    pub failed_stats: u32,
    /// Whether the user has been notified that the share is not served.
    pub is_reported: bool,
}

/// The phase of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The share is served.
    Active,
    /// The share is served and hashed at the same time, because only the file's time of change (ctime) differs.
    ActiveChecked,
    /// The share is paused; the text gives the reason.
    Waiting(String),
    /// The share is paused while its file is hashed; the text gives the reason.
    Checking(String),
    /// The file has other content; the share is paused until it changes again.
    Different {
        /// The difference, for the user.
        why: String,
        /// Identity of the file with the other content.
        found: Identity,
    },
}

/// The next step of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// No step.
    Nothing,
    /// Pause the share until its file is available again.
    Wait(String),
    /// Serve the file: it is unchanged since its verification.
    Serve,
    /// Pause the share and hash the file.
    Check(String),
    /// Hash the file while it is served.
    CheckBeside,
    /// Pause the share: the file has other content.
    Differ(String, Identity),
}

impl ShareState {
    /// Creates the state of a share whose file was not checked yet.
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

    /// The next step after a check with this result. The `.mtorrent` file must have been read.
    pub(super) fn next(&self, found: &io::Result<Identity>) -> Step {
        let stopped = self.torrent.as_ref().filter(|_| self.is_active()).and_then(|torrent| torrent.stopped());
        match (&self.phase, found) {
            (Phase::Checking(_), _) => Step::Nothing,
            (Phase::Waiting(known), Err(error)) if *known == away(error) => Step::Nothing,
            (Phase::Different { .. }, Err(_)) => Step::Nothing,
            // The open file may be intact although its path fails for a moment, as on a network file system.
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
            // A file that is still being written is not hashed.
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

    /// Records the result of a check.
    pub(super) fn note(&mut self, found: &io::Result<Identity>) {
        self.seen = found.as_ref().ok().copied();
        self.failed_stats = if found.is_err() { self.failed_stats.saturating_add(1) } else { 0 };
    }

    /// Whether the phase lets peers get the file; the torrent may have been stopped a moment ago.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active | Phase::ActiveChecked)
    }

    /// The reason why the share is not served.
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

/// The reason for a file whose attributes cannot be read; any such error may be temporary.
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
