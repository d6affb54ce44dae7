//! The figures of a process in Prometheus' text formats.
//!
//! [`catalog`] lists every name with its help. `process`, `tracker` and `client` read the values where they are kept
//! and add them to [`Samples`]; [`encode`] writes them. Labels are bounded: a file is its info hash, of which the first
//! [`TORRENTS_LABELLED_MAX`](crate::limits::TORRENTS_LABELLED_MAX) have series of their own and the rest is `other`; a
//! peer is its class and never its address. No label has a name or a path of a file, because whoever reaches the address
//! may read.
//!
//! A scrape runs on a thread of the HTTP server, one at a time. It takes the short locks that `show downloads` takes,
//! and nothing on a core waits for it.

mod catalog;
mod client;
mod encode;
mod process;
mod samples;
#[cfg(test)]
mod tests;
mod torrent_series;
mod tracker;

use std::sync::{Mutex, PoisonError};

use super::http::{Request, Response};
use super::subject::Subject;
pub(super) use process::Process;
use samples::Samples;
use torrent_series::TorrentSeries;

/// What the scrapes of a process remember.
#[derive(Debug)]
pub(super) struct Scraper {
    process: Process,
    series: Mutex<TorrentSeries>,
}

impl Scraper {
    /// A scraper of this process.
    pub(super) fn new(process: Process) -> Self {
        Self { process, series: Mutex::default() }
    }

    /// Answers a scrape in the format that the request accepts.
    pub(super) fn answer(&self, subject: Option<&Subject>, request: &Request) -> Response {
        // A thread that panicked in a scrape left nothing half-changed that matters.
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = self.samples(subject, &mut series);
        encode::response(samples, encode::Format::accepted(&request.accept))
    }

    fn samples(&self, subject: Option<&Subject>, series: &mut TorrentSeries) -> Samples {
        let mut samples = Samples::default();
        self.process.add_to(&mut samples, subject.map(Subject::role));
        match subject {
            Some(Subject::Tracker(observer)) => tracker::add_to(&mut samples, observer),
            Some(Subject::Node(observer)) => client::add_to(&mut samples, observer, series),
            None => {}
        }
        samples
    }
}
