//! Load for a tracker, and by the same means for Redis: many connections, each a closed loop of so many requests in
//! flight, a mix of AddSeeder (SADD) and SeederInfoRequest (SRANDMEMBER) over many files.
//!
//! Says answers a second, latencies, and what CPU time the server took: only where that is over 95 % of a core do
//! the figures are those of the server.
//!
//! The load must cost the server nothing but the requests. A [`client`] is a thread over epoll that never sleeps: a
//! sleeping one makes the server's core wake it, and one that has its completions run by io_uring is interrupted by
//! the server's core at every answer, which cost Redis 7 us an answer. It must also be faster than any server: a round
//! on a [`connection`] is one send and one receive; [`requests`] are copied from templates, nothing is allocated, and
//! every answer is checked in place ([`answers`]). What a server costs that does nothing is what [`floor`] shows.

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

/// Does what the command line says, and prints it.
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
    // Nobody is measured before everybody is connected.
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
