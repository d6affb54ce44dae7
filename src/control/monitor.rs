//! The monitoring address of a process (`--metrics`): its HTTP server, and what that shows.
//!
//! The address is bound before the process begins its work, so that a service that starts for minutes shows that it is
//! there (`/health`) and not ready yet (`/ready`).

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use super::http::{HttpServer, Response, Site};
use super::metrics::{Process, Scraper};
use super::page::Page;
pub(crate) use super::subject::Subject;
use crate::limits::CORE_SILENCE_MAX;
use crate::metrics::{Beat, beats};
use crate::net::ListenError;

/// The monitoring address of this process, if it has one. It is served until this is dropped.
#[derive(Debug)]
pub(crate) struct Monitor {
    server: Option<(HttpServer, Page)>,
    subject: Arc<OnceLock<Subject>>,
}

impl Monitor {
    /// Serves `address`; port 0 selects a free port. `None` serves nothing.
    pub(crate) fn start(address: Option<SocketAddr>) -> Result<Self, ListenError> {
        let subject = Arc::new(OnceLock::new());
        let serve = |address| {
            let started = Page::start(&subject, site(&subject));
            let (page, site) = started.map_err(|error| ListenError::Io(address, error))?;
            Ok::<_, ListenError>((HttpServer::start(address, site)?, page))
        };
        let server = address.map(serve).transpose()?;
        Ok(Self { server, subject })
    }

    /// Shows what the process runs, once it runs. A process runs one subject.
    pub(crate) fn show(&self, subject: Subject) {
        let is_first = self.subject.set(subject).is_ok();
        debug_assert!(is_first, "a process runs one tracker or one client");
    }

    /// The address that is served, with the real port.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|(server, _)| server.address())
    }
}

fn site(subject: &Arc<OnceLock<Subject>>) -> Site {
    let (scraped, ready) = (subject.clone(), subject.clone());
    let scraper = Scraper::new(Process::starting());
    Site::new()
        .machine("/metrics", move |request| scraper.answer(scraped.get(), request).into())
        .machine("/health", |_| health(&beats()).into())
        .machine("/ready", move |_| readiness(ready.get()).into())
}

/// Whether all cores run their tasks.
fn health(beats: &[Beat]) -> Response {
    let stalled: Vec<String> = beats
        .iter()
        .filter(|beat| beat.age > CORE_SILENCE_MAX)
        .map(|beat| format!("core {} has run no task for {} s\n", beat.core, beat.age.as_secs()))
        .collect();
    if stalled.is_empty() { Response::text(200, "ok\n") } else { Response::text(503, stalled.concat()) }
}

/// Whether the process does its work: a tracker serves, with the table of its group or declared to be without it; a
/// client accepts peers, and what its data folder remembers is listed.
fn readiness(subject: Option<&Subject>) -> Response {
    match subject {
        Some(Subject::Tracker(tracker)) => {
            let stats = tracker.stats();
            let (in_sync, peers) = (stats.peers_in_sync, stats.peers);
            Response::text(200, format!("serving {} files, in sync with {in_sync} of {peers} trackers\n", stats.files))
        }
        Some(Subject::Node(node)) => {
            let (shares, downloads) = (node.shares().len(), node.downloads().len());
            Response::text(200, format!("{shares} shares, {downloads} downloads\n"))
        }
        None => Response::text(503, "starting: see the log for what it waits for\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_stalled_core_is_named() {
        let beat = |core, seconds| Beat { core, age: Duration::from_secs(seconds) };
        assert_eq!(health(&[beat(0, 0), beat(1, 1)]), Response::text(200, "ok\n"));
        let stalled = Response::text(503, "core 1 has run no task for 60 s\n");
        assert_eq!(health(&[beat(0, 0), beat(1, 60)]), stalled);
        assert_eq!(readiness(None).status(), 503);
    }
}
