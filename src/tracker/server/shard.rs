//! A core's shard in service: frames in, frames out.
//!
//! Nothing here waits, so that a borrow of the table never spans one.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::TrackerStats;
use crate::ids::{Endpoint, InfoHash};
use crate::tracker::entry::{Entry, bucket_of, core_of};
use crate::tracker::requests::{Denial, Outcome, Request};
use crate::tracker::rights::Cidr;
use crate::tracker::table::{Journal, Sender, Table, Weight};
use crate::wire::{Frame, Message, Response};

/// One core's table and what it needs to answer.
pub(super) struct Shard {
    inside: RefCell<Inside>,
    cores: usize,
    trust: Arc<[Cidr]>,
    requests: Cell<u64>,
    refusals: Cell<u64>,
}

struct Inside {
    table: Table,
    rng: SmallRng,
    endpoints: Vec<Endpoint>,
}

/// What a frame asks for, once it is read.
pub(super) enum Asked<'a> {
    /// Something of the table: of the core that has the file.
    Request(Request<'a>),
    /// Nothing that can be done.
    Denied(Denial),
    /// The frame is no message.
    Undecodable(Response<'static>),
}

/// In memory nothing has to be written anywhere.
struct MemoryOnly;

impl Journal for MemoryOnly {
    fn write(&mut self, _: &Entry<'_>, _: Weight) {}
}

impl Shard {
    pub(super) fn new(table: Table, cores: usize, trust: Arc<[Cidr]>) -> Self {
        let inside = Inside { table, rng: SmallRng::from_rng(&mut rand::rng()), endpoints: Vec::new() };
        Self { inside: RefCell::new(inside), cores, trust, requests: Cell::new(0), refusals: Cell::new(0) }
    }

    /// Who sends from `ip`.
    pub(super) fn sender(&self, ip: std::net::IpAddr) -> Sender {
        Sender::new(ip, &self.trust)
    }

    /// The core that has a file.
    pub(super) fn core_of(&self, info_hash: InfoHash) -> usize {
        core_of(bucket_of(info_hash), self.cores)
    }

    /// What the frame asks for.
    pub(super) fn read<'a>(&self, frame: Frame<'a>, sender: Sender) -> Asked<'a> {
        match Message::decode(frame) {
            Ok(message) => Request::read(&message, sender).map_or_else(Asked::Denied, Asked::Request),
            Err(error) => Asked::Undecodable(Response::from(error)),
        }
    }

    /// Carries out a request whose file is here, and appends the reply's frame to `out`.
    pub(super) fn answer(&self, request: &Request<'_>, sender: Sender, now_ms: u64, out: &mut Vec<u8>) {
        let inside = &mut *self.inside.borrow_mut();
        let Inside { table, rng, endpoints } = inside;
        let outcome = request.execute(table, sender, now_ms, rng, &mut MemoryOnly, endpoints);
        self.requests.set(self.requests.get() + 1);
        if let Outcome::Refused(refusal) = outcome {
            self.refusals.set(self.refusals.get() + 1);
            log::debug!("refused {}: {refusal}", sender.ip);
        }
        outcome.reply(request.info_hash(), endpoints, |reply| reply.encode(out));
    }

    /// Appends the reply to a frame that asks for nothing that can be done.
    pub(super) fn refuse(&self, asked: &Asked<'_>, sender: Sender, out: &mut Vec<u8>) {
        let refuse = |response: Response<'_>, out: &mut Vec<u8>| {
            log::debug!("refused {}: {}", sender.ip, response.text);
            Message::Response(response).encode(out);
        };
        self.requests.set(self.requests.get() + 1);
        self.refusals.set(self.refusals.get() + 1);
        match asked {
            Asked::Request(_) => {}
            Asked::Denied(denial) => refuse(Response::new(denial.status(), &denial.to_string(), None), out),
            Asked::Undecodable(response) => refuse(*response, out),
        }
    }

    /// See [`Table::sweep`].
    pub(super) fn sweep(&self, now_ms: u64, budget: usize) -> usize {
        self.inside.borrow_mut().table.sweep(now_ms, budget, &mut |_| ())
    }

    /// Number of buckets here.
    pub(super) fn buckets(&self) -> usize {
        self.inside.borrow().table.buckets().len()
    }

    pub(super) fn stats(&self) -> TrackerStats {
        let inside = self.inside.borrow();
        let totals = inside.table.totals();
        TrackerStats {
            files: totals.files,
            seeders: totals.seeders,
            removals: totals.removals,
            table_bytes: inside.table.bytes() as u64,
            requests: self.requests.get(),
            refusals: self.refusals.get(),
        }
    }
}
