//! A core's shard in service: request frames in, reply frames out.
//!
//! No function here waits, so a borrow of the table never spans a wait.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::activity::{Activity, ActivityCounts, LeaseChange, RefusalReason, RequestType};
use super::clock::now_ms;
use super::links::link_handle::LinkHandle;
use super::reach::{self, ReachRefusal};
use super::request::{ParsedRequest, Requester};
use super::stats::TrackerStats;
use super::status::page::{Scope, page};
use super::status::source::StatusSource;
use super::unsaved::refuse_unsaved;
use crate::ids::{Endpoint, InfoHash};
use crate::limits::{FRAME_CONTROL_BYTES_MAX, STATUS_PAGES_INTERVAL, STATUS_PAGES_MAX};
use crate::net::NetError;
use crate::tracker::bounded_text::BoundedText;
use crate::tracker::bug::report_bug;
use crate::tracker::replica::answer;
use crate::tracker::replica::link::{Link, LinkError, Taken, Times};
use crate::tracker::requests::{Denial, Outcome, Request, tested_endpoint};
use crate::tracker::status_rows::StatusPage;
use crate::tracker::store::Log;
use crate::tracker::table::clock::Skews;
use crate::tracker::table::entry::Body;
use crate::tracker::table::entry::{Entry, bucket_of, core_of};
use crate::tracker::table::rights::Cidr;
use crate::tracker::table::{Accepted, Durability, Journal, Merged, Sender, Table};
use crate::wire::{
    self, Cursor, ENTERED_AS, EntriesBuffer, Frame, Message, Response, Status, SyncHello, TAKES_PROGRESS,
};

/// What the operator says about addresses; the same on all cores.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressPolicy {
    /// Networks that may change any endpoint.
    pub trust: Arc<[Cidr]>,
    /// Addresses under which others reach the clients of this machine that connect over loopback.
    pub loopback_as: Arc<[IpAddr]>,
}

/// One core's table, and the state needed to answer requests.
pub(crate) struct Shard {
    inside: RefCell<Inside>,
    cores: usize,
    addresses: AddressPolicy,
    links: RefCell<Vec<Rc<LinkHandle>>>,
    log: Rc<Log>,
    /// True once clients are served; false while the table is still being taken from the other trackers.
    serves: Arc<AtomicBool>,
    source: Arc<StatusSource>,
    /// Number of the interval in which status pages were last made for clients, and how many in it.
    status_pages: Cell<(u64, u32)>,
    requests: Cell<u64>,
    refusals: Cell<u64>,
    activity: Activity,
}

struct Inside {
    table: Table,
    rng: SmallRng,
    endpoints: Vec<Endpoint>,
    page: EntriesBuffer,
}

/// Returns whether an address belongs to this machine: only such an address can be bound.
fn is_own(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_loopback() && UdpSocket::bind((ip, 0)).is_ok()
}

/// The change of a lease that an accepted request made.
fn lease_change(request: &Request<'_>, accepted: &Accepted) -> Option<LeaseChange> {
    match (request, accepted.written?) {
        (Request::Remove(_), _) => Some(LeaseChange::Removed),
        (_, Durability::Sync) => Some(LeaseChange::Granted),
        (_, Durability::Lazy) => Some(LeaseChange::Renewed),
    }
}

/// A journal that writes to the store and to all peers.
struct Out<'a> {
    log: &'a Log,
    links: &'a [Rc<LinkHandle>],
}

impl Journal for Out<'_> {
    fn write(&mut self, entry: &Entry<'_>, durability: Durability) {
        self.log.write(entry, durability);
        self.links.iter().for_each(|link| link.push(entry));
    }
}

impl Shard {
    pub(crate) fn new(
        table: Table,
        cores: usize,
        addresses: AddressPolicy,
        log: Rc<Log>,
        serves: Arc<AtomicBool>,
        source: Arc<StatusSource>,
    ) -> Self {
        let inside = Inside {
            table,
            rng: SmallRng::from_rng(&mut rand::rng()),
            endpoints: Vec::new(),
            page: EntriesBuffer::default(),
        };
        Self {
            inside: RefCell::new(inside),
            cores,
            addresses,
            links: RefCell::default(),
            log,
            serves,
            source,
            status_pages: Cell::default(),
            requests: Cell::new(0),
            refusals: Cell::new(0),
            activity: Activity::default(),
        }
    }

    /// Creates the sender for the source address `ip`.
    pub(crate) fn sender(&self, ip: IpAddr) -> Sender {
        Sender::new(ip, &self.addresses.trust)
    }

    /// This core's log of the store.
    pub(crate) fn log(&self) -> &Rc<Log> {
        &self.log
    }

    /// Adds a link that receives all further changes.
    pub(crate) fn add_link(&self, link: Rc<LinkHandle>) {
        self.links.borrow_mut().push(link);
    }

    /// Removes the link of a peer that has retired.
    pub(crate) fn remove_link(&self, link: &LinkHandle) {
        self.links.borrow_mut().retain(|other| other.number() != link.number());
    }

    /// See [`Table::prefetch`].
    pub(crate) fn prefetch(&self, files: impl Iterator<Item = InfoHash> + Clone) {
        self.inside.borrow().table.prefetch(files);
    }

    /// Decodes a frame, and checks whether the requester may send that request now.
    pub(crate) fn parse<'a>(&self, frame: Frame<'a>, requester: Requester) -> ParsedRequest<'a> {
        let message = match Message::decode(frame) {
            Ok(message) => message,
            Err(error) => return ParsedRequest::Undecodable(Response::from(error)),
        };
        match message {
            Message::SyncHello(hello) => ParsedRequest::Hello(hello),
            Message::SyncEntry(_) | Message::SyncSeederListRequest(_) if requester.tracker.is_none() => {
                ParsedRequest::Unlinked
            }
            Message::SyncEntry(entry) => ParsedRequest::Entry(entry),
            Message::SyncSeederListRequest(request) => ParsedRequest::List(request),
            Message::StatusRequest(_) if !self.serves.load(Ordering::Relaxed) => ParsedRequest::Starting,
            Message::StatusRequest(start) => ParsedRequest::Status(start),
            Message::ReachRequest(endpoint) => {
                let read = self.read_as(requester.sender, |sender| tested_endpoint(endpoint, sender));
                read.map_or_else(ParsedRequest::Denied, ParsedRequest::Reach)
            }
            _ => match self.read_as(requester.sender, |sender| Request::read(&message, sender)) {
                Ok(_) if !self.serves.load(Ordering::Relaxed) => ParsedRequest::Starting,
                Ok(request) => ParsedRequest::Request(request),
                Err(denial) => ParsedRequest::Denied(denial),
            },
        }
    }

    /// Reads a client's request. A client on this machine that connects over loopback is entered under the configured
    /// address if it names none, and may announce any of the machine's own addresses, because others find it there.
    fn read_as<T>(&self, sender: Sender, read: impl Fn(Sender) -> Result<T, Denial>) -> Result<T, Denial> {
        let mapped = if sender.ip.is_loopback() { self.seen_by_others(sender.ip) } else { None };
        if let Some(ip) = mapped
            && let Ok(request) = read(Sender { ip, ..sender })
        {
            return Ok(request);
        }
        match read(sender) {
            Err(Denial::ForeignEndpoint { endpoint, .. } | Denial::ForeignTest { endpoint, .. })
                if sender.ip.is_loopback() && is_own(endpoint.ip()) =>
            {
                read(Sender { ip: endpoint.ip(), ..sender })
            }
            outcome => outcome,
        }
    }

    /// The configured address for clients that connect over loopback, of the same family if there is one.
    fn seen_by_others(&self, loopback: IpAddr) -> Option<IpAddr> {
        let same_family = self.addresses.loopback_as.iter().find(|ip| ip.is_ipv4() == loopback.is_ipv4());
        same_family.or(self.addresses.loopback_as.first()).copied()
    }

    /// Index of the core that owns the file.
    pub(crate) fn owner_of_file(&self, file: InfoHash) -> usize {
        self.owner_of_bucket(bucket_of(file))
    }

    /// Index of the core that owns the bucket.
    pub(crate) fn owner_of_bucket(&self, bucket: usize) -> usize {
        core_of(bucket, self.cores)
    }

    /// Executes a request on this core's table, and appends the reply frame to `out`.
    pub(crate) fn answer(&self, asked: &ParsedRequest<'_>, requester: Requester, now_ms: u64, out: &mut Vec<u8>) {
        self.requests.set(self.requests.get() + 1);
        let kind = RequestType::of(asked);
        let status = self.answer_as(asked, requester, now_ms, out);
        self.activity.answered(kind, status);
    }

    /// Like [`Shard::answer`]; returns the status of the reply.
    fn answer_as(&self, asked: &ParsedRequest<'_>, requester: Requester, now_ms: u64, out: &mut Vec<u8>) -> Status {
        match asked {
            ParsedRequest::Request(request) => self.answer_request(request, requester.sender, now_ms, out),
            ParsedRequest::Entry(entry) => {
                let merged = self.merge(entry, now_ms, |link| link.link.borrow().peer() != requester.tracker);
                if let Merged::Ahead(error) = merged {
                    // The entry stays at its sender until it is due; a repair takes it then.
                    let links = self.links.borrow();
                    let same = links.iter().filter(|link| link.link.borrow().peer() == requester.tracker);
                    same.for_each(|link| link.repair_within(error.due_in_ms()));
                }
                let response = answer::to_entry(merged, entry);
                Message::Response(response).encode(out);
                response.status
            }
            ParsedRequest::List(request) => {
                let Inside { table, page, .. } = &mut *self.inside.borrow_mut();
                Message::SyncSeederListResponse(answer::to_list(table, request, now_ms, page)).encode(out);
                Status::Ok
            }
            ParsedRequest::Status(start) => self.answer_status(*start, requester, now_ms, out),
            ParsedRequest::Denied(denial) => {
                self.activity.refused((*denial).into());
                self.refuse(denial.status(), BoundedText::new(denial).as_str(), requester, out)
            }
            ParsedRequest::Undecodable(response) => {
                self.activity.refused(RefusalReason::BadRequest);
                self.refuse(response.status, response.text, requester, out)
            }
            ParsedRequest::Unlinked => {
                self.activity.refused(RefusalReason::NotLinked);
                self.refuse(
                    Status::NotAllowed,
                    "only a tracker of the group may do this: SyncHello first",
                    requester,
                    out,
                )
            }
            ParsedRequest::Starting => {
                self.activity.refused(RefusalReason::Starting);
                self.refuse(Status::Busy, "this tracker is taking the table from the others", requester, out)
            }
            ParsedRequest::Hello(_) | ParsedRequest::Reach(_) => {
                report_bug("a request of a connection came to another core than the connection's");
                self.refuse(Status::Internal, "this tracker lost track of the connection", requester, out)
            }
        }
    }

    fn answer_request(&self, request: &Request<'_>, sender: Sender, now_ms: u64, out: &mut Vec<u8>) -> Status {
        if matches!(request, Request::Add(..) | Request::Remove(_))
            && let Some(why) = self.log.failing()
        {
            self.refusals.set(self.refusals.get() + 1);
            self.activity.refused(RefusalReason::NotSaved);
            refuse_unsaved(&why, out);
            return Status::Internal;
        }
        let Inside { table, rng, endpoints, .. } = &mut *self.inside.borrow_mut();
        let mut journal = Out { log: &self.log, links: &self.links.borrow() };
        let outcome = request.execute(table, sender, now_ms, rng, &mut journal, endpoints);
        if let Outcome::Accepted(accepted) = &outcome
            && let Some(change) = lease_change(request, accepted)
        {
            self.activity.lease(change);
        }
        match outcome {
            // The acknowledged state was written earlier, perhaps only a moment ago.
            Outcome::Accepted(accepted) if accepted.written != Some(Durability::Sync) => {
                if self.log.has_missed(request.info_hash()) {
                    table.entries(request.info_hash()).for_each(|entry| self.log.write(&entry, Durability::Sync));
                }
                self.log.confirm(request.info_hash());
            }
            Outcome::Refused(refusal) => {
                self.refusals.set(self.refusals.get() + 1);
                self.activity.refused((&refusal).into());
                log::debug!("refused {}: {refusal}", sender.ip);
            }
            _ => {}
        }
        if let (Outcome::Accepted(accepted), Some(endpoint)) = (outcome, request.entered_elsewhere(sender)) {
            let text = BoundedText::new(format_args!("{TAKES_PROGRESS} {ENTERED_AS}{endpoint}"));
            Message::Response(Response::new(Status::Ok, text.as_str(), Some(accepted.version))).encode(out);
            return Status::Ok;
        }
        outcome.reply(request.info_hash(), endpoints, |reply| reply.encode(out));
        outcome.status()
    }

    fn answer_status(&self, start: Cursor, requester: Requester, now_ms: u64, out: &mut Vec<u8>) -> Status {
        let page = |status, next, json| Message::StatusResponse(wire::StatusPage { status, next, json });
        let (window, pages) = self.status_pages.get();
        let this_window = now_ms / STATUS_PAGES_INTERVAL.as_millis() as u64;
        let pages = if window == this_window { pages } else { 0 };
        if pages >= STATUS_PAGES_MAX {
            page(Status::Busy, None, "").encode(out);
            return Status::Busy;
        }
        self.status_pages.set((this_window, pages + 1));
        let Sender { ip, trusted } = requester.sender;
        let (made, next) = self.status_page(start, Scope::of(ip, trusted, &self.source), now_ms);
        match serde_json::to_string(&made) {
            Ok(json) if json.len() + 64 <= FRAME_CONTROL_BYTES_MAX => {
                page(Status::Ok, next, &json).encode(out);
                Status::Ok
            }
            _ => {
                report_bug("a status page does not fit into a frame");
                page(Status::Internal, None, "").encode(out);
                Status::Internal
            }
        }
    }

    /// Makes the page of this core's table from `start` on; returns the start of the next one.
    pub(crate) fn status_page(&self, start: Cursor, scope: Scope, now_ms: u64) -> (StatusPage, Option<Cursor>) {
        page(&self.inside.borrow().table, &self.source, start, scope, now_ms)
    }

    /// Appends the reply to a request for a test of reachability that was made.
    pub(crate) fn answer_reach(&self, endpoint: Endpoint, tried: Result<(), NetError>, out: &mut Vec<u8>) {
        let (status, text) = reach::outcome(endpoint, &tried);
        self.requests.set(self.requests.get() + 1);
        self.activity.answered(RequestType::Reach, status);
        Message::Response(Response::new(status, &text, None)).encode(out);
    }

    /// Appends the reply to a request for a test of reachability that is not made.
    pub(crate) fn refuse_reach(&self, refusal: ReachRefusal, requester: Requester, out: &mut Vec<u8>) {
        self.requests.set(self.requests.get() + 1);
        self.activity.refused(RefusalReason::ReachTests);
        let status = self.refuse(refusal.status(), BoundedText::new(refusal).as_str(), requester, out);
        self.activity.answered(RequestType::Reach, status);
    }

    fn refuse(&self, status: Status, text: &str, requester: Requester, out: &mut Vec<u8>) -> Status {
        self.refusals.set(self.refusals.get() + 1);
        log::debug!("refused {}: {text}", requester.sender.ip);
        Message::Response(Response::new(status, text, None)).encode(out);
        status
    }

    /// Merges a tracker's entry. A new entry is written to the store and to the links for which `to` is true.
    fn merge(&self, entry: &Entry<'_>, now_ms: u64, to: impl Fn(&LinkHandle) -> bool) -> Merged {
        let merged = self.inside.borrow_mut().table.merge(entry, now_ms);
        if matches!(merged, Merged::Ahead(_) | Merged::Full) {
            self.refusals.set(self.refusals.get() + 1);
        }
        if matches!(merged, Merged::New | Merged::Late) {
            self.log.write_merged(entry);
            // The other trackers already have the entries that a starting tracker takes from them.
            if merged == Merged::New && self.serves.load(Ordering::Relaxed) {
                self.links.borrow().iter().filter(|link| to(link)).for_each(|link| link.push(entry));
            }
        }
        merged
    }

    /// Restores an entry from the store.
    pub(crate) fn restore(&self, entry: &Entry<'_>) {
        self.inside.borrow_mut().table.restore(entry, now_ms());
    }

    /// See [`Link::send`].
    pub(crate) fn send_round(&self, link: &mut Link, hello: &SyncHello<'_>, times: Times, out: &mut Vec<u8>) {
        link.send(&self.inside.borrow().table, hello, times, out);
    }

    /// See [`Link::receive`].
    pub(crate) fn take_answer(
        &self,
        handle: &LinkHandle,
        frame: Frame<'_>,
        now_ms: u64,
    ) -> Result<Option<Taken>, LinkError> {
        let mut link = handle.link.borrow_mut();
        let mut ahead_ms = None;
        let page = link.receive(frame, |entry| {
            let merged = self.merge(entry, now_ms, |other| other.number() != handle.number());
            if let Merged::Ahead(error) = merged {
                ahead_ms = Some(ahead_ms.unwrap_or(u64::MAX).min(error.due_in_ms()));
            }
            merged
        })?;
        if let Some(wait_ms) = ahead_ms {
            drop(link);
            handle.repair_within(wait_ms);
            link = handle.link.borrow_mut();
        }
        page.map(|page| link.page_taken(page, &self.inside.borrow().table)).transpose()
    }

    /// See [`Table::set_skews`].
    pub(crate) fn set_skews(&self, skews: Skews, now_ms: u64) {
        self.inside.borrow_mut().table.set_skews(skews, now_ms);
    }

    /// Writes entries to the store that it was too slow to take before.
    pub(crate) fn write_missed(&self) {
        while let Some(bucket) = self.log.take_missed() {
            self.inside.borrow().table.for_each_of(bucket, &mut |entry| self.log.write_merged(entry));
        }
    }

    /// See [`Table::sweep`].
    pub(crate) fn sweep(&self, now_ms: u64, budget: usize) -> usize {
        self.inside.borrow_mut().table.sweep(now_ms, budget, &mut |entry| {
            if matches!(entry.body, Body::Seeder(_)) {
                self.activity.lease(LeaseChange::Expired);
            }
            self.log.remove(entry);
        })
    }

    /// Number of buckets on this core.
    pub(crate) fn buckets(&self) -> usize {
        self.inside.borrow().table.buckets().len()
    }

    /// What this core did.
    pub(crate) fn activity(&self) -> ActivityCounts {
        self.activity.counts()
    }

    /// The figures of this core.
    pub(crate) fn stats(&self) -> TrackerStats {
        let inside = self.inside.borrow();
        let totals = inside.table.totals();
        TrackerStats {
            files: totals.files,
            seeders: totals.seeders,
            removals: totals.removals,
            downloads: inside.table.report_count() as u64,
            table_bytes: inside.table.bytes() as u64,
            requests: self.requests.get(),
            refusals: self.refusals.get(),
            ..TrackerStats::default()
        }
    }
}
