//! Why trackers are of no use, for as long as none of a group is.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::time::Instant;

use super::connection::ConnectionError;
use crate::limits::{TROUBLE_AFTER, TROUBLE_INTERVAL, TROUBLE_MEMORY};
use crate::net::NetError;
use crate::rpc::RpcError;
use crate::wire::Status;

/// The reason why a tracker is of no use at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerTrouble {
    /// Its name cannot be resolved; the text is the resolver's reason.
    CannotResolve(String),
    /// Nothing listens at its address.
    Refused,
    /// It gives no answer.
    Silent,
    /// It cannot be reached for another reason.
    Unreachable(String),
    /// It does not let this client announce its address; its text has both addresses.
    NotAllowed(String),
    /// It answers that it cannot or will not do what is asked.
    Declined(String),
}

impl TrackerTrouble {
    /// The kind of trouble, as one word for scripts.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CannotResolve(_) => "cannot_resolve",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Unreachable(_) => "unreachable",
            Self::NotAllowed(_) => "not_allowed",
            Self::Declined(_) => "declined",
        }
    }

    /// The trouble of an answer that acknowledges nothing.
    pub(super) fn of_answer(status: Status, text: &str) -> Self {
        match status {
            Status::NotAllowed => Self::NotAllowed(text.to_owned()),
            status => Self::Declined(format!("{status} {text}").trim_end().to_owned()),
        }
    }

    /// The trouble of a name whose lookup has not ended.
    pub(super) fn looking_up() -> Self {
        Self::CannotResolve("its name server gives no answer".to_owned())
    }
}

impl fmt::Display for TrackerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotResolve(why) => write!(f, "cannot resolve its name: {why}"),
            Self::Refused => f.write_str("connection refused: nothing listens there"),
            Self::Silent => f.write_str("silent: it gives no answer"),
            Self::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Self::NotAllowed(why) => write!(f, "not allowed: {why}"),
            Self::Declined(why) => write!(f, "declined: {why}"),
        }
    }
}

impl From<&ConnectionError> for TrackerTrouble {
    fn from(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::Resolve(error) => Self::CannotResolve(error.why.clone()),
            ConnectionError::Rpc(RpcError::Net(NetError::Silent)) => Self::Silent,
            ConnectionError::Rpc(RpcError::Net(NetError::Io(error)))
                if error.kind() == io::ErrorKind::ConnectionRefused =>
            {
                Self::Refused
            }
            ConnectionError::Unwell(answered) => Self::of_answer(answered.1.status(), answered.1.text()),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// The troubles of a group of trackers. They are reported while no tracker of the group is of use: soon, and then
/// again and again.
pub(super) struct Troubles {
    /// The last trouble of each tracker, by its index.
    last: RefCell<Vec<Option<TrackerTrouble>>>,
    /// Time of the first request that no tracker has answered since.
    since: Cell<Option<Instant>>,
    /// Time of the last request.
    asked: Cell<Instant>,
    /// A tracker that answers and acknowledges no announcement, with the time of its first refusal.
    refusal: RefCell<Option<(usize, TrackerTrouble, Instant)>>,
    reported: Cell<Option<Instant>>,
}

impl Troubles {
    /// The troubles of `count` trackers: none so far.
    pub(super) fn new(count: usize) -> Self {
        Self {
            last: RefCell::new(vec![None; count]),
            since: Cell::new(None),
            asked: Cell::new(Instant::now()),
            refusal: RefCell::new(None),
            reported: Cell::new(None),
        }
    }

    /// A request begins.
    pub(super) fn ask(&self) {
        let now = Instant::now();
        self.asked.set(now);
        self.since.set(self.since.get().or(Some(now)));
    }

    /// The trouble of a tracker, or what it would be if the attempt went no further.
    pub(super) fn set(&self, index: usize, trouble: TrackerTrouble) {
        self.last.borrow_mut()[index] = Some(trouble);
    }

    /// A tracker has answered.
    pub(super) fn answered(&self) {
        self.since.set(None);
        self.last.borrow_mut().fill(None);
    }

    /// The tracker answers and has acknowledged none of this client's files; `None` once it has.
    pub(super) fn set_refusal(&self, refusal: Option<(usize, TrackerTrouble)>) {
        let mut known = self.refusal.borrow_mut();
        let since = known.as_ref().map_or_else(Instant::now, |(_, _, since)| *since);
        *known = refusal.map(|(index, trouble)| (index, trouble, since));
    }

    /// The troubles to report now: none while a tracker is of use, or shortly after the last report.
    pub(super) fn take_due(&self) -> Vec<(usize, TrackerTrouble)> {
        let refusal = self.refusal.borrow().clone();
        let unanswered = self.since.get().filter(|_| self.asked.get().elapsed() < TROUBLE_MEMORY);
        let since = unanswered.or(refusal.as_ref().map(|(_, _, since)| *since));
        let Some(since) = since else {
            self.reported.set(None);
            return Vec::new();
        };
        let is_early = since.elapsed() < TROUBLE_AFTER;
        if is_early || self.reported.get().is_some_and(|reported| reported.elapsed() < TROUBLE_INTERVAL) {
            return Vec::new();
        }
        let due: Vec<(usize, TrackerTrouble)> = if unanswered.is_some() {
            let last = self.last.borrow();
            last.iter().enumerate().filter_map(|(index, trouble)| Some((index, trouble.clone()?))).collect()
        } else {
            refusal.into_iter().map(|(index, trouble, _)| (index, trouble)).collect()
        };
        if !due.is_empty() {
            self.reported.set(Some(Instant::now()));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_its_kind() {
        let io = |kind: io::ErrorKind| ConnectionError::Rpc(RpcError::Net(NetError::Io(kind.into())));
        for (error, kind) in [
            (io(io::ErrorKind::ConnectionRefused), "refused"),
            (io(io::ErrorKind::HostUnreachable), "unreachable"),
            (ConnectionError::Rpc(RpcError::Net(NetError::Silent)), "silent"),
            (ConnectionError::Rpc(RpcError::Misbehaved("so")), "unreachable"),
        ] {
            assert_eq!(TrackerTrouble::from(&error).kind(), kind, "{error}");
        }
        let answered = TrackerTrouble::of_answer(Status::NotAllowed, "10.0.0.1 is not 10.0.0.2");
        assert_eq!(answered.to_string(), "not allowed: 10.0.0.1 is not 10.0.0.2");
        assert_eq!(TrackerTrouble::of_answer(Status::OverLimit, "").kind(), "declined");
    }

    #[test]
    fn troubles_end_with_an_answer() {
        let troubles = Troubles::new(2);
        troubles.ask();
        troubles.set(1, TrackerTrouble::Refused);
        assert!(troubles.take_due().is_empty(), "too early");
        troubles.since.set(Instant::now().checked_sub(TROUBLE_AFTER));
        assert_eq!(troubles.take_due(), [(1, TrackerTrouble::Refused)]);
        assert!(troubles.take_due().is_empty(), "reported already");
        troubles.answered();
        troubles.set_refusal(Some((0, TrackerTrouble::NotAllowed("so".into()))));
        assert!(troubles.take_due().is_empty(), "too early");
        troubles.refusal.borrow_mut().as_mut().unwrap().2 = Instant::now() - TROUBLE_AFTER;
        troubles.reported.set(None);
        assert_eq!(troubles.take_due().len(), 1);
        troubles.set_refusal(None);
        assert!(troubles.take_due().is_empty());
    }
}
