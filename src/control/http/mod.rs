//! A small HTTP/1.1 server for figures and the status page: one address, GET and HEAD only.
//!
//! A [`Site`] is a table of routes, which the tracker and the client each fill for themselves:
//!
//! ```text
//! let site = Site::new()
//!     .machine("/metrics", |request| Response::text(...).into())          any Host
//!     .page("/", |request| Response::html(PAGE, CSP).into())              the Host must name this machine
//!     .page("/events", |_| Answer::Events(Box::new(source)));             a stream of server-sent events
//! let server = HttpServer::start(address, site)?;                         bound and serving; ends when dropped
//! ```
//!
//! A route's handler runs on a plain thread: it may take a moment, take a lock, or wait for a core's reply. Nothing of
//! this module runs on an executor.
//!
//! **Everything is bounded** ([`crate::limits`], `HTTP_...`): a thread serves one request of one connection, with a
//! time limit for the head and one for the answer, and closes it. There are `HTTP_CONNECTIONS_MAX` of them, of which
//! one remote address may have `HTTP_CONNECTIONS_PER_ADDRESS_MAX`; further connections are answered by 503. Streams of
//! events (`HTTP_STREAMS_MAX`) share one thread; a reader that does not keep up is dropped.
//!
//! **Who may read.** Whoever reaches the address: there is no password, so an operator binds it to loopback or to a
//! network of his own. No answer allows another origin to read it, and a page's Host header must be an IP address,
//! `localhost` or the name of this machine ([`own_host`]): so a foreign page whose name is suddenly resolved to this
//! address (DNS rebinding) reads nothing. The routes for machines, `/metrics`, `/health` and `/ready`, take any Host,
//! because collectors reach them by the names of containers and services; they name no file and no path.
//!
//! This module must never know a torrent or a tracker.

mod client;
mod connection;
mod event_streams;
mod gate;
mod own_host;
mod request;
mod response;
mod server;
mod site;
#[cfg(test)]
mod tests;

pub(crate) use client::ask;
pub(crate) use event_streams::{EventSource, ServerEvent};
pub(crate) use request::Request;
pub(crate) use response::Response;
pub(crate) use server::HttpServer;
pub(crate) use site::{Answer, Site};
