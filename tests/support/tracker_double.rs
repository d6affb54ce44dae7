//! A minimal tracker, a second implementation against which clients are tested.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use mtorrent::ids::{Endpoint, InfoHash};
use mtorrent::wire::{Endpoints, Message, Response, SeederInfo, Status};

use super::scripted::Scripted;
use super::wire::encoded;

/// A tracker that accepts everything and never forgets.
pub struct TrackerDouble {
    scripted: Scripted,
    shares: Arc<Mutex<Vec<(Instant, InfoHash)>>>,
}

type Seeders = HashMap<InfoHash, HashSet<Endpoint>>;

impl TrackerDouble {
    pub fn start() -> Self {
        let (seeders, shares) = (Mutex::new(Seeders::new()), Arc::new(Mutex::new(Vec::new())));
        let shared = shares.clone();
        let scripted = Scripted::start(move |stream, message| {
            if let Message::Share(share) = &message {
                shared.lock().unwrap().push((Instant::now(), share.info_hash));
            }
            stream.write_all(&answer(&message, &mut seeders.lock().unwrap()))
        });
        Self { scripted, shares }
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

fn answer(message: &Message<'_>, seeders: &mut Seeders) -> Vec<u8> {
    let ok = encoded(&Message::Response(Response { status: Status::Ok, text: "", version: None }));
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
