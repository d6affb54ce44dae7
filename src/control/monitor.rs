//! The monitoring address of a process (`--metrics`): its HTTP server, and what that shows.
//!
//! The address is bound before the process begins its work, so that a service that starts for minutes shows that it is
//! there (`/health`) and not ready yet (`/ready`).

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use super::http::{HttpServer, Response, Site};
use crate::net::ListenError;
use crate::node::NodeObserver;
use crate::tracker::server::TrackerObserver;

/// The monitoring address of this process, if it has one. It is served until this is dropped.
#[derive(Debug)]
pub(crate) struct Monitor {
    server: Option<HttpServer>,
    subject: Arc<OnceLock<Subject>>,
}

/// What a process runs.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A tracker.
    Tracker(TrackerObserver),
    /// A client.
    Node(NodeObserver),
}

impl Monitor {
    /// Serves `address`; port 0 selects a free port. `None` serves nothing.
    pub(crate) fn start(address: Option<SocketAddr>) -> Result<Self, ListenError> {
        let subject = Arc::new(OnceLock::new());
        let server = address.map(|address| HttpServer::start(address, site(&subject))).transpose()?;
        Ok(Self { server, subject })
    }

    /// Shows what the process runs, once it runs. A process runs one subject.
    pub(crate) fn show(&self, subject: Subject) {
        let is_first = self.subject.set(subject).is_ok();
        debug_assert!(is_first, "a process runs one tracker or one client");
    }

    /// The address that is served, with the real port.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(HttpServer::address)
    }
}

fn site(subject: &Arc<OnceLock<Subject>>) -> Site {
    let ready = subject.clone();
    Site::new().machine("/health", |_| Response::text(200, "ok\n").into()).machine("/ready", move |_| {
        match ready.get() {
            Some(Subject::Tracker(tracker)) => {
                Response::text(200, format!("serving {} files\n", tracker.stats().files)).into()
            }
            Some(Subject::Node(node)) => {
                let (shares, downloads) = (node.shares().len(), node.downloads().len());
                Response::text(200, format!("{shares} shares, {downloads} downloads\n")).into()
            }
            None => Response::text(503, "starting\n").into(),
        }
    })
}
