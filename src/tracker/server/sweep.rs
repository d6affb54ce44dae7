//! The task of a core that sweeps its table, and updates its figures and the clock differences of the others.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{ClockWatch, now_ms};
use super::links::group_members::GroupMembers;
use super::shard::Shard;
use super::stats::Figures;
use crate::limits::{SWEEP_CYCLE, SWEEP_STEP_MAX};
use crate::runtime;

/// Interval at which a core sweeps and updates its figures.
const SWEEP_TICK: Duration = Duration::from_millis(100);

/// Removes lapsed entries, so that all buckets are passed once per [`SWEEP_CYCLE`].
pub(super) async fn sweep(shard: Rc<Shard>, figures: Arc<Figures>, members: Arc<GroupMembers>, core: usize) {
    let ticks = (SWEEP_CYCLE.as_millis() / SWEEP_TICK.as_millis()) as usize;
    let (mut watch, mut clocks_seen, mut skews_due_ms) = (ClockWatch::default(), 0, 0);
    loop {
        runtime::sleep(SWEEP_TICK).await;
        if core == 0 {
            watch.check();
        }
        if members.clocks_seen() != clocks_seen || now_ms() >= skews_due_ms {
            clocks_seen = members.clocks_seen();
            skews_due_ms = now_ms() + SWEEP_CYCLE.as_millis() as u64;
            shard.set_skews(members.skews(now_ms()), now_ms());
        }
        let buckets = shard.buckets();
        let mut passed = 0;
        while passed < buckets.div_ceil(ticks) {
            match shard.sweep(now_ms(), SWEEP_STEP_MAX) {
                // The bucket is too large for one step: the next step continues with it.
                0 => break,
                step => passed += step,
            }
            runtime::yield_now().await;
        }
        shard.write_missed();
        shard.log().flush();
        figures.set(core, shard.stats(), &shard.activity());
    }
}
