//! A list of trackers, one of which is in use.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;

use super::answer::Answer;
use super::change::TrackerChange;
use super::connection::{Connection, ConnectionError};
use super::record::{TrackerRecord, TrackerState};
use super::trouble::{TrackerTrouble, Troubles};
use crate::ids::{Endpoint, InfoHash};
use crate::limits::{TRACKER_HEDGE_FIRST, TRACKER_HEDGE_NEXT, TRACKER_RETRY_PAUSE, TROUBLE_TICK};
use crate::metrics::{self, Counter};
use crate::net::{Family, Net, NetError};
use crate::rpc::RpcError;
use crate::runtime::Signal;
use crate::text;
use crate::wire::{Message, Status};

/// All trackers of the group failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no tracker answers: {}", .0.join("; "))]
pub(crate) struct AllTrackersFailed(
    /// One error message per tracker.
    pub Vec<String>,
);

/// Receives the name of a tracker, `HOST:PORT`, and its trouble.
type OnTrouble = Box<dyn Fn(&str, TrackerTrouble)>;

/// Called with the name of a tracker that is lost or used.
pub(crate) type ChangeListener = Box<dyn Fn(&str, TrackerChange)>;

/// Trackers in the order in which they are tried; used on core 0 only.
pub(crate) struct TrackerGroup {
    names: Vec<String>,
    /// What is known of each, for display.
    records: RefCell<Vec<TrackerRecord>>,
    /// Connections use addresses of this family only.
    family: Option<Family>,
    net: Net,
    changed_to: ChangeListener,
    /// Receives the trouble of each tracker while none is of use.
    on_trouble: RefCell<Option<OnTrouble>>,
    troubles: Troubles,
    /// Index of the tracker in use.
    current: Cell<usize>,
    connection: RefCell<Option<Connection>>,
    /// A task uses the connection; requests are served one at a time.
    busy: Cell<bool>,
    /// Number of requests that wait for the connection.
    waiting: Cell<usize>,
    /// Notified when the connection is released or a request starts to wait for it.
    released: Signal,
    /// Incremented with every new connection.
    epoch: Cell<u64>,
    changed: Signal,
    ended: Cell<bool>,
    /// The last round trip that was not taken yet.
    round_trip: Cell<Option<RoundTrip>>,
}

/// A round trip to a tracker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    /// IP address of the tracker.
    pub address: IpAddr,
    /// Its duration.
    pub time: Duration,
}

impl TrackerGroup {
    /// Creates a group of at least one `HOST:PORT`. `changed_to` is called when a tracker is lost or another one
    /// is used.
    pub(crate) fn new(names: Vec<String>, net: Net, changed_to: ChangeListener) -> Rc<Self> {
        Self::start(names, None, net, changed_to)
    }

    /// Creates a group that is reached over addresses of one family only.
    pub(crate) fn of_family(names: Vec<String>, family: Family, net: Net, changed_to: ChangeListener) -> Rc<Self> {
        Self::start(names, Some(family), net, changed_to)
    }

    fn start(names: Vec<String>, family: Option<Family>, net: Net, changed_to: ChangeListener) -> Rc<Self> {
        let group = Rc::new(Self {
            on_trouble: RefCell::new(None),
            troubles: Troubles::new(names.len()),
            records: RefCell::new(names.iter().cloned().map(TrackerRecord::new).collect()),
            names,
            family,
            net,
            changed_to,
            current: Cell::new(0),
            connection: RefCell::new(None),
            busy: Cell::new(false),
            waiting: Cell::new(0),
            released: Signal::default(),
            epoch: Cell::new(0),
            changed: Signal::default(),
            ended: Cell::new(false),
            round_trip: Cell::new(None),
        });
        crate::runtime::spawn_vital("tracker connection", watch(Rc::downgrade(&group)));
        crate::runtime::spawn_vital("tracker troubles", report_troubles(Rc::downgrade(&group)));
        group
    }

    /// Calls `on_trouble` with the trouble of each tracker while none is of use, within 3 s and then every 10 s.
    pub(crate) fn report_troubles_to(&self, on_trouble: OnTrouble) {
        *self.on_trouble.borrow_mut() = Some(on_trouble);
    }

    /// The tracker in use answers, and has acknowledged none of this client's files: it gave this answer last. `None`
    /// once it has acknowledged one, or nothing is announced.
    pub(crate) fn set_refusal(&self, answer: Option<&Answer>) {
        let trouble = |answer: &Answer| TrackerTrouble::of_answer(answer.status(), answer.text());
        self.troubles.set_refusal(answer.map(|answer| (self.current.get(), trouble(answer))));
    }

    /// Returns whether the tracker in use is connected and on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.connection.borrow().as_ref().is_some_and(Connection::is_local)
    }

    /// Returns the name of the tracker in use.
    pub(crate) fn current(&self) -> &str {
        &self.names[self.current.get()]
    }

    /// What is known of each tracker.
    pub(crate) fn records(&self) -> Vec<TrackerRecord> {
        self.records.borrow().clone()
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut TrackerRecord)) {
        if let Some(record) = self.records.borrow_mut().get_mut(index) {
            change(record);
        }
    }

    fn note_failure(&self, index: usize, error: &dyn std::fmt::Display) {
        self.note(index, |record| record.set(TrackerState::Failed(text::plain(&error.to_string()))));
    }

    /// Takes the last round trip to the tracker in use.
    pub(crate) fn take_round_trip(&self) -> Option<RoundTrip> {
        self.round_trip.take()
    }

    /// Returns the connection epoch. It grows with every new connection; then all files must be announced again.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// Waits until the epoch differs from `seen` or the connection is lost.
    pub(crate) async fn changed(&self, seen: u64) {
        self.changed.until(|| (self.epoch.get() != seen || self.connection_is_lost()).then_some(())).await;
    }

    /// Closes the connection for good.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.connection.borrow_mut().take();
        self.released.notify();
    }

    /// Sends a request to the tracker in use. If that one fails, the others are tried in order, starting with the next
    /// one. If a tracker is silent for a moment, the next one is tried in parallel. The first tracker that answers is
    /// used from then on.
    pub(crate) async fn request(&self, message: &Message<'_>) -> Result<Answer, AllTrackersFailed> {
        let answer = self.request_any(message).await;
        metrics::add(if answer.is_ok() { Counter::TrackerAnswers } else { Counter::TrackerFailures }, 1);
        answer
    }

    async fn request_any(&self, message: &Message<'_>) -> Result<Answer, AllTrackersFailed> {
        let _in_use = self.acquire().await;
        self.troubles.ask();
        let answered = self.try_all(message).await;
        if answered.is_ok() {
            self.troubles.answered();
        }
        answered
    }

    async fn try_all(&self, message: &Message<'_>) -> Result<Answer, AllTrackersFailed> {
        let mut connection = self.connection.borrow_mut().take();
        if connection.is_some() {
            self.troubles.set(self.current.get(), TrackerTrouble::Silent);
        }
        let (first, began) = (self.current.get(), Instant::now());
        let asked = match &mut connection {
            Some(connection) => Some(connection.request(message).await),
            None => None,
        };
        let address = connection.as_ref().map(Connection::address);
        let mut candidates: Vec<usize> = (0..self.names.len()).map(|step| (first + step) % self.names.len()).collect();
        let mut failure = None;
        match asked {
            Some(Ok(answer)) if !is_unwell(&answer) => {
                let time = began.elapsed();
                self.note(first, |record| record.answered(time));
                self.round_trip.set(address.map(|address| RoundTrip { address, time }));
                self.keep(connection);
                return Ok(answer);
            }
            // An idle connection that broke is no sign that the tracker has failed.
            None | Some(Err(RpcError::Net(NetError::Closed | NetError::Io(_)))) => {
                self.note(first, TrackerRecord::tried);
            }
            Some(Ok(answer)) => {
                self.note_failure(first, &format_args!("{} {}", answer.status(), answer.text()));
                self.keep(connection.filter(|_| candidates.len() == 1));
                if candidates.len() == 1 {
                    return Ok(answer);
                }
                candidates.rotate_left(1);
            }
            Some(Err(error)) => {
                self.note_failure(first, &error);
                failure = Some((first, error.into()));
                candidates.remove(0);
            }
        }
        let attempt = |index| async move {
            self.attempt(index, message).await.inspect_err(|error| self.troubles.set(index, error.into()))
        };
        let won = self.race(&candidates, attempt).await;
        let (index, (connection, answer)) = match won {
            Ok(won) => won,
            Err(failures) => self.all_failed(failure.into_iter().chain(failures))?,
        };
        self.note(index, |record| record.set(TrackerState::Connected));
        let before = self.current.replace(index);
        if before != index {
            self.note(before, |record| {
                if !matches!(record.state, TrackerState::Failed(_)) {
                    record.set(TrackerState::Unused);
                }
            });
            (self.changed_to)(&self.names[index], TrackerChange::Used);
        }
        let address = connection.address();
        self.round_trip.set(connection.round_trip().map(|time| RoundTrip { address, time }));
        self.keep(Some(connection));
        self.epoch.set(self.epoch.get() + 1);
        self.changed.notify();
        Ok(answer)
    }

    /// Sends a request to the tracker in use only, on its open connection. Returns `None` if that is not the connection
    /// of `epoch` any more, or if there is no answer.
    pub(crate) async fn request_on(&self, epoch: u64, message: &Message<'_>) -> Option<Answer> {
        let _in_use = self.acquire().await;
        let mut connection = self.connection.borrow_mut().take_if(|_| self.epoch.get() == epoch)?;
        let answer = connection.request(message).await.ok()?;
        self.keep(Some(connection));
        Some(answer)
    }

    /// Requests seeders from the trackers that are not in use, on separate connections, until one returns some.
    pub(crate) async fn ask_others(&self, info_hash: InfoHash) -> Vec<Endpoint> {
        let others: Vec<usize> = (0..self.names.len()).filter(|index| *index != self.current.get()).collect();
        let ask = |index: usize| async move {
            match self.ask(index, &Message::SeederInfoRequest(info_hash)).await?.1 {
                Answer::Seeders { endpoints, .. } if !endpoints.is_empty() => Ok(endpoints),
                _ => Err(ConnectionError::NoSeeder),
            }
        };
        self.race(&others, ask).await.map_or_else(|_| Vec::new(), |(_, endpoints)| endpoints)
    }

    /// Sends the request to one tracker on a new connection, and records whether it answers.
    async fn ask(&self, index: usize, message: &Message<'_>) -> Result<(Connection, Answer), ConnectionError> {
        self.note(index, TrackerRecord::tried);
        let asked = async {
            self.troubles.set(index, TrackerTrouble::looking_up());
            let addresses = Connection::resolve(&self.names[index], self.family).await?;
            self.troubles.set(index, TrackerTrouble::Silent);
            let mut connection = Connection::open(&self.net, addresses).await?;
            let began = Instant::now();
            let answer = connection.request(message).await?;
            Ok((connection, answer, began.elapsed()))
        };
        match asked.await {
            Ok((connection, answer, latency)) => {
                self.note(index, |record| {
                    record.answered(latency);
                    record.set(TrackerState::Unused);
                });
                Ok((connection, answer))
            }
            Err(error) => {
                self.note_failure(index, &error);
                Err(error)
            }
        }
    }

    /// Sends the request to one tracker on a new connection; its answer counts unless another tracker may do better.
    async fn attempt(&self, index: usize, message: &Message<'_>) -> Result<(Connection, Answer), ConnectionError> {
        let (connection, answer) = self.ask(index, message).await?;
        if is_unwell(&answer) && self.names.len() > 1 {
            self.note_failure(index, &format_args!("{} {}", answer.status(), answer.text()));
            // Another tracker may give a better answer.
            return Err(ConnectionError::Unwell(Box::new((connection, answer))));
        }
        Ok((connection, answer))
    }

    /// Returns the first candidate that succeeds. Candidates start in order: the next one starts when one has failed or
    /// all running ones are silent.
    async fn race<'a, T, F>(
        &'a self,
        candidates: &[usize],
        attempt: impl Fn(usize) -> F,
    ) -> Result<(usize, T), Vec<(usize, ConnectionError)>>
    where
        F: Future<Output = Result<T, ConnectionError>> + 'a,
    {
        let (mut running, mut failures) = (Vec::new(), Vec::new());
        let mut waiting = candidates.iter().copied();
        let mut pause = TRACKER_HEDGE_FIRST;
        loop {
            match waiting.next() {
                Some(index) => running.push((index, Box::pin(attempt(index)))),
                None if running.is_empty() => return Err(failures),
                None => {}
            }
            let is_last = waiting.len() == 0;
            let silent = async {
                if is_last {
                    std::future::pending::<()>().await;
                }
                crate::runtime::sleep(pause).await;
                None
            };
            let Some((at, ended)) = next_end(&mut running).or(silent).await else {
                pause = TRACKER_HEDGE_NEXT;
                continue;
            };
            let (index, _) = running.swap_remove(at);
            match ended {
                Ok(won) => {
                    for (given_up, _) in running {
                        self.note(given_up, TrackerRecord::given_up);
                    }
                    return Ok((index, won));
                }
                Err(error) => {
                    log::debug!("tracker {}: {error}", self.names[index]);
                    failures.push((index, error));
                }
            }
        }
    }

    /// Handles the failure of all trackers. An answer that explains its failure is better than none.
    fn all_failed(
        &self,
        failures: impl Iterator<Item = (usize, ConnectionError)>,
    ) -> Result<(usize, (Connection, Answer)), AllTrackersFailed> {
        let mut messages = Vec::new();
        for (index, error) in failures {
            match error {
                ConnectionError::Unwell(answered) => return Ok((index, *answered)),
                error => messages.push((index, format!("{}: {error}", text::plain(&self.names[index])))),
            }
        }
        messages.sort_unstable();
        Err(AllTrackersFailed(messages.into_iter().map(|(_, message)| message).collect()))
    }

    fn keep(&self, connection: Option<Connection>) {
        *self.connection.borrow_mut() = connection.filter(|_| !self.ended.get());
    }

    fn connection_is_lost(&self) -> bool {
        self.epoch.get() > 0 && !self.busy.get() && self.connection.borrow().is_none()
    }

    async fn acquire(&self) -> InUse<'_> {
        let _waits = Waiting::of(&self.waiting);
        self.released.notify();
        self.released.until(|| (!self.busy.replace(true)).then_some(())).await;
        InUse(self)
    }
}

/// Returns whether another tracker may succeed: this one is starting, or its disk has failed.
fn is_unwell(answer: &Answer) -> bool {
    matches!(answer.status(), Status::Busy | Status::Internal)
}

/// Returns the index and the result of the first future that completes.
async fn next_end<F: Future + Unpin>(running: &mut [(usize, F)]) -> Option<(usize, F::Output)> {
    std::future::poll_fn(|context| {
        for (at, (_, future)) in running.iter_mut().enumerate() {
            if let Poll::Ready(ended) = std::pin::Pin::new(future).poll(context) {
                return Poll::Ready(Some((at, ended)));
            }
        }
        Poll::Pending
    })
    .await
}

/// A request that waits for the connection; counted until it is dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn of(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The exclusive right to use the connection.
struct InUse<'a>(&'a TrackerGroup);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.released.notify();
        self.0.changed.notify();
    }
}

/// Reports the troubles of the trackers while none of them is of use.
async fn report_troubles(group: std::rc::Weak<TrackerGroup>) {
    loop {
        crate::runtime::sleep(TROUBLE_TICK).await;
        let Some(group) = group.upgrade().filter(|group| !group.ended.get()) else { return };
        if let Some(on_trouble) = &*group.on_trouble.borrow() {
            for (index, trouble) in group.troubles.take_due() {
                on_trouble(&group.names[index], trouble);
            }
        }
    }
}

/// Detects at once that the tracker in use closed the connection, even while no request is sent.
async fn watch(group: std::rc::Weak<TrackerGroup>) {
    loop {
        let Some(group) = group.upgrade().filter(|group| !group.ended.get()) else { return };
        let idle = || !group.busy.get() && group.waiting.get() == 0 && group.connection.borrow().is_some();
        let ready = group.released.until(|| idle().then_some(()));
        // Without the pause the task would keep the group alive for ever.
        let pause = crate::runtime::sleep(TRACKER_RETRY_PAUSE);
        ready.or(pause).await;
        if !idle() {
            continue;
        }
        group.busy.set(true);
        let in_use = InUse(&group);
        let Some(mut connection) = group.connection.borrow_mut().take() else { continue };
        let is_wanted = || group.waiting.get() > 0 || group.ended.get() || Rc::strong_count(&group) == 1;
        let wanted = group.released.until(|| is_wanted().then_some(false));
        let closed = async {
            connection.closed().await;
            true
        };
        let was_closed = closed.or(wanted).await;
        if group.ended.get() {
            return;
        }
        if was_closed {
            group.note(group.current.get(), |record| record.set(TrackerState::Trying));
            (group.changed_to)(group.current(), TrackerChange::Lost);
        } else {
            *group.connection.borrow_mut() = Some(connection);
        }
        drop(in_use);
    }
}
