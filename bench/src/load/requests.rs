//! The requests of a load: the sequence of files, and the bytes.
//!
//! A request is copied from a template and the file's hash is inserted: the codec, ours or RESP, has run once.

use std::net::Ipv4Addr;

use mtorrent::ids::{Endpoint, InfoHash};
use mtorrent::wire::{Message, SeederChange};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::options::{Options, Protocol};
use super::resp;

/// Number of seeders of each file.
pub const SEEDERS: u64 = 2;

/// The expected answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Confirmation that a seeder was added.
    Added,
    /// The seeders of the file with this hash.
    Seeders(InfoHash),
}

/// An endless sequence of requests, or one that fills a table.
#[derive(Debug)]
pub struct Requests {
    files: u64,
    order: Order,
    add: [Template; SEEDERS as usize],
    ask: Template,
}

#[derive(Debug)]
enum Order {
    /// Random files and seeders; this many requests of a hundred add a seeder.
    Random { rng: SmallRng, adds: u32 },
    /// Every seeder of every file; this sequence has one share of them.
    Every { next: u64, step: u64 },
}

impl Requests {
    /// The sequence of thread `index`.
    pub fn new(options: &Options, index: usize) -> Self {
        let order = if options.fill {
            Order::Every { next: index as u64, step: options.threads as u64 }
        } else {
            // Gives every thread and every seed a sequence of its own.
            let seed = options.seed.wrapping_mul(1 << 16) + index as u64;
            Order::Random { rng: SmallRng::seed_from_u64(seed), adds: options.adds }
        };
        let add = |seeder| Template::add(options.protocol, endpoint(seeder));
        Self { files: options.files, order, add: [add(0), add(1)], ask: Template::ask(options.protocol) }
    }

    /// Appends the next request to `out`; `None` at the end of the sequence.
    pub fn write_next(&mut self, out: &mut Vec<u8>) -> Option<Expected> {
        let (file, seeder, adds) = self.order.next(self.files)?;
        let info_hash = hash(file);
        if adds {
            self.add[seeder as usize].write(info_hash, out);
            Some(Expected::Added)
        } else {
            self.ask.write(info_hash, out);
            Some(Expected::Seeders(info_hash))
        }
    }
}

impl Order {
    /// A file, one of its seeders, and whether the request adds it.
    fn next(&mut self, files: u64) -> Option<(u64, u64, bool)> {
        match self {
            Self::Random { rng, adds } => {
                let adds = rng.random_range(0..100) < *adds;
                Some((rng.random_range(0..files), rng.random_range(0..SEEDERS), adds))
            }
            Self::Every { next, step } => {
                let at = *next;
                *next += *step;
                (at < files * SEEDERS).then_some((at / SEEDERS, at % SEEDERS, true))
            }
        }
    }
}

/// A request, and the offset of the hash in it.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    hash_at: usize,
}

impl Template {
    const BLANK: InfoHash = InfoHash([0xa5; 20]);

    fn add(protocol: Protocol, endpoint: Endpoint) -> Self {
        let mut bytes = Vec::new();
        match protocol {
            Protocol::Mtorrent => {
                let change = SeederChange { info_hash: Self::BLANK, endpoint, version: None };
                Message::AddSeeder(change).encode(&mut bytes);
            }
            Protocol::Redis => {
                resp::write_command(&[b"SADD", &Self::BLANK.0, endpoint.to_bytes(&mut [0; 18])], &mut bytes);
            }
        }
        Self::new(bytes)
    }

    fn ask(protocol: Protocol) -> Self {
        let mut bytes = Vec::new();
        match protocol {
            Protocol::Mtorrent => Message::SeederInfoRequest(Self::BLANK).encode(&mut bytes),
            Protocol::Redis => resp::write_command(&[b"SRANDMEMBER", &Self::BLANK.0, b"50"], &mut bytes),
        }
        Self::new(bytes)
    }

    fn new(bytes: Vec<u8>) -> Self {
        let hash_at = bytes.windows(Self::BLANK.0.len()).position(|window| window == Self::BLANK.0);
        Self { hash_at: hash_at.unwrap_or_else(|| unreachable!("every request names a file")), bytes }
    }

    fn write(&self, info_hash: InfoHash, out: &mut Vec<u8>) {
        let at = out.len() + self.hash_at;
        out.extend_from_slice(&self.bytes);
        out[at..at + info_hash.0.len()].copy_from_slice(&info_hash.0);
    }
}

/// A hash of the file, distributed as with SHA-1.
fn hash(file: u64) -> InfoHash {
    let mut state = file.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut hash = [0; 20];
    for part in hash.chunks_mut(8) {
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) ^ state >> 31;
        part.copy_from_slice(&state.to_be_bytes()[..part.len()]);
    }
    InfoHash(hash)
}

fn endpoint(seeder: u64) -> Endpoint {
    let ip = Ipv4Addr::new(127, 0, 0, 1 + seeder as u8);
    // The port is not 0.
    Endpoint::new(ip.into(), 7000).unwrap_or_else(|| unreachable!("port 7000"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use mtorrent::wire::{Parsed, parse};

    use super::*;

    fn options() -> Options {
        Options { files: 10, ..Options::new(([127, 0, 0, 1], 1).into()) }
    }

    #[test]
    fn a_template_is_what_the_codec_writes() {
        let mut requests = Requests::new(&Options { adds: 0, ..options() }, 0);
        let mut bytes = Vec::new();
        let Some(Expected::Seeders(info_hash)) = requests.write_next(&mut bytes) else { panic!("a question") };
        let Ok(Parsed::Frame { frame, len }) = parse(&bytes, 1 << 16) else { panic!("a frame") };
        assert_eq!(Message::decode(frame), Ok(Message::SeederInfoRequest(info_hash)));
        assert_eq!(len, bytes.len());
    }

    #[test]
    fn filling_names_every_seeder_once() {
        for protocol in [Protocol::Mtorrent, Protocol::Redis] {
            let mut seen = HashSet::new();
            for index in 0..3 {
                let mut requests = Requests::new(&Options { fill: true, threads: 3, protocol, ..options() }, index);
                let mut bytes = Vec::new();
                while requests.write_next(&mut bytes) == Some(Expected::Added) {
                    assert!(seen.insert(std::mem::take(&mut bytes)));
                }
            }
            assert_eq!(seen.len() as u64, 10 * SEEDERS);
        }
    }
}
