//! A minimal tracker, a second implementation against which clients are tested.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use mtorrent::ids::{Endpoint, InfoHash};
use mtorrent::wire::{Endpoints, Message, Progress, Response, SeederInfo, Status, TAKES_PROGRESS};

use super::scripted::Scripted;
use super::wire::encoded;

/// A tracker that accepts everything and never forgets.
pub struct TrackerDouble {
    scripted: Scripted,
    shares: Arc<Mutex<Vec<(Instant, InfoHash)>>>,
    reports: Arc<Mutex<Vec<Progress>>>,
}

type Seeders = HashMap<InfoHash, HashSet<Endpoint>>;

impl TrackerDouble {
    /// A tracker that knows no reports of progress: it panics if it gets one.
    pub fn start() -> Self {
        Self::acknowledging("")
    }

    /// A tracker that takes reports of progress, and says so.
    pub fn taking_progress() -> Self {
        Self::acknowledging(TAKES_PROGRESS)
    }

    fn acknowledging(text: &'static str) -> Self {
        let (seeders, shares) = (Mutex::new(Seeders::new()), Arc::new(Mutex::new(Vec::new())));
        let reports = Arc::new(Mutex::new(Vec::new()));
        let (shared, reported) = (shares.clone(), reports.clone());
        let scripted = Scripted::start(move |stream, message| {
            if let Message::Share(share) = &message {
                shared.lock().unwrap().push((Instant::now(), share.info_hash));
            }
            if let Message::ReportProgress(report) = &message
                && text == TAKES_PROGRESS
            {
                reported.lock().unwrap().push(report.progress);
                return stream.write_all(&acknowledged(""));
            }
            stream.write_all(&answer(&message, text, &mut seeders.lock().unwrap()))
        });
        Self { scripted, shares, reports }
    }

    /// The reports of progress, in the order of arrival.
    pub fn reports(&self) -> Vec<Progress> {
        self.reports.lock().unwrap().clone()
    }

    /// The tracker's name as a user would write it: `IP:PORT`.
    pub fn name(&self) -> String {
        self.scripted.address.to_string()
    }

    /// The files that were shared here, with times.
    pub fn shares(&self) -> Vec<(Instant, InfoHash)> {
        self.shares.lock().unwrap().clone()
    }

    /// Closes all connections and the listener: new connections are refused.
    pub fn kill(&self) {
        self.scripted.close();
    }
}

fn acknowledged(text: &str) -> Vec<u8> {
    encoded(&Message::Response(Response { status: Status::Ok, text, version: None }))
}

fn answer(message: &Message<'_>, text: &str, seeders: &mut Seeders) -> Vec<u8> {
    let ok = acknowledged(text);
    match message {
        Message::Share(share) => {
            seeders.entry(share.info_hash).or_default().insert(share.endpoint);
            ok
        }
        Message::AddSeeder(change) => {
            seeders.entry(change.info_hash).or_default().insert(change.endpoint);
            ok
        }
        Message::RemoveSeeder(change) => {
            seeders.entry(change.info_hash).or_default().remove(&change.endpoint);
            ok
        }
        Message::SeederInfoRequest(info_hash) => {
            let list: Vec<Endpoint> = seeders.entry(*info_hash).or_default().iter().copied().collect();
            let (info_hash, endpoints) = (*info_hash, Endpoints::from(&list[..]));
            encoded(&Message::SeederInfoResponse(SeederInfo { info_hash, status: Status::Ok, endpoints }))
        }
        other => panic!("a tracker got {}", other.kind()),
    }
}
