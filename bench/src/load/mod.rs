//! Load for a tracker and, by the same means, for Redis: many connections, each a closed loop with a fixed number of
//! requests in flight, a mix of AddSeeder (SADD) and SeederInfoRequest (SRANDMEMBER) over many files.
//!
//! It reports answers a second, latencies, and the CPU time of the server: only if that is over 95 % of a core are the
//! figures those of the server.
//!
//! The load must not use the server's CPU except by its requests. A [`client`] is a thread over epoll that never
//! sleeps: a sleeping one makes the server's core wake it, and one whose completions io_uring runs is interrupted by
//! the server's core at every answer, which took 7 us an answer of Redis. The load must also be faster than any server:
//! a round on a [`connection`] is one send and one receive; [`requests`] are copied from templates, nothing is
//! allocated, and every answer is checked in place ([`answers`]). [`floor`] shows the CPU time of a server that does
//! nothing.

pub mod answers;
pub mod client;
pub mod connection;
pub mod figures;
pub mod floor;
pub mod options;
pub mod requests;
pub mod resp;
pub mod tracker;

use std::sync::Barrier;

use crate::harness::Error;
use client::Client;
pub use figures::Figures;
pub use options::{Options, Protocol};

/// Executes the command line, and prints the result.
pub fn execute(options: &Options) -> Result<(), Error> {
    if options.serve {
        return tracker::serve(options);
    }
    if options.floor {
        return floor::serve(options.server, options.connections);
    }
    println!("{}", run(options)?.line(options));
    Ok(())
}

/// Loads the server, or fills it.
pub fn run(options: &Options) -> Result<Figures, Error> {
    // The measurement starts only after all threads are connected.
    let connected = Barrier::new(options.threads);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|index| {
                let connected = &connected;
                scope.spawn(move || {
                    let client = Client::connect(options, index);
                    connected.wait();
                    if options.fill { client?.fill() } else { client?.load() }
                })
            })
            .collect();
        let ended = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(Error::Contestant("a thread of the load panicked".to_owned())))
        });
        ended.reduce(|all, one| Ok(all?.and(one?))).unwrap_or_else(|| Err(Error::Refused("no thread".to_owned())))
    })
}
