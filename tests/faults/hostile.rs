//! Hostile connections beside honest clients of a tracker, at a small size; `tests/longer/tracker_hostile` has figures.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mtorrent::ids::InfoHash;
use mtorrent::wire::{Message, SeederChange};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::LOOPBACK;
use crate::support::wire::{Wire, encoded, endpoint};
use crate::support::{Folder, Running};

/// Connections that are held, each with half a frame.
const HELD: usize = 800;
/// Time of one measurement.
const WINDOW: Duration = Duration::from_millis(200);
/// Other tests run on this machine too: so often is compared until it comes out well.
const COMPARISONS_MAX: usize = 25;
/// What the tracker may take for all of it.
const GROWTH_BYTES_MAX: u64 = 32 << 20;

fn add() -> Vec<u8> {
    let endpoint = endpoint(SocketAddr::from(([127, 0, 0, 1], 7000)));
    encoded(&Message::AddSeeder(SeederChange { info_hash: InfoHash([7; 20]), endpoint, version: None }))
}

/// Requests that an honest client has answered in a window.
fn rate(honest: &mut Wire) -> usize {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < WINDOW {
        honest.ask(&Message::SeederInfoRequest(InfoHash([7; 20])));
        count += 1;
    }
    count
}

/// One byte at a time on what is held, connections that are reset with a request on them, and garbage: one of each.
fn harm(to: SocketAddr, held: &mut [(TcpStream, usize)], rng: &mut StdRng) {
    let add = add();
    let (stream, sent) = &mut held[rng.random_range(0..HELD)];
    // What the tracker has closed stays closed.
    let _ = stream.write_all(&add[*sent..=*sent]);
    *sent = (*sent + 1) % add.len();
    for is_reset in [true, false] {
        let Ok(stream) = TcpStream::connect(to) else { continue };
        let mut bytes = add.clone();
        if is_reset {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
        } else {
            bytes[rng.random_range(0..add.len())..].iter_mut().for_each(|byte| *byte = rng.random());
        }
        let _ = (&stream).write_all(&bytes);
    }
}

fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[test]
fn the_honest_keep_their_speed_beside_hostile_connections() {
    let mut rng = StdRng::seed_from_u64(Folder::new().seed());
    let (tracker, ready) = Running::ready(["tracker", &format!("--listen={LOOPBACK}"), "--cores=1"]);
    let (to, is_hostile, ends) = (ready.listen(), AtomicBool::new(false), AtomicBool::new(false));
    let mut honest = Wire::connect(to);
    rate(&mut honest);
    let before = resident_bytes(tracker.id());
    let hold = |_| {
        let mut stream = TcpStream::connect(to).expect("it listens");
        stream.write_all(&add()[..9]).expect("it takes that");
        (stream, 9)
    };
    let mut held: Vec<_> = (0..HELD).map(hold).collect();
    let left = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                if is_hostile.load(Ordering::Relaxed) {
                    harm(to, &mut held, &mut rng);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let compare = |_| {
            let calm = rate(&mut honest);
            is_hostile.store(true, Ordering::Relaxed);
            let beside = rate(&mut honest);
            is_hostile.store(false, Ordering::Relaxed);
            beside as f64 / calm as f64
        };
        let mut left: Vec<f64> = Vec::new();
        let _ = (0..COMPARISONS_MAX).map(compare).inspect(|one| left.push(*one)).find(|one| *one >= 0.8);
        ends.store(true, Ordering::Relaxed);
        left
    });
    assert!(left.iter().any(|left| *left >= 0.8), "of the rate is left: {left:.2?}");
    let grown = resident_bytes(tracker.id()).saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more");
    tracker.terminate().expect(0);
}
