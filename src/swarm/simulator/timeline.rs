//! Queue of events by time. Pure.
//!
//! Most events come a fixed time after their cause, so events of one kind are due in the order of their creation: each
//! kind has a plain queue. Only the other events need a heap.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// Kinds of events that have a fixed delay each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lane {
    /// A message from node to node.
    Message,
    /// The time for which new chunks are gathered.
    NewChunks,
    /// The time between two ticks of a getter.
    Tick,
}

const LANES: usize = 3;

/// Future events; those due at the same time are in the order of insertion.
#[derive(Debug)]
pub(super) struct Timeline<E> {
    lanes: [VecDeque<Due<E>>; LANES],
    others: BinaryHeap<Due<E>>,
    order: u64,
}

#[derive(Debug)]
struct Due<E> {
    at: f64,
    order: u64,
    event: E,
}

impl<E> Default for Timeline<E> {
    fn default() -> Self {
        Self { lanes: Default::default(), others: BinaryHeap::new(), order: 0 }
    }
}

impl<E> Timeline<E> {
    /// Adds an event at a time, seconds.
    pub(super) fn at(&mut self, at: f64, event: E) {
        self.order += 1;
        self.others.push(Due { at, order: self.order, event });
    }

    /// Adds an event to a lane, none of whose events is due later.
    pub(super) fn in_lane(&mut self, lane: Lane, at: f64, event: E) {
        self.order += 1;
        let lane = &mut self.lanes[lane as usize];
        debug_assert!(lane.back().is_none_or(|last| last.at <= at), "a lane's events are due in order");
        lane.push_back(Due { at, order: self.order, event });
    }

    /// Removes and returns the next event with its time.
    pub(super) fn next(&mut self) -> Option<(f64, E)> {
        let heads = self.lanes.iter().map(VecDeque::front).chain([self.others.peek()]).enumerate();
        let (place, _) = heads.filter_map(|(place, head)| Some((place, head?))).max_by(|a, b| a.1.cmp(b.1))?;
        let due = self.lanes.get_mut(place).map_or_else(|| self.others.pop(), VecDeque::pop_front)?;
        Some((due.at, due.event))
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<E> Eq for Due<E> {}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest event compares as the greatest.
impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.order.cmp(&self.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_and_heap_are_merged_by_time_and_order() {
        let mut timeline = Timeline::default();
        timeline.in_lane(Lane::Message, 2.0, "c");
        timeline.at(1.0, "a");
        timeline.at(2.0, "d");
        timeline.in_lane(Lane::Tick, 1.5, "b");
        timeline.in_lane(Lane::Message, 2.0, "e");
        let order: Vec<_> = std::iter::from_fn(|| timeline.next()).map(|(_, event)| event).collect();
        assert_eq!(order, ["a", "b", "c", "d", "e"]);
    }
}
