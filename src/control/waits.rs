//! The commands that wait for the end of downloads. Pure.

use std::collections::BTreeSet;

use super::listener::Origin;
use crate::console::exit::Exit;
use crate::node::DownloadId;

/// All waiting commands; each origin has at most one.
#[derive(Debug, Default)]
pub(super) struct Waits(Vec<Wait>);

#[derive(Debug)]
struct Wait {
    origin: Origin,
    left: BTreeSet<DownloadId>,
    exit: Exit,
}

impl Waits {
    /// Adds a command that ends when all of `left` have ended, with `exit` unless one of them ends worse.
    pub(super) fn push(&mut self, origin: Origin, left: BTreeSet<DownloadId>, exit: Exit) {
        self.0.push(Wait { origin, left, exit });
    }

    /// The origins that wait for this download.
    pub(super) fn of(&self, id: DownloadId) -> impl Iterator<Item = Origin> {
        self.0.iter().filter(move |wait| wait.left.contains(&id)).map(|wait| wait.origin)
    }

    /// Records the end of a download; returns the commands that end with it, and their exit codes.
    pub(super) fn ended(&mut self, id: DownloadId, exit: Exit) -> Vec<(Origin, Exit)> {
        for wait in self.0.iter_mut().filter(|wait| wait.left.contains(&id)) {
            wait.left.remove(&id);
            wait.exit = worse(wait.exit, exit);
        }
        self.0.extract_if(.., |wait| wait.left.is_empty()).map(|wait| (wait.origin, wait.exit)).collect()
    }

    /// Forgets the command of an origin; returns whether there was one.
    pub(super) fn remove(&mut self, origin: Origin) -> bool {
        let before = self.0.len();
        self.0.retain(|wait| wait.origin != origin);
        self.0.len() < before
    }

    /// Takes the origins of all waiting commands.
    pub(super) fn take_all(&mut self) -> Vec<Origin> {
        self.0.drain(..).map(|wait| wait.origin).collect()
    }
}

/// The exit code of a command for two downloads: wrong data tells more than a failure here, and that more than one
/// that is worth trying again.
pub(super) fn worse(one: Exit, other: Exit) -> Exit {
    let rank = |exit| match exit {
        Exit::Done => 0,
        Exit::Retry => 1,
        Exit::Failed => 2,
        _ => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_with_the_last_of_its_downloads_and_the_worst_code() {
        let mut waits = Waits::default();
        let [one, other] = [1, 2].map(Origin);
        waits.push(one, BTreeSet::from([1, 2, 3]), Exit::Done);
        waits.push(other, BTreeSet::from([2]), Exit::Done);
        assert_eq!(waits.of(2).collect::<Vec<_>>(), [one, other]);
        assert_eq!(waits.ended(2, Exit::Retry), [(other, Exit::Retry)]);
        assert_eq!(waits.ended(1, Exit::Data), []);
        assert_eq!(waits.ended(9, Exit::Failed), [], "nobody waits for it");
        assert_eq!(waits.ended(3, Exit::Done), [(one, Exit::Data)]);
        waits.push(one, BTreeSet::from([4]), Exit::Failed);
        assert!(waits.remove(one) && !waits.remove(one));
        assert_eq!(waits.ended(4, Exit::Done), []);
    }
}
