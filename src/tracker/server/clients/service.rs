//! What serving a client needs of its core.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::forward::Forwarder;
use super::pending_replies::PendingReplies;
use crate::net::Net;
use crate::tracker::server::links::group_members::GroupMembers;
use crate::tracker::server::shard::Shard;

/// What a turn needs.
pub(crate) struct Service {
    pub(crate) net: Net,
    pub(crate) shard: Rc<Shard>,
    pub(crate) forwarder: Rc<Forwarder>,
    pub(crate) rounds: Rc<PendingReplies>,
    pub(crate) peers: Arc<GroupMembers>,
}

impl Service {
    pub(super) fn deadline(&self, limit: Duration) -> u64 {
        self.net.clock_ms() + limit.as_millis() as u64
    }
}
