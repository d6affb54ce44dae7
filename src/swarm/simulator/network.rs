//! A computed network: every node has a rate up and a rate down, and flows share them as TCP does in the long run,
//! max-min fair. Pure.
//!
//! Each direction of a node has a *level*, the highest rate that it gives a flow, and a share for each of its flows, at
//! most what the flow's other end gives. A flow has the lower of its two shares. When a flow comes or goes, the network
//! recomputes the shares at its two ends, then those of their neighbours, as far as anything changes by more than
//! `PRECISION`. However early that ends, no direction ever carries more than its rate.

use std::collections::VecDeque;

/// Index of a node.
pub(crate) type NodeId = usize;
/// Index of a flow; reused after it has ended.
pub(crate) type FlowId = usize;

/// Smallest relative change of a level that is passed on to neighbours.
const PRECISION: f64 = 0.01;
/// Times that differ by less are equal, seconds.
const SHORTEST_S: f64 = 1e-9;
/// Maximum number of levels recomputed after one change.
const STEPS_MAX: usize = 400;

/// Nodes, their rates, and the flows between them.
#[derive(Debug, Default)]
pub(crate) struct Network {
    sides: Vec<Side>,
    flows: Vec<Option<Flow>>,
    free: Vec<FlowId>,
    /// Flows whose rate has changed since `take_ends` was last called.
    changed: Vec<FlowId>,
    /// Scratch space; kept to reuse its memory.
    limits: Vec<f64>,
    /// The last version given to any flow, so that no later flow with the same index has it.
    version: u64,
}

/// One direction of a node.
#[derive(Debug)]
struct Side {
    bytes_s: f64,
    level: f64,
    flows: Vec<FlowId>,
}

#[derive(Debug)]
struct Flow {
    /// Side indices: up of the source, down of the target.
    sides: [usize; 2],
    /// Rate that each side gives the flow, bytes a second.
    shares: [f64; 2],
    rate: f64,
    left: f64,
    /// Time at which `left` was computed, seconds.
    at: f64,
    version: u64,
    /// The end that was last returned, unless a later change made it too early.
    foreseen: f64,
}

impl Network {
    /// Adds a node with these rates, bytes a second.
    pub(crate) fn add_node(&mut self, up_bytes_s: f64, down_bytes_s: f64) -> NodeId {
        for bytes_s in [up_bytes_s, down_bytes_s] {
            self.sides.push(Side { bytes_s, level: bytes_s, flows: Vec::new() });
        }
        self.sides.len() / 2 - 1
    }

    /// Begins to move `bytes` from one node to another at time `now`, seconds.
    pub(crate) fn begin(&mut self, now: f64, from: NodeId, to: NodeId, bytes: f64) -> FlowId {
        let sides = [2 * from, 2 * to + 1];
        let flow =
            Flow { sides, shares: [0.0; 2], rate: 0.0, left: bytes, at: now, version: 0, foreseen: f64::INFINITY };
        let id = self.free.pop().unwrap_or_else(|| {
            self.flows.push(None);
            self.flows.len() - 1
        });
        self.flows[id] = Some(flow);
        sides.into_iter().for_each(|side| self.sides[side].flows.push(id));
        self.changed.push(id);
        self.settle(now, sides);
        id
    }

    /// Ends a flow, complete or not; returns the bytes that had not moved.
    pub(crate) fn end(&mut self, now: f64, id: FlowId) -> f64 {
        let Some(flow) = self.flows[id].take() else { return 0.0 };
        for side in flow.sides {
            self.sides[side].flows.retain(|known| *known != id);
        }
        self.free.push(id);
        self.settle(now, flow.sides);
        flow.left - flow.rate * (now - flow.at)
    }

    /// Bytes of a flow that have not moved yet.
    pub(crate) fn left(&self, now: f64, id: FlowId) -> f64 {
        self.flows[id].as_ref().map_or(0.0, |flow| flow.left - flow.rate * (now - flow.at))
    }

    /// Returns the flows whose end must be checked: each with a version that distinguishes it from later ends of the
    /// same flow, and the time in seconds. An end that moves later keeps its old entry; see [`Network::has_ended`].
    pub(crate) fn take_ends(&mut self, ends: &mut Vec<(FlowId, u64, f64)>) {
        for id in self.changed.drain(..) {
            let Some(flow) = self.flows[id].as_mut() else { continue };
            let end = flow.end();
            if end < flow.foreseen {
                self.version += 1;
                (flow.version, flow.foreseen) = (self.version, end);
                ends.push((id, flow.version, end));
            }
        }
    }

    /// Whether all of the flow has moved by the time predicted for this version. If that time was too early, a new end
    /// is predicted.
    pub(crate) fn has_ended(&mut self, now: f64, id: FlowId, version: u64) -> bool {
        let Some(flow) = self.flows[id].as_mut().filter(|flow| flow.version == version) else { return false };
        let has_ended = flow.end() <= now + SHORTEST_S;
        if !has_ended {
            flow.foreseen = f64::INFINITY;
            self.changed.push(id);
        }
        has_ended
    }

    fn settle(&mut self, now: f64, sides: [usize; 2]) {
        let mut queue = VecDeque::from(sides);
        for _ in 0..STEPS_MAX {
            let Some(side) = queue.pop_front() else { return };
            let level = self.level(side);
            let before = std::mem::replace(&mut self.sides[side].level, level);
            let is_same = (level - before).abs() <= PRECISION * before;
            for place in 0..self.sides[side].flows.len() {
                let other = self.share(now, side, self.sides[side].flows[place]);
                if !is_same && !queue.contains(&other) {
                    queue.push_back(other);
                }
            }
        }
    }

    /// Index and level of the side at the other end of a flow of this side.
    fn other(&self, side: usize, id: FlowId) -> (usize, f64) {
        let sides = self.flows[id].as_ref().map_or([side; 2], |flow| flow.sides);
        let other = sides[usize::from(sides[0] == side)];
        (other, self.sides[other].level)
    }

    /// Highest rate that this side gives a flow, given the limits of the other sides.
    fn level(&mut self, side: usize) -> f64 {
        let mut limits = std::mem::take(&mut self.limits);
        limits.clear();
        let Side { bytes_s, flows, .. } = &self.sides[side];
        limits.extend(flows.iter().map(|id| self.other(side, *id).1));
        limits.sort_by(f64::total_cmp);
        let (mut left, mut count) = (*bytes_s, limits.len());
        let is_lower = |limit: &&f64| {
            let is_lower = **limit * (count as f64) < left;
            if is_lower {
                left -= **limit;
                count -= 1;
            }
            is_lower
        };
        let lower = limits.iter().take_while(is_lower).count();
        let level = if lower == limits.len() { *bytes_s } else { left / count as f64 };
        self.limits = limits;
        level
    }

    /// Gives a flow its share of this side; returns its other side.
    fn share(&mut self, now: f64, side: usize, id: FlowId) -> usize {
        let (other, limit) = self.other(side, id);
        let share = limit.min(self.sides[side].level);
        if let Some(flow) = self.flows[id].as_mut() {
            flow.shares[usize::from(flow.sides[0] != side)] = share;
            let rate = flow.shares[0].min(flow.shares[1]);
            if (rate - flow.rate).abs() > PRECISION / 100.0 * flow.rate {
                flow.left -= flow.rate * (now - flow.at);
                (flow.rate, flow.at) = (rate, now);
                self.changed.push(id);
            }
        }
        other
    }
}

impl Flow {
    /// Time when all of the flow will have moved at its present rate, seconds.
    fn end(&self) -> f64 {
        self.at + self.left.max(0.0) / self.rate.max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(network: &Network, flow: FlowId) -> f64 {
        network.flows[flow].as_ref().map_or(0.0, |flow| flow.rate)
    }

    #[test]
    fn flows_share_the_available_rate() {
        let mut network = Network::default();
        let nodes: Vec<NodeId> = (0..4).map(|_| network.add_node(100.0, 100.0)).collect();
        let a = network.begin(0.0, nodes[0], nodes[1], 1000.0);
        assert_eq!(rate(&network, a), 100.0);
        let b = network.begin(1.0, nodes[0], nodes[2], 1000.0);
        assert!((rate(&network, a) - 50.0).abs() < 1.0 && (rate(&network, b) - 50.0).abs() < 1.0);
        // Node 2 gets what node 0 leaves of its own rate.
        let c = network.begin(1.0, nodes[3], nodes[2], 1000.0);
        assert!((rate(&network, c) - 50.0).abs() < 1.0, "{}", rate(&network, c));
        assert!((network.left(3.0, a) - 800.0).abs() < 5.0);
        assert!((network.end(3.0, b) - 900.0).abs() < 5.0);
        assert!((rate(&network, a) - 100.0).abs() < 1.0 && (rate(&network, c) - 100.0).abs() < 1.0);
    }
}
