//! Accepted connections in transit from the listener's core to the core that will serve them.

use std::net::SocketAddr;

use async_channel::TrySendError;

use super::channel::Channel;
use crate::limits::ACCEPTED_MAX;

/// A connection that a listener accepted and no core serves yet.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(super) channel: Channel,
}

/// The connections handed to one core.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    queue: async_channel::Receiver<Accepted>,
}

/// The queues from core 0 to each of `count` cores.
pub(crate) fn queues(count: usize) -> (Vec<async_channel::Sender<Accepted>>, Vec<Incoming>) {
    (0..count)
        .map(|_| {
            let (sender, queue) = async_channel::bounded(ACCEPTED_MAX);
            (sender, Incoming { queue })
        })
        .unzip()
}

/// Sends the connection to core `first` or, if that queue is full, to the next core with room; closes it if all queues
/// are full. Returns whether the cores still run.
pub(super) fn hand_out(accepted: Accepted, cores: &[async_channel::Sender<Accepted>], first: usize) -> bool {
    let mut accepted = accepted;
    for core in (first..).take(cores.len()) {
        accepted = match cores[core % cores.len()].try_send(accepted) {
            Ok(()) => return true,
            Err(TrySendError::Full(accepted)) => accepted,
            Err(TrySendError::Closed(_)) => return false,
        };
    }
    log::warn!("closed a connection from {}: the cores are too far behind", accepted.peer());
    true
}

impl Incoming {
    /// Returns the next connection of this core; `None` after the listener has ended.
    pub(crate) async fn next(&self) -> Option<Accepted> {
        self.queue.recv().await.ok()
    }
}

impl Accepted {
    /// Address of the remote end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.channel.peer()
    }
}

#[cfg(test)]
mod tests {
    use socket2::Socket;

    use super::*;
    use crate::net::ConnectionLimits;
    use crate::net::test_sockets::{connections, has_ended};

    #[test]
    fn a_core_that_takes_nothing_is_passed_over() {
        let limits = ConnectionLimits::new(10_000, 10_000);
        let (queues, taken): (Vec<_>, Vec<_>) = (0..2).map(|_| async_channel::bounded(1)).unzip();
        let mut sockets = connections(4).into_iter();
        let accepted = |socket: Socket| {
            let peer = "192.0.2.1:1".parse().unwrap();
            let permit = ConnectionLimits::admit(&limits, peer, &socket);
            Accepted { channel: Channel::new(permit, socket, peer).unwrap() }
        };
        let mut hand_out_next = |to: &[_]| {
            let (ours, theirs) = sockets.next().unwrap();
            assert!(hand_out(accepted(ours), to, 0));
            theirs
        };
        let _open = [hand_out_next(&queues), hand_out_next(&queues)];
        assert_eq!(taken.iter().map(|queue| queue.len()).collect::<Vec<_>>(), [1, 1]);
        assert!(has_ended(&mut hand_out_next(&queues)));
        assert_eq!(limits.open(), 2);
        drop(taken);
        let (ours, _theirs) = sockets.next().unwrap();
        assert!(!hand_out(accepted(ours), &queues, 0), "nobody is there");
    }
}
