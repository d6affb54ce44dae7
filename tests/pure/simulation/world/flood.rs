//! One host, or one IPv6 network of 64 bits, that announces and withdraws as much as it can, at all trackers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mtorrent::ids::Endpoint;
use mtorrent::tracker::table::{Claim, Sender};
use rand::RngExt;
use rand::rngs::SmallRng;

use super::client_actions::Written;
use super::{FILES, World, hash};

/// Changes per step; a step is a tenth of a second.
const CHANGES_A_STEP: usize = 1;

/// The source of a flood.
#[derive(Clone, Copy, Debug)]
pub enum Flood {
    /// One address, on any port.
    Host,
    /// Any address of one network.
    Network,
}

impl Flood {
    /// Selects a flood for some of the worlds.
    pub fn draw(rng: &mut SmallRng) -> Option<Self> {
        let which = rng.random_bool(0.5);
        rng.random_bool(0.2).then_some(if which { Self::Host } else { Self::Network })
    }

    fn endpoint(self, rng: &mut SmallRng) -> Option<Endpoint> {
        let ip: IpAddr = match self {
            Self::Host => Ipv4Addr::new(192, 0, 2, 1).into(),
            Self::Network => Ipv6Addr::from(0x2001_0db8_0000_0001 << 64 | u128::from(rng.random_range(0..24u8))).into(),
        };
        Endpoint::new(ip, rng.random_range(1..=40))
    }
}

impl World {
    /// Floods for one step; refusals are ignored.
    pub(super) fn flood(&mut self) {
        let Some(flood) = self.flood else { return };
        for _ in 0..CHANGES_A_STEP {
            let at = self.rng.random_range(0..self.trackers.len());
            let Some(endpoint) = flood.endpoint(&mut self.rng) else { continue };
            if !self.trackers[at].up || self.trackers[at].refuses {
                continue;
            }
            let claim = Claim { info_hash: hash(self.rng.random_range(0..FILES)), endpoint, seen: None };
            let sender = Sender { ip: endpoint.ip(), trusted: false };
            let (wall_ms, mut written) = (self.wall_ms(at), Written::default());
            let table = &mut self.trackers[at].table;
            // Nothing that it was promised is checked.
            let _ = if self.rng.random_bool(0.7) {
                table.add(claim, None, sender, wall_ms, &mut written)
            } else {
                table.remove(claim, sender, wall_ms, &mut written)
            };
            self.pass_on(at, at, written.taken());
        }
    }
}
