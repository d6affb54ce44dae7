//! One thread of a load: its connections, in one loop that polls the kernel continuously.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use super::answers::{self, Verdict};
use super::connection::Connection;
use super::figures::Figures;
use super::options::{DEPTH_MAX, Options};
use super::requests::Requests;
use crate::harness::process_tree::{self, Cpu};
use crate::harness::{Error, interrupt};

/// Connections per reading of the clock: few, so that latencies are accurate to some 100 us.
const BATCH: usize = 64;
/// Size of a receive buffer, bytes: more than the largest answer and the rest of one before it.
const RECEIVE_BYTES: usize = 192 << 10;
/// Time limit of a server's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A thread's connections and buffers.
pub struct Client<'a> {
    options: &'a Options,
    /// Whether this thread measures the server's CPU time.
    asks_cpu: bool,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    requests: Requests,
    figures: Figures,
    events: Vec<epoll::Event>,
    received: Box<[u8]>,
    to_send: Vec<u8>,
    /// Time of the last answer.
    last_answer: Instant,
}

impl<'a> Client<'a> {
    /// Opens the connections of thread `index`.
    pub fn connect(options: &'a Options, index: usize) -> Result<Self, Error> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|errno| Error::io("make an epoll", errno.into()))?;
        let connect = || Connection::open(options.server, options.depth);
        let connections: io::Result<Vec<_>> = (0..options.connections_of(index)).map(|_| connect()).collect();
        let connections = connections.map_err(|source| Error::io(format!("connect to {}", options.server), source))?;
        for (number, connection) in connections.iter().enumerate() {
            // One event per arrival: an incomplete round is not checked again before more bytes have arrived.
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&epoll, connection, epoll::EventData::new_u64(number as u64), flags)
                .map_err(|errno| Error::io("add a connection to epoll", errno.into()))?;
        }
        Ok(Self {
            options,
            asks_cpu: index == 0,
            epoll,
            connections,
            requests: Requests::new(options, index),
            figures: Figures::new(),
            events: Vec::with_capacity(BATCH),
            received: vec![0; RECEIVE_BYTES].into(),
            to_send: Vec::with_capacity(DEPTH_MAX * 128),
            last_answer: Instant::now(),
        })
    }

    /// Runs the load for the configured time.
    pub fn load(mut self) -> Result<Figures, Error> {
        self.start_all()?;
        self.drive(Instant::now() + Duration::from_secs(self.options.warm_up))?;
        self.figures = Figures::new();
        let (start, cpu) = (Instant::now(), self.server_cpu());
        self.drive(start + self.options.measured())?;
        self.figures.seconds = start.elapsed().as_secs_f64();
        self.figures.server_cpu = self.server_cpu().zip(cpu).map(|(after, before)| after.since(before));
        Ok(self.figures)
    }

    /// Sends every request once.
    pub fn fill(mut self) -> Result<Figures, Error> {
        let (start, cpu) = (Instant::now(), self.server_cpu());
        self.start_all()?;
        while !self.connections.iter().all(Connection::is_idle) {
            self.drive(Instant::now() + Duration::from_millis(2))?;
        }
        self.figures.seconds = start.elapsed().as_secs_f64();
        self.figures.server_cpu = self.server_cpu().zip(cpu).map(|(after, before)| after.since(before));
        Ok(self.figures)
    }

    fn start_all(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        self.last_answer = now;
        (0..self.connections.len()).try_for_each(|number| self.send_round(number, now))
    }

    /// Sends new requests for each answer, until `end`.
    fn drive(&mut self, end: Instant) -> Result<(), Error> {
        let patience =
            if self.options.sleep { Timespec { tv_sec: 0, tv_nsec: 1_000_000 } } else { Timespec::default() };
        loop {
            self.events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&patience)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::io("wait in epoll", errno.into())),
            }
            let now = Instant::now();
            if self.events.is_empty() {
                self.check_alive(now)?;
            } else {
                self.last_answer = now;
            }
            for index in 0..self.events.len() {
                let number = self.events[index].data.u64() as usize;
                self.receive(number, now)?;
                if self.connections[number].is_idle() {
                    self.send_round(number, now)?;
                }
            }
            interrupt::check()?;
            if now >= end {
                return Ok(());
            }
        }
    }

    fn check_alive(&self, now: Instant) -> Result<(), Error> {
        if now.duration_since(self.last_answer) > ANSWER_TIMEOUT && !self.connections.iter().all(Connection::is_idle) {
            return Err(Error::Contestant(format!("{} does not answer", self.options.server)));
        }
        Ok(())
    }

    fn send_round(&mut self, number: usize, now: Instant) -> Result<(), Error> {
        let connection = &mut self.connections[number];
        self.to_send.clear();
        connection.expected.clear();
        connection.answered = 0;
        for _ in 0..self.options.depth {
            let Some(expected) = self.requests.write_next(&mut self.to_send) else { break };
            connection.expected.push(expected);
        }
        connection.send(&self.to_send, now).map_err(|source| Error::io("send requests", source))
    }

    fn receive(&mut self, number: usize, now: Instant) -> Result<(), Error> {
        let connection = &mut self.connections[number];
        let received = connection.receive(&mut self.received);
        let Some(mut bytes) = received.map_err(|source| Error::io("receive answers", source))? else { return Ok(()) };
        let first = connection.answered;
        while let Some(expected) = connection.expected.get(connection.answered) {
            let answer = answers::take(self.options.protocol, bytes, expected);
            let Some((verdict, len)) = answer.map_err(Error::Contestant)? else { break };
            connection.answered += 1;
            bytes = &bytes[len..];
            match verdict {
                Verdict::Right => {}
                Verdict::Nobody => self.figures.nobody += 1,
                Verdict::Wrong => self.figures.errors += 1,
            }
        }
        if connection.is_idle() && !bytes.is_empty() {
            return Err(Error::Contestant("an answer that nobody asked for".to_owned()));
        }
        connection.rest.extend_from_slice(bytes);
        self.figures.record(now.duration_since(connection.sent), connection.answered - first);
        Ok(())
    }

    fn server_cpu(&self) -> Option<Cpu> {
        self.options.pid.filter(|_| self.asks_cpu).map(process_tree::cpu)
    }
}
