//! What a download waits for, in words. Pure.

use std::fmt;

/// What limits a download now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The cause.
    pub cause: Cause,
    /// One clause about it: `the last 3 chunks come from 10.0.0.7:4000 alone`.
    pub text: String,
}

/// Kinds of what a download waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Nothing: it runs as fast as it can, or has just begun or ended.
    #[default]
    Nothing,
    /// First copies: only the seeders have the missing chunks, and every getter waits for them.
    FirstCopy,
    /// The uplinks of the peers, which have the missing chunks.
    Uplinks,
    /// One slow peer, which alone has the last chunks.
    SlowPeer,
    /// The download limit that the user has set.
    OwnCap,
    /// The downlink of this machine.
    OwnLink,
    /// The disk of the destination.
    Disk,
    /// The CPU: cores that are busy, hashes that are behind, or a CPU quota.
    Cpu,
    /// A tracker that answers, and knows a seeder.
    Tracker,
    /// A peer that can be reached and has the missing chunks.
    NoPeers,
    /// The disk of the destination, which is not there.
    DiskAway,
    /// Its own start: data that is on the disk already is verified.
    Verifying,
    /// The user, who has paused it.
    Paused,
}

impl Why {
    /// The cause with its usual text.
    pub(crate) fn of(cause: Cause) -> Self {
        Self { cause, text: cause.text().to_owned() }
    }

    /// The cause with a text of its own.
    pub(crate) fn with(cause: Cause, text: impl Into<String>) -> Self {
        Self { cause, text: text.into() }
    }

    /// What the user can do about it.
    pub fn next_step(&self) -> &'static str {
        self.cause.next_step()
    }
}

impl Default for Why {
    fn default() -> Self {
        Self::with(Cause::Nothing, "it has just begun")
    }
}

impl Cause {
    /// All causes.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 13] = [
        Self::Nothing,
        Self::FirstCopy,
        Self::Uplinks,
        Self::SlowPeer,
        Self::OwnCap,
        Self::OwnLink,
        Self::Disk,
        Self::Cpu,
        Self::Tracker,
        Self::NoPeers,
        Self::DiskAway,
        Self::Verifying,
        Self::Paused,
    ];

    /// The name for scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::FirstCopy => "first_copy",
            Self::Uplinks => "uplinks",
            Self::SlowPeer => "slow_peer",
            Self::OwnCap => "own_cap",
            Self::OwnLink => "own_link",
            Self::Disk => "disk",
            Self::Cpu => "cpu",
            Self::Tracker => "tracker",
            Self::NoPeers => "no_peers",
            Self::DiskAway => "disk_away",
            Self::Verifying => "verifying",
            Self::Paused => "paused",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Nothing => "it runs at its full rate",
            Self::FirstCopy => "only the seeders have the missing chunks: their uplinks are the bound for all getters",
            Self::Uplinks => "the peers send slowly, or serve others first",
            Self::SlowPeer => "one slow peer alone has the last chunks",
            Self::OwnCap => "it receives as fast as the download limit allows",
            Self::OwnLink => "the downlink of this machine is full",
            Self::Disk => "chunks arrive faster than the disk writes them",
            Self::Cpu => "the CPU is busy, or its quota used up",
            Self::Tracker => "no tracker answers, or none knows a seeder",
            Self::NoPeers => "no peer can be reached that has the missing chunks",
            Self::DiskAway => "the disk of the destination is not there",
            Self::Verifying => "the data on the disk is being verified",
            Self::Paused => "it is paused",
        }
    }

    fn next_step(self) -> &'static str {
        match self {
            Self::Nothing => "wait",
            Self::FirstCopy => "raise the seeders' --upload-limit, or share the file from one more machine",
            Self::Uplinks => "share the file from one more machine, or wait until the peers serve fewer others",
            Self::SlowPeer => "share the file from one more machine, or repair that peer's link",
            Self::OwnCap => "raise --download-limit, or `limit down RATE` in the client",
            Self::OwnLink => "wait: only a faster link would help",
            Self::Disk => "look for other load and errors on the disk (iostat, dmesg), or choose a faster one",
            Self::Cpu => "give the process more CPU (quota, --cores), or end other work",
            Self::Tracker => "check that a tracker runs and is reachable from here, and that the file is shared",
            Self::NoPeers => "check that the seeders run and are reachable from here",
            Self::DiskAway => "mount the disk; the download resumes by itself",
            Self::Verifying => "wait",
            Self::Paused => "resume it: `resume ID` in the client",
        }
    }
}

/// The short phrase of a table's column.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nothing => "nothing",
            Self::FirstCopy => "first copies",
            Self::Uplinks => "peers' uplinks",
            Self::SlowPeer => "one slow peer",
            Self::OwnCap => "own limit",
            Self::OwnLink => "own link",
            Self::Disk => "disk",
            Self::Cpu => "CPU",
            Self::Tracker => "tracker",
            Self::NoPeers => "no peers",
            Self::DiskAway => "disk away",
            Self::Verifying => "verifying",
            Self::Paused => "paused",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_words_of_its_own() {
        for word in [Cause::name, Cause::text] {
            let words: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|cause| word(*cause)).collect();
            assert_eq!(words.len(), Cause::ALL.len());
        }
        for cause in Cause::ALL {
            assert!(cause.to_string().len() <= 14, "{cause} fits a column");
            assert!(!Why::of(cause).next_step().is_empty());
        }
    }
}
